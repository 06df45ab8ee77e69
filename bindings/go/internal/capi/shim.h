// What cgo cannot say in Go, or only with several crossings: parameters whose bytes lie in Go's memory, and a
// query together with its first rows.

#ifndef QUORATE_GO_SHIM_H
#define QUORATE_GO_SHIM_H

#include <quorate.h>
#include <stdlib.h>
#include <string.h>

// The cancel handle of the call that this thread is in; NULL outside of calls, and in those that nobody can cancel. The dial
// function is told its context by it.
extern _Thread_local const quorate_cancel *qg_current;

// A function of the library's that may dial, within its cancel handle.
#define QG_WITHIN(name, declared, given)                  \
    static inline quorate_status qg_##name declared       \
    {                                                     \
        const quorate_cancel *outer = qg_current;         \
        qg_current = cancel;                              \
        quorate_status status = quorate_##name given;     \
        qg_current = outer;                               \
        return status;                                    \
    }

QG_WITHIN(pool_acquire,
          (const quorate_pool *pool, int64_t timeout_ms, const quorate_cancel *cancel, quorate_connection **out,
           quorate_error **error),
          (pool, timeout_ms, cancel, out, error))
QG_WITHIN(pool_ping,
          (const quorate_pool *pool, int64_t timeout_ms, const quorate_cancel *cancel, quorate_error **error),
          (pool, timeout_ms, cancel, error))
QG_WITHIN(pool_exec,
          (const quorate_pool *pool, const char *sql, size_t sql_len, const quorate_value *params, size_t params_len,
           int64_t timeout_ms, const quorate_cancel *cancel, quorate_result *out, quorate_error **error),
          (pool, sql, sql_len, params, params_len, timeout_ms, cancel, out, error))
QG_WITHIN(pool_query,
          (const quorate_pool *pool, const char *sql, size_t sql_len, const quorate_value *params, size_t params_len,
           int64_t timeout_ms, const quorate_cancel *cancel, quorate_rows **out, quorate_error **error),
          (pool, sql, sql_len, params, params_len, timeout_ms, cancel, out, error))
QG_WITHIN(pool_send_batch,
          (const quorate_pool *pool, const quorate_batch *batch, int64_t timeout_ms, const quorate_cancel *cancel,
           quorate_results **out, quorate_error **error),
          (pool, batch, timeout_ms, cancel, out, error))
QG_WITHIN(connection_exec,
          (const quorate_connection *connection, const char *sql, size_t sql_len, const quorate_value *params,
           size_t params_len, int64_t timeout_ms, const quorate_cancel *cancel, quorate_result *out,
           quorate_error **error),
          (connection, sql, sql_len, params, params_len, timeout_ms, cancel, out, error))
QG_WITHIN(connection_query,
          (const quorate_connection *connection, const char *sql, size_t sql_len, const quorate_value *params,
           size_t params_len, int64_t timeout_ms, const quorate_cancel *cancel, quorate_rows **out,
           quorate_error **error),
          (connection, sql, sql_len, params, params_len, timeout_ms, cancel, out, error))
QG_WITHIN(connection_send_batch,
          (const quorate_connection *connection, const quorate_batch *batch, int64_t timeout_ms,
           const quorate_cancel *cancel, quorate_results **out, quorate_error **error),
          (connection, batch, timeout_ms, cancel, out, error))
QG_WITHIN(connection_prepare,
          (const quorate_connection *connection, const char *sql, size_t sql_len, int64_t timeout_ms,
           const quorate_cancel *cancel, quorate_statement **out, quorate_error **error),
          (connection, sql, sql_len, timeout_ms, cancel, out, error))
QG_WITHIN(connection_ping,
          (const quorate_connection *connection, int64_t timeout_ms, const quorate_cancel *cancel,
           quorate_error **error),
          (connection, timeout_ms, cancel, error))
QG_WITHIN(connection_begin,
          (const quorate_connection *connection, int32_t mode, int64_t timeout_ms, const quorate_cancel *cancel,
           quorate_transaction **out, quorate_error **error),
          (connection, mode, timeout_ms, cancel, out, error))

// What a call answers.
typedef struct {
    quorate_status status;
    quorate_error *error;
    void *handle;
    quorate_result result;
} qg_answer;

// Where a statement runs.
enum { QG_POOL, QG_CONNECTION, QG_SHARDING_KEY };

// A statement with its bounds. The parameters are laid out as quorate_value, but for what points to bytes: that is
// an offset in the arena, since Go's memory may not hold pointers to Go's memory while C runs. It is passed by value for
// the same reason.
typedef struct {
    int32_t where;
    const void *object;
    const char *sql;
    size_t sql_len;
    const quorate_value *params;
    size_t params_len;
    const char *arena;
    int64_t timeout_ms;
    const quorate_cancel *cancel;
} qg_statement;

// Memory for rows, which C owns: values that point to bytes, those bytes, and the names of the columns.
typedef struct {
    quorate_value *values;
    size_t values_capacity;
    quorate_value_buffer buffer;
    char *names;
    size_t names_capacity;
    size_t names_len;
    size_t columns;
    size_t rows;
    bool done;
} qg_rows_buffer;

#define QG_ON_STACK 16

static inline bool qg_has_bytes(int32_t kind)
{
    return kind == QUORATE_TYPE_TEXT || kind == QUORATE_TYPE_BLOB || kind == QUORATE_TYPE_DECIMAL ||
           kind == QUORATE_TYPE_JSON;
}

// The parameters with pointers in place of offsets; NULL where there is no memory.
static inline quorate_value *qg_resolve(const quorate_value *params, size_t len, const char *arena,
                                        quorate_value stack[QG_ON_STACK])
{
    quorate_value *values = len <= QG_ON_STACK ? stack : (quorate_value *)malloc(len * sizeof *values);
    if (values == NULL) return NULL;
    for (size_t i = 0; i < len; i++) {
        values[i] = params[i];
        values[i].name = values[i].name_length > 0 ? arena + (size_t)params[i].name : NULL;
        if (qg_has_bytes(values[i].kind)) {
            values[i].data.bytes.pointer = arena + (size_t)params[i].data.bytes.pointer;
        }
    }
    return values;
}

static inline qg_answer qg_no_memory(void)
{
    qg_answer answer = {QUORATE_STATUS_INTERNAL, NULL, NULL, {0, 0}};
    return answer;
}

static inline qg_answer qg_exec(qg_statement statement)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_value stack[QG_ON_STACK];
    quorate_value *params = qg_resolve(statement.params, statement.params_len, statement.arena, stack);
    if (params == NULL) return qg_no_memory();
    if (statement.where == QG_POOL) {
        answer.status = qg_pool_exec((const quorate_pool *)statement.object, statement.sql, statement.sql_len,
                                          params, statement.params_len, statement.timeout_ms, statement.cancel,
                                          &answer.result, &answer.error);
    } else {
        answer.status = qg_connection_exec((const quorate_connection *)statement.object, statement.sql,
                                                statement.sql_len, params, statement.params_len,
                                                statement.timeout_ms, statement.cancel, &answer.result,
                                                &answer.error);
    }
    if (params != stack) free(params);
    return answer;
}

// Reads on: up to `max_rows` rows, of which as many as the memory takes. Rows that have ended are freed, with what
// they hold, and the answer has no handle any more.
static inline qg_answer qg_fetch(quorate_rows *rows, qg_rows_buffer *memory, size_t max_rows)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, rows, {0, 0}};
    if (memory->columns == 0) {
        // Nothing to read: what there is to say of the statement is said by its end.
        quorate_rows_result(rows, &answer.result, NULL);
        answer.status = quorate_rows_close(rows, &answer.error);
        memory->done = true;
    } else {
        size_t fitting = memory->values_capacity / memory->columns;
        memory->buffer.values = memory->values;
        answer.status = quorate_rows_fetch_values(rows, max_rows < fitting ? max_rows : fitting, &memory->buffer,
                                                  &memory->rows, &memory->done, &answer.error);
    }
    if (memory->done || (answer.status != QUORATE_STATUS_OK && answer.status != QUORATE_STATUS_BUFFER_TOO_SMALL)) {
        quorate_rows_free(rows);
        answer.handle = NULL;
    }
    return answer;
}

// Makes room for `columns` values in a row and `bytes` bytes. False where there is no memory.
static inline bool qg_make_room(qg_rows_buffer *memory, size_t columns, size_t bytes)
{
    if (columns > memory->values_capacity) {
        quorate_value *values = (quorate_value *)realloc(memory->values, columns * sizeof *values);
        if (values == NULL) return false;
        memory->values = values;
        memory->values_capacity = columns;
    }
    if (bytes > memory->buffer.bytes_capacity) {
        uint8_t *more = (uint8_t *)realloc(memory->buffer.bytes, bytes);
        if (more == NULL) return false;
        memory->buffer.bytes = more;
        memory->buffer.bytes_capacity = bytes;
    }
    return true;
}

// Notes the columns: of each the length of its name, its type where the server says it, and the name. False where there
// is no memory.
static inline bool qg_take_names(const quorate_rows *rows, qg_rows_buffer *memory)
{
    memory->columns = quorate_rows_columns(rows);
    memory->rows = 0;
    memory->done = false;
    memory->names_len = 0;
    for (size_t column = 0; column < memory->columns; column++) {
        size_t len = 0;
        const char *name = quorate_rows_column_name(rows, column, &len);
        quorate_type type = QUORATE_TYPE_NULL;
        quorate_rows_column_type(rows, column, &type, NULL);
        uint32_t head[2] = {(uint32_t)len, (uint32_t)type};
        size_t needed = memory->names_len + sizeof head + len;
        if (needed > memory->names_capacity) {
            char *names = (char *)realloc(memory->names, 2 * needed);
            if (names == NULL) return false;
            memory->names = names;
            memory->names_capacity = 2 * needed;
        }
        memcpy(memory->names + memory->names_len, head, sizeof head);
        if (len > 0) memcpy(memory->names + memory->names_len + sizeof head, name, len);
        memory->names_len = needed;
    }
    return qg_make_room(memory, memory->columns, 0);
}

// Begins to read rows: their names, and the first of them.
static inline qg_answer qg_begin_rows(quorate_rows *rows, qg_rows_buffer *memory, size_t max_rows)
{
    if (!qg_take_names(rows, memory)) {
        quorate_rows_free(rows);
        return qg_no_memory();
    }
    return qg_fetch(rows, memory, max_rows);
}

static inline qg_answer qg_query(qg_statement statement, qg_rows_buffer *memory, size_t max_rows)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_value stack[QG_ON_STACK];
    quorate_value *params = qg_resolve(statement.params, statement.params_len, statement.arena, stack);
    if (params == NULL) return qg_no_memory();
    quorate_rows *rows = NULL;
    if (statement.where == QG_POOL) {
        answer.status = qg_pool_query((const quorate_pool *)statement.object, statement.sql,
                                           statement.sql_len, params, statement.params_len, statement.timeout_ms,
                                           statement.cancel, &rows, &answer.error);
    } else {
        answer.status = qg_connection_query((const quorate_connection *)statement.object, statement.sql,
                                                 statement.sql_len, params, statement.params_len,
                                                 statement.timeout_ms, statement.cancel, &rows, &answer.error);
    }
    if (params != stack) free(params);
    if (answer.status != QUORATE_STATUS_OK) return answer;
    return qg_begin_rows(rows, memory, max_rows);
}

// The rows of the next statement of a batch.
static inline qg_answer qg_results_query(const quorate_results *results, qg_rows_buffer *memory, size_t max_rows)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_rows *rows = NULL;
    answer.status = quorate_results_query(results, &rows, &answer.error);
    if (answer.status != QUORATE_STATUS_OK) return answer;
    return qg_begin_rows(rows, memory, max_rows);
}

static inline qg_answer qg_queue(const quorate_batch *batch, const char *sql, size_t sql_len,
                                 const quorate_value *raw, size_t len, const char *arena)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_value stack[QG_ON_STACK];
    quorate_value *params = qg_resolve(raw, len, arena, stack);
    if (params == NULL) return qg_no_memory();
    answer.status = quorate_batch_queue(batch, sql, sql_len, params, len, &answer.error);
    if (params != stack) free(params);
    return answer;
}

static inline qg_answer qg_send_batch(int32_t where, const void *object, const quorate_batch *batch,
                                      int64_t timeout_ms, const quorate_cancel *cancel)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_results *results = NULL;
    if (where == QG_POOL) {
        answer.status = qg_pool_send_batch((const quorate_pool *)object, batch, timeout_ms, cancel, &results,
                                                &answer.error);
    } else {
        answer.status = qg_connection_send_batch((const quorate_connection *)object, batch, timeout_ms, cancel,
                                                      &results, &answer.error);
    }
    answer.handle = results;
    return answer;
}

// The bucket of a row with these values in the columns of a sharding key, which is the statement's object.
static inline qg_answer qg_bucket(qg_statement key, uint64_t *bucket)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_value stack[QG_ON_STACK];
    quorate_value *params = qg_resolve(key.params, key.params_len, key.arena, stack);
    if (params == NULL) return qg_no_memory();
    answer.status = quorate_sharding_key_bucket((const quorate_sharding_key *)key.object, params, key.params_len, bucket,
                                                &answer.error);
    if (params != stack) free(params);
    return answer;
}

// A connection to the master of that bucket.
static inline qg_answer qg_acquire_by_key(qg_statement key)
{
    qg_answer answer = {QUORATE_STATUS_OK, NULL, NULL, {0, 0}};
    quorate_connection *connection = NULL;
    quorate_value stack[QG_ON_STACK];
    quorate_value *params = qg_resolve(key.params, key.params_len, key.arena, stack);
    if (params == NULL) return qg_no_memory();
    answer.status = quorate_sharding_key_acquire((const quorate_sharding_key *)key.object, params, key.params_len,
                                                 key.timeout_ms, key.cancel, &connection, &answer.error);
    answer.handle = connection;
    if (params != stack) free(params);
    return answer;
}

static inline qg_rows_buffer *qg_rows_buffer_new(size_t values, size_t bytes)
{
    qg_rows_buffer *memory = (qg_rows_buffer *)calloc(1, sizeof *memory);
    if (memory != NULL && !qg_make_room(memory, values, bytes)) {
        free(memory->values);
        free(memory);
        return NULL;
    }
    return memory;
}

static inline void qg_rows_buffer_free(qg_rows_buffer *memory)
{
    free(memory->values);
    free(memory->buffer.bytes);
    free(memory->names);
    free(memory);
}

// Functions of Go, by the number of their handle.
quorate_status qg_config_set_log(const quorate_config *config, uintptr_t handle, quorate_error **error);
quorate_status qg_config_set_event(const quorate_config *config, uintptr_t handle, quorate_error **error);
quorate_status qg_config_set_balance(const quorate_config *config, uintptr_t handle, quorate_error **error);
quorate_status qg_config_set_dial(const quorate_config *config, uintptr_t handle, quorate_error **error);
quorate_status qg_store_new(uintptr_t handle, quorate_store **store, quorate_error **error);

#endif
