/*
 * quorate: a blocking database driver for databases that keep their data with raft.
 *
 * This header is the whole interface of the library. A program includes it, links with what
 * `pkg-config --libs quorate` says (`quorate-static` for the static library), and needs nothing else.
 *
 *     quorate_pool *pool = NULL;
 *     quorate_error *error = NULL;
 *     const char *url = "dqlite://10.0.0.1:9001,10.0.0.2:9001/app";
 *     if (quorate_pool_open(url, QUORATE_NUL_TERMINATED, &pool, &error) != QUORATE_STATUS_OK) {
 *         fprintf(stderr, "%s\n", quorate_error_text(error, NULL));
 *         quorate_error_free(error);
 *     }
 *
 * NAMES. A function is called quorate_<noun>_<verb>. `_open` and `_close` are for what stands for the
 * network; `_new` makes a plain object; `_clone` makes another handle on the same object; `_free` exists for
 * every handle.
 *
 * OWNERSHIP. Every handle that a function gives belongs to the caller and is freed once, with the `_free` of
 * its type. Handles may be freed in any order: rows keep their connection, a connection keeps its pool, and
 * so on, so a collector of garbage may free them as it likes. `_free` of NULL does nothing. `_close` says
 * goodbye to the network and leaves the handle valid: later calls answer QUORATE_STATUS_CLOSED. What a
 * function is given is read or copied and never kept, but for functions of the caller with their data, and
 * for what the documentation names.
 *
 * POINTERS. A pointer that is not NULL has to point to what its type says, and stay so until the function
 * returns; a handle must not have been freed. NULL where it is not allowed is no crash:
 * QUORATE_STATUS_NULL_POINTER. Which pointers may be NULL is said function by function; `out_error` always
 * may. How long a pointer that the library gives is valid is said where it is given.
 *
 * OUTPUTS. Parameters that begin with `out_` come last and are written on every path: first to NULL, 0 or
 * false, whatever they held before, then, if the function succeeds, to its answer.
 *
 * TEXTS. A text is a pointer and a length in bytes, UTF-8, and may contain NULs. Wherever a text is taken, its
 * length may be QUORATE_NUL_TERMINATED: it then ends at its first NUL. A text that is given ends with a NUL
 * only where the documentation says so.
 *
 * ERRORS. A function that can fail answers a quorate_status and, where `out_error` is not NULL, gives an error
 * object with all there is to know, which the caller frees. What became of the statement that failed is its
 * outcome: not sent, rejected, or unknown. The library itself repeats only what cannot have been applied.
 *
 * THREADS. Any thread may use a pool, a configuration, a statement, a batch, a sharding key, a store, a
 * cluster, a node and a cancel handle, several at once. A connection, with its rows, results and transaction,
 * is used by one thread at a time, not necessarily always the same; a call while another thread is inside
 * answers QUORATE_STATUS_MISUSE and changes nothing. No object may be used while, or after, it is freed.
 *
 * TIMEOUTS. Every function that may block for longer takes `timeout_ms`: QUORATE_TIMEOUT_DEFAULT (-1) is the
 * pool's configured timeout, 0 and more are milliseconds (with 0 it has passed already: that is not "no
 * limit"), QUORATE_TIMEOUT_NONE is no limit, and less than -1 is QUORATE_STATUS_MISUSE. It covers everything
 * that the call does and is kept whatever the server does. Such functions also take a cancel handle, or NULL.
 * Functions that read on in an answer (rows, results) take neither: they are under the
 * timeout and the cancel handle of the call that asked. Functions that only free or close may block for a
 * second, where they have to tell a server.
 *
 * FORK. In a child of the process that made them, handles answer QUORATE_STATUS_FORKED; freeing them there is
 * allowed and leaves the parent's connections alone. A child opens a pool of its own.
 *
 * SIGNALS. The library installs no signal handler, and no write of its raises SIGPIPE.
 *
 * CALLBACKS. Functions of the caller run on the thread that their type names, must return normally, and come
 * with `user_data` and a `destroy` function, which is called exactly once, also where the function that takes
 * them fails.
 *
 * UNLOADING. A program that has opened the library with dlopen may close it, and open it again. The library stays
 * in memory; its threads end moments after the last handle is freed.
 *
 * VERSIONS. Numbers of statuses, types and the like are never reused; a caller has to expect new ones. All
 * functions are there since 0.1.0 unless they say otherwise.
 */

#ifndef QUORATE_H
#define QUORATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The Arrow C data and stream interfaces, as their specification gives them:
 * https://arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

/**
 * The length of a text that ends at its first NUL. It may be given wherever a function takes a text with its
 * length.
 */
#define QUORATE_NUL_TERMINATED SIZE_MAX

/**
 * A text that ends at its first NUL, with its length: two arguments in one word.
 */
#define QUORATE_TEXT(text) (text), QUORATE_NUL_TERMINATED



/**
 * The timeout that the pool is configured with (the option `timeout`, 30 seconds unless set).
 */
#define QUORATE_TIMEOUT_DEFAULT -1

/**
 * No timeout: the call takes as long as it takes, or until it is cancelled.
 */
#define QUORATE_TIMEOUT_NONE INT64_MAX

/**
 * The first number of the version that this header belongs to.
 */
#define QUORATE_VERSION_MAJOR 0

/**
 * The second number.
 */
#define QUORATE_VERSION_MINOR 1

/**
 * The third number.
 */
#define QUORATE_VERSION_PATCH 0

/**
 * What a function answers: `QUORATE_STATUS_OK`, or what went wrong.
 */
enum quorate_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * All is well.
     */
    QUORATE_STATUS_OK = 0,
    /**
     * A connection string or an option is wrong: an unknown name, a value out of range.
     */
    QUORATE_STATUS_CONFIG = 1,
    /**
     * The call was wrong: a wrong number of parameters, an empty statement, two threads on one connection, a
     * handle whose time has passed.
     */
    QUORATE_STATUS_MISUSE = 2,
    /**
     * A value cannot be given as the type that was asked for, or a column does not exist.
     */
    QUORATE_STATUS_CONVERSION = 3,
    /**
     * The query answered no row where one was asked for.
     */
    QUORATE_STATUS_NO_ROWS = 4,
    /**
     * The pool or the connection was closed.
     */
    QUORATE_STATUS_CLOSED = 5,
    /**
     * The deadline of the call passed.
     */
    QUORATE_STATUS_TIMEOUT = 6,
    /**
     * The deadline passed while the call waited for a connection: all were in use.
     */
    QUORATE_STATUS_POOL_TIMEOUT = 7,
    /**
     * The call was cancelled through its cancel handle.
     */
    QUORATE_STATUS_CANCELLED = 8,
    /**
     * No connection could be made: refused, unreachable, name not found.
     */
    QUORATE_STATUS_CONNECT = 9,
    /**
     * The TLS handshake failed, or a certificate or key is unusable.
     */
    QUORATE_STATUS_TLS = 10,
    /**
     * The server refused the user or the password.
     */
    QUORATE_STATUS_AUTHENTICATION = 11,
    /**
     * No node of the cluster is the leader, or none of those that are could be reached.
     */
    QUORATE_STATUS_NO_LEADER = 12,
    /**
     * The node that was asked is not, or is no longer, the leader.
     */
    QUORATE_STATUS_NOT_LEADER = 13,
    /**
     * A connection broke while it was in use.
     */
    QUORATE_STATUS_DISCONNECTED = 14,
    /**
     * The server sent what the protocol does not allow.
     */
    QUORATE_STATUS_PROTOCOL = 15,
    /**
     * The database is locked by another connection.
     */
    QUORATE_STATUS_BUSY = 16,
    /**
     * A constraint of the table refused the statement.
     */
    QUORATE_STATUS_CONSTRAINT = 17,
    /**
     * The server refused the statement for any other reason.
     */
    QUORATE_STATUS_DATABASE = 18,
    /**
     * The server, the installed library or this database does not offer what was asked for.
     */
    QUORATE_STATUS_UNSUPPORTED = 19,
    /**
     * A node store could not be read or written.
     */
    QUORATE_STATUS_STORE = 20,
    /**
     * An embedded node could not be created, started or stopped.
     */
    QUORATE_STATUS_NODE = 21,
    /**
     * The process was forked after the handle was made; the child has to make its own.
     */
    QUORATE_STATUS_FORKED = 22,
    /**
     * A defect of this library.
     */
    QUORATE_STATUS_INTERNAL = 23,
    /**
     * A pointer that must not be NULL was NULL.
     */
    QUORATE_STATUS_NULL_POINTER = 100,
    /**
     * Not even one row fits the caller's buffers; what it needs is written beside them, and the row is kept.
     */
    QUORATE_STATUS_BUFFER_TOO_SMALL = 101,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_status quorate_status;
#else
typedef int32_t quorate_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What became of the statement that failed.
 */
enum quorate_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The statement never left this process whole: no server can have run it.
     */
    QUORATE_OUTCOME_NOT_SENT = 0,
    /**
     * A server answered that it did not apply the statement.
     */
    QUORATE_OUTCOME_REJECTED = 1,
    /**
     * The statement may or may not have been applied.
     */
    QUORATE_OUTCOME_UNKNOWN = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_outcome quorate_outcome;
#else
typedef int32_t quorate_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The type of a value.
 */
enum quorate_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * SQL's NULL. No member of `data` is used.
     */
    QUORATE_TYPE_NULL = 0,
    /**
     * A truth value: `data.integer` is 0 or not.
     */
    QUORATE_TYPE_BOOL = 1,
    /**
     * A signed 64-bit integer: `data.integer`.
     */
    QUORATE_TYPE_INT64 = 2,
    /**
     * A 64-bit IEEE 754 number: `data.real`.
     */
    QUORATE_TYPE_DOUBLE = 3,
    /**
     * UTF-8 text: `data.bytes`.
     */
    QUORATE_TYPE_TEXT = 4,
    /**
     * Bytes: `data.bytes`.
     */
    QUORATE_TYPE_BLOB = 5,
    /**
     * A point in time: `data.timestamp`.
     */
    QUORATE_TYPE_TIMESTAMP = 6,
    /**
     * A calendar day: `data.integer` counts days from 1970-01-01.
     */
    QUORATE_TYPE_DATE = 7,
    /**
     * A universally unique identifier: `data.uuid`.
     */
    QUORATE_TYPE_UUID = 8,
    /**
     * A decimal number in its text form: `data.bytes`.
     */
    QUORATE_TYPE_DECIMAL = 9,
    /**
     * A JSON document in its text form: `data.bytes`.
     */
    QUORATE_TYPE_JSON = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_type quorate_type;
#else
typedef int32_t quorate_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a node does in its cluster.
 */
enum quorate_node_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Replicates the data and takes part in elections: only a voter can be the leader.
     */
    QUORATE_NODE_ROLE_VOTER = 0,
    /**
     * Replicates the data without a vote.
     */
    QUORATE_NODE_ROLE_STAND_BY = 1,
    /**
     * Neither replicates nor votes.
     */
    QUORATE_NODE_ROLE_SPARE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_node_role quorate_node_role;
#else
typedef int32_t quorate_node_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A field of a server's error, as PostgreSQL names it.
 */
enum quorate_field
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * `ERROR`, `FATAL` or `PANIC`, which is not translated. Picodata sends it too, and no other field.
     */
    QUORATE_FIELD_SEVERITY = 1,
    /**
     * Where in the statement the error is: the number of a character, counted from 1, in the text that the program gave.
     * At a placeholder that was written as `?` or `:name` it is the first character of that.
     */
    QUORATE_FIELD_POSITION = 2,
    /**
     * Where in `QUORATE_FIELD_INTERNAL_QUERY` the error is, counted alike.
     */
    QUORATE_FIELD_INTERNAL_POSITION = 3,
    /**
     * The text of a statement that the server has run by itself, such as one of a function. It may hold values of rows.
     */
    QUORATE_FIELD_INTERNAL_QUERY = 4,
    /**
     * What the server was doing: the functions and statements around the error, innermost first, one a line.
     */
    QUORATE_FIELD_WHERE = 5,
    /**
     * The schema of what the error is about.
     */
    QUORATE_FIELD_SCHEMA = 6,
    /**
     * The table that the error is about.
     */
    QUORATE_FIELD_TABLE = 7,
    /**
     * The column that the error is about, such as one that must not be NULL.
     */
    QUORATE_FIELD_COLUMN = 8,
    /**
     * The data type that the error is about, such as a domain.
     */
    QUORATE_FIELD_DATA_TYPE = 9,
    /**
     * The constraint that refused the statement; a unique index is one too.
     */
    QUORATE_FIELD_CONSTRAINT = 10,
    /**
     * The file of the server's source that the error comes from.
     */
    QUORATE_FIELD_FILE = 11,
    /**
     * The line of that file.
     */
    QUORATE_FIELD_LINE = 12,
    /**
     * The function of the server's source that the error comes from.
     */
    QUORATE_FIELD_ROUTINE = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_field quorate_field;
#else
typedef int32_t quorate_field;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A figure of a pool.
 */
enum quorate_stat
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The most connections there may be to one node.
     */
    QUORATE_STAT_MAX_CONNS = 0,
    /**
     * Open connections, in use and idle.
     */
    QUORATE_STAT_CONNECTIONS = 1,
    /**
     * Open connections that nobody uses.
     */
    QUORATE_STAT_IDLE = 2,
    /**
     * Connections in use.
     */
    QUORATE_STAT_IN_USE = 3,
    /**
     * Callers that wait for a connection at this moment.
     */
    QUORATE_STAT_WAITING = 4,
    /**
     * How often a connection was taken out.
     */
    QUORATE_STAT_ACQUIRES = 5,
    /**
     * How often a caller had to wait because all connections were in use.
     */
    QUORATE_STAT_WAITS = 6,
    /**
     * How long callers have waited, all in all, in nanoseconds.
     */
    QUORATE_STAT_WAIT_NANOSECONDS = 7,
    /**
     * Connections that were opened.
     */
    QUORATE_STAT_CONNECTS = 8,
    /**
     * Attempts to open a connection that failed.
     */
    QUORATE_STAT_CONNECT_FAILURES = 9,
    /**
     * Calls that failed because a connection broke, ran past its deadline, or met a node that does not lead.
     */
    QUORATE_STAT_FAILURES = 10,
    /**
     * How often another node became the leader.
     */
    QUORATE_STAT_LEADER_CHANGES = 11,
    /**
     * How often the topology was read.
     */
    QUORATE_STAT_REFRESHES = 12,
    /**
     * How often the topology could not be read; the last good one was kept.
     */
    QUORATE_STAT_REFRESH_FAILURES = 13,
    /**
     * How long ago the topology was read last, in milliseconds; `UINT64_MAX` if it never was.
     */
    QUORATE_STAT_TOPOLOGY_AGE_MILLISECONDS = 14,
    /**
     * 1 if the topology could not be read the last time, so that an older one is in use; else 0.
     */
    QUORATE_STAT_TOPOLOGY_FAILING = 15,
    /**
     * With Picodata: how many instances the cluster has, those that are offline included.
     */
    QUORATE_STAT_INSTANCES = 16,
    /**
     * With Picodata: how many instances calls may go to at this moment.
     */
    QUORATE_STAT_USABLE_INSTANCES = 17,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_stat quorate_stat;
#else
typedef int32_t quorate_stat;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How much a message matters.
 */
enum quorate_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Something does not work and will not by itself.
     */
    QUORATE_LOG_LEVEL_ERROR = 1,
    /**
     * Something does not work at the moment.
     */
    QUORATE_LOG_LEVEL_WARN = 2,
    /**
     * A change in the cluster.
     */
    QUORATE_LOG_LEVEL_INFO = 3,
    /**
     * What helps to find a fault.
     */
    QUORATE_LOG_LEVEL_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_log_level quorate_log_level;
#else
typedef int32_t quorate_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What has changed.
 */
enum quorate_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Another node leads: `address`.
     */
    QUORATE_EVENT_KIND_LEADER = 1,
    /**
     * The list of a dqlite cluster's nodes has changed: `count` is how many there are now.
     */
    QUORATE_EVENT_KIND_NODES = 2,
    /**
     * An instance of Picodata is there that was not there before.
     */
    QUORATE_EVENT_KIND_INSTANCE_CAME = 3,
    /**
     * An instance of Picodata is there no longer; it is described as it was last.
     */
    QUORATE_EVENT_KIND_INSTANCE_WENT = 4,
    /**
     * An instance of Picodata has another address; it was `before`.
     */
    QUORATE_EVENT_KIND_INSTANCE_MOVED = 5,
    /**
     * An instance of Picodata has another state; it was `before`.
     */
    QUORATE_EVENT_KIND_INSTANCE_STATE = 6,
    /**
     * An instance of Picodata became the master of its replicaset (`is_master`), or is so no longer.
     */
    QUORATE_EVENT_KIND_INSTANCE_ROLE = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_event_kind quorate_event_kind;
#else
typedef int32_t quorate_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * When a transaction takes its locks (SQLite, "BEGIN TRANSACTION").
 */
enum quorate_transaction_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * At its first read or write. A transaction that reads first may find itself unable to write later, and
     * must then be repeated as a whole.
     */
    QUORATE_TRANSACTION_MODE_DEFERRED = 0,
    /**
     * The write lock at once.
     */
    QUORATE_TRANSACTION_MODE_IMMEDIATE = 1,
    /**
     * As immediate; in SQLite's journal modes other than WAL it also keeps readers out.
     */
    QUORATE_TRANSACTION_MODE_EXCLUSIVE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum quorate_transaction_mode quorate_transaction_mode;
#else
typedef int32_t quorate_transaction_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Statements that are sent together. Any thread may use a batch.
 */
typedef struct quorate_batch quorate_batch;

/**
 * Bytes that belong to the caller.
 */
typedef struct quorate_buffer quorate_buffer;

/**
 * Cancels calls from any thread.
 */
typedef struct quorate_cancel quorate_cancel;

/**
 * A client that administers a cluster.
 */
typedef struct quorate_cluster quorate_cluster;

/**
 * The configuration of a pool. Any thread may use it.
 */
typedef struct quorate_config quorate_config;

/**
 * A connection out of a pool. One thread at a time uses it.
 */
typedef struct quorate_connection quorate_connection;

/**
 * The files of a database, as one node has them: the database and its write-ahead log.
 */
typedef struct quorate_dump quorate_dump;

/**
 * The endpoints of a pool at one moment. Any thread may use them.
 */
typedef struct quorate_endpoints quorate_endpoints;

/**
 * What went wrong, what became of the statement, and who said so.
 */
typedef struct quorate_error quorate_error;

/**
 * A running node.
 */
typedef struct quorate_node quorate_node;

/**
 * A node that is described but not started. Any thread may use it.
 */
typedef struct quorate_node_config quorate_node_config;

/**
 * A list of nodes.
 */
typedef struct quorate_nodes quorate_nodes;

/**
 * A builder of parameters. One thread at a time fills it; any may use its array while it is not changed.
 */
typedef struct quorate_params quorate_params;

/**
 * A pool of connections to a cluster. Any thread may use it, and several at once.
 */
typedef struct quorate_pool quorate_pool;

/**
 * The results of a batch, in the order of its statements. They use their connection, so one thread at a time
 * uses them; they end when the connection is used for something else.
 *
 * An error is that statement's own, and the next result is the next statement's. If the connection breaks,
 * all results that are left fail, each with its own outcome.
 */
typedef struct quorate_results quorate_results;

/**
 * The rows of a query.
 */
typedef struct quorate_rows quorate_rows;

/**
 * The sharding key of a table. Any thread may use it.
 */
typedef struct quorate_sharding_key quorate_sharding_key;

/**
 * A prepared statement.
 */
typedef struct quorate_statement quorate_statement;

/**
 * A place that keeps the list of a cluster's nodes.
 */
typedef struct quorate_store quorate_store;

/**
 * A transaction. It uses its connection, so one thread at a time uses it.
 */
typedef struct quorate_transaction quorate_transaction;

/**
 * Is told what the library has to say: a `quorate_log_level`, and a text of `message_len` bytes, valid during
 * the call, without a NUL behind it.
 *
 * Called on the thread that has something to say: that of a call, the pool's own, or a short-lived one of a
 * leader lookup.
 */
typedef void (*quorate_log_fn)(void *user_data,
                               int32_t level,
                               const char *message,
                               size_t message_len);

/**
 * Called once with `user_data` when the library will not call the function that it belongs to any more.
 * `NULL` where there is nothing to do.
 */
typedef void (*quorate_destroy_fn)(void *user_data);

/**
 * Makes a connection to `address` (`address_len` bytes, valid during the call, without a NUL behind them) and
 * answers its file descriptor, a connected stream socket, which the library then owns and closes; whether it blocks
 * does not matter, and whether programs that are started inherit it is the function's to say (`SOCK_CLOEXEC`). A
 * failure is answered as a negative errno, such as `-ECONNREFUSED`.
 *
 * It should return within `timeout_ms` milliseconds (`QUORATE_TIMEOUT_NONE` is no limit): nothing but itself
 * bounds what it does. Called on the thread that needs the connection, or on a short-lived one of a leader
 * lookup.
 */
typedef int32_t (*quorate_dial_fn)(void *user_data,
                                   const char *address,
                                   size_t address_len,
                                   int64_t timeout_ms);

/**
 * Bytes that lie elsewhere.
 */
typedef struct quorate_bytes {
    /**
     * The first byte. May be NULL where `length` is 0.
     */
    const char *pointer;
    /**
     * How many bytes there are. For a text that the caller gives, also `QUORATE_NUL_TERMINATED`.
     */
    size_t length;
} quorate_bytes;

/**
 * A change that a pool has noticed. What a kind does not speak of, or what is not known, is 0 or empty.
 *
 * The texts are valid during the call and have no NUL behind them. Later versions add kinds, and members at the
 * end.
 */
typedef struct quorate_event {
    /**
     * How many bytes the library that runs has filled, for a program that may run with an older one than it was
     * built with.
     */
    size_t size;
    /**
     * A `quorate_event_kind`.
     */
    int32_t kind;
    /**
     * Whether the instance is the master of its replicaset.
     */
    bool is_master;
    /**
     * Whether the instance is the raft leader.
     */
    bool is_leader;
    /**
     * The number of nodes.
     */
    uint64_t count;
    /**
     * The address of the node or the instance.
     */
    struct quorate_bytes address;
    /**
     * The name of the instance.
     */
    struct quorate_bytes name;
    /**
     * The uuid of the instance.
     */
    struct quorate_bytes uuid;
    /**
     * The uuid of the instance's replicaset.
     */
    struct quorate_bytes replicaset;
    /**
     * The tier of the instance.
     */
    struct quorate_bytes tier;
    /**
     * The state of the instance, as the cluster writes it: `Online`, `Offline`, `Expelled`.
     */
    struct quorate_bytes state;
    /**
     * What it was before.
     */
    struct quorate_bytes before;
} quorate_event;

/**
 * Is told of an event, which is valid during the call.
 *
 * Called on the thread that has noticed: that of a call, or the pool's own. It may ask the pool for its
 * figures (`quorate_pool_stat`), but must make no call that takes a connection.
 */
typedef void (*quorate_event_fn)(void *user_data,
                                 const struct quorate_event *event);

/**
 * An instance that a call may go to, and how it does at the moment.
 *
 * The texts are valid during the call and have no NUL behind them; one that is not known has the length 0.
 */
typedef struct quorate_candidate {
    /**
     * Where it takes connections, as `host:port`.
     */
    struct quorate_bytes address;
    /**
     * Its name, such as `default_1_1`.
     */
    struct quorate_bytes name;
    /**
     * What it is known by, whatever its name and address become: in lower case with hyphens. Where the
     * instances are not learned from the cluster, the address.
     */
    struct quorate_bytes uuid;
    /**
     * The uuid of its replicaset.
     */
    struct quorate_bytes replicaset;
    /**
     * Its tier.
     */
    struct quorate_bytes tier;
    /**
     * How long it takes to answer, in microseconds: a moving average that sinks while it is not asked; -1 if it
     * never was.
     */
    int64_t latency_us;
    /**
     * How many connections of this pool to it are in use.
     */
    uint32_t in_use;
    /**
     * How many connections of this pool to it there may be.
     */
    uint32_t max_conns;
    /**
     * Whether it is the master of its replicaset: the one whose writes the others follow.
     */
    bool is_master;
    /**
     * Whether it is the raft leader of the cluster.
     */
    bool is_leader;
    /**
     * Room for what later versions say; 0.
     */
    uint64_t reserved[4];
} quorate_candidate;

/**
 * Chooses among `candidates`, of which there are `candidates_len`, at least two, and answers the index of one; an
 * index beyond the end counts as 0.
 *
 * All are online and admitted by the options `role`, `tier` and `failure_domain`; instances that failed lately are
 * left out where there are others. The order is that of the uuids, the same from call to call. If no connection to
 * the chosen one can be had, the function is asked again with the others.
 *
 * Called on the thread whose call takes a connection out of the pool, by several at once. It should answer in
 * microseconds, and must not use the pool.
 */
typedef size_t (*quorate_balance_fn)(void *user_data,
                                     const struct quorate_candidate *candidates,
                                     size_t candidates_len);

/**
 * A point in time.
 */
typedef struct quorate_timestamp {
    /**
     * Seconds since 1970-01-01T00:00:00Z.
     */
    int64_t seconds;
    /**
     * Nanoseconds after that, 0 to 999,999,999.
     */
    uint32_t nanoseconds;
    /**
     * Seconds east of UTC: the offset that the time was written with.
     */
    int32_t utc_offset;
} quorate_timestamp;

/**
 * What a value holds; its type says in which member.
 */
typedef union quorate_value_data {
    /**
     * For `QUORATE_TYPE_BOOL`, `_INT64` and `_DATE`.
     */
    int64_t integer;
    /**
     * For `QUORATE_TYPE_DOUBLE`.
     */
    double real;
    /**
     * For `QUORATE_TYPE_TEXT`, `_BLOB`, `_DECIMAL` and `_JSON`.
     */
    struct quorate_bytes bytes;
    /**
     * For `QUORATE_TYPE_TIMESTAMP`.
     */
    struct quorate_timestamp timestamp;
    /**
     * For `QUORATE_TYPE_UUID`.
     */
    uint8_t uuid[16];
} quorate_value_data;

/**
 * A value with its type, and for a parameter its name.
 */
typedef struct quorate_value {
    /**
     * A `quorate_type`.
     */
    int32_t kind;
    /**
     * How many bytes `name` has, or `UINT32_MAX` for one that ends at its first NUL.
     */
    uint32_t name_length;
    /**
     * The name of the parameter, with or without its prefix (`:id`, `@id`, `$id`, `id`), or NULL for one that
     * is bound by its position. The parameters of a call all have names, or none has. NULL in answers.
     */
    const char *name;
    /**
     * The value itself.
     */
    union quorate_value_data data;
} quorate_value;

/**
 * What a statement without rows has done.
 */
typedef struct quorate_result {
    /**
     * The row id of the last row that this connection inserted into a table with row ids (dqlite); 0 where
     * there is none.
     */
    int64_t last_insert_id;
    /**
     * How many rows the statement inserted, changed or deleted.
     */
    uint64_t rows_affected;
} quorate_result;

/**
 * The connections of a pool to one node or instance. Later versions add members at the end.
 */
typedef struct quorate_endpoint {
    /**
     * How many bytes the library that runs has filled.
     */
    size_t size;
    /**
     * The address, without a NUL behind it.
     */
    struct quorate_bytes address;
    /**
     * Open connections, in use and idle.
     */
    uint32_t connections;
    /**
     * Open connections that nobody uses.
     */
    uint32_t idle;
    /**
     * Connections in use.
     */
    uint32_t in_use;
    /**
     * Callers that wait for a connection at this moment.
     */
    uint32_t waiting;
    /**
     * How long it takes to answer, in microseconds: a moving average. -1 where it is not measured, which takes a
     * choice of instances that looks at it.
     */
    int64_t latency_us;
    /**
     * Whether calls are kept from it for now, because several have failed there.
     */
    bool left_out;
} quorate_endpoint;

/**
 * The caller's buffers for one column. All members but those marked as answers are set by the caller, and
 * buffers are aligned as their elements are.
 */
typedef struct quorate_column {
    /**
     * The `quorate_type` that the column is read as; `QUORATE_TYPE_NULL` leaves the column out.
     */
    int32_t kind;
    /**
     * `max_rows` elements: `uint8_t` for bool, `int64_t` for int64, for date (days from 1970-01-01) and for
     * timestamp (microseconds from 1970-01-01T00:00:00Z, rounded down), `double` for double, 16 bytes for
     * uuid. Not used for text, blob, decimal and json. The element of a NULL is 0.
     */
    void *values;
    /**
     * For text, blob, decimal and json: `max_rows + 1` elements. Row `i` is the bytes from `offsets[i]` to
     * `offsets[i + 1]`.
     */
    size_t *offsets;
    /**
     * For text, blob, decimal and json: room for `bytes_capacity` bytes, one row's after the other's.
     */
    uint8_t *bytes;
    /**
     * How many bytes fit.
     */
    size_t bytes_capacity;
    /**
     * An answer: with `QUORATE_STATUS_BUFFER_TOO_SMALL`, how many bytes the next row needs in this column.
     */
    size_t bytes_needed;
    /**
     * `(max_rows + 7) / 8` bytes: bit `i % 8` of byte `i / 8` is 1 where row `i` is not NULL. May be NULL; then
     * a NULL is a failed conversion.
     */
    uint8_t *validity;
    /**
     * An answer: how many of the rows are NULL in this column.
     */
    size_t null_count;
} quorate_column;

/**
 * The caller's buffers for values.
 */
typedef struct quorate_value_buffer {
    /**
     * Room for `max_rows` times as many values as there are columns: one row after the other.
     */
    struct quorate_value *values;
    /**
     * Room for `bytes_capacity` bytes, which the texts and bytes among the values point into.
     */
    uint8_t *bytes;
    /**
     * How many bytes fit.
     */
    size_t bytes_capacity;
    /**
     * An answer: how many bytes are used.
     */
    size_t bytes_used;
    /**
     * An answer: with `QUORATE_STATUS_BUFFER_TOO_SMALL`, how many bytes the next row needs.
     */
    size_t bytes_needed;
} quorate_value_buffer;

/**
 * Says whether the call that waits on this thread shall end.
 *
 * Called on the thread of a call that carries the handle, between two waits: when a signal handler of the
 * program has interrupted it, and every half a second. It must not use the connection of the call.
 */
typedef bool (*quorate_interrupt_fn)(void *user_data);

/**
 * Puts the nodes that are stored into `nodes`, which is empty, with `quorate_nodes_add`; none where nothing
 * has been stored. Answers 0, or a number of the caller's own for a failure, which the error then names.
 *
 * Called on the thread that looks for the leader, by several at once; it must not use the pool.
 */
typedef int32_t (*quorate_store_get_fn)(void *user_data,
                                        struct quorate_nodes *nodes);

/**
 * Stores `nodes`, which are valid during the call, in place of what was stored. Answers as
 * `quorate_store_get_fn` does, and is called on the pool's own thread.
 */
typedef int32_t (*quorate_store_set_fn)(void *user_data,
                                        const struct quorate_nodes *nodes);

/* ======
 * Values
 * ======
 *
 * A parameter is a `quorate_value`, and `quorate_rows_get_value` and `quorate_rows_fetch_values` answer such.
 * Its layout is part of the interface: on machines with 64-bit pointers it is 32 bytes long, the member
 * `data` at byte 16. Fill one by hand or with the `quorate_make_…` functions below.
 */

/* Values of parameters, made by hand. Texts and blobs are pointed to, not copied. */

static inline quorate_value quorate_make_null(void)
{
    quorate_value value = {0, 0, NULL, {0}};
    return value;
}

static inline quorate_value quorate_make_bool(bool truth)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_BOOL;
    value.data.integer = truth;
    return value;
}

static inline quorate_value quorate_make_int64(int64_t integer)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_INT64;
    value.data.integer = integer;
    return value;
}

static inline quorate_value quorate_make_double(double real)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_DOUBLE;
    value.data.real = real;
    return value;
}

static inline quorate_value quorate_make_text(const char *text, size_t length)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_TEXT;
    value.data.bytes.pointer = text;
    value.data.bytes.length = length;
    return value;
}

static inline quorate_value quorate_make_blob(const void *bytes, size_t length)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_BLOB;
#ifdef __cplusplus
    value.data.bytes.pointer = static_cast<const char *>(bytes);
#else
    value.data.bytes.pointer = bytes;
#endif
    value.data.bytes.length = length;
    return value;
}

static inline quorate_value quorate_make_timestamp(quorate_timestamp timestamp)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_TIMESTAMP;
    value.data.timestamp = timestamp;
    return value;
}

/* Days from 1970-01-01. */
static inline quorate_value quorate_make_date(int64_t days)
{
    quorate_value value = quorate_make_int64(days);
    value.kind = QUORATE_TYPE_DATE;
    return value;
}

/* The 16 bytes are copied. */
static inline quorate_value quorate_make_uuid(const uint8_t *bytes)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_UUID;
    for (size_t i = 0; i < sizeof value.data.uuid; i++) value.data.uuid[i] = bytes[i];
    return value;
}

static inline quorate_value quorate_make_decimal(const char *text, size_t length)
{
    quorate_value value = quorate_make_text(text, length);
    value.kind = QUORATE_TYPE_DECIMAL;
    return value;
}

static inline quorate_value quorate_make_json(const char *text, size_t length)
{
    quorate_value value = quorate_make_text(text, length);
    value.kind = QUORATE_TYPE_JSON;
    return value;
}

/* The same value with the name of a parameter. */
static inline quorate_value quorate_make_named(const char *name, size_t length, quorate_value value)
{
    value.name = name;
    value.name_length = UINT32_MAX;
    if (length < UINT32_MAX) value.name_length = length & UINT32_MAX;
    return value;
}

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ======
 * Status
 * ======
 *
 * Every function that can fail answers a `quorate_status`. 0 is success; every other number says what went
 * wrong, and a number is never reused and never changes its meaning. A caller should treat a number that it
 * does not know as an error without a name.
 */

/**
 * What a status says, in a few words in lower case, as errors begin with it: `no leader available`. The text stays valid
 * and ends with a NUL; `unknown status` for a number that is none.
 */
const char *quorate_status_text(int32_t status);

/* ======
 * Errors
 * ======
 *
 * Every function that can fail has a last parameter `out_error`. It may be NULL. Where it is not and the
 * function fails, it is set to an error, which belongs to the caller and is freed with
 * `quorate_error_free`; where the function succeeds, it is set to NULL. Texts of an error are valid as long
 * as the error, end with a NUL, and hold no password and no key. Any thread may read an error.
 */

/**
 * The status that the failing function answered. `QUORATE_STATUS_OK` for NULL.
 */
quorate_status quorate_error_status(const struct quorate_error *error);

/**
 * What became of the statement. `QUORATE_OUTCOME_NOT_SENT` for NULL.
 *
 * With `QUORATE_OUTCOME_UNKNOWN` the statement may have been applied: running it again may apply it twice.
 */
quorate_outcome quorate_error_outcome(const struct quorate_error *error);

/**
 * Whether the same call may be made again without the danger that the statement is applied twice, and with
 * hope that it succeeds: nothing was applied, and the reason is one that passes. Of a statement in a transaction it
 * does not speak: there, the transaction is what is begun anew (see "Transactions").
 */
bool quorate_error_is_retryable(const struct quorate_error *error);

/**
 * The server's own number for the error (dqlite: SQLite's extended result code), written to `out_code`.
 * Answers whether there is one; where there is none, `out_code` is set to 0. `out_code` may be NULL.
 */
bool quorate_error_code(const struct quorate_error *error,
                        int32_t *out_code);

/**
 * The whole error, as a log wants it: node, kind, message, the outcome where it is unknown, and the cause of each node.
 * In one line, unless the server's message has several. `out_len` may be NULL. NULL for NULL.
 */
const char *quorate_error_text(const struct quorate_error *error,
                               size_t *out_len);

/**
 * The sentence that says what happened, without the kind and the node. `out_len` may be NULL. NULL for NULL.
 */
const char *quorate_error_message(const struct quorate_error *error,
                                  size_t *out_len);

/**
 * What the server says beyond the message, or NULL where it says no more: PostgreSQL's detail, such as `Key (id)=(1)
 * already exists.`, and the whole of a message of Picodata's of which `quorate_error_message` is the innermost sentence.
 * It may name values of rows, and is no part of `quorate_error_text`. `out_len` may be NULL.
 */
const char *quorate_error_detail(const struct quorate_error *error,
                                 size_t *out_len);

/**
 * What PostgreSQL says may be done about it, or NULL where it does not. `out_len` may be NULL.
 */
const char *quorate_error_hint(const struct quorate_error *error,
                               size_t *out_len);

/**
 * The five characters of the SQLSTATE, or NULL where the server has sent none. `out_len` may be NULL.
 */
const char *quorate_error_sqlstate(const struct quorate_error *error,
                                   size_t *out_len);

/**
 * A field of PostgreSQL's error; `field` is a `quorate_field`. NULL where the server has not sent it, or there is no such
 * field; Picodata sends the severity alone, and dqlite nothing. The numbers of lines and places are decimal.
 * No field is part of `quorate_error_text`. `out_len` may be NULL.
 */
const char *quorate_error_field(const struct quorate_error *error,
                                int32_t field,
                                size_t *out_len);

/**
 * The address of the node that was asked, or NULL where none was. `out_len` may be NULL.
 */
const char *quorate_error_node(const struct quorate_error *error,
                               size_t *out_len);

/**
 * How many nodes gave a cause of their own, where several were asked; 0 otherwise, and for NULL.
 */
size_t quorate_error_causes(const struct quorate_error *error);

/**
 * The address of the node that gave the cause `index`, counted from 0, or NULL where there is none such.
 * `out_len` may be NULL.
 */
const char *quorate_error_cause_node(const struct quorate_error *error,
                                     size_t index,
                                     size_t *out_len);

/**
 * What the node of the cause `index` answered, or NULL where there is none such. It belongs to `error`: it
 * is valid as long as that is, and must not be freed.
 */
const struct quorate_error *quorate_error_cause(const struct quorate_error *error,
                                                size_t index);

/**
 * Frees an error. NULL is allowed.
 */
void quorate_error_free(struct quorate_error *error);

/* ==============
 * Configurations
 * ==============
 *
 * What a pool, or a client of a cluster, is opened with: a connection string, then options by name, and the
 * caller's own functions.
 *
 * Functions of the caller are called on the thread that the type of the function names, by several threads at
 * once, and must return normally: neither an exception nor a `longjmp` may leave them. They may use the
 * library, but not the pool that calls them, unless their type says so. Their `destroy` function is called
 * exactly once, with their `user_data`, when the configuration and all that was opened with it are gone, or
 * when the function that takes them fails.
 */

/**
 * Makes a configuration from a connection string:
 *
 * - `dqlite://10.0.0.1:9001,10.0.0.2:9001,[::1]:9001/app?pool_max_conns=20&timeout=5s`
 * - `picodata://app:secret@10.0.0.1:4327,10.0.0.2:4327/app?sslmode=verify-full&sslrootcert=ca.crt`
 * - `postgres://app@db1,db2:5433/app`
 * - `host=db1,db2 port=5432,5433 user=app password='it\'s' dbname=app`
 *
 * For dqlite the hosts are `host:port`, `[IPv6]:port`, `@name` for an abstract Unix socket or a percent-encoded
 * path for a Unix socket (`%2Frun%2Fapp.sock`); the path is the name of the database. For Picodata and PostgreSQL a
 * host is a name, an IP address, or a directory with a Unix socket (`%2Frun%2Fpostgresql`); what the string does not
 * say is looked for in the service file and the environment (PGHOST, PGUSER, PGPASSWORD and so on), as libpq does.
 * Any one node or instance is enough, the others are learned. Values with special characters are percent-encoded in
 * a URL, and put in quotes behind `keyword=`.
 */
quorate_status quorate_config_new(const char *url,
                                  size_t url_len,
                                  struct quorate_config **out_config,
                                  struct quorate_error **out_error);

/**
 * Sets an option by its name, as in a connection string, its value not percent-encoded. Durations are written
 * as `1h30m`, `500ms` or, as a number alone, in seconds.
 *
 * Options of both databases:
 *
 * - `timeout` (default 30s): the deadline of each call that has no other; 0 is none
 * - `acquire_timeout` (default 10s): how long a call waits for a connection at most, the lookup of the leader included; 0 is no limit of its own
 * - `pool_max_conns` (default 10): the most connections to one node
 * - `pool_min_conns` (default 0): so many are kept open
 * - `pool_max_conn_lifetime` (default 1h): a connection older than this is closed when it is idle; 0 is never
 * - `pool_max_conn_lifetime_jitter` (default 6m): up to this is added to each lifetime, so that not all end at once
 * - `pool_max_conn_idle_time` (default 30m): a connection idle for longer is closed (looked at every 30 s); 0 is never
 * - `pool_health_check_period` (default 1m): how often the least number of connections is seen to
 * - `statement_cache` (default 128): prepared statements that a connection keeps; 0 prepares none
 * - `placeholders` (default native): how parameters are written: `native`, `question` (`?`), `named` (`:name`). PostgreSQL's own are `$1`; dqlite takes all of its own with each
 * - `sslmode` (default see below): `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`; the second and the third not for dqlite
 * - `sslrootcert`: file of CA certificates, or `system`
 * - `sslcert`, `sslkey`: files of the client's certificate and its key
 * - `sslservername`: the name to look for in the server's certificate instead of the host
 * - `dial_timeout` (default 5s): how long one dial takes at most, TLS included
 *
 * Without `sslmode`, dqlite is spoken to in plain text; for Picodata it is `verify-full` if `sslrootcert` is given,
 * `require` if only `sslcert` is, and `disable` otherwise.
 *
 * `prefer` is TLS where the server offers it and else plain text, `allow` plain text and TLS where the server refuses that, as
 * in libpq. They protect from those who only listen: whoever can alter the traffic has it go in plain text. They verify no
 * certificate, while `require` does where `sslrootcert` is given. The second way is taken only where the server has not asked
 * who the user is yet, so a password is sent once.
 *
 * Of dqlite:
 *
 * - `busy_timeout` (default 5s): how long a statement outside of a transaction is repeated while another connection holds the lock; 0 is not at all
 * - `max_message` (default 67108864): the largest answer accepted, in bytes
 * - `refresh_interval` (default 30s): how often the list of nodes is read; an error reads it at once
 * - `store`: file of the list of nodes, kept up to date: `….yaml`, or else SQLite
 * - `attempt_timeout` (default 15s): how long one node may take to say who leads
 * - `probe_limit` (default 10): how many nodes are asked at once
 * - `probe_delay` (default 250ms): how long the last known leader may take before others are asked as well
 * - `backoff_factor`, `backoff_cap` (default 50ms, 250ms): the pauses between lookups: doubling, with jitter, up to the cap
 * - `retry_limit` (default 0): how often a lookup that found no leader is repeated; 0 is until the deadline
 *
 * Of Picodata and PostgreSQL:
 *
 * - `user` (default the system's user): the user
 * - `password`: the password; otherwise it is looked for in the passfile
 * - `passfile` (default `~/.pgpass`): lines `host:port:database:user:password`; left alone if others than its owner may read it
 * - `dbname` (default the user): the database; Picodata takes any
 * - `application_name`, `fallback_application_name`: a name that the server may show
 * - `options`: options for the server; for Picodata `name=value,name=value`
 * - `connect_timeout` (default 5s): libpq's name of `dial_timeout`, in seconds; 0 is no limit
 * - `allow_cleartext_password` (default off): whether a password may be sent readable over a connection without TLS
 * - `transaction_guard` (default on): whether to refuse transactions on Picodata, which accepts `BEGIN` and does nothing
 * - `balance` (default round_robin): which instance is next: `round_robin`, `random`, `least_busy`, `lowest_latency`
 * - `sharding` (default auto): whether a statement goes to the master of its bucket where the server tells it (Picodata 26.1 and later): `auto`, `off`
 * - `role` (default any): which instances are used: `any`, `master`, `replica`
 * - `tier`: the tiers whose instances are used, with commas between; all without it
 * - `failure_domain`: instances that share the most of `name=value,name=value` are preferred
 * - `topology` (default on): whether the instances are learned from the cluster; `off` uses the given hosts alone
 * - `topology_interval` (default 500ms): how often the instances are read; an error reads them at once
 * - `service_url`: the connection string of the instance to read them from; any of the pool's without it
 * - `target_session_attrs` (default any): accepted as `any` alone; see `role`
 * - `channel_binding`, `client_encoding`, `gssencmode`, `sslnegotiation`, `sslcompression`, `sslsni`, `load_balance_hosts`: accepted with the values that ask for nothing, and refused with others
 */
quorate_status quorate_config_set(const struct quorate_config *config,
                                  const char *option,
                                  size_t option_len,
                                  const char *value,
                                  size_t value_len,
                                  struct quorate_error **out_error);

/**
 * Sets the store that knows the nodes of a dqlite cluster, in place of the hosts.
 */
quorate_status quorate_config_set_store(const struct quorate_config *config,
                                        const struct quorate_store *store,
                                        struct quorate_error **out_error);

/**
 * Sets the function that is told what the library does. Without one nothing is told. `user_data` and
 * `destroy` may be NULL.
 */
quorate_status quorate_config_set_log(const struct quorate_config *config,
                                      quorate_log_fn log,
                                      void *user_data,
                                      quorate_destroy_fn destroy,
                                      struct quorate_error **out_error);

/**
 * Sets the function that makes connections. TLS, where it is configured, is spoken over what it answers.
 * `user_data` and `destroy` may be NULL.
 */
quorate_status quorate_config_set_dial(const struct quorate_config *config,
                                       quorate_dial_fn dial,
                                       void *user_data,
                                       quorate_destroy_fn destroy,
                                       struct quorate_error **out_error);

/**
 * Gives the value of an option by its name, written as `quorate_config_set` takes it. `out_value` is NULL where
 * the option has none, and for a password, which is never told.
 */
quorate_status quorate_config_get(const struct quorate_config *config,
                                  const char *option,
                                  size_t option_len,
                                  struct quorate_buffer **out_value,
                                  struct quorate_error **out_error);

/**
 * Gives the name of the database.
 */
quorate_status quorate_config_name(const struct quorate_config *config,
                                   struct quorate_buffer **out_name,
                                   struct quorate_error **out_error);

/**
 * Makes a copy that can be changed by itself. Functions of the caller are shared.
 */
quorate_status quorate_config_copy(const struct quorate_config *config,
                                   struct quorate_config **out_config,
                                   struct quorate_error **out_error);

/**
 * Frees a configuration. Pools that were opened with it go on. NULL is allowed.
 */
void quorate_config_free(struct quorate_config *config);

/* ======
 * Events
 * ======
 *
 * What a pool notices about its cluster.
 */

/**
 * Sets the function that is told of events. `user_data` and `destroy` may be NULL.
 */
quorate_status quorate_config_set_event(const struct quorate_config *config,
                                        quorate_event_fn event,
                                        void *user_data,
                                        quorate_destroy_fn destroy,
                                        struct quorate_error **out_error);

/* =======
 * Balance
 * =======
 *
 * Which instance of Picodata a call goes to, where the option `balance` does not say enough. A dqlite cluster has
 * one leader to go to, so there nothing is asked.
 */

/**
 * Sets the function that chooses among the instances of Picodata, in place of the option `balance`; the option set
 * later takes its place. For dqlite it is kept and never called. `user_data` and `destroy` may be NULL.
 */
quorate_status quorate_config_set_balance(const struct quorate_config *config,
                                          quorate_balance_fn balance,
                                          void *user_data,
                                          quorate_destroy_fn destroy,
                                          struct quorate_error **out_error);

/* =====
 * Pools
 * =====
 *
 * A pool is opened once, from a connection string or a configuration, and used from every thread. It finds
 * the leader, follows it when it changes, and keeps its connections. Nothing is dialled when it is opened: a
 * cluster that cannot be reached shows in the first call.
 */

/**
 * Opens a pool from a connection string such as `dqlite://10.0.0.1:9001,10.0.0.2:9001/app?timeout=5s`.
 * Does not block on the network.
 *
 * `QUORATE_STATUS_CONFIG`: the error names what is wrong with the string and, for an unknown option, the
 * nearest known one. See `quorate_config_set` for the options.
 */
quorate_status quorate_pool_open(const char *url,
                                 size_t url_len,
                                 struct quorate_pool **out_pool,
                                 struct quorate_error **out_error);

/**
 * Opens a pool from a configuration, which is copied: changing it later changes nothing here.
 */
quorate_status quorate_pool_open_config(const struct quorate_config *config,
                                        struct quorate_pool **out_pool,
                                        struct quorate_error **out_error);

/**
 * Makes another handle on the same pool.
 */
quorate_status quorate_pool_clone(const struct quorate_pool *pool,
                                  struct quorate_pool **out_pool,
                                  struct quorate_error **out_error);

/**
 * Runs statements that answer no rows, on a connection of the pool.
 *
 * Several statements in one text run one after the other, without parameters, up to the first that fails;
 * the result is the last one's. Rows that a statement answers are dropped. `params` may be NULL where
 * `params_len` is 0; `cancel` and `out_result` may be NULL.
 *
 * A statement that a server refused because it is not the leader, and one that never left this process, is
 * repeated until the timeout; one whose outcome is unknown is not.
 */
quorate_status quorate_pool_exec(const struct quorate_pool *pool,
                                 const char *sql,
                                 size_t sql_len,
                                 const struct quorate_value *params,
                                 size_t params_len,
                                 int64_t timeout_ms,
                                 const struct quorate_cancel *cancel,
                                 struct quorate_result *out_result,
                                 struct quorate_error **out_error);

/**
 * Runs one statement and gives its rows, which hold a connection of the pool until they are freed.
 *
 * The timeout and the cancel handle hold for the reading of the rows as well; with
 * `QUORATE_TIMEOUT_DEFAULT` the configured timeout applies to each reading call. `params` may be NULL where
 * `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_pool_query(const struct quorate_pool *pool,
                                  const char *sql,
                                  size_t sql_len,
                                  const struct quorate_value *params,
                                  size_t params_len,
                                  int64_t timeout_ms,
                                  const struct quorate_cancel *cancel,
                                  struct quorate_rows **out_rows,
                                  struct quorate_error **out_error);

/**
 * Sends all statements of a batch at once. The results hold a connection of the pool until they are freed.
 *
 * A batch is no transaction: each statement has its own result or error, and one that fails does not stop
 * those behind it. Bounds as for `quorate_pool_query`. `cancel` may be NULL.
 */
quorate_status quorate_pool_send_batch(const struct quorate_pool *pool,
                                       const struct quorate_batch *batch,
                                       int64_t timeout_ms,
                                       const struct quorate_cancel *cancel,
                                       struct quorate_results **out_results,
                                       struct quorate_error **out_error);

/**
 * Begins a transaction on a connection of its own, which goes back to the pool when the transaction is freed.
 * `mode` is a `quorate_transaction_mode`. `cancel` may be NULL. The outcome of an error is never
 * `QUORATE_OUTCOME_UNKNOWN`: what begins a transaction applies nothing.
 */
quorate_status quorate_pool_begin(const struct quorate_pool *pool,
                                  int32_t mode,
                                  int64_t timeout_ms,
                                  const struct quorate_cancel *cancel,
                                  struct quorate_transaction **out_transaction,
                                  struct quorate_error **out_error);

/**
 * Takes a connection out of the pool, until it is closed or freed.
 *
 * Makes no round trip where an idle connection is at hand. `QUORATE_STATUS_POOL_TIMEOUT`: all stay in use.
 * `cancel` may be NULL.
 */
quorate_status quorate_pool_acquire(const struct quorate_pool *pool,
                                    int64_t timeout_ms,
                                    const struct quorate_cancel *cancel,
                                    struct quorate_connection **out_connection,
                                    struct quorate_error **out_error);

/**
 * Asks for an answer, over a connection of the pool: with dqlite the leader, with Picodata every instance.
 * `cancel` may be NULL.
 */
quorate_status quorate_pool_ping(const struct quorate_pool *pool,
                                 int64_t timeout_ms,
                                 const struct quorate_cancel *cancel,
                                 struct quorate_error **out_error);

/**
 * Closes all idle connections at once and those in use when they come back. The pool stays open.
 */
quorate_status quorate_pool_reset(const struct quorate_pool *pool,
                                  struct quorate_error **out_error);

/**
 * Reads a figure of the pool; `stat` is a `quorate_stat`. Never blocks on the network.
 */
quorate_status quorate_pool_stat(const struct quorate_pool *pool,
                                 int32_t stat,
                                 uint64_t *out_value,
                                 struct quorate_error **out_error);

/**
 * Closes the pool: calls that wait for a connection fail with `QUORATE_STATUS_CLOSED`, later calls too, and
 * this call waits until the connections in use have come back.
 *
 * May be called more than once and from any thread; the handle stays valid and has to be freed.
 * `QUORATE_STATUS_TIMEOUT` says how many connections are still in use; the pool is closed nevertheless.
 */
quorate_status quorate_pool_close(const struct quorate_pool *pool,
                                  int64_t timeout_ms,
                                  struct quorate_error **out_error);

/**
 * Frees a handle. The pool closes when its last handle is freed and its last connection has come back; that
 * may take up to a second where its thread is in the middle of something. NULL is allowed.
 */
void quorate_pool_free(struct quorate_pool *pool);

/* =========
 * Endpoints
 * =========
 *
 * How a pool does with each node or instance that it has had connections to: one reading, which does not change.
 */

/**
 * Reads how the pool does with each node or instance. Never blocks on the network. The reading has to be freed.
 */
quorate_status quorate_pool_endpoints(const struct quorate_pool *pool,
                                      struct quorate_endpoints **out_endpoints,
                                      struct quorate_error **out_error);

/**
 * How many endpoints there are. 0 for NULL.
 */
size_t quorate_endpoints_len(const struct quorate_endpoints *endpoints);

/**
 * The endpoint `index`, counted from 0 in the order of the addresses, or NULL where there is none such. It belongs to
 * `endpoints` and is valid as long as these are.
 */
const struct quorate_endpoint *quorate_endpoints_get(const struct quorate_endpoints *endpoints,
                                                     size_t index);

/**
 * Frees a reading. NULL is allowed.
 */
void quorate_endpoints_free(struct quorate_endpoints *endpoints);

/* ===========
 * Connections
 * ===========
 *
 * A connection out of a pool, in the hands of one thread at a time: a call while another thread is inside
 * answers `QUORATE_STATUS_MISUSE`. It is not tied to one socket for life: outside of a transaction, a
 * statement that cannot have been applied is repeated on a new one. Rows, results and a transaction of a
 * connection use it too, and keep it alive: it goes back to its pool when it is closed, or when the last of
 * these handles is freed.
 */

/**
 * Runs statements that answer no rows on the connection; see `quorate_pool_exec`.
 *
 * Rows and results that are being read on the connection end. `params` may be NULL where `params_len` is 0;
 * `cancel` and `out_result` may be NULL.
 */
quorate_status quorate_connection_exec(const struct quorate_connection *connection,
                                       const char *sql,
                                       size_t sql_len,
                                       const struct quorate_value *params,
                                       size_t params_len,
                                       int64_t timeout_ms,
                                       const struct quorate_cancel *cancel,
                                       struct quorate_result *out_result,
                                       struct quorate_error **out_error);

/**
 * Runs one statement and gives its rows on the connection; see `quorate_pool_query`.
 *
 * The rows are valid until the connection is used for something else. `params` may be NULL where
 * `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_connection_query(const struct quorate_connection *connection,
                                        const char *sql,
                                        size_t sql_len,
                                        const struct quorate_value *params,
                                        size_t params_len,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        struct quorate_rows **out_rows,
                                        struct quorate_error **out_error);

/**
 * Sends all statements of a batch at once on the connection; see `quorate_pool_send_batch`.
 *
 * The results are valid until the connection is used for something else. `cancel` may be NULL.
 */
quorate_status quorate_connection_send_batch(const struct quorate_connection *connection,
                                             const struct quorate_batch *batch,
                                             int64_t timeout_ms,
                                             const struct quorate_cancel *cancel,
                                             struct quorate_results **out_results,
                                             struct quorate_error **out_error);

/**
 * Prepares a statement, so that a fault in it shows now and its first run is quicker. `cancel` may be NULL.
 *
 * A prepared statement is not tied to the connection: it may be run on any. Each connection keeps the
 * statements it has prepared by their text (the option `statement_cache`), so running the same text again
 * costs no second preparation, with or without this call.
 */
quorate_status quorate_connection_prepare(const struct quorate_connection *connection,
                                          const char *sql,
                                          size_t sql_len,
                                          int64_t timeout_ms,
                                          const struct quorate_cancel *cancel,
                                          struct quorate_statement **out_statement,
                                          struct quorate_error **out_error);

/**
 * Begins a transaction on the connection; `mode` is a `quorate_transaction_mode`. `cancel` may be NULL.
 *
 * The functions of the connection run in the transaction as well, until it is committed or rolled back.
 * `QUORATE_STATUS_MISUSE`: one is open already. The outcome of an error is as with `quorate_pool_begin`.
 */
quorate_status quorate_connection_begin(const struct quorate_connection *connection,
                                        int32_t mode,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        struct quorate_transaction **out_transaction,
                                        struct quorate_error **out_error);

/**
 * Asks the server for an answer. `cancel` may be NULL.
 */
quorate_status quorate_connection_ping(const struct quorate_connection *connection,
                                       int64_t timeout_ms,
                                       const struct quorate_cancel *cancel,
                                       struct quorate_error **out_error);

/**
 * Gives the handle that cancels, from any thread, the call that runs on the connection at that moment, if
 * that call was given no handle of its own. Firing it while no call runs does nothing, and the next call is
 * not cancelled. The handle may outlive the connection; it has to be freed.
 */
quorate_status quorate_connection_cancel_handle(const struct quorate_connection *connection,
                                                struct quorate_cancel **out_cancel,
                                                struct quorate_error **out_error);

/**
 * Gives the address of the node that the connection goes to; empty while it goes to none, after a failure.
 */
quorate_status quorate_connection_node(const struct quorate_connection *connection,
                                       struct quorate_buffer **out_address,
                                       struct quorate_error **out_error);

/**
 * Whether a transaction is open on the connection, or was lost and waits to be rolled back.
 */
quorate_status quorate_connection_in_transaction(const struct quorate_connection *connection,
                                                 bool *out_open,
                                                 struct quorate_error **out_error);

/**
 * Gives the connection back to its pool, a transaction on it rolled back. Rows, results and a transaction of
 * it end. The handle stays valid, answers `QUORATE_STATUS_CLOSED` from now on, and has to be freed. Closing a
 * second time does nothing. Blocks for a second at most.
 */
quorate_status quorate_connection_close(const struct quorate_connection *connection,
                                        struct quorate_error **out_error);

/**
 * Whether the connection is still open. False for NULL, and while another thread uses it.
 */
bool quorate_connection_is_open(const struct quorate_connection *connection);

/**
 * Frees a handle. Rows, results and a transaction of the connection go on, and keep it. NULL is allowed.
 */
void quorate_connection_free(struct quorate_connection *connection);

/* =============
 * Sharding keys
 * =============
 *
 * The columns of a Picodata table by which its rows are spread over the instances: a key tells the bucket of a row,
 * and gives a connection to the instance that has it. A statement that runs there needs no hop inside of the
 * cluster; any other instance runs it as well. So a key that is out of date costs time and is never an error.
 *
 * A key describes the table as it was when the key was asked for. It keeps its pool open, and any thread may use it.
 */

/**
 * Gives the sharding key of a table of Picodata, whose name is as the table `_pico_table` has it. `cancel` may be
 * NULL.
 *
 * What is known of the table is given at once; otherwise it is read, over a connection of the pool.
 *
 * `QUORATE_STATUS_UNSUPPORTED`: the table is global; the database is dqlite or plain PostgreSQL; the server is older
 * than 25.5.1 and the user may not read `_pico_tier` either. `QUORATE_STATUS_DATABASE`: there is no such table.
 */
quorate_status quorate_pool_sharding_key(const struct quorate_pool *pool,
                                         const char *table,
                                         size_t table_len,
                                         int64_t timeout_ms,
                                         const struct quorate_cancel *cancel,
                                         struct quorate_sharding_key **out_key,
                                         struct quorate_error **out_error);

/**
 * The name of the table, with a NUL behind it, valid as long as `key`. `out_len` is its length and may be NULL.
 * NULL for NULL.
 */
const char *quorate_sharding_key_table(const struct quorate_sharding_key *key,
                                       size_t *out_len);

/**
 * The tier that the table's buckets are in, as `quorate_sharding_key_table` gives the table. `out_len` may be NULL.
 * NULL for NULL.
 */
const char *quorate_sharding_key_tier(const struct quorate_sharding_key *key,
                                      size_t *out_len);

/**
 * How many columns the key has. 0 for NULL.
 */
size_t quorate_sharding_key_columns(const struct quorate_sharding_key *key);

/**
 * The name of a column, counted from 0 in the order in which values are given by position, with a NUL behind it,
 * valid as long as `key`. `out_len` is its length and may be NULL. NULL where there is no such column.
 */
const char *quorate_sharding_key_column_name(const struct quorate_sharding_key *key,
                                             size_t column,
                                             size_t *out_len);

/**
 * Gives the bucket, from 1 to the number of buckets of the tier, of a row with these values in the columns of the
 * key, by position or by name. Never blocks. `params` may be NULL where `params_len` is 0.
 *
 * A value has to be of the column's type, except that an integer may stand for a double or a decimal.
 * `QUORATE_STATUS_MISUSE`: a column was given no value, or two, or there is no such column.
 * `QUORATE_STATUS_CONVERSION`: a value is of another type than its column. Both name the column.
 */
quorate_status quorate_sharding_key_bucket(const struct quorate_sharding_key *key,
                                           const struct quorate_value *params,
                                           size_t params_len,
                                           uint64_t *out_bucket,
                                           struct quorate_error **out_error);

/**
 * Takes a connection out of the pool, to the master of the bucket of a row with these values in the columns of the
 * key; where that is not known or cannot be had, to any instance. As `quorate_pool_acquire` otherwise. `params` may
 * be NULL where `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_sharding_key_acquire(const struct quorate_sharding_key *key,
                                            const struct quorate_value *params,
                                            size_t params_len,
                                            int64_t timeout_ms,
                                            const struct quorate_cancel *cancel,
                                            struct quorate_connection **out_connection,
                                            struct quorate_error **out_error);

/**
 * Makes another handle on the same key.
 */
quorate_status quorate_sharding_key_clone(const struct quorate_sharding_key *key,
                                          struct quorate_sharding_key **out_key,
                                          struct quorate_error **out_error);

/**
 * Frees a key. Connections that were taken out by it go on. NULL is allowed.
 */
void quorate_sharding_key_free(struct quorate_sharding_key *key);

/* ============
 * Transactions
 * ============
 *
 * A transaction is begun on a connection (`quorate_connection_begin`) or on a pool (`quorate_pool_begin`),
 * and rolled back when it is freed without a commit. When its connection breaks or the leader changes, the
 * transaction is lost: nothing of it was applied, its statements fail with `QUORATE_STATUS_DISCONNECTED`, and
 * a new one has to be begun.
 *
 * Nothing of a transaction is applied before its commit, whatever the outcome of a statement in it. So after an error
 * of a reason that passes (`QUORATE_STATUS_BUSY`, `_NOT_LEADER`, `_DISCONNECTED`, `_TIMEOUT`) a transaction can be
 * freed and run again from its begin, unless it is the commit that failed with `QUORATE_OUTCOME_UNKNOWN`. (SQL that
 * ends a transaction by itself, such as dqlite's `INSERT OR ROLLBACK`, is the exception: the commit then answers an
 * error with that outcome.)
 */

/**
 * Runs statements that answer no rows in the transaction; see `quorate_pool_exec`.
 *
 * Rows and results that are being read on the connection end. `params` may be NULL where `params_len` is 0;
 * `cancel` and `out_result` may be NULL.
 */
quorate_status quorate_transaction_exec(const struct quorate_transaction *transaction,
                                        const char *sql,
                                        size_t sql_len,
                                        const struct quorate_value *params,
                                        size_t params_len,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        struct quorate_result *out_result,
                                        struct quorate_error **out_error);

/**
 * Runs one statement and gives its rows in the transaction; see `quorate_pool_query`.
 *
 * The rows are valid until the connection is used for something else. `params` may be NULL where
 * `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_transaction_query(const struct quorate_transaction *transaction,
                                         const char *sql,
                                         size_t sql_len,
                                         const struct quorate_value *params,
                                         size_t params_len,
                                         int64_t timeout_ms,
                                         const struct quorate_cancel *cancel,
                                         struct quorate_rows **out_rows,
                                         struct quorate_error **out_error);

/**
 * Sends all statements of a batch at once in the transaction; see `quorate_pool_send_batch`.
 *
 * The results are valid until the connection is used for something else. `cancel` may be NULL.
 */
quorate_status quorate_transaction_send_batch(const struct quorate_transaction *transaction,
                                              const struct quorate_batch *batch,
                                              int64_t timeout_ms,
                                              const struct quorate_cancel *cancel,
                                              struct quorate_results **out_results,
                                              struct quorate_error **out_error);

/**
 * Commits. The transaction ends, whatever the answer; it has to be freed. `cancel` may be NULL.
 *
 * With the outcome not sent or rejected nothing was applied. With `QUORATE_OUTCOME_UNKNOWN` (the connection
 * broke, the timeout passed, leadership was lost) everything may have been, or nothing.
 */
quorate_status quorate_transaction_commit(const struct quorate_transaction *transaction,
                                          int64_t timeout_ms,
                                          const struct quorate_cancel *cancel,
                                          struct quorate_error **out_error);

/**
 * Rolls back. The transaction ends, and what it did is undone, whatever the answer: a connection that does
 * not answer is closed, and the server then rolls back. `cancel` may be NULL.
 */
quorate_status quorate_transaction_rollback(const struct quorate_transaction *transaction,
                                            int64_t timeout_ms,
                                            const struct quorate_cancel *cancel,
                                            struct quorate_error **out_error);

/**
 * Sets a savepoint: a part of the transaction that can be undone alone. Savepoints nest. `cancel` may be
 * NULL.
 */
quorate_status quorate_transaction_savepoint(const struct quorate_transaction *transaction,
                                             int64_t timeout_ms,
                                             const struct quorate_cancel *cancel,
                                             struct quorate_error **out_error);

/**
 * Keeps what was done since the last savepoint, as part of what is around it, and forgets the savepoint.
 * `cancel` may be NULL. `QUORATE_STATUS_MISUSE`: none is set.
 */
quorate_status quorate_transaction_release(const struct quorate_transaction *transaction,
                                           int64_t timeout_ms,
                                           const struct quorate_cancel *cancel,
                                           struct quorate_error **out_error);

/**
 * Undoes what was done since the last savepoint, and forgets the savepoint. Where that fails the whole
 * transaction is lost. `cancel` may be NULL. `QUORATE_STATUS_MISUSE`: none is set.
 */
quorate_status quorate_transaction_undo(const struct quorate_transaction *transaction,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        struct quorate_error **out_error);

/**
 * Gives a handle on the connection of the transaction, for what only a connection can do. It is the same
 * connection: statements on it run in the transaction. The handle has to be freed.
 */
quorate_status quorate_transaction_connection(const struct quorate_transaction *transaction,
                                              struct quorate_connection **out_connection,
                                              struct quorate_error **out_error);

/**
 * Frees a transaction, and rolls it back if it was not committed. Blocks for a second at most. NULL is
 * allowed.
 */
void quorate_transaction_free(struct quorate_transaction *transaction);

/* ===================
 * Prepared statements
 * ===================
 *
 * A prepared statement is a text that a server has accepted, not a handle on the server: it may be run on any
 * connection of any pool, and freeing it costs nothing there. Any thread may use one.
 */

/**
 * The text, valid as long as the statement, with a NUL behind it. `out_len` may be NULL. NULL for NULL.
 */
const char *quorate_statement_sql(const struct quorate_statement *statement,
                                  size_t *out_len);

/**
 * How many parameters the server has counted. 0 for NULL.
 */
size_t quorate_statement_parameters(const struct quorate_statement *statement);

/**
 * Runs the statement on a connection, without giving its rows, if any; see `quorate_connection_exec`.
 * `params` may be NULL where `params_len` is 0; `cancel` and `out_result` may be NULL.
 */
quorate_status quorate_statement_exec(const struct quorate_statement *statement,
                                      const struct quorate_connection *connection,
                                      const struct quorate_value *params,
                                      size_t params_len,
                                      int64_t timeout_ms,
                                      const struct quorate_cancel *cancel,
                                      struct quorate_result *out_result,
                                      struct quorate_error **out_error);

/**
 * Runs the statement on a connection and gives its rows; see `quorate_connection_query`. `params` may be
 * NULL where `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_statement_query(const struct quorate_statement *statement,
                                       const struct quorate_connection *connection,
                                       const struct quorate_value *params,
                                       size_t params_len,
                                       int64_t timeout_ms,
                                       const struct quorate_cancel *cancel,
                                       struct quorate_rows **out_rows,
                                       struct quorate_error **out_error);

/**
 * Makes another handle on the same statement.
 */
quorate_status quorate_statement_clone(const struct quorate_statement *statement,
                                       struct quorate_statement **out_statement,
                                       struct quorate_error **out_error);

/**
 * Frees a statement. NULL is allowed.
 */
void quorate_statement_free(struct quorate_statement *statement);

/* ==========
 * Parameters
 * ==========
 *
 * Every function that runs a statement takes an array of `quorate_value`: one for each parameter of the
 * statement. An array may be filled by hand, or by a builder, which copies what it is given and gives the
 * array with `quorate_params_values`. A builder can be cleared and filled again. Its functions take the name
 * of the parameter, or NULL for the next one by position; a name that was added before is bound anew.
 */

/**
 * Makes an empty builder.
 */
quorate_status quorate_params_new(struct quorate_params **out_params,
                                  struct quorate_error **out_error);

/**
 * Adds NULL. `name` may be NULL.
 */
quorate_status quorate_params_add_null(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       struct quorate_error **out_error);

/**
 * Adds a truth value. `name` may be NULL.
 */
quorate_status quorate_params_add_bool(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       bool value,
                                       struct quorate_error **out_error);

/**
 * Adds an integer. `name` may be NULL.
 */
quorate_status quorate_params_add_int64(const struct quorate_params *params,
                                        const char *name,
                                        size_t name_len,
                                        int64_t value,
                                        struct quorate_error **out_error);

/**
 * Adds a floating-point number. `name` may be NULL.
 */
quorate_status quorate_params_add_double(const struct quorate_params *params,
                                         const char *name,
                                         size_t name_len,
                                         double value,
                                         struct quorate_error **out_error);

/**
 * Adds a UTF-8 text. `name` may be NULL.
 */
quorate_status quorate_params_add_text(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       const char *value,
                                       size_t value_len,
                                       struct quorate_error **out_error);

/**
 * Adds bytes. `value` may be NULL where `value_len` is 0. `name` may be NULL.
 */
quorate_status quorate_params_add_blob(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       const uint8_t *value,
                                       size_t value_len,
                                       struct quorate_error **out_error);

/**
 * Adds a point in time. `name` may be NULL.
 */
quorate_status quorate_params_add_timestamp(const struct quorate_params *params,
                                            const char *name,
                                            size_t name_len,
                                            struct quorate_timestamp value,
                                            struct quorate_error **out_error);

/**
 * Adds a calendar day, as days from 1970-01-01. `name` may be NULL.
 */
quorate_status quorate_params_add_date(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       int64_t days,
                                       struct quorate_error **out_error);

/**
 * Adds a UUID of 16 bytes. `name` may be NULL.
 */
quorate_status quorate_params_add_uuid(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       const uint8_t *value,
                                       struct quorate_error **out_error);

/**
 * Adds a decimal number in its text form. `name` may be NULL.
 */
quorate_status quorate_params_add_decimal(const struct quorate_params *params,
                                          const char *name,
                                          size_t name_len,
                                          const char *value,
                                          size_t value_len,
                                          struct quorate_error **out_error);

/**
 * Adds a JSON document in its text form. `name` may be NULL.
 */
quorate_status quorate_params_add_json(const struct quorate_params *params,
                                       const char *name,
                                       size_t name_len,
                                       const char *value,
                                       size_t value_len,
                                       struct quorate_error **out_error);

/**
 * The array for the functions that run a statement, valid until the builder is changed or freed. `out_len` is
 * its length, and may be NULL. NULL for NULL.
 */
const struct quorate_value *quorate_params_values(const struct quorate_params *params,
                                                  size_t *out_len);

/**
 * Takes all parameters out.
 */
quorate_status quorate_params_clear(const struct quorate_params *params,
                                    struct quorate_error **out_error);

/**
 * Frees a builder. NULL is allowed.
 */
void quorate_params_free(struct quorate_params *params);

/* ====
 * Rows
 * ====
 *
 * The answer to a query, as it arrives: never more than one message of the server is in memory. Rows are read
 * one at a time (`quorate_rows_next` and `quorate_rows_get_…`), in bulk (`quorate_rows_fetch_columns`,
 * `quorate_rows_fetch_values`) or as an Arrow stream; the ways may be mixed.
 *
 * Columns count from 0. Texts and bytes of a row are pointers into the receive buffer, without a NUL behind
 * them: they are valid until the next call that uses the rows or their connection, reading another column of
 * the same row excepted. Reading a column as a type that does not fit, and reading NULL as anything, answers
 * `QUORATE_STATUS_CONVERSION`, and the row stays.
 *
 * Rows use their connection, so one thread at a time uses them. They end, and answer
 * `QUORATE_STATUS_MISUSE`, when the connection is used for something else. Freeing them early tells the
 * server to stop. dqlite sends all of them nevertheless, so what is left is read past, for a second at most, and
 * where that is not enough the connection is given up; a transaction on it is then lost. So ask for no more rows
 * in a transaction than you read.
 *
 * The rows of a statement that writes (`INSERT … RETURNING`) may come before the write is replicated: it is
 * acknowledged when `quorate_rows_next` has answered that there are no more, or `quorate_rows_close` success.
 */

/**
 * How many columns there are. 0 for a statement that answers no rows, and for NULL.
 */
size_t quorate_rows_columns(const struct quorate_rows *rows);

/**
 * What a statement that answers no rows has done; zeros for one that answers rows. Makes no round trip. So a
 * caller need not know beforehand whether a statement answers rows.
 */
quorate_status quorate_rows_result(const struct quorate_rows *rows,
                                   struct quorate_result *out_result,
                                   struct quorate_error **out_error);

/**
 * The name of a column, with a NUL behind it, valid as long as `rows`. `out_len` is its length and may be NULL.
 * NULL where there is no such column.
 */
const char *quorate_rows_column_name(const struct quorate_rows *rows,
                                     size_t column,
                                     size_t *out_len);

/**
 * Finds the first column called `name`; upper and lower case are the same if no name is equal to the letter.
 * `QUORATE_STATUS_CONVERSION`: there is none.
 */
quorate_status quorate_rows_column_index(const struct quorate_rows *rows,
                                         const char *name,
                                         size_t name_len,
                                         size_t *out_column,
                                         struct quorate_error **out_error);

/**
 * The type of the values of a column, where the server says it before there are any: PostgreSQL and Picodata do, and
 * `QUORATE_TYPE_NULL` stands for what is not known, as with dqlite, where each value has a type of its own; see
 * `quorate_rows_get_type`. A timestamp or a date of PostgreSQL's that is infinite comes as text all the same.
 */
quorate_status quorate_rows_column_type(const struct quorate_rows *rows,
                                        size_t column,
                                        quorate_type *out_type,
                                        struct quorate_error **out_error);

/**
 * Goes to the next row, and says in `out_row` whether there is one. Blocks until it is there.
 *
 * After an error there are no more rows.
 */
quorate_status quorate_rows_next(const struct quorate_rows *rows,
                                 bool *out_row,
                                 struct quorate_error **out_error);

/**
 * The type that a column has in the current row. SQLite gives each value a type of its own, so it may differ
 * from row to row.
 */
quorate_status quorate_rows_get_type(const struct quorate_rows *rows,
                                     size_t column,
                                     quorate_type *out_type,
                                     struct quorate_error **out_error);

/**
 * What the server calls the type that a column has in the current row: with dqlite `INTEGER`, `FLOAT`, `TEXT`,
 * `BLOB`, `NULL`, `TIME` or `BOOL`; with Picodata also `TIMESTAMP`, `DATE`, `UUID`, `DECIMAL` and `JSON`. The text stays
 * valid and ends with a NUL. `out_len` is its length.
 */
quorate_status quorate_rows_get_type_name(const struct quorate_rows *rows,
                                          size_t column,
                                          const char **out_text,
                                          size_t *out_len,
                                          struct quorate_error **out_error);

/**
 * Any column, with its type. Texts and bytes are pointers, valid as those of the other functions.
 */
quorate_status quorate_rows_get_value(const struct quorate_rows *rows,
                                      size_t column,
                                      struct quorate_value *out_value,
                                      struct quorate_error **out_error);

/**
 * Whether a column is NULL. With dqlite, NULL in a column declared BOOLEAN arrives as false.
 */
quorate_status quorate_rows_is_null(const struct quorate_rows *rows,
                                    size_t column,
                                    bool *out_null,
                                    struct quorate_error **out_error);

/**
 * A truth value, or an integer that is 0 or 1.
 */
quorate_status quorate_rows_get_bool(const struct quorate_rows *rows,
                                     size_t column,
                                     bool *out_value,
                                     struct quorate_error **out_error);

/**
 * An integer, or a truth value as 0 or 1.
 */
quorate_status quorate_rows_get_int64(const struct quorate_rows *rows,
                                      size_t column,
                                      int64_t *out_value,
                                      struct quorate_error **out_error);

/**
 * A floating-point number, or an integer that one holds exactly.
 */
quorate_status quorate_rows_get_double(const struct quorate_rows *rows,
                                       size_t column,
                                       double *out_value,
                                       struct quorate_error **out_error);

/**
 * A text. `QUORATE_STATUS_CONVERSION` where it is not UTF-8; `quorate_rows_get_blob` reads such a text.
 */
quorate_status quorate_rows_get_text(const struct quorate_rows *rows,
                                     size_t column,
                                     const char **out_text,
                                     size_t *out_len,
                                     struct quorate_error **out_error);

/**
 * The bytes of a blob, or of a text as they were sent.
 */
quorate_status quorate_rows_get_blob(const struct quorate_rows *rows,
                                     size_t column,
                                     const char **out_bytes,
                                     size_t *out_len,
                                     struct quorate_error **out_error);

/**
 * A point in time, or a text that is one.
 */
quorate_status quorate_rows_get_timestamp(const struct quorate_rows *rows,
                                          size_t column,
                                          struct quorate_timestamp *out_value,
                                          struct quorate_error **out_error);

/**
 * A calendar day as days from 1970-01-01; also a point in time, or a text that is one, at midnight.
 */
quorate_status quorate_rows_get_date(const struct quorate_rows *rows,
                                     size_t column,
                                     int64_t *out_value,
                                     struct quorate_error **out_error);

/**
 * A UUID, or a text or 16 bytes that are one. `out_bytes` has room for 16 bytes.
 */
quorate_status quorate_rows_get_uuid(const struct quorate_rows *rows,
                                     size_t column,
                                     uint8_t *out_bytes,
                                     struct quorate_error **out_error);

/**
 * A decimal number in its text form, or a text.
 */
quorate_status quorate_rows_get_decimal(const struct quorate_rows *rows,
                                        size_t column,
                                        const char **out_text,
                                        size_t *out_len,
                                        struct quorate_error **out_error);

/**
 * A JSON document in its text form, or a text.
 */
quorate_status quorate_rows_get_json(const struct quorate_rows *rows,
                                     size_t column,
                                     const char **out_text,
                                     size_t *out_len,
                                     struct quorate_error **out_error);

/**
 * Ends the reading, whether all rows were read or not, and says what the server says about it, which matters
 * for a statement that writes. The handle has to be freed. Closing a second time does nothing.
 */
quorate_status quorate_rows_close(const struct quorate_rows *rows,
                                  struct quorate_error **out_error);

/**
 * Frees rows, and ends their reading. Blocks for a second at most. NULL is allowed.
 */
void quorate_rows_free(struct quorate_rows *rows);

/* ============
 * Rows in bulk
 * ============
 *
 * Many rows in one call, into memory of the caller's: by column, each with one type
 * (`quorate_rows_fetch_columns`), or as values, each with a type of its own (`quorate_rows_fetch_values`).
 *
 * A call reads up to `max_rows` rows. It gives fewer where the rows end (`out_done`), where a buffer for bytes
 * is full, and before a row that cannot be given: that row is kept, and the next call begins with it. So no
 * row is lost, and rows before a failure are delivered before it. Where not even one row fits,
 * `QUORATE_STATUS_BUFFER_TOO_SMALL` says so, and `bytes_needed` how much that row needs. A row that was kept
 * can be passed over, or read by column, after `quorate_rows_next`. One timeout covers the whole call.
 */

/**
 * Reads up to `max_rows` rows into `columns`, of which there are `columns_len`, one for each column of the
 * rows. `out_rows` is how many were read, `out_done` whether they were the last.
 */
quorate_status quorate_rows_fetch_columns(const struct quorate_rows *rows,
                                          size_t max_rows,
                                          struct quorate_column *columns,
                                          size_t columns_len,
                                          size_t *out_rows,
                                          bool *out_done,
                                          struct quorate_error **out_error);

/**
 * Reads up to `max_rows` rows as values, each with a type of its own, into `buffer`. A text that is not UTF-8
 * is given as a blob. `out_rows` is how many rows were read, `out_done` whether they were the last.
 */
quorate_status quorate_rows_fetch_values(const struct quorate_rows *rows,
                                         size_t max_rows,
                                         struct quorate_value_buffer *buffer,
                                         size_t *out_rows,
                                         bool *out_done,
                                         struct quorate_error **out_error);

/**
 * Runs one statement and puts its first row into `buffer`, which has room for `values_len` values: a query of one
 * row in one call. Further rows are dropped. `out_columns` is how many values were put. `params` may be NULL
 * where `params_len` is 0; `cancel` may be NULL.
 *
 * `QUORATE_STATUS_NO_ROWS`: there is none. `QUORATE_STATUS_BUFFER_TOO_SMALL`: the statement was run, and
 * `bytes_needed` says how much room its row needs. `QUORATE_STATUS_MISUSE`: the statement was run, and its row has more
 * columns than `values_len`.
 */
quorate_status quorate_pool_query_row(const struct quorate_pool *pool,
                                      const char *sql,
                                      size_t sql_len,
                                      const struct quorate_value *params,
                                      size_t params_len,
                                      int64_t timeout_ms,
                                      const struct quorate_cancel *cancel,
                                      struct quorate_value_buffer *buffer,
                                      size_t values_len,
                                      size_t *out_columns,
                                      struct quorate_error **out_error);

/**
 * As `quorate_pool_query_row`, on a connection. Rows and results that are being read on it end.
 * `params` may be NULL where `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_connection_query_row(const struct quorate_connection *connection,
                                            const char *sql,
                                            size_t sql_len,
                                            const struct quorate_value *params,
                                            size_t params_len,
                                            int64_t timeout_ms,
                                            const struct quorate_cancel *cancel,
                                            struct quorate_value_buffer *buffer,
                                            size_t values_len,
                                            size_t *out_columns,
                                            struct quorate_error **out_error);

/**
 * As `quorate_pool_query_row`, in a transaction. Rows and results that are being read on its connection end.
 * `params` may be NULL where `params_len` is 0; `cancel` may be NULL.
 */
quorate_status quorate_transaction_query_row(const struct quorate_transaction *transaction,
                                             const char *sql,
                                             size_t sql_len,
                                             const struct quorate_value *params,
                                             size_t params_len,
                                             int64_t timeout_ms,
                                             const struct quorate_cancel *cancel,
                                             struct quorate_value_buffer *buffer,
                                             size_t values_len,
                                             size_t *out_columns,
                                             struct quorate_error **out_error);

/* =======================
 * Rows as an Arrow stream
 * =======================
 *
 * The rows as record batches, through the Arrow C stream interface
 * (<https://arrow.apache.org/docs/format/CStreamInterface.html>), which pyarrow, pandas, polars and others
 * import without copying cell by cell.
 */

/**
 * Gives the rows from here on to `out_stream`, a structure of the caller's, whose `release` is then to be
 * called. The stream takes the rows over: `rows` can only be freed afterwards, at once if one likes. It is
 * used by one thread at a time, like the rows.
 *
 * A batch has up to `batch_rows` rows; 0 is 4096. `types` says what each column is read as, a `quorate_type`
 * for each, `QUORATE_TYPE_NULL` where the library is to choose; it may be NULL where `types_len` is 0, and the
 * library then chooses all. It chooses by the values of the first batch: a column whose values are all of one
 * type has that type; int64 and double together are double where that loses nothing; blob and text together
 * are blob; any other mixture is text. A column without values has the type that the server says it has
 * (`quorate_rows_column_type`), and is text where that is not known. The Arrow types are bool, int64, float64,
 * large_utf8 (for text, decimal and json), large_binary, timestamp in microseconds UTC (rounded down), date32
 * and fixed_size_binary(16) for uuid.
 *
 * Any value but a blob can be given as text. A value that its column's type cannot hold, in a later batch
 * perhaps, ends the stream with an error that names its row and column; declare the type then.
 */
quorate_status quorate_rows_export_arrow(const struct quorate_rows *rows,
                                         size_t batch_rows,
                                         const int32_t *types,
                                         size_t types_len,
                                         struct ArrowArrayStream *out_stream,
                                         struct quorate_error **out_error);

/* =======
 * Batches
 * =======
 *
 * Statements that are sent together, in one round trip, and their results in the same order.
 */

/**
 * Makes an empty batch.
 */
quorate_status quorate_batch_new(struct quorate_batch **out_batch,
                                 struct quorate_error **out_error);

/**
 * Puts a statement at the end. Its text and parameters are copied. `params` may be NULL where `params_len` is
 * 0. A fault in the text shows when the batch is sent.
 */
quorate_status quorate_batch_queue(const struct quorate_batch *batch,
                                   const char *sql,
                                   size_t sql_len,
                                   const struct quorate_value *params,
                                   size_t params_len,
                                   struct quorate_error **out_error);

/**
 * How many statements are queued. 0 for NULL.
 */
size_t quorate_batch_len(const struct quorate_batch *batch);

/**
 * Takes all statements out, so that the batch can be filled again.
 */
quorate_status quorate_batch_clear(const struct quorate_batch *batch,
                                   struct quorate_error **out_error);

/**
 * Frees a batch; results of it go on. NULL is allowed.
 */
void quorate_batch_free(struct quorate_batch *batch);

/**
 * How many results have not been asked for. 0 for NULL, and once the results have ended.
 */
size_t quorate_results_left(const struct quorate_results *results);

/**
 * Gives the counts of the next statement; its rows, if it has any, are dropped. `out_result` may be NULL.
 * `QUORATE_STATUS_MISUSE`: no result is left.
 */
quorate_status quorate_results_exec(const struct quorate_results *results,
                                    struct quorate_result *out_result,
                                    struct quorate_error **out_error);

/**
 * Gives the rows of the next statement; they are valid until the next result is asked for. A statement
 * without rows gives none. `QUORATE_STATUS_MISUSE`: no result is left.
 */
quorate_status quorate_results_query(const struct quorate_results *results,
                                     struct quorate_rows **out_rows,
                                     struct quorate_error **out_error);

/**
 * Reads the results that are left, and answers the first error among them. The handle has to be freed.
 */
quorate_status quorate_results_close(const struct quorate_results *results,
                                     struct quorate_error **out_error);

/**
 * Frees results, and reads past those that are left. Blocks for a second at most. NULL is allowed.
 */
void quorate_results_free(struct quorate_results *results);

/* ==============
 * Cancel handles
 * ==============
 *
 * A cancel handle ends calls from another thread. It is given to calls as their `cancel`; once it is fired it
 * stays so, and every call that carries it, running or yet to come, fails with
 * `QUORATE_STATUS_CANCELLED`, promptly, whatever the server does. Rows and results are under the handle that
 * their query or batch was given. Any thread may use a cancel handle at any time, also in a signal handler's
 * stead (not in the handler itself).
 */

/**
 * Makes a handle to be given to calls.
 */
quorate_status quorate_cancel_new(struct quorate_cancel **out_cancel,
                                  struct quorate_error **out_error);

/**
 * Makes a handle that asks `ask` whether to cancel, for programs whose signal handlers only leave a note. Once
 * the answer was true, the handle is fired and stays so. A call that is not kept waiting does not ask, and
 * costs no more than without a handle. `user_data` and `destroy` may be NULL.
 */
quorate_status quorate_cancel_new_interrupt(quorate_interrupt_fn ask,
                                            void *user_data,
                                            quorate_destroy_fn destroy,
                                            struct quorate_cancel **out_cancel,
                                            struct quorate_error **out_error);

/**
 * Makes another handle that stands for the same: firing one fires both.
 */
quorate_status quorate_cancel_clone(const struct quorate_cancel *cancel,
                                    struct quorate_cancel **out_cancel,
                                    struct quorate_error **out_error);

/**
 * Cancels. Never blocks, and may be called any number of times.
 */
quorate_status quorate_cancel_fire(const struct quorate_cancel *cancel,
                                   struct quorate_error **out_error);

/**
 * Whether the handle was fired. False for NULL.
 */
bool quorate_cancel_is_fired(const struct quorate_cancel *cancel);

/**
 * Frees a handle. Calls that were given it go on, and can then be cancelled only through a clone of it.
 * NULL is allowed.
 */
void quorate_cancel_free(struct quorate_cancel *cancel);

/* =======
 * Buffers
 * =======
 *
 * Where a function answers a text or bytes that nothing else holds, it gives a buffer, which the caller
 * frees. Any thread may read one.
 */

/**
 * The bytes, valid as long as the buffer, with a NUL behind them that `out_len` does not count. `out_len` may
 * be NULL. NULL for NULL.
 */
const char *quorate_buffer_data(const struct quorate_buffer *buffer,
                                size_t *out_len);

/**
 * Frees a buffer. NULL is allowed.
 */
void quorate_buffer_free(struct quorate_buffer *buffer);

/* ==============
 * Lists of nodes
 * ==============
 *
 * The nodes of a cluster, as its leader or a store describes them. One thread at a time changes a list.
 */

/**
 * Makes an empty list.
 */
quorate_status quorate_nodes_new(struct quorate_nodes **out_nodes,
                                 struct quorate_error **out_error);

/**
 * Puts a node at the end: its raft id, 0 where it is not known; its address, `host:port` or `@name`; its
 * `quorate_node_role`.
 */
quorate_status quorate_nodes_add(const struct quorate_nodes *nodes,
                                 uint64_t id,
                                 const char *address,
                                 size_t address_len,
                                 int32_t role,
                                 struct quorate_error **out_error);

/**
 * How many nodes there are. 0 for NULL.
 */
size_t quorate_nodes_len(const struct quorate_nodes *nodes);

/**
 * Gives the node `index`, counted from 0. The address ends with a NUL and is valid until the list is freed.
 * `QUORATE_STATUS_MISUSE`: there is no such node.
 */
quorate_status quorate_nodes_get(const struct quorate_nodes *nodes,
                                 size_t index,
                                 uint64_t *out_id,
                                 const char **out_address,
                                 size_t *out_address_len,
                                 quorate_node_role *out_role,
                                 struct quorate_error **out_error);

/**
 * Frees a list. NULL is allowed.
 */
void quorate_nodes_free(struct quorate_nodes *nodes);

/* ===========
 * Node stores
 * ===========
 *
 * Where a client keeps the addresses of a dqlite cluster between runs: in memory, in a file that go-dqlite's
 * programs share, or wherever the caller's own functions keep them. A store is given to a configuration
 * (`quorate_config_set_store`). Any thread may use one.
 */

/**
 * Makes a store in memory that begins with `nodes`, which are copied and may be NULL.
 */
quorate_status quorate_store_new(const struct quorate_nodes *nodes,
                                 struct quorate_store **out_store,
                                 struct quorate_error **out_error);

/**
 * Opens the store in the file at `path`: YAML if the name ends in `.yaml` or `.yml`, and an SQLite database
 * otherwise, which is made if it is missing.
 */
quorate_status quorate_store_open(const char *path,
                                  size_t path_len,
                                  struct quorate_store **out_store,
                                  struct quorate_error **out_error);

/**
 * Makes a store of the caller's functions. `user_data` and `destroy` may be NULL.
 */
quorate_status quorate_store_new_callbacks(quorate_store_get_fn get,
                                           quorate_store_set_fn set,
                                           void *user_data,
                                           quorate_destroy_fn destroy,
                                           struct quorate_store **out_store,
                                           struct quorate_error **out_error);

/**
 * Reads the nodes of a store. The list has to be freed.
 */
quorate_status quorate_store_get(const struct quorate_store *store,
                                 struct quorate_nodes **out_nodes,
                                 struct quorate_error **out_error);

/**
 * Replaces the nodes of a store. `QUORATE_STATUS_MISUSE`: the list is empty, or an address is.
 */
quorate_status quorate_store_set(const struct quorate_store *store,
                                 const struct quorate_nodes *nodes,
                                 struct quorate_error **out_error);

/**
 * Makes another handle on the same store.
 */
quorate_status quorate_store_clone(const struct quorate_store *store,
                                   struct quorate_store **out_store,
                                   struct quorate_error **out_error);

/**
 * Frees a handle. Pools that were given the store keep it. NULL is allowed.
 */
void quorate_store_free(struct quorate_store *store);

/* ========
 * Clusters
 * ========
 *
 * Administration of a dqlite cluster: its leader, its nodes, their roles, copies of its databases. Each call
 * finds the leader, as a pool does, and uses a connection of its own. A change that the cluster refused
 * because the node that was asked does not lead is repeated on the leader; one whose outcome is unknown is
 * not. Any thread may use a client.
 */

/**
 * Makes a client from a configuration, which is copied. Nothing is dialled yet. `QUORATE_STATUS_UNSUPPORTED`: the
 * configuration is one of Picodata's.
 */
quorate_status quorate_cluster_new(const struct quorate_config *config,
                                   struct quorate_cluster **out_cluster,
                                   struct quorate_error **out_error);

/**
 * Gives the address of the leader. `cancel` may be NULL. `QUORATE_STATUS_NO_LEADER`: the error has what each
 * node answered.
 */
quorate_status quorate_cluster_leader(const struct quorate_cluster *cluster,
                                      int64_t timeout_ms,
                                      const struct quorate_cancel *cancel,
                                      struct quorate_buffer **out_address,
                                      struct quorate_error **out_error);

/**
 * Gives the nodes of the cluster, as the leader lists them. `cancel` may be NULL.
 */
quorate_status quorate_cluster_nodes(const struct quorate_cluster *cluster,
                                     int64_t timeout_ms,
                                     const struct quorate_cancel *cancel,
                                     struct quorate_nodes **out_nodes,
                                     struct quorate_error **out_error);

/**
 * Adds a node, as a spare: it holds no data until it is given another role. `cancel` may be NULL.
 */
quorate_status quorate_cluster_add(const struct quorate_cluster *cluster,
                                   uint64_t id,
                                   const char *address,
                                   size_t address_len,
                                   int64_t timeout_ms,
                                   const struct quorate_cancel *cancel,
                                   struct quorate_error **out_error);

/**
 * Gives a node a role, a `quorate_node_role`. Making a node a voter waits until it has caught up. `cancel` may
 * be NULL.
 */
quorate_status quorate_cluster_assign(const struct quorate_cluster *cluster,
                                      uint64_t id,
                                      int32_t role,
                                      int64_t timeout_ms,
                                      const struct quorate_cancel *cancel,
                                      struct quorate_error **out_error);

/**
 * Removes a node. The node itself is not told; it should be stopped. `cancel` may be NULL.
 */
quorate_status quorate_cluster_remove(const struct quorate_cluster *cluster,
                                      uint64_t id,
                                      int64_t timeout_ms,
                                      const struct quorate_cancel *cancel,
                                      struct quorate_error **out_error);

/**
 * Passes the leadership to the voter `id`, or to any voter if it is 0. `cancel` may be NULL.
 */
quorate_status quorate_cluster_transfer(const struct quorate_cluster *cluster,
                                        uint64_t id,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        struct quorate_error **out_error);

/**
 * Asks the node at `address` for the number of its failure domain and for its weight when roles are given.
 * `cancel` may be NULL.
 */
quorate_status quorate_cluster_describe(const struct quorate_cluster *cluster,
                                        const char *address,
                                        size_t address_len,
                                        int64_t timeout_ms,
                                        const struct quorate_cancel *cancel,
                                        uint64_t *out_failure_domain,
                                        uint64_t *out_weight,
                                        struct quorate_error **out_error);

/**
 * Sets the weight of the node at `address`; lower ones are preferred when roles are given. `cancel` may be
 * NULL.
 */
quorate_status quorate_cluster_set_weight(const struct quorate_cluster *cluster,
                                          const char *address,
                                          size_t address_len,
                                          uint64_t weight,
                                          int64_t timeout_ms,
                                          const struct quorate_cancel *cancel,
                                          struct quorate_error **out_error);

/**
 * Copies the database `name` into memory, as the leader has it. `cancel` may be NULL. The dump has to be freed.
 */
quorate_status quorate_cluster_dump(const struct quorate_cluster *cluster,
                                    const char *name,
                                    size_t name_len,
                                    int64_t timeout_ms,
                                    const struct quorate_cancel *cancel,
                                    struct quorate_dump **out_dump,
                                    struct quorate_error **out_error);

/**
 * Copies the database `name` into memory, as the node at `address` has it, whether it leads or not: a node that lags
 * behind has an older state. `cancel` may be NULL. The dump has to be freed.
 */
quorate_status quorate_cluster_dump_from(const struct quorate_cluster *cluster,
                                         const char *address,
                                         size_t address_len,
                                         const char *name,
                                         size_t name_len,
                                         int64_t timeout_ms,
                                         const struct quorate_cancel *cancel,
                                         struct quorate_dump **out_dump,
                                         struct quorate_error **out_error);

/**
 * How many files there are. 0 for NULL.
 */
size_t quorate_dump_len(const struct quorate_dump *dump);

/**
 * Gives the file `index`, counted from 0: its name, which ends with a NUL, and its content. Both are valid as
 * long as the dump. `QUORATE_STATUS_MISUSE`: there is no such file.
 */
quorate_status quorate_dump_get(const struct quorate_dump *dump,
                                size_t index,
                                const char **out_name,
                                size_t *out_name_len,
                                const char **out_data,
                                size_t *out_data_len,
                                struct quorate_error **out_error);

/**
 * Frees a dump. NULL is allowed.
 */
void quorate_dump_free(struct quorate_dump *dump);

/**
 * Frees a client. NULL is allowed.
 */
void quorate_cluster_free(struct quorate_cluster *cluster);

/* =====
 * Nodes
 * =====
 *
 * A dqlite server inside of this process: libdqlite's node, opened at run time (`libdqlite.so.0`, or the file
 * that the environment variable `QUORATE_LIBDQLITE` or the option `library` names), so a program that is only
 * a client needs none. A node is described (`quorate_node_config`) and then started. Its threads run with all
 * signals blocked, faults excepted. Any thread may use a node.
 */

/**
 * Describes the node `id`, which others reach at `address` (`host:port`, or `@name` for an abstract Unix
 * socket inside of this process) and which keeps its data in `directory`, made where it is missing.
 *
 * A node has to be given the same id, and a directory its own node, at every start. The id 1 begins a
 * cluster; `quorate_node_generate_id` makes one for a node that joins.
 */
quorate_status quorate_node_config_new(uint64_t id,
                                       const char *address,
                                       size_t address_len,
                                       const char *directory,
                                       size_t directory_len,
                                       struct quorate_node_config **out_config,
                                       struct quorate_error **out_error);

/**
 * Sets an option by its name. Durations are written as `500ms` or, as a number alone, in seconds; truth
 * values as `true` and `false`. An option that only newer versions of libdqlite know makes the start answer
 * `QUORATE_STATUS_UNSUPPORTED` where the library is older.
 *
 * - `bind_address`: where the node listens, if not at its address
 * - `failure_domain`: the number of the failure domain that it reports of itself
 * - `network_latency`: the average one-way latency to the other nodes, 1ms to 1h
 * - `snapshot_params`: the log entries between two snapshots and those kept after one, as `1024,8192`
 * - `dynamic_trailing`: keep fewer entries where they take more room than the snapshot (libdqlite 1.18.2)
 * - `block_size`: the size in bytes of a block of the log (1.15.0)
 * - `role_management`: let the leader give and take roles (1.15.0)
 * - `target_voters`, `target_standbys`: the numbers that role management aims at (1.15.0)
 * - `auto_recovery`: whether damaged files may be removed at the start (1.16.0)
 * - `snapshot_compression`: whether snapshots are compressed (1.16.2)
 * - `pool_threads`: the number of threads for SQLite's work on disk (1.16.5)
 * - `busy_timeout`: how long a write waits for another's transaction (1.18.2)
 * - `library`: the file of libdqlite
 */
quorate_status quorate_node_config_set(const struct quorate_node_config *config,
                                       const char *option,
                                       size_t option_len,
                                       const char *value,
                                       size_t value_len,
                                       struct quorate_error **out_error);

/**
 * Frees a description; nodes that were started from it go on. NULL is allowed.
 */
void quorate_node_config_free(struct quorate_node_config *config);

/**
 * Starts a node. Blocks until it accepts connections, which includes the reading of its log, without a
 * timeout; starts in one process wait for each other.
 */
quorate_status quorate_node_start(const struct quorate_node_config *config,
                                  struct quorate_node **out_node,
                                  struct quorate_error **out_error);

/**
 * The id of a node. 0 for NULL.
 */
uint64_t quorate_node_id(const struct quorate_node *node);

/**
 * The address that clients and other nodes reach a node by, with a NUL behind it, valid as long as the node.
 * `out_len` may be NULL. NULL for NULL.
 */
const char *quorate_node_address(const struct quorate_node *node,
                                 size_t *out_len);

/**
 * The address that a node listens on, host names resolved, with a NUL behind it, valid as long as the node.
 * `out_len` may be NULL. NULL for NULL.
 */
const char *quorate_node_bind_address(const struct quorate_node *node,
                                      size_t *out_len);

/**
 * Hands a node's duties over before a stop: leadership to another voter, then its vote to another node.
 * Blocks without a timeout. `QUORATE_STATUS_UNSUPPORTED` before libdqlite 1.15.0; `QUORATE_STATUS_NODE`: not
 * everything could be handed over; the node may be stopped all the same.
 */
quorate_status quorate_node_handover(const struct quorate_node *node,
                                     struct quorate_error **out_error);

/**
 * Stops a node: it closes its connections, and its data is on disk when this returns. Blocks until requests
 * under way have ended, without a timeout. Stopping a second time does nothing. The handle has to be freed.
 */
quorate_status quorate_node_stop(const struct quorate_node *node,
                                 struct quorate_error **out_error);

/**
 * Frees a node, and stops it if it runs. NULL is allowed.
 */
void quorate_node_free(struct quorate_node *node);

/**
 * Makes a node id from an address and the clock: two calls answer two ids.
 */
quorate_status quorate_node_generate_id(const char *address,
                                        size_t address_len,
                                        uint64_t *out_id,
                                        struct quorate_error **out_error);

/**
 * The version of libdqlite as it states it: major × 1,000,000 + minor × 1,000 + release. Some releases state
 * an older one.
 */
quorate_status quorate_node_library_version(uint32_t *out_version,
                                            struct quorate_error **out_error);

/* =======
 * Version
 * =======
 *
 * The header's version is a set of macros, the library's is asked for: where they differ in the first number,
 * the program was compiled for another interface.
 */

/**
 * The version of the library at run time: major × 1,000,000 + minor × 1,000 + patch.
 */
uint32_t quorate_version(void);

/**
 * The version of the library at run time as a text such as `0.1.0`, which ends with a NUL and stays valid.
 */
const char *quorate_version_text(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* QUORATE_H */
