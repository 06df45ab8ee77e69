/* dlopen, a pool that works, dlclose: no thread is left behind, and no disposition of a signal was changed. */
#include "test.h"
#include <dirent.h>
#include <dlfcn.h>
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
    CHECK(sigaction(SIGPIPE, NULL, &after) == 0 && before.sa_handler == after.sa_handler);
    return 0;
}
