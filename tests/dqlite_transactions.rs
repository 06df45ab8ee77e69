//! Transactions on a real dqlite node: they end as they were told to, and never go back to the pool open.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use common::database::{TestDatabase, assert_error, timed};
use quorate::{Connection, Error, ErrorKind, Outcome, Pool, Result, TransactionMode};

const MODES: [TransactionMode; 3] = [
    TransactionMode::Deferred,
    TransactionMode::Immediate,
    TransactionMode::Exclusive,
];

fn database() -> TestDatabase {
    let db = TestDatabase::new("pool_max_conns=2");
    db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", ())
        .unwrap();
    db
}

fn insert(connection: &mut Connection, id: i64) {
    connection.exec("INSERT INTO t VALUES (?)", (id,)).unwrap();
}

/// The ids in the table, as another connection sees them.
fn ids(pool: &Pool) -> Vec<i64> {
    let rows = pool.query("SELECT id FROM t ORDER BY id", ()).unwrap();
    rows.typed::<(i64,)>().map(|row| row.unwrap().0).collect()
}

#[test]
fn a_transaction_is_applied_by_its_commit_alone() {
    let db = database();
    for mode in MODES {
        db.exec("DELETE FROM t", ()).unwrap();
        let mut transaction = db.begin(mode).unwrap();
        assert!(transaction.in_transaction());
        insert(&mut transaction, 1);
        insert(&mut transaction, 2);
        assert_eq!(
            ids(&db),
            [0; 0],
            "{mode:?}: another connection sees nothing yet"
        );
        transaction.commit().unwrap();
        assert_eq!(ids(&db), [1, 2]);

        let mut transaction = db.begin(mode).unwrap();
        insert(&mut transaction, 3);
        transaction.rollback().unwrap();
        assert_eq!(ids(&db), [1, 2]);

        let mut transaction = db.begin(mode).unwrap();
        insert(&mut transaction, 4);
        drop(transaction);
        assert_eq!(ids(&db), [1, 2]);
    }
    assert_eq!(db.stats().connects, 2);
}

#[test]
fn a_mode_is_when_the_lock_is_taken() {
    let db = database();
    let mut other = db.acquire().unwrap();
    for (mode, busy) in MODES.into_iter().zip([false, true, true]) {
        let transaction = db.begin(mode).unwrap();
        let begun = other.begin(TransactionMode::Immediate).map(drop);
        match begun {
            Ok(()) => assert!(!busy, "{mode:?}"),
            Err(error) => {
                assert!(busy, "{mode:?}");
                assert_eq!(
                    (error.kind(), error.outcome()),
                    (ErrorKind::Busy, Outcome::Rejected)
                );
            }
        }
        drop(transaction);
        other
            .begin(TransactionMode::Immediate)
            .unwrap()
            .rollback()
            .unwrap();
    }
}

#[test]
fn a_transaction_borrows_its_connection() {
    let db = database();
    let mut connection = db.acquire().unwrap();
    assert!(!connection.in_transaction());
    let mut transaction = connection.begin(TransactionMode::Deferred).unwrap();
    insert(&mut transaction, 1);
    let error = transaction.begin(TransactionMode::Deferred).unwrap_err();
    assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "open already");
    let error = transaction
        .transaction(TransactionMode::Deferred, |_| Ok(()))
        .unwrap_err();
    assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "open already");
    transaction.commit().unwrap();
    assert!(!connection.in_transaction());
    insert(&mut connection, 2);
    assert_eq!(ids(&db), [1, 2]);
}

#[test]
fn an_error_of_a_statement_leaves_the_transaction_open() {
    let db = database();
    let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
    insert(&mut transaction, 1);
    let error = transaction
        .exec("INSERT INTO t VALUES (1)", ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    assert!(transaction.exec("SELEC", ()).is_err());
    assert!(transaction.query("SELECT ?", ()).is_err());
    assert!(transaction.in_transaction());
    insert(&mut transaction, 2);
    transaction.commit().unwrap();
    assert_eq!(ids(&db), [1, 2]);
}

#[test]
fn a_transaction_that_the_server_has_ended_is_not_said_to_be_undone() {
    let db = database();
    let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
    insert(&mut transaction, 1);
    let error = transaction
        .exec("INSERT OR ROLLBACK INTO t VALUES (1)", ())
        .unwrap_err();
    assert_eq!(error.code(), Some(1555));
    let error = transaction.commit().unwrap_err();
    assert_error(
        &error,
        ErrorKind::Database,
        Outcome::NotSent,
        "the server has ended the transaction",
    );
    insert(&mut db.acquire().unwrap(), 2);
    assert_eq!(ids(&db), [2]);
    // A commit that a constraint refuses is undone as a whole.
    db.exec(
        "CREATE TABLE child (id REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)",
        (),
    )
    .unwrap();
    let mut connection = db.acquire().unwrap();
    connection.exec("PRAGMA foreign_keys = ON", ()).unwrap();
    let mut transaction = connection.begin(TransactionMode::Immediate).unwrap();
    insert(&mut transaction, 3);
    transaction
        .exec("INSERT INTO child VALUES (99)", ())
        .unwrap();
    let error = transaction.commit().unwrap_err();
    assert_error(
        &error,
        ErrorKind::Constraint,
        Outcome::Rejected,
        "FOREIGN KEY",
    );
    assert!(!connection.in_transaction());
    drop(connection);
    assert_eq!(ids(&db), [2]);
}

#[test]
fn a_transaction_that_may_be_repeated_has_savepoints() {
    let db = database();
    db.transaction(TransactionMode::Immediate, |transaction| {
        insert(transaction, 1);
        let mut savepoint = transaction.savepoint()?;
        insert(&mut savepoint, 2);
        savepoint.rollback()?;
        let mut savepoint = transaction.savepoint()?;
        insert(&mut savepoint, 3);
        savepoint.release()
    })
    .unwrap();
    assert_eq!(ids(&db), [1, 3]);
}

#[test]
fn savepoints_are_undone_alone() {
    let db = database();
    let mut transaction = db.begin(TransactionMode::Deferred).unwrap();
    insert(&mut transaction, 1);
    {
        let mut outer = transaction.savepoint().unwrap();
        insert(&mut outer, 2);
        {
            let mut inner = outer.savepoint().unwrap();
            insert(&mut inner, 3);
            inner.rollback().unwrap();
        }
        {
            let mut inner = outer.savepoint().unwrap();
            insert(&mut inner, 4);
            inner.release().unwrap();
        }
        {
            let mut inner = outer.savepoint().unwrap();
            insert(&mut inner, 5);
            let mut innermost = inner.savepoint().unwrap();
            insert(&mut innermost, 6);
            innermost.release().unwrap();
            // Dropped: undone, with the released one in it.
        }
        insert(&mut outer, 7);
        outer.release().unwrap();
    }
    {
        let mut outer = transaction.savepoint().unwrap();
        insert(&mut outer, 8);
        outer.savepoint().unwrap().release().unwrap();
    }
    insert(&mut transaction, 9);
    assert!(transaction.in_transaction());
    transaction.commit().unwrap();
    assert_eq!(ids(&db), [1, 2, 4, 7, 9]);
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn a_transaction_begun_as_text_is_rolled_back_before_the_connection_goes_back() {
    let db = database();
    let pool = db.pool_with("pool_max_conns=1");
    pool.ping().unwrap();
    for begin in [
        "BEGIN",
        " /* now */ begin immediate transaction;",
        "SAVEPOINT mine",
        "BEGIN; INSERT INTO t VALUES (100)",
        "COMMIT; BEGIN",
    ] {
        let mut connection = pool.acquire().unwrap();
        if begin.starts_with("COMMIT") {
            connection.exec("BEGIN", ()).unwrap();
        }
        connection.exec(begin, ()).unwrap();
        assert!(connection.in_transaction(), "{begin}");
        insert(&mut connection, 1);
        drop(connection);
        let mut connection = pool.acquire().unwrap();
        assert!(!connection.in_transaction());
        assert_eq!(
            connection
                .query_row::<(i64,)>("SELECT count(*) FROM t", ())
                .unwrap(),
            (0,)
        );
        // No lock is left.
        db.exec("INSERT INTO t VALUES (1)", ()).unwrap();
        db.exec("DELETE FROM t", ()).unwrap();
    }
    assert_eq!(pool.stats().connects, 1, "to roll back costs no connection");
    // A call of the pool itself too.
    pool.exec("BEGIN IMMEDIATE", ()).unwrap();
    db.exec("INSERT INTO t VALUES (2)", ()).unwrap();
}

#[test]
fn in_transaction_follows_the_text() {
    let db = database();
    let mut connection = db.acquire().unwrap();
    for (sql, open) in [
        ("BEGIN", true),
        ("SAVEPOINT a", true),
        ("ROLLBACK TO a", true),
        ("RELEASE a", true),
        ("COMMIT", false),
        ("SELECT 'BEGIN'", false),
        ("BEGIN EXCLUSIVE", true),
        ("INSERT INTO t VALUES (1)", true),
        ("END TRANSACTION", false),
        ("-- x\nBEGIN", true),
        ("ROLLBACK", false),
        ("BEGIN; COMMIT; BEGIN", true),
        ("ROLLBACK; SELECT 1 WHERE 0", false),
    ] {
        connection.exec(sql, ()).unwrap();
        assert_eq!(connection.in_transaction(), open, "{sql}");
    }
    // What fails changes nothing.
    assert!(connection.exec("COMMIT", ()).is_err());
    assert!(!connection.in_transaction());
    connection.exec("BEGIN", ()).unwrap();
    assert!(connection.exec("BEGIN", ()).is_err());
    assert!(connection.in_transaction());
    // Through query as well.
    connection.query("ROLLBACK", ()).unwrap().close().unwrap();
    assert!(!connection.in_transaction());
    connection.query("BEGIN", ()).unwrap().close().unwrap();
    assert!(connection.in_transaction());
}

fn add_one(connection: &mut Connection, between: impl FnOnce()) -> Result<()> {
    let sql = "SELECT n FROM counter";
    let (n,) = connection.query_row::<(i64,)>(sql, ())?;
    between();
    connection.exec("UPDATE counter SET n = ?", (n + 1,))?;
    Ok(())
}

#[test]
fn the_helper_repeats_what_was_busy_until_all_is_counted() {
    const EACH: i64 = 200;
    let db = database();
    db.exec("CREATE TABLE counter (n)", ()).unwrap();
    db.exec("INSERT INTO counter VALUES (0)", ()).unwrap();
    let runs = AtomicU32::new(0);
    let both_have_read = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut first = true;
                for _ in 0..EACH {
                    // Read, then write: where both have read, as the first time, only one of them may go on.
                    db.transaction(TransactionMode::Deferred, |connection| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        add_one(connection, || {
                            if std::mem::take(&mut first) {
                                both_have_read.wait();
                            }
                        })
                    })
                    .unwrap();
                }
            });
        }
    });
    let runs = runs.into_inner();
    println!("{} increments took {runs} runs", 2 * EACH);
    let n = db.query_row::<(i64,)>("SELECT n FROM counter", ());
    assert_eq!(n.unwrap(), (2 * EACH,));
    assert!(i64::from(runs) > 2 * EACH, "nothing was repeated");
    // A connection that comes back while another is made may give its place to it, once.
    assert!(db.stats().connects <= 4, "{:?}", db.stats());
}

#[test]
fn the_helper_repeats_on_the_same_connection_and_gives_up_at_its_deadline() {
    let db = database();
    let mut blocker = db.begin(TransactionMode::Immediate).unwrap();
    insert(&mut blocker, 1);
    let mut runs = 0;
    let within = db.within(Duration::from_millis(200));
    let error = within
        .transaction(TransactionMode::Deferred, |connection| {
            runs += 1;
            connection.exec("INSERT INTO t VALUES (2)", ())
        })
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Busy, Outcome::Rejected),
        "{error}"
    );
    assert!(runs > 2, "{runs} runs");
    blocker.rollback().unwrap();
    db.transaction(TransactionMode::Immediate, |connection| {
        connection.exec("INSERT INTO t VALUES (2)", ())
    })
    .unwrap();
    assert_eq!(ids(&db), [2]);
    assert_eq!(db.stats().connects, 2);
}

#[test]
fn the_helper_rolls_back_what_fails() {
    let db = database();
    let mut runs = 0;
    let error = db
        .transaction(TransactionMode::Immediate, |connection| {
            runs += 1;
            insert(connection, 1);
            connection.exec("INSERT INTO t VALUES (1)", ())?;
            Ok(())
        })
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Constraint, Some(1555))
    );
    assert_eq!(runs, 1, "what stays as it is is not repeated");
    let error = db
        .transaction(TransactionMode::Deferred, |connection| {
            insert(connection, 2);
            Err::<(), _>(Error::new(ErrorKind::Misuse, "changed my mind"))
        })
        .unwrap_err();
    assert_eq!(error.message(), "changed my mind");
    assert_eq!(ids(&db), [0; 0]);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transaction(TransactionMode::Immediate, |connection| {
            insert(connection, 3);
            if connection.in_transaction() {
                panic!("in the middle");
            }
            Ok(())
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(ids(&db), [0; 0], "rolled back, and no lock is left");
    let value = db.transaction(TransactionMode::Immediate, |connection| {
        insert(connection, 4);
        Ok("done")
    });
    assert_eq!(value.unwrap(), "done");
    assert_eq!(ids(&db), [4]);
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn a_body_that_ends_the_transaction_itself_is_not_repeated() {
    let db = database();
    let mut runs = 0;
    let error = db
        .transaction(TransactionMode::Deferred, |connection| {
            runs += 1;
            insert(connection, runs);
            connection.exec("COMMIT", ())?;
            Err::<(), _>(Error::new(ErrorKind::Busy, "so it seems").with_outcome(Outcome::Rejected))
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!((runs, ids(&db)), (1, vec![1]));
}

#[test]
fn a_statement_waits_for_the_lock_of_another_connection() {
    let db = database();
    let patient = db.pool_with("busy_timeout=10s");
    let hasty = db.pool_with("busy_timeout=0");
    let mut holder = db.begin(TransactionMode::Immediate).unwrap();
    insert(&mut holder, 1);
    let (error, time) = timed(|| hasty.exec("INSERT INTO t VALUES (2)", ()).unwrap_err());
    assert_error(&error, ErrorKind::Busy, Outcome::Rejected, "locked");
    assert!(time < Duration::from_secs(2), "{time:?}");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| patient.exec("INSERT INTO t VALUES (3)", ()));
        // The lock is met at least once before it is given up.
        let (error, _) = timed(|| {
            db.pool_with("busy_timeout=200ms")
                .exec("INSERT INTO t VALUES (4)", ())
                .unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(!waiting.is_finished());
        holder.commit().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().rows_affected, 1);
    });
    assert_eq!(ids(&db), [1, 3]);
}
