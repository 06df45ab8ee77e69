/* Several instances of Picodata: the caller's own choice among them. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>

enum { INSTANCES = 3 };

struct chooser {
    atomic_int calls, destroyed;
    /* Which candidate is chosen, by the last digit of its name `default_N_1`; 0 answers an index beyond the end. */
    atomic_int wanted;
    pthread_t thread;
    int64_t latency;
    uint32_t in_use;
    bool left_out;
};

static bool is(quorate_bytes text, const char *wanted)
{
    return text.length == strlen(wanted) && memcmp(text.pointer, wanted, text.length) == 0;
}

static size_t choose(void *user_data, const quorate_candidate *candidates, size_t len)
{
    struct chooser *chooser = user_data;
    size_t chosen = SIZE_MAX;
    int leaders = 0;
    chooser->calls++;
    chooser->thread = pthread_self();
    chooser->left_out = true;
    CHECK(len >= 2 && len <= INSTANCES);
    for (size_t i = 0; i < len; i++) {
        const quorate_candidate *one = candidates + i;
        char name[16], replicaset[40];
        int number = one->name.pointer[8] - '0';
        snprintf(name, sizeof name, "default_%d_1", number);
        snprintf(replicaset, sizeof replicaset, "00000002-0000-4000-8000-%012d", number);
        CHECK(is(one->name, name) && is(one->replicaset, replicaset) && is(one->tier, "default"));
        CHECK(one->uuid.length == 36 && one->uuid.pointer[35] == '0' + number);
        CHECK(one->address.length > 4 && memcmp(one->address.pointer, "127.", 4) == 0);
        CHECK(one->is_master && one->max_conns == 4 && one->reserved[0] == 0 && one->reserved[3] == 0);
        leaders += one->is_leader;
        if (number == chooser->wanted) {
            chosen = i;
            chooser->latency = one->latency_us;
            chooser->in_use = one->in_use;
            chooser->left_out = false;
        }
    }
    CHECK(leaders <= 1);
    return chosen;
}

static void destroy(void *user_data)
{
    ((struct chooser *)user_data)->destroyed++;
}

/* The port of the server that a connection of the pool goes to. */
static int64_t port(quorate_pool *pool)
{
    return one_int64(pool, "SELECT inet_server_port()");
}

static void *in_thread(void *pool)
{
    port(pool);
    return NULL;
}

int main(void)
{
    struct chooser chooser = {.wanted = 2}, none = {0};
    quorate_config *config = NULL, *copy = NULL;
    quorate_pool *pool = NULL;
    quorate_connection *held[5] = {NULL};

    OK(quorate_config_new(TEXT(url()), &config, &error));
    OK(quorate_config_set(config, TEXT("pool_max_conns"), TEXT("4"), &error));
    EXPECT(NULL_POINTER, quorate_config_set_balance(config, NULL, &none, destroy, &error));
    EXPECT(NULL_POINTER, quorate_config_set_balance(NULL, choose, &none, destroy, &error));
    OK(quorate_config_set_balance(config, choose, &none, destroy, &error));
    CHECK(none.destroyed == 2);
    OK(quorate_config_set_balance(config, choose, &chooser, destroy, &error));
    CHECK(none.destroyed == 3 && none.calls == 0);
    OK(quorate_config_copy(config, &copy, &error));
    quorate_config_free(config);
    OK(quorate_pool_open_config(copy, &pool, &error));
    quorate_config_free(copy);

    /* Each call goes where the function says, and is asked on its own thread. */
    for (int number = INSTANCES; number >= 1; number--) {
        chooser.wanted = number;
        for (int i = 0; i < 3; i++) {
            int calls = chooser.calls;
            CHECK(port(pool) == 5432 + number - 1);
            CHECK(chooser.calls == calls + 1 && pthread_equal(chooser.thread, pthread_self()));
        }
        CHECK(chooser.latency >= 0 && chooser.in_use == 0);
    }
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, in_thread, pool) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_equal(chooser.thread, thread));
    chooser.wanted = 0;
    CHECK(port(pool) == 5432);

    /* It sees what is in use. An instance whose connections are all in use makes the call go on to the others. */
    chooser.wanted = 2;
    for (unsigned i = 0; i < 4; i++) {
        OK(quorate_pool_acquire(pool, DEFAULT, &held[i], &error));
        CHECK(chooser.in_use == i && !chooser.left_out);
    }
    for (int i = 0; i < 4; i++) quorate_connection_free(held[i]);
    CHECK(chooser.destroyed == 0);
    OK(quorate_pool_close(pool, 5000, &error));
    quorate_pool_free(pool);
    CHECK(chooser.destroyed == 1);
    return 0;
}
