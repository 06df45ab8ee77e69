/* cc fruit.c $(pkg-config --cflags --libs quorate) -o fruit && ./fruit dqlite://127.0.0.1:9001/app */
#include <quorate.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT QUORATE_TEXT
#define DEFAULTS QUORATE_TIMEOUT_DEFAULT, NULL
static quorate_error *e;

static void check(quorate_status status)
{
    if (status != QUORATE_STATUS_OK) fprintf(stderr, "%s\n", quorate_error_text(e, NULL)), exit(1);
}

int main(int argc, char **argv)
{
    quorate_pool *pool; quorate_transaction *tx; quorate_rows *rows;
    quorate_value apple[] = {quorate_make_text(TEXT("apple")), quorate_make_int64(3)}, two = quorate_make_int64(2);
    quorate_value pear[] = {quorate_make_text(TEXT("pear")), quorate_make_int64(5)};
    const char *name, *insert = "INSERT INTO fruit VALUES (?, ?)", *table = "CREATE TABLE IF NOT EXISTS fruit (name TEXT PRIMARY KEY, n INTEGER)";
    check(quorate_pool_open(TEXT(argc > 1 ? argv[1] : getenv("QUORATE_URL")), &pool, &e));
    check(quorate_pool_exec(pool, TEXT(table), NULL, 0, DEFAULTS, NULL, &e));
    check(quorate_pool_begin(pool, QUORATE_TRANSACTION_MODE_IMMEDIATE, DEFAULTS, &tx, &e));
    check(quorate_transaction_exec(tx, TEXT("DELETE FROM fruit"), NULL, 0, DEFAULTS, NULL, &e));
    check(quorate_transaction_exec(tx, TEXT(insert), apple, 2, DEFAULTS, NULL, &e));
    check(quorate_transaction_exec(tx, TEXT(insert), pear, 2, DEFAULTS, NULL, &e));
    check(quorate_transaction_commit(tx, DEFAULTS, &e));
    check(quorate_pool_query(pool, TEXT("SELECT name, n FROM fruit WHERE n > ?"), &two, 1, DEFAULTS, &rows, &e));
    for (bool more; check(quorate_rows_next(rows, &more, &e)), more;) {
        int64_t n; size_t length;
        check(quorate_rows_get_text(rows, 0, &name, &length, &e)), check(quorate_rows_get_int64(rows, 1, &n, &e));
        printf("%.*s %lld\n", (int)length, name, (long long)n);
    }
    if (quorate_pool_exec(pool, TEXT(insert), apple, 2, DEFAULTS, NULL, &e) != QUORATE_STATUS_OK)
        printf("%s written: %s\n", quorate_error_outcome(e) == QUORATE_OUTCOME_UNKNOWN ? "perhaps" : "not", quorate_error_text(e, NULL));
    quorate_error_free(e), quorate_rows_free(rows), quorate_transaction_free(tx), quorate_pool_free(pool);
}
