//! Rows from a real dqlite node: streamed, dropped early, by the million, and larger than a message may be.

mod common;

use std::fs;
use std::sync::RwLock;
use std::time::Duration;

use common::database::{TestDatabase, assert_error, timed};
use quorate::{Batch, ErrorKind, ExecResult, Outcome, Pool, Rows, TransactionMode};

/// Held for writing by the tests that look at the memory of this process, for reading by all others.
static MEMORY: RwLock<()> = RwLock::new(());

/// `?1` rows of `columns`, in which `v` counts from 1.
fn series(columns: &str) -> String {
    format!(
        "WITH RECURSIVE s(v) AS (SELECT 1 WHERE ?1 > 0 UNION ALL SELECT v + 1 FROM s WHERE v < ?1)
         SELECT {columns} FROM s"
    )
}

fn check(pool: &Pool, number: i64) {
    assert_eq!(
        pool.query_row::<(i64,)>("SELECT ?", (number,)).unwrap(),
        (number,)
    );
}

/// A field of /proc/self/status, in KiB.
fn status(field: &str) -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Makes the greatest resident memory the present one, which it answers in KiB.
fn reset_peak() -> i64 {
    // proc(5), clear_refs.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    status("VmRSS:")
}

#[test]
fn rows_come_in_order_and_end() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=1");
    for number in [0, 1, 2, 100, 10_000] {
        let mut rows = db
            .query(series("v, 'row ' || v AS name, v * 0.5"), (number,))
            .unwrap();
        let names: Vec<_> = rows.columns().names().map(str::to_owned).collect();
        assert_eq!(names, ["v", "name", "v * 0.5"]);
        for expected in 1..=number {
            let row = rows.next().unwrap().unwrap();
            let (v, name, half) = row.read::<(i64, &str, f64)>().unwrap();
            assert_eq!((v, half), (expected, expected as f64 / 2.0));
            assert_eq!(name.strip_prefix("row "), Some(&*expected.to_string()));
        }
        assert!(rows.next().unwrap().is_none());
        assert!(rows.next().unwrap().is_none());
        assert_eq!(rows.columns().len(), 3, "known to the end");
    }
    let sum = db.query(series("v"), (1000,)).unwrap();
    let sum: i64 = sum.typed::<(i64,)>().map(|row| row.unwrap().0).sum();
    assert_eq!(sum, 500_500);
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn a_row_of_every_width_crosses_the_parts() {
    let _shared = MEMORY.read();
    // Rows of 0 to 9,000 bytes, so that each place in a part of 4 KiB is the end of one.
    let db = TestDatabase::new("pool_max_conns=1");
    let blobs = series("v, zeroblob(v * 7 % 9001), substr('0123456789abcdef', 1, v % 17)");
    let mut rows = db.query(blobs, (3000,)).unwrap();
    let mut number = 0;
    while let Some(row) = rows.next().unwrap() {
        number += 1;
        let (v, blob, text) = row.read::<(i64, &[u8], &str)>().unwrap();
        assert_eq!((v, blob.len() as i64), (number, number * 7 % 9001));
        assert_eq!(text, &"0123456789abcdef"[..(number as usize % 17).min(16)]);
        assert!(blob.iter().all(|byte| *byte == 0));
    }
    assert_eq!(number, 3000);
}

/// Reads `read` rows, or to the end and the `None` behind it, and drops the rest.
fn read_some(mut rows: Rows<'_>, read: i64) {
    for expected in 1..=read {
        match rows.next().unwrap() {
            Some(row) => assert_eq!(row.get::<i64>(0).unwrap(), expected),
            None => return,
        }
    }
}

#[test]
fn rows_dropped_at_any_stage_leave_the_connection_in_step() {
    let _shared = MEMORY.read();
    for cache in [128, 0] {
        let db = TestDatabase::new(&format!("pool_max_conns=1&statement_cache={cache}"));
        db.ping().unwrap();
        let sql = series("v, 'some text to fill a part with'");
        db.without_connects(|| {
            for total in [0, 1, 5, 60, 200, 5_000, 10_000] {
                for read in [0, 1, 59, 100, total / 2, total - 1, total, total + 1] {
                    read_some(db.query(&sql, (total,)).unwrap(), read.clamp(0, total + 1));
                    check(&db, total * 10 + read);
                }
            }
            let mut rows = db.query(&sql, (5_000,)).unwrap();
            rows.next().unwrap();
            rows.close().unwrap();
            check(&db, -1);
        });
    }
}

#[test]
fn a_large_rest_is_left_with_its_connection_except_in_a_transaction() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=1");
    let sql = series("v, 'some text to fill a part with'");
    let mut quickest = Duration::MAX;
    for round in 1..=20 {
        let ((), time) = timed(|| {
            read_some(db.query(&sql, (1_000_000_000,)).unwrap(), 1);
            check(&db, round);
            read_some(db.query(&sql, (1_000_000_000,)).unwrap(), 10_000);
        });
        quickest = quickest.min(time);
        assert_eq!(db.stats().connects, 2 * round as u64);
        check(&db, round);
    }
    // Who reads on until the time for a clean-up is over needs a second each time; a busy machine now and then.
    assert!(quickest < Duration::from_millis(900), "{quickest:?}");
    // To close the rows is no error either.
    let mut rows = db.query(&sql, (1_000_000_000,)).unwrap();
    rows.next().unwrap();
    rows.close().unwrap();
    let connects = db.stats().connects;
    let mut transaction = db.begin(TransactionMode::Deferred).unwrap();
    transaction.exec("CREATE TABLE t (v)", ()).unwrap();
    read_some(transaction.query(&sql, (60_000,)).unwrap(), 1);
    transaction.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    transaction.commit().unwrap();
    assert_eq!(db.stats().connects, connects + 1);
    assert_eq!(db.query_row::<(i64,)>("SELECT v FROM t", ()).unwrap(), (1,));
}

#[test]
fn two_hundred_random_drops_cost_no_connection() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=2");
    db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", ())
        .unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut connection = db.acquire().unwrap();
    check(&db, 0);
    db.without_connects(|| {
        for round in 0..200 {
            let total = random.i64(0..3_000);
            let read = random.i64(0..=total + 1);
            let sql = series(["v", "v, 'text' || v", "v, zeroblob(300)"][round as usize % 3]);
            if random.bool() {
                read_some(db.query(&sql, (total,)).unwrap(), read);
                check(&db, round);
            } else {
                read_some(connection.query(&sql, (total,)).unwrap(), read);
                let row = connection.query_row::<(i64,)>("SELECT ?", (round,));
                assert_eq!(row.unwrap(), (round,));
            }
            if round % 10 == 0 {
                // No snapshot is held: what another connection has written is seen, and can be written on.
                db.exec("INSERT INTO t (v) VALUES (?)", (round,)).unwrap();
                let update = connection.exec("UPDATE t SET v = v + 1", ()).unwrap();
                assert_eq!(update.rows_affected, round as u64 / 10 + 1);
            }
        }
    });
}

#[test]
fn rows_of_a_table_dropped_early_hold_no_lock() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=1");
    db.exec("CREATE TABLE t (v, pad)", ()).unwrap();
    let fill = format!("INSERT INTO t {}", series("v, zeroblob(500)"));
    db.exec(fill.replace("?1", "1000"), ()).unwrap();
    let other = db.pool_with("");
    db.without_connects(|| {
        for round in 1..=20 {
            let sql = "SELECT v, pad FROM t WHERE v > ?";
            let mut rows = db.query(sql, (0,)).unwrap();
            rows.next().unwrap().unwrap();
            drop(rows);
            other
                .exec("UPDATE t SET v = v + 0 WHERE v <= ?", (round,))
                .unwrap();
            db.exec(
                "BEGIN IMMEDIATE; UPDATE t SET v = v WHERE v = 1; COMMIT",
                (),
            )
            .unwrap();
            // The statement takes new parameters.
            let mut rows = db.query(sql, (999,)).unwrap();
            assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1000);
            assert!(rows.next().unwrap().is_none());
        }
    });
}

#[test]
fn query_row_drops_further_rows() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=1");
    db.ping().unwrap();
    db.without_connects(|| {
        for _ in 0..20 {
            let row = db.query_row::<(i64, i64)>(series("v, 2 * v"), (10_000,));
            assert_eq!(row.unwrap(), (1, 2));
            // And where the row is not what was asked for.
            let error = db
                .query_row::<(String,)>(series("v"), (10_000,))
                .unwrap_err();
            assert_error(
                &error,
                ErrorKind::Conversion,
                Outcome::Rejected,
                "column 0 (\"v\")",
            );
            check(&db, 5);
        }
    });
}

#[test]
fn rows_say_what_a_statement_without_rows_has_done() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("pool_max_conns=1");
    db.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
    let mut rows = db.query("INSERT INTO t VALUES (7), (8)", ()).unwrap();
    let done = rows.result();
    assert_eq!((done.rows_affected, done.last_insert_id), (2, 2));
    assert!(rows.columns().is_empty() && rows.next().unwrap().is_none());
    assert_eq!(rows.result(), done);
    drop(rows);
    let rows = db.query("SELECT n FROM t", ()).unwrap();
    assert_eq!(rows.result(), ExecResult::default());
    drop(rows);

    let mut batch = Batch::new();
    batch.queue("DELETE FROM t", ()).unwrap();
    let mut results = db.send_batch(&batch).unwrap();
    let rows = results.query().unwrap();
    assert_eq!(rows.result().rows_affected, 2);
}

#[test]
fn a_million_rows_take_no_memory() {
    let _alone = MEMORY.write();
    let db = TestDatabase::new("pool_max_conns=1");
    let sql = series("v, 'row ' || v, v * 0.5");
    read_some(db.query(&sql, (10_000,)).unwrap(), i64::MAX);
    let before = reset_peak();
    let mut rows = db.query(&sql, (1_000_000,)).unwrap();
    let (mut number, mut bytes) = (0, 0);
    while let Some(row) = rows.next().unwrap() {
        number += 1;
        assert_eq!(row.get::<i64>(0).unwrap(), number);
        bytes += row.get::<&str>(1).unwrap().len() + 16;
    }
    let growth = status("VmHWM:") - before;
    println!("{number} rows of {bytes} bytes in all: resident memory grew by {growth} KiB");
    assert_eq!(number, 1_000_000);
    assert!(growth < 20 * 1024, "resident memory grew by {growth} KiB");
}

#[test]
fn a_row_of_sixty_megabytes_is_read_and_its_buffer_given_back() {
    let _alone = MEMORY.write();
    let db = TestDatabase::new("pool_max_conns=1");
    check(&db, 1);
    let before = reset_peak();
    let mut rows = db.query("SELECT randomblob(60000000), 'end'", ()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.get::<&[u8]>(0).unwrap().len(), 60_000_000);
    assert_eq!(row.get::<&str>(1).unwrap(), "end");
    drop(rows);
    let peak = status("VmHWM:") - before;
    assert!(peak > 50_000, "the row was in memory: {peak} KiB");
    check(&db, 2);
    let after = status("VmRSS:") - before;
    println!("60 MB in a row: {peak} KiB more at the peak, {after} KiB after the next statement");
    assert!(after < 5 * 1024, "{after} KiB are kept");
    assert_eq!(db.stats().connects, 1);
}

#[test]
fn an_answer_over_the_cap_names_its_size_and_the_cap() {
    let _shared = MEMORY.read();
    let db = TestDatabase::new("");
    let pool = db.pool_with("pool_max_conns=1&max_message=1000000");
    let (blob,) = pool
        .query_row::<(Vec<u8>,)>("SELECT zeroblob(900000)", ())
        .unwrap();
    assert_eq!(blob.len(), 900_000);
    for sql in [
        // In the first part, and in a later one.
        "SELECT zeroblob(2000000)".to_owned(),
        series("zeroblob(CASE v WHEN 5000 THEN 2000000 ELSE 0 END)").replace("?1", "5000"),
    ] {
        let mut seen = 0;
        let error = match pool.query(&sql, ()) {
            Err(error) => error,
            Ok(mut rows) => loop {
                match rows.next() {
                    Ok(Some(_)) => seen += 1,
                    Ok(None) => panic!("the answer was taken"),
                    Err(error) => break error,
                }
            },
        };
        assert_eq!(seen > 0, sql.len() > 100);
        assert_error(&error, ErrorKind::Protocol, Outcome::Unknown, "1000000");
        // With what else is in the message.
        assert!(error.message().contains(" 200"), "{error}");
        check(&pool, 7);
    }
}
