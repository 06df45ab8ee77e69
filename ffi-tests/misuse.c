/* Handles in every wrong order: closed twice, used after a close, freed in any order, stale, in a child. */
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>

static quorate_pool *pool;

static quorate_connection *acquire(void)
{
    quorate_connection *connection = NULL;
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    return connection;
}

static quorate_rows *query(quorate_connection *connection, const char *sql)
{
    quorate_rows *rows = NULL;
    OK(quorate_connection_query(connection, TEXT(sql), NULL, 0, DEFAULT, &rows, &error));
    return rows;
}

static uint64_t in_use(void)
{
    uint64_t number = 0;
    OK(quorate_pool_stat(pool, QUORATE_STAT_IN_USE, &number, &error));
    return number;
}

#define MANY "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 50000) SELECT n FROM t"

static void stale(void)
{
    quorate_connection *connection = acquire();
    quorate_rows *rows = query(connection, MANY);
    bool more;
    OK(quorate_rows_next(rows, &more, &error));
    quorate_rows *other = query(connection, "SELECT 2");
    EXPECT(MISUSE, quorate_rows_next(rows, &more, &error));
    OK(quorate_rows_next(other, &more, &error));
    quorate_rows_free(rows);
    int64_t two;
    OK(quorate_rows_get_int64(other, 0, &two, &error));
    CHECK(two == 2);

    quorate_transaction *transaction = NULL, *second = NULL;
    OK(quorate_connection_begin(connection, QUORATE_TRANSACTION_MODE_IMMEDIATE, DEFAULT, &transaction, &error));
    EXPECT(MISUSE, quorate_rows_next(other, &more, &error));
    EXPECT(MISUSE, quorate_connection_begin(connection, 0, DEFAULT, &second, &error));
    EXPECT(MISUSE, quorate_connection_begin(connection, 9, DEFAULT, &second, &error));
    CHECK(second == NULL);
    bool open;
    OK(quorate_connection_in_transaction(connection, &open, &error));
    CHECK(open);
    EXPECT(MISUSE, quorate_transaction_release(transaction, DEFAULT, &error));
    OK(quorate_transaction_commit(transaction, DEFAULT, &error));
    EXPECT(MISUSE, quorate_transaction_commit(transaction, DEFAULT, &error));
    EXPECT(MISUSE, quorate_transaction_exec(transaction, TEXT("SELECT 1"), NULL, 0, DEFAULT, NULL, &error));
    quorate_transaction_free(transaction);

    OK(quorate_connection_close(connection, &error));
    OK(quorate_connection_close(connection, &error));
    CHECK(!quorate_connection_is_open(connection));
    EXPECT(CLOSED, quorate_connection_ping(connection, DEFAULT, &error));
    EXPECT(CLOSED, quorate_rows_next(other, &more, &error));
    quorate_rows_free(other);
    quorate_connection_free(connection);
    CHECK(in_use() == 0);
}

/* Frees pool, connection, transaction and rows in the order of the digits. */
static void free_in(const char *order)
{
    quorate_pool *own = open_pool();
    quorate_connection *connection = NULL;
    quorate_transaction *transaction = NULL;
    quorate_rows *rows = NULL;
    bool more;
    OK(quorate_pool_acquire(own, DEFAULT, &connection, &error));
    OK(quorate_connection_begin(connection, QUORATE_TRANSACTION_MODE_DEFERRED, DEFAULT, &transaction, &error));
    OK(quorate_transaction_query(transaction, TEXT(MANY), NULL, 0, DEFAULT, &rows, &error));
    for (const char *one = order; *one; one++) {
        if (rows && transaction) OK(quorate_rows_next(rows, &more, &error));
        switch (*one) {
        case '0': quorate_pool_free(own); own = NULL; break;
        case '1': quorate_connection_free(connection); connection = NULL; break;
        case '2': quorate_transaction_free(transaction); transaction = NULL; break;
        case '3': quorate_rows_free(rows); rows = NULL; break;
        }
    }
}

static void permute(char *order, int at)
{
    if (at == 4) {
        free_in(order);
        return;
    }
    for (int i = at; i < 4; i++) {
        char swap = order[at];
        order[at] = order[i], order[i] = swap;
        permute(order, at + 1);
        swap = order[at];
        order[at] = order[i], order[i] = swap;
    }
}

static void fork_it(void)
{
    quorate_connection *connection = acquire();
    quorate_rows *rows = query(connection, MANY);
    quorate_transaction *transaction = NULL;
    OK(quorate_pool_begin(pool, 0, DEFAULT, &transaction, &error));
    bool more;
    OK(quorate_rows_next(rows, &more, &error));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        uint64_t number;
        EXPECT(FORKED, quorate_pool_ping(pool, DEFAULT, &error));
        EXPECT(FORKED, quorate_connection_ping(connection, DEFAULT, &error));
        EXPECT(FORKED, quorate_connection_close(connection, &error));
        EXPECT(FORKED, quorate_transaction_commit(transaction, DEFAULT, &error));
        EXPECT(FORKED, quorate_pool_stat(pool, 0, &number, &error));
        EXPECT(FORKED, quorate_pool_close(pool, 1000, &error));
        quorate_rows_free(rows);
        quorate_transaction_free(transaction);
        quorate_connection_free(connection);
        quorate_pool_free(pool);
        /* A pool of the child's own works. */
        pool = open_pool();
        OK(quorate_pool_ping(pool, DEFAULT, &error));
        OK(quorate_pool_close(pool, 5000, &error));
        quorate_pool_free(pool);
        /* What a child leaves alone on purpose is no leak to be counted at its exit. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 20000; i++) OK(quorate_rows_next(rows, &more, &error));
    CHECK(more);
    OK(quorate_transaction_exec(transaction, TEXT("SELECT 1"), NULL, 0, DEFAULT, NULL, &error));
    OK(quorate_transaction_rollback(transaction, DEFAULT, &error));
    quorate_transaction_free(transaction);
    quorate_rows_free(rows);
    OK(quorate_connection_ping(connection, DEFAULT, &error));
    quorate_connection_free(connection);
}

/* Administration is dqlite's alone. */
static void administer_picodata(void)
{
    quorate_config *config = NULL;
    quorate_cluster *cluster = NULL;
    quorate_buffer *user = NULL;
    OK(quorate_config_new(TEXT("picodata://app:secret@127.0.0.9:1/db"), &config, &error));
    OK(quorate_config_get(config, TEXT("user"), &user, &error));
    CHECK(strcmp(quorate_buffer_data(user, NULL), "app") == 0);
    quorate_buffer_free(user);
    EXPECT(UNSUPPORTED, quorate_cluster_new(config, &cluster, &error));
    CHECK(cluster == NULL);
    quorate_config_free(config);
}

int main(void)
{
    administer_picodata();
    pool = open_pool();
    stale();
    char order[] = "0123";
    permute(order, 0);
    fork_it();
    quorate_connection *connection = acquire();
    EXPECT(TIMEOUT, quorate_pool_close(pool, 50, &error));
    EXPECT(CLOSED, quorate_connection_ping(connection, DEFAULT, &error));
    quorate_connection_free(connection);
    OK(quorate_pool_close(pool, 5000, &error));
    EXPECT(CLOSED, quorate_pool_ping(pool, DEFAULT, &error));
    uint64_t number;
    EXPECT(MISUSE, quorate_pool_stat(pool, 99, &number, &error));
    quorate_pool_free(pool);
    return 0;
}
