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
