//! A transaction whose connection is given up while rows are closed: nothing that follows runs outside of it.

mod common;

use std::thread::spawn;
use std::time::Duration;

use common::cluster::Cluster;
use common::wait_for;
use quorate::{Error, ErrorKind, Outcome, Pool, Result, TransactionMode};

const MANY: &str =
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 1000000) SELECT n FROM t";

#[test]
fn a_statement_after_a_failed_clean_up_does_not_run_outside_of_its_transaction() -> Result<()> {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;

    let mut transaction = pool.begin(TransactionMode::Immediate)?;
    transaction.exec("INSERT INTO item VALUES (1)", ())?;
    let mut rows = transaction.query(MANY, ())?;
    assert!(rows.next()?.is_some());
    cluster.stop(0);
    // The server does not answer the interrupt within the second that a drop takes.
    drop(rows);
    cluster.cont(0);

    let error = transaction
        .exec("INSERT INTO item VALUES (2)", ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    drop(transaction);
    let (count,): (i64,) = pool.query_row("SELECT count(*) FROM item", ())?;
    assert_eq!(count, 0);
    Ok(())
}

#[test]
fn a_transaction_that_was_lost_while_its_rows_were_read_is_over_when_it_is_rolled_back()
-> Result<()> {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;

    let mut connection = pool.acquire()?;
    let mut transaction = connection.begin(TransactionMode::Immediate)?;
    transaction.exec("INSERT INTO item VALUES (1)", ())?;
    transaction.set_timeout(Some(Duration::from_millis(100)));
    let mut rows = transaction.query(MANY, ())?;
    cluster.stop(0);
    let error = loop {
        match rows.next() {
            Ok(row) => assert!(row.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    drop(rows);
    cluster.cont(0);
    transaction.set_timeout(None);
    assert!(transaction.in_transaction());
    transaction.rollback()?;

    assert!(!connection.in_transaction());
    let mut transaction = connection.begin(TransactionMode::Immediate)?;
    transaction.exec("INSERT INTO item VALUES (2)", ())?;
    transaction.commit()?;
    let (id,): (i64,) = pool.query_row("SELECT max(id) FROM item", ())?;
    assert_eq!(id, 2);
    Ok(())
}

#[test]
fn rows_that_end_early_in_a_transaction_leave_no_lock_behind() -> Result<()> {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;
    for reads_on in [false, true] {
        let mut transaction = pool.begin(TransactionMode::Immediate)?;
        transaction.exec("INSERT INTO item VALUES (1)", ())?;
        transaction.set_timeout(Some(Duration::from_millis(100)));
        let mut rows = transaction.query(MANY, ())?;
        assert!(rows.next()?.is_some());
        cluster.stop(0);
        if reads_on {
            let error = loop {
                match rows.next() {
                    Ok(row) => assert!(row.is_some()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        }
        drop(rows);
        drop(transaction);
        cluster.cont(0);
        // The server keeps the lock for as long as it sends rows.
        pool.within(Duration::from_secs(20))
            .exec("INSERT INTO item VALUES (2)", ())?;
    }
    let (lost, written): (i64, i64) =
        pool.query_row("SELECT sum(id = 1), sum(id = 2) FROM item", ())?;
    assert_eq!((lost, written), (0, 2));
    Ok(())
}

#[test]
fn a_query_that_ends_before_its_first_row_in_a_transaction_leaves_no_lock_behind() -> Result<()> {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;
    let mut transaction = pool.begin(TransactionMode::Immediate)?;
    transaction.exec("INSERT INTO item VALUES (1)", ())?;
    transaction.set_timeout(Some(Duration::from_millis(100)));
    // All rows are sorted before the first one is sent.
    let error = transaction
        .query(format!("{MANY} ORDER BY n DESC"), ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    drop(transaction);
    pool.within(Duration::from_secs(20))
        .exec("INSERT INTO item VALUES (2)", ())?;
    Ok(())
}

#[test]
fn a_begin_that_was_not_answered_has_applied_nothing() -> Result<()> {
    let mut cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;

    // Two connections that have prepared the BEGIN, so that nothing comes before it.
    let prepare = || {
        let mut connections = [pool.acquire()?, pool.acquire()?];
        for connection in &mut connections {
            connection.begin(TransactionMode::Immediate)?.rollback()?;
        }
        Ok::<_, Error>(())
    };
    prepare()?;
    cluster.stop(0);
    let bounded = pool.within(Duration::from_millis(200));
    let error = bounded.begin(TransactionMode::Immediate).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent),
        "{error}"
    );
    assert!(error.is_retryable());
    cluster.cont(0);

    // The helper begins anew where the connection breaks instead.
    prepare()?;
    cluster.stop(0);
    let writers = [1, 2].map(|id| {
        let pool = pool.clone();
        spawn(move || {
            pool.transaction(TransactionMode::Immediate, |connection| {
                connection.exec("INSERT INTO item VALUES (?)", [id])
            })
        })
    });
    wait_for("both have a connection", Duration::from_secs(5), || {
        (pool.stats().in_use == 2).then_some(())
    });
    cluster.kill(0);
    cluster.restart(0);
    for writer in writers {
        assert_eq!(writer.join().unwrap()?.rows_affected, 1);
    }

    // A deadline that passes within the transaction.
    let error = pool
        .within(Duration::from_millis(500))
        .transaction(TransactionMode::Immediate, |connection| {
            cluster.stop(0);
            connection.exec("INSERT INTO item VALUES (3)", ())
        })
        .unwrap_err();
    cluster.cont(0);
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent),
        "{error}"
    );
    let (count,): (i64,) = pool.query_row("SELECT count(*) FROM item", ())?;
    assert_eq!(count, 2);
    Ok(())
}
