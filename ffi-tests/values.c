/* Every type as a parameter, by array, by builder and by name, and as a column. */
#include "test.h"

int main(void)
{
    quorate_pool *pool = open_pool();
    quorate_rows *rows = NULL;
    quorate_params *params = NULL;
    quorate_result result;
    bool more, flag;
    size_t len;
    const char *text;
    int64_t integer;
    double real;

    exec_sql(pool, "DROP TABLE IF EXISTS c_values");
    exec_sql(pool, EITHER("CREATE TABLE c_values (i INTEGER, f REAL, t TEXT, b BLOB, n, o BOOLEAN, d DATETIME, u)",
                          "CREATE TABLE c_values (i BIGINT, f DOUBLE PRECISION, t TEXT, b BYTEA, n TEXT, o BOOLEAN, "
                          "d TIMESTAMPTZ, u UUID)"));
    uint8_t uuid[16] = {1, 2, 3};
    quorate_timestamp time = {1709210096, 500000000, 7200};
    OK(quorate_params_new(&params, &error));
    OK(quorate_params_add_int64(params, TEXT(":i"), INT64_MIN, &error));
    OK(quorate_params_add_double(params, TEXT("f"), 0.5, &error));
    OK(quorate_params_add_text(params, TEXT("t"), "gr\xc3\xbc\xc3\x9f", 6, &error));
    OK(quorate_params_add_blob(params, TEXT("b"), (const uint8_t *)"a\0b", 3, &error));
    OK(quorate_params_add_null(params, TEXT("n"), &error));
    OK(quorate_params_add_bool(params, TEXT("o"), false, &error));
    OK(quorate_params_add_bool(params, TEXT("o"), true, &error));
    OK(quorate_params_add_timestamp(params, TEXT("d"), time, &error));
    OK(quorate_params_add_uuid(params, TEXT("u"), uuid, &error));
    const quorate_value *values = quorate_params_values(params, &len);
    CHECK(len == 8);
    quorate_pool *named = open_with("placeholders", "named");
    OK(quorate_pool_exec(named, TEXT("INSERT INTO c_values VALUES (:i, :f, :t, :b, :n, :o, :d, :u)"), values, len, DEFAULT,
                         &result, &error));
    quorate_pool_free(named);
    CHECK(result.rows_affected == 1 && result.last_insert_id == EITHER(1, 0));
    OK(quorate_params_clear(params, &error));
    EXPECT(MISUSE, quorate_params_add_text(params, NULL, 0, "\xff", 1, &error));
    EXPECT(MISUSE, quorate_params_add_int64(params, "", 0, 1, &error));
    OK(quorate_params_add_date(params, NULL, 0, 19782, &error));
    OK(quorate_params_add_decimal(params, NULL, 0, TEXT("1.50"), &error));
    OK(quorate_params_add_json(params, NULL, 0, TEXT("{}"), &error));
    OK(quorate_params_add_int64(params, NULL, 0, INT64_MIN, &error));
    values = quorate_params_values(params, &len);
    OK(quorate_pool_query(pool,
                          TEXT(EITHER("SELECT *, ?, ?, ? FROM c_values WHERE i = ?",
                                      "SELECT *, CAST(? AS DATE), CAST(? AS NUMERIC), CAST(? AS JSON) FROM c_values WHERE i = ?")),
                          values, len, DEFAULT, &rows, &error));
    quorate_params_free(params);

    result.last_insert_id = 7;
    CHECK(quorate_rows_columns(rows) == 11);
    OK(quorate_rows_result(rows, &result, &error));
    CHECK(result.last_insert_id == 0 && result.rows_affected == 0);
    CHECK(strcmp(quorate_rows_column_name(rows, 2, &len), "t") == 0 && len == 1);
    CHECK(strcmp(quorate_rows_column_name(rows, 0, NULL), "i") == 0);
    CHECK(quorate_rows_column_name(rows, 99, &len) == NULL && len == 0);
    OK(quorate_rows_column_index(rows, TEXT("D"), &len, &error));
    CHECK(len == 6);
    EXPECT(CONVERSION, quorate_rows_column_index(rows, TEXT("nothing"), &len, &error));
    EXPECT(MISUSE, quorate_rows_get_int64(rows, 0, &integer, &error));
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(more);
    OK(quorate_rows_get_int64(rows, 0, &integer, &error));
    CHECK(integer == INT64_MIN);
    OK(quorate_rows_get_double(rows, 1, &real, &error));
    CHECK(real == 0.5);
    OK(quorate_rows_get_text(rows, 2, &text, &len, &error));
    CHECK(len == 6 && memcmp(text, "gr\xc3\xbc\xc3\x9f", 6) == 0);
    OK(quorate_rows_get_blob(rows, 3, &text, &len, &error));
    CHECK(len == 3 && memcmp(text, "a\0b", 3) == 0);
    OK(quorate_rows_is_null(rows, 4, &flag, &error));
    CHECK(flag);
    OK(quorate_rows_get_bool(rows, 5, &flag, &error));
    CHECK(flag);
    quorate_timestamp read;
    OK(quorate_rows_get_timestamp(rows, 6, &read, &error));
    CHECK(read.seconds == time.seconds && read.nanoseconds == time.nanoseconds);
    uint8_t again[16];
    OK(quorate_rows_get_uuid(rows, 7, again, &error));
    CHECK(memcmp(uuid, again, 16) == 0);
    int64_t day = 0;
    OK(quorate_rows_get_timestamp(rows, 8, &read, &error));
    CHECK(read.seconds == 19782 * 86400LL);
    OK(quorate_rows_get_date(rows, 8, &day, &error));
    CHECK(day == 19782);
    OK(quorate_rows_get_decimal(rows, 9, &text, &len, &error));
    CHECK(len == 4 && memcmp(text, "1.50", 4) == 0);
    OK(quorate_rows_get_json(rows, 10, &text, &len, &error));
    CHECK(len == 2);
    quorate_type type;
    OK(quorate_rows_get_type(rows, 3, &type, &error));
    CHECK(type == QUORATE_TYPE_BLOB);
    OK(quorate_rows_get_type_name(rows, 0, &text, &len, &error));
    CHECK(len == 7 && strcmp(text, "INTEGER") == 0);
    quorate_value value;
    OK(quorate_rows_get_value(rows, 1, &value, &error));
    CHECK(value.kind == QUORATE_TYPE_DOUBLE && value.data.real == 0.5);

    /* A wrong type, NULL as a value, a column out of range: the row stays. */
    EXPECT(CONVERSION, quorate_rows_get_int64(rows, 2, &integer, &error));
    CHECK(integer == 0);
    EXPECT(CONVERSION, quorate_rows_get_int64(rows, 4, &integer, &error));
    EXPECT(CONVERSION, quorate_rows_get_int64(rows, 11, &integer, &error));
    EXPECT(CONVERSION, quorate_rows_get_int64(rows, SIZE_MAX, &integer, &error));
    OK(quorate_rows_get_int64(rows, 0, &integer, &error));
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(!more);
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(!more);
    EXPECT(MISUSE, quorate_rows_get_int64(rows, 0, &integer, &error));
    OK(quorate_rows_close(rows, &error));
    OK(quorate_rows_close(rows, &error));
    quorate_rows_free(rows);

    /* Made by hand; a name may end at its NUL as any text. */
    named = open_with("placeholders", "named");
    quorate_value made[4] = {
        quorate_make_named(TEXT("day"), quorate_make_date(19782)),
        quorate_make_named(TEXT(":number"), quorate_make_decimal(TEXT("1.50"))),
        quorate_make_named("json!", 4, quorate_make_json("{}}", 2)),
        quorate_make_named(TEXT("uuid"), quorate_make_uuid(uuid)),
    };
    OK(quorate_pool_query(named,
                          TEXT(EITHER("SELECT :day, :number, :json, u FROM c_values WHERE u = :uuid",
                                      "SELECT CAST(:day AS DATE), CAST(:number AS NUMERIC), CAST(:json AS JSON), u "
                                      "FROM c_values WHERE u = :uuid")),
                          made, 4, DEFAULT, &rows, &error));
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(more);
    OK(quorate_rows_get_date(rows, 0, &day, &error));
    CHECK(day == 19782);
    OK(quorate_rows_get_decimal(rows, 1, &text, &len, &error));
    CHECK(len == 4 && memcmp(text, "1.50", 4) == 0);
    OK(quorate_rows_get_json(rows, 2, &text, &len, &error));
    CHECK(len == 2 && memcmp(text, "{}", 2) == 0);
    OK(quorate_rows_get_uuid(rows, 3, again, &error));
    CHECK(memcmp(uuid, again, 16) == 0);
    quorate_rows_free(rows);
    quorate_pool_free(named);

    /* Faults in parameters. */
    quorate_value bad[2] = {quorate_make_int64(1), quorate_make_named("x", 1, quorate_make_int64(1))};
    EXPECT(MISUSE, quorate_pool_exec(pool, TEXT("SELECT ?, ?"), bad, 2, DEFAULT, NULL, &error));
    EXPECT(MISUSE, quorate_pool_exec(pool, TEXT("SELECT ?, ?"), bad, 1, DEFAULT, NULL, &error));
    bad[0].kind = 99;
    EXPECT(MISUSE, quorate_pool_exec(pool, TEXT("SELECT ?"), bad, 1, DEFAULT, NULL, &error));
    EXPECT(NULL_POINTER, quorate_pool_exec(pool, TEXT("SELECT ?"), NULL, 1, DEFAULT, NULL, &error));
    EXPECT(MISUSE, quorate_pool_exec(pool, "SELECT '\xff'", 10, NULL, 0, DEFAULT, NULL, &error));
    EXPECT(MISUSE, quorate_pool_exec(pool, TEXT("SELECT 1"), NULL, 0, -7, NULL, NULL, &error));
    exec_sql(pool, "DROP TABLE c_values");
    OK(quorate_pool_close(pool, 5000, &error));
    quorate_pool_free(pool);
    return 0;
}
