//! Rows that are read more slowly than they come: the deadline and the cancel handle of their call hold nevertheless.

mod common;

use std::thread;
use std::time::Duration;

use common::database::TestDatabase;
use common::postgres::{Auth, PostgresCluster, PostgresOptions};
use quorate::{CancelHandle, ErrorKind, Pool, Rows};

/// So many rows lie in the memory of a reader at most, of those that are queried here.
const AT_HAND: usize = 10_000;
const DEADLINE: Duration = Duration::from_millis(100);
/// In this time the server fills all buffers.
const NAP: Duration = Duration::from_millis(200);

/// Reads rows to their error, after a nap.
fn read_late(mut rows: Rows<'_>, before: impl FnOnce()) -> (usize, ErrorKind) {
    assert!(rows.next().unwrap().is_some());
    thread::sleep(NAP);
    before();
    let mut count = 0;
    loop {
        match rows.next() {
            Ok(row) => assert!(row.is_some(), "all rows were given"),
            Err(error) => return (count, error.kind()),
        }
        count += 1;
    }
}

fn is_bounded(pool: &Pool, many: &str) {
    let rows = pool.within(DEADLINE).query(many, ()).unwrap();
    let (count, kind) = read_late(rows, || ());
    assert_eq!(kind, ErrorKind::Timeout);
    assert!(count < AT_HAND, "{count} rows after the deadline");

    let handle = CancelHandle::new();
    let rows = pool.cancel_with(&handle).query(many, ()).unwrap();
    let (count, kind) = read_late(rows, || handle.cancel());
    assert_eq!(kind, ErrorKind::Cancelled);
    assert!(count < AT_HAND, "{count} rows after the cancellation");

    let (number,): (i32,) = pool.query_row("SELECT 7", ()).unwrap();
    assert_eq!(number, 7);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn rows_of_dqlite_end_in_time_for_a_slow_reader() {
    let database = TestDatabase::new("");
    let many = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 2000000) SELECT n FROM t";
    is_bounded(&database, many);
}

#[test]
fn rows_of_postgresql_end_in_time_for_a_slow_reader() {
    let options = PostgresOptions::new().user("app", "", Auth::Trust);
    let cluster = PostgresCluster::start(&options);
    let url = format!("postgres://app@{}/postgres?topology=off", cluster.address());
    let pool = Pool::open(&url).unwrap();
    is_bounded(&pool, "SELECT generate_series(1, 2000000)");
}
