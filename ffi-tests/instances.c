/* Several instances of Picodata: the caller's own choice among them, events, figures, sharding keys. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

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

static void balance(void)
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
}

/* Runs one statement on each server, which all tell of the same cluster. */
static void everywhere(const char *sql)
{
    const char *host = strchr(url(), '@') + 1;
    for (int i = 0; i < INSTANCES; i++) {
        char one[128];
        quorate_pool *server = NULL;
        snprintf(one, sizeof one, "postgres://postgres@%.*s:%d/postgres?topology=off", (int)strcspn(host, ":"), host, 5432 + i);
        OK(quorate_pool_open(TEXT(one), &server, &error));
        exec_sql(server, sql);
        quorate_pool_free(server);
    }
}

static struct {
    pthread_mutex_t lock;
    /* The kind that is waited for, and whether it came as it should. */
    int32_t kind;
    bool came, is_master;
    const char *state;
    char before[64];
    int destroyed;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void tell(void *user_data, const quorate_event *event)
{
    CHECK(user_data == &seen && event->size == sizeof *event && event->kind >= 1 && event->kind <= 7);
    pthread_mutex_lock(&seen.lock);
    if (event->kind == seen.kind) {
        CHECK(event->address.length > 4 && memcmp(event->address.pointer, "127.", 4) == 0 && event->count == 0);
        if (event->kind != QUORATE_EVENT_KIND_LEADER) {
            CHECK(is(event->name, "default_2_1") && is(event->uuid, "00000001-0000-4000-8000-000000000002"));
            CHECK(is(event->replicaset, "00000002-0000-4000-8000-000000000002") && is(event->tier, "default"));
            CHECK(is(event->state, seen.state) && event->is_master == seen.is_master && !event->is_leader);
        }
        snprintf(seen.before, sizeof seen.before, "%.*s", (int)event->before.length, event->before.pointer);
        seen.came = true;
    }
    pthread_mutex_unlock(&seen.lock);
}

static void destroy_seen(void *user_data)
{
    CHECK(user_data == &seen);
    seen.destroyed++;
}

/* Changes the cluster and waits for the event that tells of it. */
static void change(const char *sql, int32_t kind, const char *state, bool is_master)
{
    pthread_mutex_lock(&seen.lock);
    seen.kind = kind, seen.state = state, seen.is_master = is_master, seen.came = false;
    pthread_mutex_unlock(&seen.lock);
    everywhere(sql);
    bool came = false;
    for (int i = 0; i < 3000 && !came; i++) {
        usleep(10000);
        pthread_mutex_lock(&seen.lock);
        came = seen.came;
        pthread_mutex_unlock(&seen.lock);
    }
    CHECK(came);
}

static uint64_t stat(quorate_pool *pool, int32_t which)
{
    uint64_t value = 77;
    OK(quorate_pool_stat(pool, which, &value, &error));
    return value;
}

static void events(void)
{
    quorate_config *config = NULL;
    quorate_pool *pool = NULL;
    OK(quorate_config_new(TEXT(url()), &config, &error));
    OK(quorate_config_set(config, TEXT("topology_interval"), TEXT("50ms"), &error));
    OK(quorate_config_set_event(config, tell, &seen, destroy_seen, &error));
    OK(quorate_pool_open_config(config, &pool, &error));
    quorate_config_free(config);
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    CHECK(stat(pool, QUORATE_STAT_INSTANCES) == INSTANCES && stat(pool, QUORATE_STAT_USABLE_INSTANCES) == INSTANCES);

    change("UPDATE _pico_instance SET current_state = '[\"Offline\",1]' WHERE raft_id = 2", QUORATE_EVENT_KIND_INSTANCE_STATE,
           "Offline", true);
    CHECK(strcmp(seen.before, "Online") == 0);
    CHECK(stat(pool, QUORATE_STAT_INSTANCES) == INSTANCES && stat(pool, QUORATE_STAT_USABLE_INSTANCES) == INSTANCES - 1);
    CHECK(stat(pool, QUORATE_STAT_TOPOLOGY_FAILING) == 0 && stat(pool, QUORATE_STAT_TOPOLOGY_AGE_MILLISECONDS) < 60000);
    change("UPDATE _pico_instance SET current_state = '[\"Online\",1]' WHERE raft_id = 2", QUORATE_EVENT_KIND_INSTANCE_STATE,
           "Online", true);
    CHECK(strcmp(seen.before, "Offline") == 0);
    change("UPDATE _pico_replicaset SET current_master_name = 'x' WHERE name = 'default_2'", QUORATE_EVENT_KIND_INSTANCE_ROLE,
           "Online", false);
    change("UPDATE _pico_replicaset SET current_master_name = 'default_2_1' WHERE name = 'default_2'",
           QUORATE_EVENT_KIND_INSTANCE_ROLE, "Online", true);
    change("UPDATE _pico_peer_address SET address = replace(address, ':5433', ':5499') WHERE raft_id = 2",
           QUORATE_EVENT_KIND_INSTANCE_MOVED, "Online", true);
    CHECK(strstr(seen.before, ":5433") != NULL);
    change("UPDATE _pico_peer_address SET address = replace(address, ':5499', ':5433') WHERE raft_id = 2",
           QUORATE_EVENT_KIND_INSTANCE_MOVED, "Online", true);
    everywhere("CREATE TABLE kept AS SELECT * FROM _pico_instance WHERE raft_id = 2");
    change("DELETE FROM _pico_instance WHERE raft_id = 2", QUORATE_EVENT_KIND_INSTANCE_WENT, "Online", true);
    change("INSERT INTO _pico_instance SELECT * FROM kept", QUORATE_EVENT_KIND_INSTANCE_CAME, "Online", true);
    everywhere("DROP TABLE kept");
    change("UPDATE pico_standing SET leader_id = 3, leader_uuid = '00000001-0000-4000-8000-000000000003'",
           QUORATE_EVENT_KIND_LEADER, NULL, false);
    change("UPDATE pico_standing SET leader_id = 1, leader_uuid = '00000001-0000-4000-8000-000000000001'",
           QUORATE_EVENT_KIND_LEADER, NULL, false);
    CHECK(seen.destroyed == 0);
    OK(quorate_pool_close(pool, 5000, &error));
    quorate_pool_free(pool);
    CHECK(seen.destroyed == 1);
}

static void endpoints(void)
{
    quorate_pool *pool = open_pool();
    quorate_endpoints *endpoints = NULL;
    quorate_connection *connection = NULL;
    unsigned in_use = 0;
    OK(quorate_pool_endpoints(pool, &endpoints, &error));
    CHECK(quorate_endpoints_len(endpoints) == 0 && quorate_endpoints_get(endpoints, 0) == NULL);
    quorate_endpoints_free(endpoints);
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    OK(quorate_pool_endpoints(pool, &endpoints, &error));
    CHECK(quorate_endpoints_len(endpoints) == INSTANCES && quorate_endpoints_get(endpoints, INSTANCES) == NULL);
    for (size_t i = 0; i < INSTANCES; i++) {
        const quorate_endpoint *one = quorate_endpoints_get(endpoints, i);
        CHECK(one->size == sizeof *one && one->address.length > 5 && one->waiting == 0 && !one->left_out);
        CHECK(one->address.pointer[one->address.length - 1] == (char)('2' + i));
        CHECK(one->connections == one->idle + one->in_use && one->connections > 0);
        in_use += one->in_use;
    }
    CHECK(in_use == 1);
    quorate_pool_free(pool);
    quorate_connection_free(connection);
    quorate_endpoints_free(endpoints);
}

static void sharding(void)
{
    quorate_pool *pool = NULL;
    quorate_sharding_key *key = NULL, *clone = NULL;
    quorate_connection *connection = NULL;
    uint64_t bucket = 0;
    size_t len = 7;
    int64_t where;
    bool more;

    everywhere("CREATE TABLE _pico_table (name text, distribution json, format json, schema_version bigint)");
    everywhere("INSERT INTO _pico_table VALUES ('orders', '{\"ShardedImplicitly\": [[\"id\"], \"murmur3\", \"default\"]}', "
               "'[{\"name\": \"id\", \"field_type\": \"integer\", \"is_nullable\": false}, "
               "{\"name\": \"bucket_id\", \"field_type\": \"unsigned\", \"is_nullable\": true}]', 1), "
               "('everywhere', '\"Global\"', '[]', 1)");
    pool = open_pool();
    EXPECT(UNSUPPORTED, quorate_pool_sharding_key(pool, TEXT("everywhere"), DEFAULT, &key, &error));
    EXPECT(DATABASE, quorate_pool_sharding_key(pool, TEXT("nowhere"), DEFAULT, &key, &error));
    CHECK(key == NULL);
    OK(quorate_pool_sharding_key(pool, TEXT("orders"), DEFAULT, &key, &error));
    CHECK(strncmp(quorate_sharding_key_table(key, &len), "orders", 6) == 0 && len == 6);
    CHECK(strncmp(quorate_sharding_key_tier(key, &len), "default", 7) == 0 && len == 7);
    CHECK(quorate_sharding_key_columns(key) == 1);
    CHECK(strncmp(quorate_sharding_key_column_name(key, 0, &len), "id", 2) == 0 && len == 2);
    CHECK(quorate_sharding_key_column_name(key, 1, &len) == NULL && len == 0);

    /* What a real server says of these keys (tests/data/picodata-bucket-vectors.csv), and which third of the 3,000
     * buckets each server has. */
    static const struct {
        int64_t id;
        uint64_t bucket;
        int64_t port;
    } known[] = {{0, 84, 5432}, {42, 2426, 5434}, {127, 2362, 5434}};
    OK(quorate_sharding_key_clone(key, &clone, &error));
    quorate_sharding_key_free(key);
    quorate_pool_free(pool);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            quorate_rows *rows = NULL;
            quorate_value id = quorate_make_int64(known[i].id);
            if (round) id = quorate_make_named("id", 2, id);
            OK(quorate_sharding_key_bucket(clone, &id, 1, &bucket, &error));
            CHECK(bucket == known[i].bucket);
            OK(quorate_sharding_key_acquire(clone, &id, 1, DEFAULT, &connection, &error));
            OK(quorate_connection_query(connection, TEXT("SELECT inet_server_port()"), NULL, 0, DEFAULT, &rows, &error));
            OK(quorate_rows_next(rows, &more, &error));
            OK(quorate_rows_get_int64(rows, 0, &where, &error));
            CHECK(where == known[i].port);
            quorate_rows_free(rows);
            quorate_connection_free(connection);
        }
    }
    quorate_value text = quorate_make_text(TEXT("42"));
    EXPECT(CONVERSION, quorate_sharding_key_bucket(clone, &text, 1, &bucket, &error));
    CHECK(bucket == 0);
    EXPECT(MISUSE, quorate_sharding_key_bucket(clone, NULL, 0, &bucket, &error));
    EXPECT(CONVERSION, quorate_sharding_key_acquire(clone, &text, 1, DEFAULT, &connection, &error));
    CHECK(connection == NULL);
    quorate_sharding_key_free(clone);
    everywhere("DROP TABLE _pico_table");
}

int main(void)
{
    balance();
    events();
    endpoints();
    sharding();
    return 0;
}
