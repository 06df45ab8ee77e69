/* Rows in bulk: by column and as values, with buffers that are too small, NULLs, and a value of a wrong type. */
#include "test.h"

#define NUMBERS "WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < 9999) " \
    "SELECT n, CASE n % 3 WHEN 0 THEN NULL ELSE 'row ' || n END, CAST(n AS DOUBLE PRECISION) / 2 FROM t"

static quorate_pool *pool;

static quorate_rows *query(const char *sql)
{
    quorate_rows *rows = NULL;
    OK(quorate_pool_query(pool, TEXT(sql), NULL, 0, DEFAULT, &rows, &error));
    return rows;
}

static void columns(void)
{
    enum { ROWS = 1000 };
    static int64_t n[ROWS];
    static double half[ROWS];
    static size_t offsets[ROWS + 1];
    static uint8_t bytes[4000], validity[(ROWS + 7) / 8];
    quorate_column buffers[3] = {
        {.kind = QUORATE_TYPE_INT64, .values = n},
        {.kind = QUORATE_TYPE_TEXT, .offsets = offsets, .bytes = bytes, .bytes_capacity = sizeof bytes, .validity = validity},
        {.kind = QUORATE_TYPE_DOUBLE, .values = half},
    };
    quorate_rows *rows = query(NUMBERS);
    int64_t seen = 0;
    bool done = false;
    size_t count, nulls;
    while (!done) {
        OK(quorate_rows_fetch_columns(rows, ROWS, buffers, 3, &count, &done, &error));
        CHECK(count > 0 || done);
        nulls = 0;
        for (size_t i = 0; i < count; i++, seen++) {
            char text[32];
            CHECK(n[i] == seen && half[i] == (double)seen / 2);
            bool valid = validity[i / 8] >> (i % 8) & 1;
            CHECK(valid == (seen % 3 != 0));
            nulls += !valid;
            int len = valid ? snprintf(text, sizeof text, "row %lld", (long long)seen) : 0;
            CHECK(offsets[i + 1] - offsets[i] == (size_t)len && memcmp(bytes + offsets[i], text, (size_t)len) == 0);
        }
        CHECK(buffers[1].null_count == nulls);
    }
    CHECK(seen == 10000);
    OK(quorate_rows_fetch_columns(rows, ROWS, buffers, 3, &count, &done, &error));
    CHECK(count == 0 && done);
    quorate_rows_free(rows);

    /* A row that does not fit is kept, here and for the other ways of reading. */
    rows = query("SELECT 1, '0123456789', 2 UNION ALL SELECT 2, 'x', 3");
    buffers[1].bytes_capacity = 9;
    EXPECT(BUFFER_TOO_SMALL, quorate_rows_fetch_columns(rows, ROWS, buffers, 3, &count, &done, &error));
    CHECK(buffers[1].bytes_needed == 10 && count == 0 && !done);
    bool more;
    OK(quorate_rows_next(rows, &more, &error));
    int64_t first;
    OK(quorate_rows_get_int64(rows, 0, &first, &error));
    CHECK(more && first == 1);
    OK(quorate_rows_fetch_columns(rows, ROWS, buffers, 3, &count, &done, &error));
    CHECK(count == 1 && n[0] == 2 && done);
    quorate_rows_free(rows);

    /* A value of another type: the rows before it are delivered, then the error names it. */
    rows = query(EITHER("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 'three' UNION ALL SELECT 4",
                        "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT NULL UNION ALL SELECT 4"));
    OK(quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &error));
    CHECK(count == 2 && !done);
    quorate_error *found = NULL;
    CHECK(quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &found) == QUORATE_STATUS_CONVERSION);
    CHECK(strstr(quorate_error_message(found, NULL), "row 3: column 0") != NULL);
    quorate_error_free(found);
    OK(quorate_rows_next(rows, &more, &error));
    OK(quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &error));
    CHECK(count == 1 && n[0] == 4 && done);
    EXPECT(MISUSE, quorate_rows_fetch_columns(rows, ROWS, buffers, 2, &count, &done, &error));
    buffers[0].kind = 77;
    EXPECT(MISUSE, quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &error));
    buffers[0].kind = QUORATE_TYPE_INT64, buffers[0].values = (char *)n + 1;
    EXPECT(MISUSE, quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &error));
    buffers[0].values = NULL;
    EXPECT(NULL_POINTER, quorate_rows_fetch_columns(rows, ROWS, buffers, 1, &count, &done, &error));
    quorate_rows_free(rows);

    /* Without validity a NULL is a failed conversion; a column may be left out. */
    rows = query("SELECT NULL, 5");
    quorate_column two[2] = {{.kind = QUORATE_TYPE_INT64, .values = n}, {.kind = QUORATE_TYPE_INT64, .values = n}};
    EXPECT(CONVERSION, quorate_rows_fetch_columns(rows, ROWS, two, 2, &count, &done, &error));
    two[0].kind = QUORATE_TYPE_NULL;
    OK(quorate_rows_fetch_columns(rows, ROWS, two, 2, &count, &done, &error));
    CHECK(count == 1 && n[0] == 5);
    quorate_rows_free(rows);
}

static void values(void)
{
    enum { ROWS = 64 };
    static quorate_value cells[ROWS * 3];
    static uint8_t bytes[300];
    quorate_value_buffer buffer = {.values = cells, .bytes = bytes, .bytes_capacity = sizeof bytes};
    quorate_rows *rows = query(NUMBERS);
    int64_t seen = 0;
    bool done = false;
    size_t count;
    while (!done) {
        OK(quorate_rows_fetch_values(rows, ROWS, &buffer, &count, &done, &error));
        for (size_t i = 0; i < count; i++, seen++) {
            quorate_value *row = cells + i * 3;
            char text[32];
            CHECK(row[0].kind == QUORATE_TYPE_INT64 && row[0].data.integer == seen);
            CHECK(row[1].kind == (seen % 3 ? QUORATE_TYPE_TEXT : QUORATE_TYPE_NULL));
            if (seen % 3) {
                int len = snprintf(text, sizeof text, "row %lld", (long long)seen);
                CHECK(row[1].data.bytes.length == (size_t)len);
                CHECK(memcmp(row[1].data.bytes.pointer, text, (size_t)len) == 0);
                CHECK((const uint8_t *)row[1].data.bytes.pointer + len <= bytes + buffer.bytes_used);
            }
            CHECK(row[2].data.real == (double)seen / 2);
        }
    }
    CHECK(seen == 10000);
    quorate_rows_free(rows);
    rows = query(EITHER("SELECT '0123456789', CAST(x'ff' AS TEXT), zeroblob(5)",
                        "SELECT '0123456789', '\\xff'::bytea, '\\x0000000000'::bytea"));
    buffer.bytes_capacity = 15;
    EXPECT(BUFFER_TOO_SMALL, quorate_rows_fetch_values(rows, ROWS, &buffer, &count, &done, &error));
    CHECK(buffer.bytes_needed == 16);
    buffer.bytes_capacity = 16;
    OK(quorate_rows_fetch_values(rows, ROWS, &buffer, &count, &done, &error));
    CHECK(count == 1 && cells[1].kind == QUORATE_TYPE_BLOB && buffer.bytes_used == 16);
    quorate_rows_free(rows);
}

/* A statement whose row does not fit has run: its outcome says so. */
static void one_row_that_does_not_fit(quorate_connection *connection, const char *sql, quorate_value_buffer *buffer,
                                      quorate_outcome outcome)
{
    size_t columns = 0;
    quorate_status status = quorate_connection_query_row(connection, TEXT(sql), NULL, 0, DEFAULT, buffer, 2, &columns, &error);
    if (status != QUORATE_STATUS_UNSUPPORTED) { /* RETURNING, on an old server */
        CHECK(status == QUORATE_STATUS_BUFFER_TOO_SMALL && quorate_error_outcome(error) == outcome);
    }
    quorate_error_free(error);
    error = NULL;
}

static void one_row(void)
{
    quorate_value cells[2], id = quorate_make_int64(7);
    uint8_t bytes[8];
    size_t columns = 0;
    quorate_connection *connection = NULL;
    quorate_value_buffer buffer = {.values = cells, .bytes = bytes, .bytes_capacity = sizeof bytes};
    OK(quorate_pool_query_row(pool, TEXT("SELECT CAST(? AS BIGINT), 'name' UNION ALL SELECT 8, 'x'"), &id, 1, DEFAULT, &buffer, 2, &columns, &error));
    CHECK(columns == 2 && cells[0].data.integer == 7);
    CHECK(cells[1].data.bytes.pointer == (char *)bytes && memcmp(bytes, "name", 4) == 0 && buffer.bytes_used == 4);
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    EXPECT(NO_ROWS, quorate_connection_query_row(connection, TEXT("SELECT 1 WHERE 1 = 0"), NULL, 0, DEFAULT, &buffer, 2, &columns, &error));
    EXPECT(MISUSE, quorate_connection_query_row(connection, TEXT("SELECT 1, 2, 3"), NULL, 0, DEFAULT, &buffer, 2, &columns, &error));
    EXPECT(BUFFER_TOO_SMALL,
           quorate_connection_query_row(connection, TEXT("SELECT 'too long for it'"), NULL, 0, DEFAULT, &buffer, 2, &columns, &error));
    CHECK(columns == 0 && buffer.bytes_needed == 15);
    one_row_that_does_not_fit(connection, "SELECT 'too long for it'", &buffer, QUORATE_OUTCOME_REJECTED);
    exec_sql(pool, "CREATE TABLE IF NOT EXISTS one_row (name TEXT)");
    one_row_that_does_not_fit(connection, "INSERT INTO one_row VALUES ('too long for it') RETURNING name", &buffer,
                              QUORATE_OUTCOME_UNKNOWN);
    OK(quorate_connection_query_row(connection, TEXT("SELECT NULL"), NULL, 0, DEFAULT, &buffer, 2, &columns, &error));
    CHECK(columns == 1 && cells[0].kind == QUORATE_TYPE_NULL);
    quorate_connection_free(connection);
}

int main(void)
{
    pool = open_pool();
    columns();
    one_row();
    values();
    quorate_pool_free(pool);
    return 0;
}
