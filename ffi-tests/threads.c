/* A pool in many threads, one connection in two, cancelling from another; "quick" does less of it. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static quorate_pool *pool;
static int rounds = 200;

#define SLOW EITHER("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 8000000) SELECT count(*) FROM t", \
                    "SELECT pg_sleep(20)")

static void *work(void *unused)
{
    (void)unused;
    for (int i = 0; i < rounds; i++) {
        quorate_pool *own = NULL;
        quorate_rows *rows = NULL;
        quorate_error *failure = NULL;
        quorate_value value = quorate_make_int64(i);
        bool more = false;
        int64_t read = -1;
        CHECK(quorate_pool_clone(pool, &own, &failure) == QUORATE_STATUS_OK);
        CHECK(quorate_pool_query(own, TEXT("SELECT CAST(? AS BIGINT)"), &value, 1, DEFAULT, &rows, &failure) == QUORATE_STATUS_OK);
        quorate_pool_free(own);
        CHECK(quorate_rows_next(rows, &more, &failure) == QUORATE_STATUS_OK && more);
        CHECK(quorate_rows_get_int64(rows, 0, &read, &failure) == QUORATE_STATUS_OK && read == i);
        quorate_rows_free(rows);
    }
    return NULL;
}

static int asked;

static bool ask(void *count)
{
    return ++*(int *)count == 2;
}

static void forget(void *count)
{
    *(int *)count = -1;
}

static quorate_connection *shared;
static quorate_rows *shared_rows;
static atomic_bool started;

static void *slow(void *cancel)
{
    quorate_error *failure = NULL;
    quorate_rows *rows = NULL;
    started = true;
    quorate_status status =
        quorate_connection_query(shared, TEXT(SLOW), NULL, 0, 20000, (quorate_cancel *)cancel, &rows, &failure);
    CHECK(status == QUORATE_STATUS_CANCELLED && rows == NULL);
    CHECK(quorate_error_status(failure) == status);
    quorate_error_free(failure);
    return NULL;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs a slow query on the shared connection and cancels it; meanwhile, other threads are refused. */
static void cancel_with(quorate_cancel *given, quorate_cancel *fired)
{
    pthread_t thread;
    bool open;
    started = false;
    CHECK(pthread_create(&thread, NULL, slow, given) == 0);
    while (!started) usleep(1000);
    usleep(100000);
    EXPECT(MISUSE, quorate_connection_ping(shared, DEFAULT, &error));
    EXPECT(MISUSE, quorate_connection_in_transaction(shared, &open, &error));
    EXPECT(MISUSE, quorate_connection_close(shared, &error));
    CHECK(!quorate_connection_is_open(shared));
    if (shared_rows) {
        /* Freed while another thread is inside: that thread cleans up. */
        quorate_rows_free(shared_rows);
        shared_rows = NULL;
    }
    double start = seconds();
    OK(quorate_cancel_fire(fired, &error));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(seconds() - start < 5);
}

int main(int argc, char **argv)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    quorate_cancel *cancel = NULL, *clone = NULL;
    if (argc > 1 && strcmp(argv[1], "quick") == 0) rounds = 20;
    pool = open_pool();
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);

    /* The handle of the connection, which forgets; then one that is given, which remembers. */
    OK(quorate_pool_acquire(pool, DEFAULT, &shared, &error));
    OK(quorate_connection_cancel_handle(shared, &cancel, &error));
    OK(quorate_connection_query(shared, TEXT("SELECT 1"), NULL, 0, DEFAULT, &shared_rows, &error));
    cancel_with(NULL, cancel);
    OK(quorate_connection_ping(shared, DEFAULT, &error));
    quorate_cancel_free(cancel);
    OK(quorate_cancel_new(&cancel, &error));
    OK(quorate_cancel_clone(cancel, &clone, &error));
    CHECK(!quorate_cancel_is_fired(cancel));
    cancel_with(cancel, clone);
    CHECK(quorate_cancel_is_fired(cancel));
    EXPECT(CANCELLED, quorate_connection_ping(shared, 1000, cancel, &error));
    OK(quorate_connection_ping(shared, 30000, NULL, &error));
    EXPECT(CANCELLED, quorate_pool_ping(pool, 1000, cancel, &error));
    quorate_cancel_free(cancel);
    quorate_cancel_free(clone);

    /* A handle that asks: not before the call waits, and then until the answer is yes. */
    OK(quorate_cancel_new_interrupt(ask, &asked, forget, &cancel, &error));
    OK(quorate_connection_ping(shared, QUORATE_TIMEOUT_DEFAULT, cancel, &error));
    EXPECT(CANCELLED, quorate_connection_query(shared, TEXT(SLOW), NULL, 0, 30000, cancel, &shared_rows, &error));
    CHECK(asked == 2 && quorate_cancel_is_fired(cancel));
    quorate_cancel_free(cancel);
    OK(quorate_connection_ping(shared, 30000, NULL, &error));
    CHECK(asked == -1);

    /* A timeout is kept. */
    double start = seconds();
    quorate_rows *rows = NULL;
    EXPECT(TIMEOUT, quorate_connection_query(shared, TEXT(SLOW), NULL, 0, 200, NULL, &rows, &error));
    CHECK(rows == NULL && seconds() - start < 5);
    OK(quorate_connection_ping(shared, 30000, NULL, &error));
    quorate_connection_free(shared);
    quorate_pool_free(pool);
    return 0;
}
