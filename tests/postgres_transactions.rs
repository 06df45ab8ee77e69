//! Transactions on a real PostgreSQL that end by something else than their own commit: what did not happen is not said
//! to have, and what did happen is not done again.

mod common;

use common::database::assert_error;
use common::postgres::{Auth, PostgresCluster, PostgresOptions};
use quorate::{
    Batch, Connection, Error, ErrorKind, Outcome, Pool, Result, Transaction, TransactionMode,
};

const USER: &str = "app";
const MODE: TransactionMode = TransactionMode::Deferred;
const ROLLED_BACK: &str = "the server has rolled the transaction back";
const HAS_ENDED: &str = "the transaction has ended before";

/// A server with a table whose numbers are unique, `note`, one whose numbers are found to be so at COMMIT, `late`, and a
/// pool of one connection.
fn start() -> (PostgresCluster, Pool) {
    let cluster = PostgresCluster::start(&PostgresOptions::new().user(USER, "", Auth::Trust));
    let url = format!(
        "postgres://{USER}@{}/postgres?pool_max_conns=1",
        cluster.address()
    );
    let pool = Pool::open(&url).unwrap();
    pool.exec("CREATE TABLE note (n int PRIMARY KEY)", ())
        .unwrap();
    pool.exec(
        "CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        (),
    )
    .unwrap();
    (cluster, pool)
}

fn insert(n: i32) -> String {
    format!("INSERT INTO note VALUES ({n})")
}

/// The numbers in `note`.
fn notes(pool: &Pool) -> Vec<i32> {
    let rows = pool.query("SELECT n FROM note ORDER BY n", ()).unwrap();
    rows.typed::<(i32,)>().map(|row| row.unwrap().0).collect()
}

fn batch(statements: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for sql in statements {
        batch.queue(*sql, ()).unwrap();
    }
    batch
}

/// What each statement of a batch comes to.
fn results(connection: &mut Connection, statements: &[&str]) -> Vec<Result<u64>> {
    let batch = batch(statements);
    let mut results = connection.send_batch(&batch).unwrap();
    let each = (0..batch.len()).map(|_| results.exec().map(|result| result.rows_affected));
    each.collect()
}

fn busy() -> Error {
    Error::new(ErrorKind::Busy, "the body wants to be repeated")
}

/// A transaction that an error has spoiled.
fn spoiled(pool: &Pool) -> Transaction<'static> {
    let mut transaction = pool.begin(MODE).unwrap();
    transaction.exec(insert(10), ()).unwrap();
    let error = transaction.exec(insert(10), ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    transaction
}

#[test]
fn a_commit_that_the_server_answers_by_rolling_back_is_an_error() {
    let (_cluster, pool) = start();
    let rolled_back = |error: Error| {
        assert_error(&error, ErrorKind::Database, Outcome::Rejected, ROLLED_BACK);
    };
    rolled_back(spoiled(&pool).commit().unwrap_err());
    for text in [
        "COMMIT",
        "end work",
        "COMMIT; SELECT 1",
        "COMMIT AND CHAIN",
        "PREPARE TRANSACTION 'a'",
    ] {
        let mut transaction = spoiled(&pool);
        rolled_back(transaction.exec(text, ()).unwrap_err());
        assert_eq!(
            transaction.in_transaction(),
            text.ends_with("CHAIN"),
            "{text}"
        );
    }
    rolled_back(spoiled(&pool).query("COMMIT", ()).unwrap_err());
    let mut all = results(&mut spoiled(&pool), &["COMMIT", &insert(11), "ROLLBACK"]);
    rolled_back(all.remove(0).unwrap_err());
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    // What was asked for is none.
    for text in ["ROLLBACK", "ABORT", "ROLLBACK AND CHAIN"] {
        spoiled(&pool).exec(text, ()).unwrap();
        results(&mut spoiled(&pool), &[text]).remove(0).unwrap();
    }
    let mut transaction = pool.begin(MODE).unwrap();
    transaction.exec("SAVEPOINT a", ()).unwrap();
    transaction.exec("SELECT 1 / 0", ()).unwrap_err();
    transaction.exec("ROLLBACK TO a; COMMIT", ()).unwrap();
    drop(transaction);
    let ok: Result<()> = pool.transaction(MODE, |connection| {
        // The body hides the error.
        let _ = connection.exec("SELECT 1 / 0", ());
        Ok(())
    });
    rolled_back(ok.unwrap_err());
    assert_eq!(notes(&pool), [11]);
    assert_eq!(pool.stats().connects, 1);
}

#[test]
fn a_constraint_that_fails_at_commit_is_the_error_of_the_commit() {
    let (_cluster, pool) = start();
    let constraint = |error: &Error| {
        assert_error(
            error,
            ErrorKind::Constraint,
            Outcome::Rejected,
            "duplicate key",
        );
        assert_eq!(error.sqlstate(), Some("23505"));
        assert_eq!(error.detail(), Some("Key (n)=(1) already exists."));
        assert_eq!(error.hint(), None);
    };
    let twice = "INSERT INTO late VALUES (1), (1)";
    let mut transaction = pool.begin(MODE).unwrap();
    transaction.exec(twice, ()).unwrap();
    constraint(&transaction.commit().unwrap_err());
    // Within a batch, and what is behind it is on its own.
    let mut connection = pool.acquire().unwrap();
    let all = results(&mut connection, &["BEGIN", twice, "COMMIT", &insert(1)]);
    let ok: Vec<_> = all.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, true, false, true]);
    constraint(all[2].as_ref().unwrap_err());
    assert!(!connection.in_transaction());
    drop(connection);
    let mut runs = 0;
    let result: Result<()> = pool.transaction(MODE, |connection| {
        runs += 1;
        connection.exec(twice, ()).map(drop)
    });
    constraint(&result.unwrap_err());
    assert_eq!((runs, notes(&pool)), (1, vec![1]));
    assert_eq!(pool.stats().connects, 1);
}

#[test]
fn a_transaction_that_a_statement_of_its_own_has_ended_is_not_said_to_be_committed() {
    let (_cluster, pool) = start();
    for (index, end) in ["COMMIT", "ROLLBACK"].into_iter().enumerate() {
        for in_batch in [false, true] {
            let first = 10 * index as i32 + 2 * i32::from(in_batch);
            let (inside, outside) = (insert(first), insert(first + 1));
            let mut transaction = pool.begin(MODE).unwrap();
            if in_batch {
                let all = results(&mut transaction, &[&inside, end, &outside]);
                assert!(all.iter().all(Result::is_ok));
            } else {
                for sql in [&*inside, end, &*outside] {
                    transaction.exec(sql, ()).unwrap();
                }
            }
            assert!(!transaction.in_transaction());
            let error = transaction.commit().unwrap_err();
            assert_error(&error, ErrorKind::Database, Outcome::Unknown, HAS_ENDED);
        }
    }
    assert_eq!(notes(&pool), [0, 1, 2, 3, 11, 13]);
    // One that it has begun anew is committed.
    let mut transaction = pool.begin(MODE).unwrap();
    transaction.exec("COMMIT AND CHAIN", ()).unwrap();
    transaction.exec(insert(20), ()).unwrap();
    transaction.commit().unwrap();
    assert!(notes(&pool).contains(&20));
}

#[test]
fn a_body_is_not_repeated_after_it_has_ended_its_transaction() {
    let (_cluster, pool) = start();
    let bodies: [&[&str]; 5] = [
        &["COMMIT"],
        &["COMMIT", "BEGIN"],
        &["COMMIT AND CHAIN"],
        &["COMMIT; BEGIN"],
        &["ROLLBACK", "INSERT INTO note VALUES (0)", "BEGIN"],
    ];
    for statements in bodies {
        for in_batch in [false, true] {
            pool.exec("DELETE FROM note", ()).unwrap();
            let mut runs = 0;
            let result: Result<()> = pool.transaction(MODE, |connection| {
                runs += 1;
                connection.exec(insert(runs), ())?;
                // Several statements in one text are none for a batch.
                if in_batch && !statements[0].contains(';') {
                    connection.send_batch(&batch(statements))?.close()?;
                } else {
                    for sql in statements {
                        connection.exec(sql, ())?;
                    }
                }
                if runs < 3 { Err(busy()) } else { Ok(()) }
            });
            assert_eq!(
                result.unwrap_err().kind(),
                ErrorKind::Busy,
                "{statements:?}"
            );
            assert_eq!(runs, 1, "{statements:?} was run again");
        }
    }
    // One that leaves its transaction alone is.
    let mut runs = 0;
    let result: Result<()> = pool.transaction(MODE, |connection| {
        runs += 1;
        let statements = [
            &*insert(runs + 100),
            "SAVEPOINT a",
            "ROLLBACK TO a",
            "RELEASE a",
        ];
        connection.send_batch(&batch(&statements))?.close()?;
        if runs < 3 { Err(busy()) } else { Ok(()) }
    });
    result.unwrap();
    assert_eq!(runs, 3);
    assert_eq!(notes(&pool).last(), Some(&103));
}

#[test]
fn what_a_lost_transaction_did_is_in_doubt_only_if_it_ended_before() {
    let (cluster, pool) = start();
    let mut connection = pool.acquire().unwrap();
    let mut lose = |begin: &[&str], expected: &str| {
        for sql in begin {
            connection.exec(sql, ()).unwrap();
        }
        let (pid,): (i32,) = connection.query_row("SELECT pg_backend_pid()", ()).unwrap();
        cluster.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
        let error = connection.exec("SELECT 1", ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        let error = connection.exec("SELECT 1", ()).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        connection.exec("ROLLBACK", ()).unwrap();
        // A transaction from one end to the other leaves nothing behind.
        connection.begin(MODE).unwrap().commit().unwrap();
    };
    lose(&["BEGIN"], "nothing of it was applied");
    lose(&["BEGIN"], "nothing of it was applied");
    let mut transaction = connection.begin(MODE).unwrap();
    transaction.exec("COMMIT AND CHAIN", ()).unwrap();
    let (pid,): (i32,) = transaction
        .query_row("SELECT pg_backend_pid()", ())
        .unwrap();
    cluster.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
    transaction.exec("SELECT 1", ()).unwrap_err();
    let error = transaction.commit().unwrap_err();
    assert_error(
        &error,
        ErrorKind::Database,
        Outcome::Unknown,
        "may have been applied",
    );
}
