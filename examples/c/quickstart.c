/* The same program for both databases: each argument is a connection string.
 *
 *     cc quickstart.c $(pkg-config --cflags --libs quorate) -o quickstart
 *     ./quickstart dqlite://127.0.0.1:9001/app picodata://app:secret@127.0.0.1:4327/app
 */
#include <quorate.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT QUORATE_TEXT
#define DEFAULTS QUORATE_TIMEOUT_DEFAULT, NULL

static quorate_error *error;

static void check(quorate_status status)
{
    if (status == QUORATE_STATUS_OK) return;
    fprintf(stderr, "%s\n", quorate_error_text(error, NULL));
    exit(1);
}

/* Parameters are written as question marks, which Picodata's own SQL does not know. */
static quorate_pool *open_pool(const char *url)
{
    quorate_config *config;
    quorate_pool *pool;
    check(quorate_config_new(TEXT(url), &config, &error));
    check(quorate_config_set(config, TEXT("placeholders"), TEXT("question"), &error));
    check(quorate_pool_open_config(config, &pool, &error));
    quorate_config_free(config);
    return pool;
}

/* Sends several statements at once: one round trip, on both databases. */
static void fill(quorate_pool *pool)
{
    static const char *names[] = {"brick", "panel", "board"};
    quorate_batch *batch;
    quorate_results *results;
    check(quorate_batch_new(&batch, &error));
    check(quorate_batch_queue(batch, TEXT("DELETE FROM item"), NULL, 0, &error));
    for (int i = 0; i < 3; i++) {
        quorate_value row[] = {quorate_make_int64(i + 1), quorate_make_text(TEXT(names[i]))};
        check(quorate_batch_queue(batch, TEXT("INSERT INTO item VALUES (?, ?)"), row, 2, &error));
    }
    check(quorate_pool_send_batch(pool, batch, DEFAULTS, &results, &error));
    while (quorate_results_left(results) > 0) check(quorate_results_exec(results, NULL, &error));
    quorate_results_free(results);
    quorate_batch_free(batch);
}

static void print(quorate_pool *pool)
{
    quorate_rows *rows;
    quorate_value least = quorate_make_int64(2);
    bool more;
    check(quorate_pool_query(pool, TEXT("SELECT id, name FROM item WHERE id >= ? ORDER BY id"), &least, 1, DEFAULTS, &rows, &error));
    for (check(quorate_rows_next(rows, &more, &error)); more; check(quorate_rows_next(rows, &more, &error))) {
        int64_t id;
        const char *name;
        size_t length;
        check(quorate_rows_get_int64(rows, 0, &id, &error));
        check(quorate_rows_get_text(rows, 1, &name, &length, &error));
        printf("%lld %.*s\n", (long long)id, (int)length, name);
    }
    quorate_rows_free(rows);
}

/* Asks an error what became of a write. */
static void insert_again(quorate_pool *pool)
{
    if (quorate_pool_exec(pool, TEXT("INSERT INTO item VALUES (1, 'brick')"), NULL, 0, DEFAULTS, NULL, &error) == QUORATE_STATUS_OK) return;
    if (quorate_error_outcome(error) == QUORATE_OUTCOME_UNKNOWN) {
        printf("perhaps written, look first: %s\n", quorate_error_text(error, NULL));
    } else {
        printf("not written: %s\n", quorate_error_text(error, NULL));
    }
    quorate_error_free(error);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        quorate_pool *pool = open_pool(argv[i]);
        const char *table = "CREATE TABLE IF NOT EXISTS item (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))";
        check(quorate_pool_exec(pool, TEXT(table), NULL, 0, DEFAULTS, NULL, &error));
        fill(pool);
        print(pool);
        insert_again(pool);
        check(quorate_pool_close(pool, QUORATE_TIMEOUT_DEFAULT, &error));
        quorate_pool_free(pool);
    }
    return 0;
}
