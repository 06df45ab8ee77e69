/* cc quickstart.c $(pkg-config --cflags --libs quorate) && ./a.out dqlite://127.0.0.1:9001/app */
#include <quorate.h>
#include <stdio.h>
#include <stdlib.h>

#define SQL(text) (text), QUORATE_NUL_TERMINATED

static void check(quorate_status status, quorate_error **error)
{
    if (status == QUORATE_STATUS_OK) return;
    fprintf(stderr, "%s\n", quorate_error_text(*error, NULL));
    exit(1);
}

int main(int argc, char **argv)
{
    quorate_error *e;
    quorate_pool *pool;
    quorate_transaction *tx;
    quorate_rows *rows;
    quorate_value brick = quorate_make_text("brick", 5), panel = quorate_make_text("panel", 5);
    check(quorate_pool_open(argc > 1 ? argv[1] : "dqlite://127.0.0.1:9001/app", QUORATE_NUL_TERMINATED, &pool, &e), &e);
    check(quorate_pool_exec(pool, SQL("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT)"), NULL, 0, -1, NULL, NULL, &e), &e);
    check(quorate_pool_begin(pool, QUORATE_TRANSACTION_MODE_IMMEDIATE, -1, NULL, &tx, &e), &e);
    check(quorate_transaction_exec(tx, SQL("INSERT INTO item (name) VALUES (?)"), &brick, 1, -1, NULL, NULL, &e), &e);
    check(quorate_transaction_exec(tx, SQL("INSERT INTO item (name) VALUES (?)"), &panel, 1, -1, NULL, NULL, &e), &e);
    check(quorate_transaction_commit(tx, -1, NULL, &e), &e);
    check(quorate_pool_query(pool, SQL("SELECT id, name FROM item"), NULL, 0, -1, NULL, &rows, &e), &e);
    for (bool more;;) {
        int64_t id; const char *name; size_t length;
        check(quorate_rows_next(rows, &more, &e), &e);
        if (!more) break;
        check(quorate_rows_get_int64(rows, 0, &id, &e), &e);
        check(quorate_rows_get_text(rows, 1, &name, &length, &e), &e);
        printf("%lld %.*s\n", (long long)id, (int)length, name);
    }
    quorate_rows_free(rows), quorate_transaction_free(tx), quorate_pool_free(pool);
}
