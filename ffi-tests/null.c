/* Every function with every pointer NULL: a status, never a crash. The calls are made from the header. */
#include "test.h"

struct valid {
    quorate_pool *pool;
    quorate_connection *connection;
    quorate_rows *rows;
    quorate_batch *batch;
    quorate_results *results;
    quorate_cancel *cancel;
    quorate_config *config;
    quorate_statement *statement;
    quorate_transaction *transaction;
    quorate_params *params;
    quorate_nodes *nodes;
    quorate_store *store;
    quorate_cluster *cluster;
    quorate_buffer *buffer;
    quorate_error *error;
    quorate_dump *dump;
    quorate_node_config *node_config;
    quorate_node *node;
    quorate_sharding_key *sharding_key;
    quorate_endpoints *endpoints;
    quorate_value *value;
    quorate_column *column;
    quorate_value_buffer *value_buffer;
    quorate_timestamp timestamp;
    uint8_t uuid[16];
    /* Room for any output. */
    uint64_t place[16];
};

static void valid_log(void *user_data, int32_t level, const char *message, size_t len)
{
    (void)user_data, (void)level, (void)message, (void)len;
}

static bool valid_ask(void *user_data)
{
    (void)user_data;
    return false;
}

static int32_t valid_dial(void *user_data, const char *address, size_t len, int64_t timeout_ms)
{
    (void)user_data, (void)address, (void)len, (void)timeout_ms;
    return -1;
}

static void valid_event(void *user_data, const quorate_event *event)
{
    (void)user_data, (void)event;
}

static size_t valid_balance(void *user_data, const quorate_candidate *candidates, size_t len)
{
    (void)user_data, (void)candidates, (void)len;
    return 0;
}

static int32_t valid_get(void *user_data, quorate_nodes *nodes)
{
    (void)user_data, (void)nodes;
    return 0;
}

static int32_t valid_set(void *user_data, const quorate_nodes *nodes)
{
    (void)user_data, (void)nodes;
    return 0;
}

static void valid_destroy(void *user_data)
{
    (void)user_data;
}

static void null_status(const char *name, const char *parameter, quorate_status got, int with_error)
{
    /* Freed functions with all pointers NULL have no object to look at. */
    if (got != QUORATE_STATUS_NULL_POINTER) {
        fprintf(stderr, "%s with %s NULL answers %d: %s\n", name, parameter, (int)got,
                error ? quorate_error_text(error, NULL) : "");
        exit(1);
    }
    CHECK(!with_error || (error && quorate_error_status(error) == QUORATE_STATUS_NULL_POINTER));
    quorate_error_free(error);
    error = NULL;
}

#include "null_calls.h"

int main(void)
{
    static struct valid valid;
    static quorate_value value;
    static quorate_column column;
    static quorate_value_buffer buffer;
    valid.value = &value;
    valid.column = &column;
    valid.value_buffer = &buffer;
    valid.pool = open_pool();
    OK(quorate_pool_acquire(valid.pool, DEFAULT, &valid.connection, &error));
    OK(quorate_pool_query(valid.pool, TEXT("SELECT 1"), NULL, 0, DEFAULT, &valid.rows, &error));
    OK(quorate_batch_new(&valid.batch, &error));
    OK(quorate_batch_queue(valid.batch, TEXT("SELECT 1"), NULL, 0, &error));
    OK(quorate_pool_send_batch(valid.pool, valid.batch, DEFAULT, &valid.results, &error));
    OK(quorate_cancel_new(&valid.cancel, &error));
    OK(quorate_config_new(TEXT(url()), &valid.config, &error));
    OK(quorate_connection_prepare(valid.connection, TEXT("SELECT 1"), DEFAULT, &valid.statement, &error));
    OK(quorate_pool_begin(valid.pool, 0, DEFAULT, &valid.transaction, &error));
    OK(quorate_params_new(&valid.params, &error));
    OK(quorate_nodes_new(&valid.nodes, &error));
    OK(quorate_nodes_add(valid.nodes, 1, TEXT("a:1"), 0, &error));
    OK(quorate_store_new(valid.nodes, &valid.store, &error));
    quorate_config *dqlite = NULL;
    OK(quorate_config_new(TEXT("dqlite://127.0.0.9:1/db"), &dqlite, &error));
    OK(quorate_cluster_new(dqlite, &valid.cluster, &error));
    quorate_config_free(dqlite);
    OK(quorate_connection_node(valid.connection, &valid.buffer, &error));
    OK(quorate_node_config_new(1, TEXT("127.0.0.1:1"), TEXT("/nowhere"), &valid.node_config, &error));
    OK(quorate_pool_endpoints(valid.pool, &valid.endpoints, &error));
    null_calls(&valid);
    quorate_pool_free(valid.pool);
    quorate_connection_free(valid.connection);
    quorate_rows_free(valid.rows);
    quorate_batch_free(valid.batch);
    quorate_results_free(valid.results);
    quorate_cancel_free(valid.cancel);
    quorate_config_free(valid.config);
    quorate_statement_free(valid.statement);
    quorate_transaction_free(valid.transaction);
    quorate_params_free(valid.params);
    quorate_nodes_free(valid.nodes);
    quorate_store_free(valid.store);
    quorate_cluster_free(valid.cluster);
    quorate_buffer_free(valid.buffer);
    quorate_node_config_free(valid.node_config);
    quorate_endpoints_free(valid.endpoints);
    printf("%d functions, %d calls, %d of them checked for their status\n", NULL_FUNCTIONS, NULL_CALLS, NULL_CHECKS);
    return 0;
}
