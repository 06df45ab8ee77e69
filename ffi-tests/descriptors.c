/* File descriptors: no call that has none left hangs or crashes, each says so, and all go on once there are some;
 * a thousand pools leave none behind, and no thread. */
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static int entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

/* Whether there are so many within 5 s: the thread of a pool that was freed ends by itself. */
static bool settles(const char *path, int count)
{
    for (int i = 0; i < 500 && entries(path) != count; i++) usleep(10000);
    if (entries(path) != count) fprintf(stderr, "%s: %d, not %d\n", path, entries(path), count);
    return entries(path) == count;
}

/* Takes all descriptors there are, up to a limit that keeps that short; gives how many. */
static int take_all(int *taken)
{
    int count = 0, fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) taken[count++] = fd;
    return count;
}

static void expect_none_left(quorate_status got, const char *part)
{
    CHECK(got != QUORATE_STATUS_OK);
    CHECK(error != NULL);
    const char *text = quorate_error_text(error, NULL);
    if (strstr(text, part) == NULL) {
        fprintf(stderr, "%s does not say %s\n", text, part);
        exit(1);
    }
    quorate_error_free(error);
    error = NULL;
}

static void without_descriptors(void)
{
    enum { LIMIT = 128, CONNECTIONS = 8 };
    int taken[LIMIT];
    struct rlimit limit, low;
    quorate_connection *connections[CONNECTIONS] = {NULL};
    quorate_pool *fresh = NULL;
    quorate_pool *pool = open_pool();
    OK(quorate_pool_ping(pool, DEFAULT, &error));
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    low = limit;
    low.rlim_cur = LIMIT;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    int count = take_all(taken);
    /* The connections that are there are used, one more cannot be had. */
    quorate_status got;
    int held = 0;
    while ((got = quorate_pool_acquire(pool, 300, NULL, &connections[held], &error)) == QUORATE_STATUS_OK) {
        CHECK(++held < CONNECTIONS);
    }
    expect_none_left(got, "open files");
    CHECK(held > 0 && connections[held] == NULL);
    OK(quorate_connection_ping(connections[0], DEFAULT, &error));
    expect_none_left(quorate_pool_open(TEXT(url()), &fresh, &error), "open files");
    CHECK(fresh == NULL);
    for (int i = 0; i < count; i++) close(taken[i]);
    OK(quorate_pool_acquire(pool, DEFAULT, &connections[held], &error));
    for (int i = 0; i <= held; i++) quorate_connection_free(connections[i]);
    quorate_pool_free(pool);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int main(int argc, char **argv)
{
    /* What the library and the system's resolver keep is there after the first pools. */
    int descriptors = 0, threads = entries("/proc/self/task"), pools = argc > 1 ? atoi(argv[1]) : 200;
    for (int i = 0; i < 10 + pools; i++) {
        if (i == 10) {
            CHECK(settles("/proc/self/task", threads));
            descriptors = entries("/proc/self/fd");
        }
        quorate_pool *pool = open_pool();
        if (i % 4) OK(quorate_pool_ping(pool, DEFAULT, &error));
        if (i % 2) OK(quorate_pool_close(pool, QUORATE_TIMEOUT_DEFAULT, &error));
        quorate_pool_free(pool);
    }
    CHECK(settles("/proc/self/fd", descriptors) && settles("/proc/self/task", threads));
    without_descriptors();
    CHECK(settles("/proc/self/fd", descriptors));
    return 0;
}
