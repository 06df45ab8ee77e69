/* Signal handlers of the host that interrupt every system call, ten thousand times a second at most: no call
 * fails for them, and nothing is done twice. */
#include "test.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

static atomic_int handled;

static void handle(int signal)
{
    (void)signal;
    handled++;
}

static void interrupt_every(int microseconds)
{
    struct itimerval timer = {.it_interval.tv_usec = microseconds, .it_value.tv_usec = microseconds};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void transfer(quorate_pool *pool)
{
    quorate_transaction *transaction = NULL;
    OK(quorate_pool_begin(pool, 0, DEFAULT, &transaction, &error));
    OK(quorate_transaction_exec(transaction, TEXT("UPDATE storm SET n = n + 1"), NULL, 0, DEFAULT, NULL, &error));
    OK(quorate_transaction_commit(transaction, DEFAULT, &error));
    quorate_transaction_free(transaction);
}

static void send_batch(quorate_pool *pool)
{
    quorate_batch *batch = NULL;
    quorate_results *results = NULL;
    OK(quorate_batch_new(&batch, &error));
    for (int i = 0; i < 20; i++) OK(quorate_batch_queue(batch, TEXT("SELECT n FROM storm"), NULL, 0, &error));
    OK(quorate_pool_send_batch(pool, batch, DEFAULT, &results, &error));
    OK(quorate_results_close(results, &error));
    quorate_results_free(results);
    quorate_batch_free(batch);
}

int main(void)
{
    enum { ROUNDS = 20 };
    struct sigaction action = {.sa_handler = handle};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    quorate_pool *pool = open_pool();
    quorate_cancel *cancel = NULL;
    OK(quorate_cancel_new(&cancel, &error));
    exec_sql(pool, "DROP TABLE IF EXISTS storm");
    exec_sql(pool, "CREATE TABLE storm (n INTEGER)");
    exec_sql(pool, "INSERT INTO storm VALUES (0)");
    for (int rate = 1000; rate >= 100; rate -= 300) {
        interrupt_every(rate);
        for (int i = 0; i < ROUNDS; i++) {
            /* With a handle that could cancel it the call waits in poll, without in a read. */
            OK(quorate_pool_exec(pool, TEXT("UPDATE storm SET n = n + 1"), NULL, 0, QUORATE_TIMEOUT_DEFAULT, cancel, NULL,
                                 &error));
            transfer(pool);
            send_batch(pool);
            if (i % 10 == 0) OK(quorate_pool_reset(pool, &error));
        }
        interrupt_every(0);
    }
    CHECK(one_int64(pool, "SELECT n FROM storm") == 4 * ROUNDS * 2);
    CHECK(handled > 0);
    quorate_cancel_free(cancel);
    quorate_pool_free(pool);
    return 0;
}
