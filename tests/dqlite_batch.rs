//! Batches on a real dqlite node: each statement's own result, in order, whatever happens to the others.

mod common;

use std::time::Duration;

use common::database::{TestDatabase, assert_error, timed};
use quorate::{Batch, BatchResults, ErrorKind, Outcome, Pool, ToValue, TransactionMode};

fn database() -> TestDatabase {
    let db = TestDatabase::new("pool_max_conns=1");
    db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n)", ())
        .unwrap();
    db
}

fn count(pool: &Pool) -> i64 {
    let sql = "SELECT count(*) FROM t";
    pool.query_row::<(i64,)>(sql, ()).unwrap().0
}

fn batch<'a>(statements: impl IntoIterator<Item = &'a str>) -> Batch {
    let mut batch = Batch::new();
    for sql in statements {
        batch.queue(sql, ()).unwrap();
    }
    batch
}

fn inserted(results: &mut BatchResults<'_>, id: i64) {
    let result = results.exec().unwrap();
    assert_eq!((result.last_insert_id, result.rows_affected), (id, 1));
}

#[test]
fn results_come_in_the_order_of_the_statements() {
    let db = database();
    let mut batch = Batch::new();
    batch
        .queue("INSERT INTO t VALUES (?, ?)", (1, "one"))
        .unwrap();
    batch.queue("SELECT n FROM t WHERE id = ?", (1,)).unwrap();
    batch
        .queue("INSERT INTO t VALUES (:id, :n)", [("n", 2), ("id", 2)])
        .unwrap();
    batch.queue("SELECT id, n FROM t ORDER BY id", ()).unwrap();
    batch.queue("DELETE FROM t", ()).unwrap();
    batch.queue("SELECT n FROM t", ()).unwrap();
    batch.queue("PRAGMA user_version", ()).unwrap();
    batch
        .queue(
            "SELECT 1, 'a' UNION ALL SELECT 2, 3 UNION ALL SELECT 4, 'c'",
            (),
        )
        .unwrap();
    assert_eq!(batch.len(), 8);
    // A batch may be sent again.
    for _ in 0..3 {
        let mut results = db.send_batch(&batch).unwrap();
        inserted(&mut results, 1);
        assert_eq!(results.query_row::<(String,)>().unwrap(), ("one".into(),));
        inserted(&mut results, 2);
        let mut rows = results.query().unwrap();
        assert_eq!(rows.columns().names().collect::<Vec<_>>(), ["id", "n"]);
        assert_eq!(rows.next().unwrap().unwrap().get::<i64>("id").unwrap(), 1);
        assert_eq!(rows.next().unwrap().unwrap().get::<i64>("n").unwrap(), 2);
        assert!(rows.next().unwrap().is_none());
        assert!(rows.next().unwrap().is_none());
        assert_eq!(results.left(), 4);
        assert_eq!(results.exec().unwrap().rows_affected, 2);
        let error = results.query_row::<(i64,)>().unwrap_err();
        assert_error(&error, ErrorKind::NoRows, Outcome::Rejected, "no row");
        assert_eq!(results.query_row::<(i64,)>().unwrap(), (0,));
        let mut typed = results.query().unwrap().typed::<(i64, String)>();
        assert_eq!(typed.next().unwrap().unwrap(), (1, "a".into()));
        assert!(typed.next().unwrap().is_err(), "3 is no text");
        assert!(typed.next().is_none());
        drop(typed);
        let error = results.exec().unwrap_err();
        assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "all results");
        results.close().unwrap();
    }
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn an_error_stops_none_of_those_behind_it() {
    let db = database();
    let batch = batch([
        "INSERT INTO t VALUES (1, 1)",
        "INSERT INTO t VALUES (1, 2)",
        "SELECT * FROM nope",
        "SELEC",
        "SELECT abs(n) FROM (SELECT 1 AS n UNION ALL SELECT -9223372036854775808)",
        "INSERT INTO t VALUES (2, 2)",
        "SELECT count(*) FROM t",
    ]);
    for cache in [128, 1, 0] {
        db.exec("DELETE FROM t", ()).unwrap();
        let pool = db.pool_with(&format!("pool_max_conns=1&statement_cache={cache}"));
        let mut results = pool.send_batch(&batch).unwrap();
        inserted(&mut results, 1);
        let error = results.exec().unwrap_err();
        assert_error(
            &error,
            ErrorKind::Constraint,
            Outcome::Rejected,
            "UNIQUE constraint failed",
        );
        assert_eq!(error.code(), Some(1555));
        assert_eq!(error.node(), Some(db.address()));
        let error = results.query().unwrap_err();
        assert_error(
            &error,
            ErrorKind::Database,
            Outcome::Rejected,
            "no such table: nope",
        );
        let error = results.exec().unwrap_err();
        assert_error(
            &error,
            ErrorKind::Database,
            Outcome::Rejected,
            "syntax error",
        );
        let error = match results.query() {
            Err(error) => error,
            Ok(mut rows) => loop {
                if let Err(error) = rows.next() {
                    break error;
                }
            },
        };
        assert_error(
            &error,
            ErrorKind::Database,
            Outcome::Rejected,
            "integer overflow",
        );
        inserted(&mut results, 2);
        assert_eq!(results.query_row::<(i64,)>().unwrap(), (2,));
        drop(results);
        assert_eq!(count(&pool), 2);
        // To close is to ask for all: the first error counts.
        let error = pool.send_batch(&batch).unwrap().close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Constraint);
        assert_eq!(pool.stats().connects, 1);
    }
}

/// How long the driver reads past results that were dropped before it gives the connection up.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn results_dropped_at_any_place_leave_the_connection_in_step() {
    let batch = series_between_inserts();
    let open = || {
        let db = database();
        let other = db.pool_with("");
        let connection = other.acquire().unwrap();
        (db, other, connection)
    };
    let (mut db, mut other, mut connection) = open();
    let mut slow = 0;
    for taken in 0..=30 {
        for read in [0, 1, 100, 1999, 2000, 2001] {
            if taken % 3 != 2 && read > 0 {
                continue;
            }
            loop {
                let connects = (db.stats().connects, other.stats().connects);
                let results = if taken % 2 == 0 {
                    db.send_batch(&batch).unwrap()
                } else {
                    connection.send_batch(&batch).unwrap()
                };
                let results = take(results, taken, read);
                let ((), time) = timed(|| drop(results));
                // A busy machine may not get to the end of the answers in time: that drop says nothing. What it has
                // left behind may still be running, so the next one has another database.
                if time >= DROP_TIMEOUT {
                    slow += 1;
                    assert!(slow <= 20, "the answers to a batch take {time:?}");
                    (db, other, connection) = open();
                    continue;
                }
                assert_eq!(count(&db) % 10, 0, "all that was sent has run");
                let after = (db.stats().connects, other.stats().connects);
                assert_eq!(after, connects, "a connection was lost");
                break;
            }
        }
    }
    assert_eq!(
        connection.query_row::<(i64,)>("SELECT 7", ()).unwrap(),
        (7,)
    );
}

/// Ten times: an INSERT, 2,000 rows, and an error.
fn series_between_inserts() -> Batch {
    let series = "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < 2000)
        SELECT v, 'some text' FROM s";
    let mut batch = Batch::new();
    for id in 0..10 {
        batch.queue("INSERT INTO t (n) VALUES (?)", (id,)).unwrap();
        batch.queue(series, ()).unwrap();
        batch.queue("INSERT INTO nope VALUES (1)", ()).unwrap();
    }
    batch
}

/// Takes the first results of [`series_between_inserts`], and of each 2,000 rows the first `read`.
fn take(mut results: BatchResults<'_>, taken: i64, read: i64) -> BatchResults<'_> {
    for place in 0..taken {
        match place % 3 {
            0 => assert_eq!(results.exec().unwrap().rows_affected, 1),
            1 => {
                let mut rows = results.query().unwrap();
                for expected in 1..=read {
                    let row = rows.next().unwrap();
                    assert_eq!(row.is_some(), expected <= 2000);
                    if let Some(row) = row {
                        assert_eq!(row.get::<i64>(0).unwrap(), expected);
                    }
                }
            }
            _ => assert!(results.exec().is_err()),
        }
    }
    results
}

#[test]
fn fifty_results_of_a_megabyte_each_go_both_ways() {
    let db = database();
    let big = "x".repeat(1_000_000);
    let mut batch = Batch::new();
    for id in 0..25 {
        // Neither side can hold it all: who only writes while the other only writes waits for ever.
        batch.queue("SELECT ?, ?", (id, &big)).unwrap();
        batch.queue("SELECT zeroblob(1000000)", ()).unwrap();
    }
    for _ in 0..2 {
        let mut results = db.send_batch(&batch).unwrap();
        for id in 0..25 {
            let (number, text) = results.query_row::<(i64, String)>().unwrap();
            assert_eq!((number, text.len()), (id, big.len()));
            let (blob,) = results.query_row::<(Vec<u8>,)>().unwrap();
            assert_eq!(blob.len(), 1_000_000);
        }
    }
    drop(db.send_batch(&batch).unwrap());
    assert_eq!(count(&db), 0);
}

#[test]
fn ten_thousand_statements_go_in_one_batch() {
    let db = database();
    let mut batch = Batch::new();
    for id in 1..=5_000 {
        batch
            .queue("INSERT INTO t VALUES (?, ?)", (id, "value"))
            .unwrap();
        batch.queue("SELECT max(id) FROM t", ()).unwrap();
    }
    let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
    let ((), time) = timed(|| {
        let mut results = transaction.send_batch(&batch).unwrap();
        for id in 1..=5_000 {
            inserted(&mut results, id);
            assert_eq!(results.query_row::<(i64,)>().unwrap(), (id,));
        }
    });
    println!("10,000 statements in a batch: {time:?}");
    transaction.commit().unwrap();
    assert_eq!(count(&db), 5_000);
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn a_fault_in_a_statement_is_found_before_anything_is_sent() {
    let db = database();
    let sound = "INSERT INTO t (n) VALUES (?)";
    let cases: [(&str, &[&dyn ToValue], &str); 5] = [
        (
            "INSERT INTO t (n) VALUES (?, ?)",
            &[&1],
            "takes 2 parameters",
        ),
        ("SELECT 1", &[&1], "takes 0 parameters"),
        ("INSERT INTO t (n) VALUES (?)", &[&"a\0b"], "NUL"),
        ("", &[], "empty"),
        ("SELECT 1; SELECT 2", &[], "one statement is expected"),
    ];
    for pool in [db.pool_with(""), db.pool_with("statement_cache=0")] {
        for (sql, params, part) in cases {
            let mut batch = Batch::new();
            batch.queue(sound, (1,)).unwrap();
            batch.queue(sound, (2,)).unwrap();
            batch.queue(sql, params).unwrap();
            batch.queue(sound, (3,)).unwrap();
            let error = pool.send_batch(&batch).unwrap_err();
            assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, part);
            assert!(
                error.message().starts_with("statement 3 of the batch"),
                "{error}"
            );
            assert_eq!(count(&pool), 0);
        }
        assert_eq!(pool.stats().connects, 1);
    }
    let mut batch = Batch::new();
    let error = batch.queue(sound, (u64::MAX,)).unwrap_err();
    assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "parameter 1");
    assert!(batch.is_empty());
}

#[test]
fn a_batch_may_use_what_it_makes() {
    let db = database();
    for cache in [128, 0] {
        let pool = db.pool_with(&format!("pool_max_conns=1&statement_cache={cache}"));
        let mut batch = Batch::new();
        batch.queue("CREATE TABLE made (x)", ()).unwrap();
        batch.queue("INSERT INTO made VALUES (?)", (7,)).unwrap();
        batch.queue("SELECT x FROM made", ()).unwrap();
        batch.queue("DROP TABLE made", ()).unwrap();
        for _ in 0..2 {
            let mut results = pool.send_batch(&batch).unwrap();
            results.exec().unwrap();
            assert_eq!(results.exec().unwrap().rows_affected, 1);
            assert_eq!(results.query_row::<(i64,)>().unwrap(), (7,));
            results.exec().unwrap();
        }
        assert_eq!(pool.stats().connects, 1);
    }
}

#[test]
fn a_batch_of_nothing_has_no_results() {
    let db = database();
    db.ping().unwrap();
    db.without_connects(|| {
        let mut results = db.send_batch(&Batch::new()).unwrap();
        assert_eq!(results.left(), 0);
        assert_eq!(results.exec().unwrap_err().kind(), ErrorKind::Misuse);
        results.close().unwrap();
        drop(db.send_batch(&Batch::new()).unwrap());
        assert_eq!(count(&db), 0);
    });
}

#[test]
fn returning_in_a_batch_is_read_to_its_end() {
    let db = database();
    let mut batch = batch(["INSERT INTO t VALUES (1, 1)"]);
    batch
        .queue("INSERT INTO t VALUES (?, 2), (3, 3) RETURNING id", (2,))
        .unwrap();
    batch
        .queue("UPDATE t SET n = n * 10 RETURNING n", ())
        .unwrap();
    match db.send_batch(&batch) {
        Err(error) => {
            assert!(db.is_old());
            assert_error(
                &error,
                ErrorKind::Unsupported,
                Outcome::NotSent,
                "statement 2 of the batch",
            );
            assert_eq!(count(&db), 0);
        }
        Ok(mut results) => {
            assert!(!db.is_old());
            inserted(&mut results, 1);
            assert_eq!(results.query_row::<(i64,)>().unwrap(), (2,));
            drop(results);
            let sum = db.query_row::<(i64,)>("SELECT sum(n) FROM t", ());
            assert_eq!(sum.unwrap(), (60,), "dropped, but applied");
        }
    }
}

#[test]
fn a_batch_goes_with_its_transaction() {
    let db = database();
    let inserts = batch(["INSERT INTO t VALUES (1, 1)", "INSERT INTO t VALUES (2, 2)"]);
    let mut transaction = db.begin(TransactionMode::Deferred).unwrap();
    transaction.send_batch(&inserts).unwrap().close().unwrap();
    transaction.rollback().unwrap();
    assert_eq!(count(&db), 0);
    let mut transaction = db.begin(TransactionMode::Deferred).unwrap();
    // Dropped without a look at the results.
    drop(transaction.send_batch(&inserts).unwrap());
    assert!(transaction.in_transaction());
    transaction.commit().unwrap();
    assert_eq!(count(&db), 2);
    // The batch itself may begin and end one.
    let whole = batch(["BEGIN IMMEDIATE", "DELETE FROM t", "COMMIT"]);
    let mut connection = db.acquire().unwrap();
    let mut results = connection.send_batch(&whole).unwrap();
    results.exec().unwrap();
    assert_eq!(results.exec().unwrap().rows_affected, 2);
    results.exec().unwrap();
    drop(results);
    assert!(!connection.in_transaction());
    let open = batch(["BEGIN IMMEDIATE", "INSERT INTO t VALUES (3, 3)"]);
    drop(connection.send_batch(&open).unwrap());
    assert!(connection.in_transaction());
    drop(connection);
    assert_eq!(count(&db), 0, "rolled back before the connection went back");
}

#[test]
fn more_texts_than_the_cache_holds_are_run_all_the_same() {
    let db = database();
    for cache in [0, 1, 5, 50] {
        let pool = db.pool_with(&format!("pool_max_conns=1&statement_cache={cache}"));
        for round in 0..3 {
            let mut batch = Batch::new();
            for number in 0..20 {
                batch
                    .queue(format!("SELECT {number} + ?"), (round,))
                    .unwrap();
            }
            let mut results = pool.send_batch(&batch).unwrap();
            for number in 0..20 {
                assert_eq!(results.query_row::<(i64,)>().unwrap(), (number + round,));
            }
            drop(results);
            let row = pool.query_row::<(i64,)>("SELECT 3 + ?", (1,));
            assert_eq!(row.unwrap(), (4,));
        }
        assert_eq!(pool.stats().connects, 1);
    }
}

#[test]
fn a_cancelled_wait_for_rows_leaves_the_results_behind_them() {
    // The server is to be slower than the thread that cancels, and then done within the time that the driver gives it:
    // how much work that takes, the machine and what else it does decide.
    let mut work = 1000;
    for _ in 0..20 {
        match cancel_amid_rows(work) {
            Amid::TooSoon => work *= 2,
            Amid::TooLate => work = work * 2 / 3,
            Amid::Cancelled => return,
        }
    }
    panic!("no cancel has left the results behind the rows");
}

/// When rows came of which the wait for the second part was to be cancelled.
enum Amid {
    TooSoon,
    TooLate,
    Cancelled,
}

/// Cancels the wait for the second of two parts of rows, each of whose rows takes so much work, and reads what is behind
/// them.
fn cancel_amid_rows(work: u32) -> Amid {
    let db = database();
    let mut connection = db.acquire().unwrap();
    let handle = connection.cancel_handle();
    let mut batch = Batch::new();
    let slow = format!(
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 300) \
         SELECT n, (WITH RECURSIVE s(m) AS (SELECT n UNION ALL SELECT m + 1 FROM s LIMIT {work}) SELECT max(m) FROM s) FROM t"
    );
    batch.queue(slow, ()).unwrap();
    batch.queue("INSERT INTO t VALUES (1, 1)", ()).unwrap();
    batch.queue("SELECT 7", ()).unwrap();
    let mut results = connection.send_batch(&batch).unwrap();
    let mut rows = results.query().unwrap();
    let error = std::thread::scope(|scope| {
        let mut count = 0;
        loop {
            if count == 150 {
                scope.spawn(|| {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    handle.cancel();
                });
            }
            match rows.next() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        }
    });
    let Some(error) = error else {
        return Amid::TooSoon;
    };
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    match results.exec() {
        // The rows have not ended in time, and the connection is given up.
        Err(error) if error.kind() == ErrorKind::Disconnected => return Amid::TooLate,
        result => {
            let result = result.unwrap();
            assert_eq!((result.last_insert_id, result.rows_affected), (1, 1));
        }
    }
    assert_eq!(results.query_row::<(i64,)>().unwrap(), (7,));
    Amid::Cancelled
}
