/* Rows as an Arrow stream: types that are chosen, types that are declared, batches, a value that does not fit. */
#include "test.h"

static quorate_pool *pool;

#define NUMBERS "WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < 999) " \
    "SELECT n AS number, CAST(n AS DOUBLE PRECISION) / 2 AS half, " \
    "CASE n % 2 WHEN 0 THEN NULL ELSE 'n' || n END AS name, "

static void export_rows(const char *sql, size_t batch, const int32_t *types, size_t len, struct ArrowArrayStream *stream)
{
    quorate_rows *rows = NULL;
    OK(quorate_pool_query(pool, TEXT(sql), NULL, 0, DEFAULT, &rows, &error));
    OK(quorate_rows_export_arrow(rows, batch, types, len, stream, &error));
    bool more;
    EXPECT(MISUSE, quorate_rows_next(rows, &more, &error));
    quorate_rows_free(rows);
}

int main(void)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray array;
    pool = open_pool();

    export_rows(EITHER(NUMBERS "x'0001' AS bytes, NULL AS nil, CASE n % 2 WHEN 0 THEN n ELSE 0.5 END AS mixed FROM t",
                       NUMBERS "'\\x0001'::bytea AS bytes, NULL AS nil, n / 0.5::real AS mixed FROM t"),
                300, NULL, 0, &stream);
    CHECK(stream.get_schema(&stream, &schema) == 0);
    CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == 6);
    const char *formats[] = {"l", "g", "U", "Z", "U", "g"};
    const char *names[] = {"number", "half", "name", "bytes", "nil", "mixed"};
    for (int i = 0; i < 6; i++) {
        CHECK(strcmp(schema.children[i]->format, formats[i]) == 0);
        CHECK(strcmp(schema.children[i]->name, names[i]) == 0);
        CHECK(schema.children[i]->flags & ARROW_FLAG_NULLABLE);
    }
    /* A child may be moved away before the rest is released. */
    struct ArrowSchema moved = *schema.children[0];
    schema.children[0]->release = NULL;
    schema.release(&schema);
    CHECK(schema.release == NULL && strcmp(moved.name, "number") == 0);
    moved.release(&moved);

    int64_t seen = 0, batches = 0;
    for (;; batches++) {
        CHECK(stream.get_next(&stream, &array) == 0);
        if (!array.release) break;
        CHECK(array.n_children == 6 && array.length <= 300 && array.n_buffers == 1);
        const int64_t *number = (const int64_t *)array.children[0]->buffers[1];
        const double *half = (const double *)array.children[1]->buffers[1];
        const uint8_t *valid = (const uint8_t *)array.children[2]->buffers[0];
        const int64_t *offsets = (const int64_t *)array.children[2]->buffers[1];
        const char *text = (const char *)array.children[2]->buffers[2];
        CHECK(array.children[0]->null_count == 0 && array.children[0]->buffers[0] == NULL);
        CHECK(array.children[2]->null_count == array.length / 2 + (array.length % 2 && seen % 2 == 0));
        CHECK(array.children[4]->null_count == array.length);
        for (int64_t i = 0; i < array.length; i++, seen++) {
            char want[32];
            CHECK(number[i] == seen && half[i] == (double)seen / 2);
            CHECK((valid[i / 8] >> (i % 8) & 1) == seen % 2);
            int len = seen % 2 ? snprintf(want, sizeof want, "n%lld", (long long)seen) : 0;
            CHECK(offsets[i + 1] - offsets[i] == len && memcmp(text + offsets[i], want, (size_t)len) == 0);
        }
        array.release(&array);
    }
    CHECK(seen == 1000 && batches == 4 && stream.get_last_error(&stream) == NULL);
    stream.release(&stream);
    CHECK(stream.release == NULL);

    /* The type is chosen by the first batch; what a later one brings has to fit it. */
    const char *turns = EITHER("SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 'three'",
                               "SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3");
    if (is_dqlite()) {
        export_rows(turns, 2, NULL, 0, &stream);
        CHECK(stream.get_next(&stream, &array) == 0 && array.length == 2);
        array.release(&array);
        CHECK(stream.get_next(&stream, &array) != 0);
        CHECK(strstr(stream.get_last_error(&stream), "row 3: column 0 (\"a\")") != NULL);
        stream.release(&stream);
    }

    int32_t types[1] = {QUORATE_TYPE_TEXT};
    export_rows(turns, 2, types, 1, &stream);
    CHECK(stream.get_schema(&stream, &schema) == 0 && strcmp(schema.children[0]->format, "U") == 0);
    schema.release(&schema);
    CHECK(stream.get_next(&stream, &array) == 0 && array.length == 2);
    array.release(&array);
    CHECK(stream.get_next(&stream, &array) == 0 && array.length == 1);
    array.release(&array);
    CHECK(stream.get_next(&stream, &array) == 0 && array.release == NULL);
    stream.release(&stream);

    /* A stream that is released early gives its connection back. */
    export_rows("WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < 99999) SELECT n FROM t", 0, NULL, 0, &stream);
    CHECK(stream.get_next(&stream, &array) == 0 && array.length == 4096);
    stream.release(&stream);
    CHECK(((const int64_t *)array.children[0]->buffers[1])[4095] == 4095);
    array.release(&array);
    uint64_t in_use = 1;
    OK(quorate_pool_stat(pool, QUORATE_STAT_IN_USE, &in_use, &error));
    CHECK(in_use == 0);

    /* Without rows, the types are those that the server says. */
    export_rows("SELECT 1 AS a, CAST(1.5 AS DOUBLE PRECISION) AS b WHERE 1 = 0", 0, NULL, 0, &stream);
    CHECK(stream.get_schema(&stream, &schema) == 0);
    CHECK(strcmp(schema.children[0]->format, EITHER("U", "l")) == 0 && strcmp(schema.children[1]->format, EITHER("U", "g")) == 0);
    schema.release(&schema);
    stream.release(&stream);

    quorate_rows *rows = NULL;
    quorate_type type = QUORATE_TYPE_JSON;
    OK(quorate_pool_query(pool, TEXT("SELECT 1 WHERE 1 = 0"), NULL, 0, DEFAULT, &rows, &error));
    OK(quorate_rows_column_type(rows, 0, &type, &error));
    CHECK(type == EITHER(QUORATE_TYPE_NULL, QUORATE_TYPE_INT64));
    EXPECT(CONVERSION, quorate_rows_column_type(rows, 1, &type, &error));
    quorate_rows_free(rows);

    OK(quorate_pool_query(pool, TEXT("SELECT 1, 2"), NULL, 0, DEFAULT, &rows, &error));
    EXPECT(MISUSE, quorate_rows_export_arrow(rows, 0, types, 1, &stream, &error));
    CHECK(stream.release == NULL);
    types[0] = 55;
    EXPECT(MISUSE, quorate_rows_export_arrow(rows, 0, types, 1, &stream, &error));
    quorate_rows_free(rows);
    quorate_pool_free(pool);
    return 0;
}
