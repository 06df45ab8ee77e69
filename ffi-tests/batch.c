/* Batches, statements, transactions with savepoints. */
#include "test.h"

int main(void)
{
    quorate_pool *pool = open_pool();
    quorate_batch *batch = NULL;
    quorate_results *results = NULL;
    quorate_result result;
    quorate_rows *rows = NULL;
    bool more;
    int64_t value;

    exec_sql(pool, "DROP TABLE IF EXISTS c_batch");
    exec_sql(pool, "CREATE TABLE c_batch (id INTEGER PRIMARY KEY, name TEXT)");
    OK(quorate_batch_new(&batch, &error));
    for (int i = 1; i <= 3; i++) {
        quorate_value params[2] = {quorate_make_int64(i), quorate_make_text("x", 1)};
        OK(quorate_batch_queue(batch, TEXT("INSERT INTO c_batch VALUES (?, ?)"), params, 2, &error));
    }
    OK(quorate_batch_queue(batch, TEXT("INSERT INTO c_batch VALUES (1, 'again')"), NULL, 0, &error));
    OK(quorate_batch_queue(batch, TEXT("SELECT id FROM c_batch ORDER BY id"), NULL, 0, &error));
    OK(quorate_batch_queue(batch, TEXT("SELECT count(*) FROM c_batch"), NULL, 0, &error));
    CHECK(quorate_batch_len(batch) == 6);
    OK(quorate_pool_send_batch(pool, batch, DEFAULT, &results, &error));
    for (int i = 1; i <= 3; i++) {
        OK(quorate_results_exec(results, &result, &error));
        CHECK(result.rows_affected == 1 && result.last_insert_id == EITHER(i, 0));
    }
    EXPECT(CONSTRAINT, quorate_results_exec(results, NULL, &error));
    CHECK(quorate_results_left(results) == 2);
    OK(quorate_results_query(results, &rows, &error));
    OK(quorate_rows_next(rows, &more, &error));
    OK(quorate_rows_get_int64(rows, 0, &value, &error));
    CHECK(more && value == 1);
    quorate_rows *next = NULL;
    OK(quorate_results_query(results, &next, &error));
    EXPECT(MISUSE, quorate_rows_next(rows, &more, &error));
    quorate_rows_free(rows);
    OK(quorate_rows_next(next, &more, &error));
    OK(quorate_rows_get_int64(next, 0, &value, &error));
    CHECK(value == 3);
    quorate_rows_free(next);
    EXPECT(MISUSE, quorate_results_exec(results, NULL, &error));
    OK(quorate_results_close(results, &error));
    quorate_results_free(results);

    /* Results that nobody reads, and a connection that moves on past them. */
    quorate_connection *connection = NULL;
    quorate_statement *statement = NULL, *clone = NULL;
    OK(quorate_pool_acquire(pool, DEFAULT, &connection, &error));
    OK(quorate_connection_send_batch(connection, batch, DEFAULT, &results, &error));
    OK(quorate_connection_prepare(connection, TEXT("SELECT name FROM c_batch WHERE id = ?"), DEFAULT, &statement, &error));
    EXPECT(MISUSE, quorate_results_exec(results, NULL, &error));
    CHECK(quorate_results_left(results) == 0);
    quorate_results_free(results);
    CHECK(quorate_statement_parameters(statement) == 1 && strlen(quorate_statement_sql(statement, NULL)) == 37);
    OK(quorate_statement_clone(statement, &clone, &error));
    quorate_statement_free(statement);
    quorate_value id = quorate_make_int64(2);
    OK(quorate_statement_query(clone, connection, &id, 1, DEFAULT, &rows, &error));
    OK(quorate_rows_next(rows, &more, &error));
    CHECK(more);
    OK(quorate_statement_exec(clone, connection, &id, 1, DEFAULT, &result, &error));
    EXPECT(MISUSE, quorate_statement_exec(clone, connection, NULL, 0, DEFAULT, &result, &error));
    quorate_rows_free(rows);
    quorate_statement_free(clone);
    EXPECT(DATABASE, quorate_connection_prepare(connection, TEXT("SELECT nothing FROM nowhere"), DEFAULT, &statement, &error));

    /* A savepoint is undone, the rest stays. */
    quorate_transaction *transaction = NULL;
    OK(quorate_connection_begin(connection, QUORATE_TRANSACTION_MODE_IMMEDIATE, DEFAULT, &transaction, &error));
    OK(quorate_transaction_exec(transaction, TEXT("INSERT INTO c_batch VALUES (10, 'a')"), NULL, 0, DEFAULT, NULL, &error));
    quorate_value seen[1];
    quorate_value_buffer buffer = {.values = seen};
    size_t width = 0;
    OK(quorate_transaction_query_row(transaction, TEXT("SELECT count(*) FROM c_batch WHERE id = 10"), NULL, 0, DEFAULT,
                                     &buffer, 1, &width, &error));
    CHECK(width == 1 && seen[0].kind == QUORATE_TYPE_INT64 && seen[0].data.integer == 1);
    OK(quorate_transaction_savepoint(transaction, DEFAULT, &error));
    OK(quorate_transaction_exec(transaction, TEXT("INSERT INTO c_batch VALUES (11, 'b')"), NULL, 0, DEFAULT, NULL, &error));
    OK(quorate_transaction_savepoint(transaction, DEFAULT, &error));
    OK(quorate_transaction_release(transaction, DEFAULT, &error));
    OK(quorate_transaction_undo(transaction, DEFAULT, &error));
    quorate_connection *same = NULL;
    OK(quorate_transaction_connection(transaction, &same, &error));
    OK(quorate_connection_exec(same, TEXT("INSERT INTO c_batch VALUES (12, 'c')"), NULL, 0, DEFAULT, NULL, &error));
    quorate_connection_free(same);
    OK(quorate_batch_clear(batch, &error));
    OK(quorate_batch_queue(batch, TEXT("INSERT INTO c_batch VALUES (13, 'd')"), NULL, 0, &error));
    OK(quorate_transaction_send_batch(transaction, batch, DEFAULT, &results, &error));
    OK(quorate_results_close(results, &error));
    quorate_results_free(results);
    OK(quorate_transaction_commit(transaction, DEFAULT, &error));
    EXPECT(MISUSE, quorate_transaction_query_row(transaction, TEXT("SELECT 1"), NULL, 0, DEFAULT, &buffer, 1, &width, &error));
    CHECK(width == 0);
    quorate_transaction_free(transaction);
    CHECK(one_int64(pool, "SELECT sum(id) FROM c_batch WHERE id >= 10") == 35);

    /* Freed without a commit: rolled back. */
    OK(quorate_pool_begin(pool, 0, DEFAULT, &transaction, &error));
    OK(quorate_transaction_exec(transaction, TEXT("DELETE FROM c_batch"), NULL, 0, DEFAULT, NULL, &error));
    quorate_transaction_free(transaction);
    CHECK(one_int64(pool, "SELECT count(*) FROM c_batch") == 6);

    quorate_batch_free(batch);
    quorate_connection_free(connection);
    exec_sql(pool, "DROP TABLE c_batch");
    quorate_pool_free(pool);
    return 0;
}
