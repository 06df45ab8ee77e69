/* What the C tests share: checks that name their place, and a pool on the cluster of the run. */
#ifndef TEST_H
#define TEST_H

#include <quorate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT QUORATE_TEXT
#define DEFAULT QUORATE_TIMEOUT_DEFAULT, NULL

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

static quorate_error *error;

static inline void expect_at(const char *file, int line, quorate_status want, quorate_status got)
{
    if (got != want) {
        fprintf(stderr, "%s:%d: status %d, not %d: %s\n", file, line, (int)got, (int)want,
                error ? quorate_error_text(error, NULL) : "");
        exit(1);
    }
    if ((got == QUORATE_STATUS_OK) != (error == NULL) || (error && quorate_error_status(error) != got)) {
        fprintf(stderr, "%s:%d: the error object does not fit status %d\n", file, line, (int)got);
        exit(1);
    }
    quorate_error_free(error);
    error = NULL;
}

#define EXPECT(want, call) expect_at(__FILE__, __LINE__, QUORATE_STATUS_##want, (call))
#define OK(call) EXPECT(OK, call)

static inline const char *url(void)
{
    const char *found = getenv("QUORATE_TEST_URL");
    CHECK(found != NULL);
    return found;
}

/* The database of the run: dqlite, or PostgreSQL in the place of Picodata. */
static inline bool is_dqlite(void)
{
    return strncmp(url(), "dqlite:", 7) == 0;
}

/* What is written in another way for each of them. */
#define EITHER(dqlite, postgres) (is_dqlite() ? (dqlite) : (postgres))

static inline quorate_pool *open_pool(void)
{
    quorate_pool *pool = NULL;
    OK(quorate_pool_open(TEXT(url()), &pool, &error));
    CHECK(pool != NULL);
    return pool;
}

/* A pool with one option set otherwise. */
static inline quorate_pool *open_with(const char *option, const char *value)
{
    quorate_config *config = NULL;
    quorate_pool *pool = NULL;
    OK(quorate_config_new(TEXT(url()), &config, &error));
    OK(quorate_config_set(config, TEXT(option), TEXT(value), &error));
    OK(quorate_pool_open_config(config, &pool, &error));
    quorate_config_free(config);
    return pool;
}

static inline void exec_sql(quorate_pool *pool, const char *sql)
{
    OK(quorate_pool_exec(pool, TEXT(sql), NULL, 0, DEFAULT, NULL, &error));
}

static inline int64_t one_int64(quorate_pool *pool, const char *sql)
{
    quorate_rows *rows = NULL;
    bool more = false;
    int64_t value = 0;
    OK(quorate_pool_query(pool, TEXT(sql), NULL, 0, DEFAULT, &rows, &error));
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(more);
    OK(quorate_rows_get_int64(rows, 0, &value, &error));
    quorate_rows_free(rows);
    return value;
}

#endif
