/* What examples/ffi_bench.rs does, through the C ABI: `point N` runs N point queries on one connection, `row N` the
 * same in one call each, `pool N` each on a connection that the pool takes out and back; `scan` reads a million rows of
 * three columns in bulk; `setup` makes what they read. Prints nanoseconds. */
#include "test.h"
#include <time.h>

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void point(quorate_pool *pool, int count)
{
    quorate_connection *connection = NULL;
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    for (int i = 0; i < count; i++) {
        quorate_rows *rows = NULL;
        quorate_value id = quorate_make_int64(i % 100 + 1);
        bool more = false;
        const char *name;
        size_t len;
        quorate_connection_query(connection, "SELECT name FROM bench WHERE id = ?", 35, &id, 1, DEFAULT, &rows, NULL);
        quorate_rows_next(rows, &more, NULL);
        quorate_rows_get_text(rows, 0, &name, &len, NULL);
        CHECK(more && len > 4);
        quorate_rows_next(rows, &more, NULL);
        quorate_rows_free(rows);
    }
    quorate_connection_free(connection);
}

/* The same in one call for each query. */
static void row(quorate_pool *pool, int count)
{
    quorate_connection *connection = NULL;
    quorate_value cell[1];
    uint8_t bytes[64];
    quorate_value_buffer buffer = {.values = cell, .bytes = bytes, .bytes_capacity = sizeof bytes};
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    for (int i = 0; i < count; i++) {
        quorate_value id = quorate_make_int64(i % 100 + 1);
        size_t columns;
        quorate_connection_query_row(connection, "SELECT name FROM bench WHERE id = ?", 35, &id, 1, DEFAULT, &buffer, 1,
                                     &columns, NULL);
        CHECK(columns == 1 && cell[0].data.bytes.length > 4);
    }
    quorate_connection_free(connection);
}

static void pool_row(quorate_pool *pool, int count)
{
    quorate_value cell[1];
    uint8_t bytes[64];
    quorate_value_buffer buffer = {.values = cell, .bytes = bytes, .bytes_capacity = sizeof bytes};
    for (int i = 0; i < count; i++) {
        quorate_value id = quorate_make_int64(i % 100 + 1);
        size_t columns;
        quorate_pool_query_row(pool, "SELECT name FROM bench WHERE id = ?", 35, &id, 1, DEFAULT, &buffer, 1, &columns,
                               NULL);
        CHECK(columns == 1 && cell[0].data.bytes.length > 4);
    }
}

static void scan(quorate_pool *pool)
{
    enum { ROWS = 8192 };
    static int64_t id[ROWS];
    static double score[ROWS];
    static size_t offsets[ROWS + 1];
    static uint8_t bytes[ROWS * 32];
    quorate_column columns[3] = {
        {.kind = QUORATE_TYPE_INT64, .values = id},
        {.kind = QUORATE_TYPE_TEXT, .offsets = offsets, .bytes = bytes, .bytes_capacity = sizeof bytes},
        {.kind = QUORATE_TYPE_DOUBLE, .values = score},
    };
    quorate_rows *rows = NULL;
    bool done = false;
    size_t count, seen = 0, length = 0;
    int64_t sum = 0;
    OK(quorate_pool_query(pool, TEXT("SELECT id, name, score FROM bench_scan"), NULL, 0, DEFAULT, &rows, &error));
    while (!done) {
        OK(quorate_rows_fetch_columns(rows, ROWS, columns, 3, &count, &done, &error));
        for (size_t i = 0; i < count; i++) sum += id[i];
        length += count ? offsets[count] : 0;
        seen += count;
    }
    CHECK(seen == 1000000 && sum == 500000500000 && length > seen);
    quorate_rows_free(rows);
}

int main(int argc, char **argv)
{
    quorate_pool *pool = open_pool();
    uint64_t start = nanoseconds();
    CHECK(argc > 1);
    if (strcmp(argv[1], "point") == 0) {
        point(pool, atoi(argv[2]));
    } else if (strcmp(argv[1], "row") == 0) {
        row(pool, atoi(argv[2]));
    } else if (strcmp(argv[1], "pool") == 0) {
        pool_row(pool, atoi(argv[2]));
    } else if (strcmp(argv[1], "setup") == 0) {
        exec_sql(pool, "DROP TABLE IF EXISTS bench");
        exec_sql(pool, "CREATE TABLE bench (id INTEGER PRIMARY KEY, name TEXT)");
        exec_sql(pool, "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 100) "
                       "INSERT INTO bench SELECT n, 'name ' || n FROM t");
        exec_sql(pool, "DROP VIEW IF EXISTS bench_scan");
        exec_sql(pool, EITHER("CREATE VIEW bench_scan AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t "
                              "LIMIT 1000000) SELECT n AS id, 'name ' || n AS name, n / 2.0 AS score FROM t",
                              "CREATE VIEW bench_scan AS SELECT n AS id, 'name ' || n AS name, n / 2.0::float8 AS score "
                              "FROM generate_series(1::bigint, 1000000) AS t(n)"));
    } else {
        scan(pool);
    }
    printf("%llu\n", (unsigned long long)(nanoseconds() - start));
    quorate_pool_free(pool);
    return 0;
}
