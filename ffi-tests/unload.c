/* dlopen, a pool that works, dlclose: no thread is left behind, and no disposition of a signal was changed. And that more
 * often than a process has keys for thread-local data. */
#include "test.h"
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int tasks(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* On a thread of its own, whose end gives up what the library has kept there. */
static void *open_and_free(void *library)
{
    quorate_status (*open)(const char *, size_t, quorate_pool **, quorate_error **);
    void (*release)(quorate_pool *);
    *(void **)&open = dlsym(library, "quorate_pool_open");
    *(void **)&release = dlsym(library, "quorate_pool_free");
    quorate_pool *pool = NULL;
    CHECK(open(TEXT("dqlite://127.0.0.9:1/db"), &pool, NULL) == QUORATE_STATUS_OK);
    release(pool);
    return NULL;
}

static void load_often(void)
{
    for (int i = 0; i < 1100; i++) {
        void *library = dlopen("libquorate.so.0", RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, open_and_free, library) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(dlclose(library) == 0);
    }
}

int main(void)
{
    struct sigaction before, after;
    int count = tasks();
    CHECK(sigaction(SIGPIPE, NULL, &before) == 0);
    for (int i = 0; i < 3; i++) {
        void *library = dlopen("libquorate.so.0", RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        quorate_status (*open)(const char *, size_t, quorate_pool **, quorate_error **);
        quorate_status (*ping)(const quorate_pool *, int64_t, const quorate_cancel *, quorate_error **);
        void (*release)(quorate_pool *);
        *(void **)&open = dlsym(library, "quorate_pool_open");
        *(void **)&ping = dlsym(library, "quorate_pool_ping");
        *(void **)&release = dlsym(library, "quorate_pool_free");
        CHECK(open && ping && release);
        quorate_pool *pool = NULL;
        CHECK(open(TEXT(url()), &pool, NULL) == QUORATE_STATUS_OK);
        CHECK(ping(pool, 5000, NULL, NULL) == QUORATE_STATUS_OK);
        CHECK(tasks() > count);
        release(pool);
        CHECK(dlclose(library) == 0);
        for (int wait = 0; wait < 200 && tasks() > count; wait++) usleep(10000);
        CHECK(tasks() == count);
    }
    load_often();
    CHECK(sigaction(SIGPIPE, NULL, &after) == 0 && before.sa_handler == after.sa_handler);
    return 0;
}
