/* The caller's functions: log, dial, store, event; each destroy function runs exactly once. */
#include "test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

struct data {
    atomic_int calls, destroyed;
    quorate_pool *pool;
};

static void destroy(void *user_data)
{
    ((struct data *)user_data)->destroyed++;
}

static void tell(void *user_data, int32_t level, const char *message, size_t len)
{
    CHECK(level >= QUORATE_LOG_LEVEL_ERROR && level <= QUORATE_LOG_LEVEL_DEBUG && message && len > 0);
    ((struct data *)user_data)->calls++;
}

static void event(void *user_data, const quorate_event *event)
{
    CHECK(event->size == sizeof *event && event->name.length == 0 && event->state.length == 0);
    if (event->kind == QUORATE_EVENT_KIND_LEADER) {
        CHECK(event->address.length > 4 && memcmp(event->address.pointer, "127.", 4) == 0 && event->count == 0);
    } else {
        CHECK(event->kind == QUORATE_EVENT_KIND_NODES && event->address.length == 0 && event->count == 3);
    }
    ((struct data *)user_data)->calls++;
}

static int32_t dial(void *user_data, const char *address, size_t len, int64_t timeout_ms)
{
    char host[64];
    struct sockaddr_in to = {.sin_family = AF_INET};
    ((struct data *)user_data)->calls++;
    CHECK(len < sizeof host && timeout_ms >= 0);
    memcpy(host, address, len);
    host[len] = 0;
    char *port = strrchr(host, ':');
    *port++ = 0;
    to.sin_port = htons((uint16_t)atoi(port));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return -EHOSTUNREACH;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

static int32_t refuse(void *user_data, const char *address, size_t len, int64_t timeout_ms)
{
    (void)address, (void)len, (void)timeout_ms;
    ((struct data *)user_data)->calls++;
    return -EHOSTUNREACH;
}

static int32_t get(void *user_data, quorate_nodes *nodes)
{
    ((struct data *)user_data)->calls++;
    /* The one address that the connection string of the run names. */
    const char *start = strstr(url(), "//") + 2;
    OK(quorate_nodes_add(nodes, 1, start, (size_t)(strchr(start, '/') - start), QUORATE_NODE_ROLE_VOTER, &error));
    return 0;
}

static atomic_int stored;

static int32_t set(void *user_data, const quorate_nodes *nodes)
{
    CHECK(user_data);
    stored = (int)quorate_nodes_len(nodes);
    return 0;
}

static int32_t fail(void *user_data, quorate_nodes *nodes)
{
    (void)user_data, (void)nodes;
    return 42;
}

int main(void)
{
    struct data log_data = {0}, dial_data = {0}, event_data = {0}, store_data = {0}, none = {0};
    quorate_config *config = NULL, *copy = NULL;
    quorate_store *store = NULL, *clone = NULL;
    quorate_pool *pool = NULL;
    quorate_error *found = NULL;

    OK(quorate_config_new(TEXT("dqlite://unused:1/c"), &config, &error));
    OK(quorate_config_set(config, TEXT("refresh_interval"), TEXT("100ms"), &error));
    EXPECT(CONFIG, quorate_config_set(config, TEXT("refresh_intervall"), TEXT("1"), &error));
    OK(quorate_config_set_log(config, tell, &log_data, destroy, &error));
    OK(quorate_config_set_event(config, event, &event_data, destroy, &error));
    OK(quorate_config_set_dial(config, dial, &dial_data, destroy, &error));
    OK(quorate_store_new_callbacks(get, set, &store_data, destroy, &store, &error));
    OK(quorate_store_clone(store, &clone, &error));
    OK(quorate_config_set_store(config, store, &error));
    quorate_store_free(store);
    quorate_store_free(clone);
    OK(quorate_config_copy(config, &copy, &error));
    quorate_config_free(config);
    OK(quorate_pool_open_config(copy, &pool, &error));
    quorate_config_free(copy);
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    for (int i = 0; i < 200 && (stored != 3 || event_data.calls == 0); i++) usleep(20000);
    CHECK(stored == 3 && event_data.calls > 0 && log_data.calls > 0 && dial_data.calls > 0 && store_data.calls > 0);
    CHECK(log_data.destroyed + dial_data.destroyed + event_data.destroyed + store_data.destroyed == 0);
    OK(quorate_pool_close(pool, 5000, &error));
    quorate_pool_free(pool);
    CHECK(log_data.destroyed == 1 && dial_data.destroyed == 1 && event_data.destroyed == 1 && store_data.destroyed == 1);

    /* Also where what they are for is not made, and where another takes their place. */
    EXPECT(NULL_POINTER, quorate_config_set_log(NULL, tell, &none, destroy, &error));
    OK(quorate_config_new(TEXT(url()), &config, &error));
    EXPECT(NULL_POINTER, quorate_config_set_dial(config, NULL, &none, destroy, &error));
    EXPECT(NULL_POINTER, quorate_store_new_callbacks(get, NULL, &none, destroy, &store, &error));
    EXPECT(NULL_POINTER, quorate_store_new_callbacks(get, set, &none, destroy, NULL, &error));
    CHECK(none.destroyed == 4);
    OK(quorate_config_set_dial(config, dial, &none, destroy, &error));
    OK(quorate_config_set_dial(config, refuse, &none, destroy, &error));
    CHECK(none.destroyed == 5);

    /* Failures of theirs are causes. */
    OK(quorate_config_set(config, TEXT("retry_limit"), TEXT("1"), &error));
    OK(quorate_pool_open_config(config, &pool, &error));
    CHECK(quorate_pool_ping(pool, 3000, NULL, &found) == QUORATE_STATUS_NO_LEADER);
    CHECK(strstr(quorate_error_text(found, NULL), "dial function") != NULL);
    quorate_error_free(found);
    quorate_pool_free(pool);
    quorate_config_free(config);
    CHECK(none.destroyed == 6);
    quorate_nodes *nodes = NULL;
    OK(quorate_store_new_callbacks(get, set, NULL, NULL, &store, &error));
    OK(quorate_nodes_new(&nodes, &error));
    stored = -1;
    EXPECT(MISUSE, quorate_store_set(store, nodes, &error));
    CHECK(stored == -1);
    quorate_nodes_free(nodes);
    quorate_store_free(store);
    OK(quorate_store_new_callbacks(fail, set, NULL, NULL, &store, &error));
    CHECK(quorate_store_get(store, &nodes, &found) == QUORATE_STATUS_STORE);
    CHECK(strstr(quorate_error_message(found, NULL), "42") != NULL);
    quorate_error_free(found);
    quorate_store_free(store);

    /* Stores of the library. */
    char path[512];
    snprintf(path, sizeof path, "%s/callbacks-%d.yaml", getenv("QUORATE_TEST_DIR"), (int)getpid());
    OK(quorate_store_open(TEXT(path), &store, &error));
    OK(quorate_nodes_new(&nodes, &error));
    EXPECT(MISUSE, quorate_store_set(store, nodes, &error));
    EXPECT(MISUSE, quorate_nodes_add(nodes, 1, TEXT("a:1"), 3, &error));
    OK(quorate_nodes_add(nodes, UINT64_MAX, TEXT("a:1"), QUORATE_NODE_ROLE_SPARE, &error));
    OK(quorate_store_set(store, nodes, &error));
    quorate_nodes_free(nodes);
    OK(quorate_store_get(store, &nodes, &error));
    uint64_t id;
    const char *address;
    size_t len;
    quorate_node_role role;
    OK(quorate_nodes_get(nodes, 0, &id, &address, &len, &role, &error));
    CHECK(id == UINT64_MAX && strcmp(address, "a:1") == 0 && role == QUORATE_NODE_ROLE_SPARE);
    EXPECT(MISUSE, quorate_nodes_get(nodes, 1, &id, &address, &len, &role, &error));
    CHECK(id == 0 && address == NULL && len == 0);
    quorate_nodes_free(nodes);
    quorate_store_free(store);
    return 0;
}
