/* A peer that is gone while a statement is sent: an error, and no SIGPIPE, whose disposition is the default one. */
#include "test.h"
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* All sockets that were dialled, as descriptors of this program's own: the pool's thread dials as well. */
static int dialled[256];
static atomic_int count;

static int32_t dial(void *user_data, const char *address, size_t len, int64_t timeout_ms)
{
    char host[64];
    struct addrinfo *to = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    (void)user_data, (void)timeout_ms;
    CHECK(len < sizeof host);
    memcpy(host, address, len);
    host[len] = 0;
    char *port = strrchr(host, ':');
    *port++ = 0;
    if (getaddrinfo(host, port, &hints, &to) != 0) return -EHOSTUNREACH;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failure = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    freeaddrinfo(to);
    if (failure) {
        close(fd);
        return -failure;
    }
    int place = count++;
    CHECK(place < 256);
    dialled[place] = dup(fd);
    return fd;
}

/* From now on each write is one that raises SIGPIPE. */
static void shut(void)
{
    for (int i = 0; i < count; i++) shutdown(dialled[i], SHUT_RDWR);
}

int main(void)
{
    quorate_config *config = NULL;
    int status = 0;
    quorate_pool *pool = NULL;
    quorate_connection *connection = NULL;
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    OK(quorate_config_new(TEXT(url()), &config, &error));
    OK(quorate_config_set_dial(config, dial, NULL, NULL, &error));
    OK(quorate_pool_open_config(config, &pool, &error));
    quorate_config_free(config);
    for (int i = 0; i < 4; i++) {
        quorate_transaction *transaction = NULL;
        OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
        if (i % 2) OK(quorate_connection_begin(connection, 0, DEFAULT, &transaction, &error));
        shut();
        pid_t child = fork();
        if (child == 0) {
            ssize_t sent = write(dialled[0], "x", 1);
            _exit(sent == 1);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
        /* What was not sent is repeated on a new socket, but for a transaction, which is lost with the old one. */
        quorate_status got = quorate_connection_exec(connection, TEXT("SELECT 1"), NULL, 0, DEFAULT, NULL, &error);
        expect_at(__FILE__, __LINE__, i % 2 ? QUORATE_STATUS_DISCONNECTED : QUORATE_STATUS_OK, got);
        quorate_transaction_free(transaction);
        quorate_connection_free(connection);
    }
    /* A pool that has idle connections of that kind drops them and goes on. */
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    shut();
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    quorate_pool_free(pool);
    for (int i = 0; i < count; i++) close(dialled[i]);
    return 0;
}
