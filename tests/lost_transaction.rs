//! A transaction whose connection is given up while rows are closed: nothing that follows runs outside of it.

mod common;

use common::cluster::Cluster;
use quorate::{ErrorKind, Pool, Result, TransactionMode};

#[test]
fn a_statement_after_a_failed_clean_up_does_not_run_outside_of_its_transaction() -> Result<()> {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/app", cluster.address(0)))?;
    pool.exec("CREATE TABLE item (id INTEGER)", ())?;

    let mut transaction = pool.begin(TransactionMode::Immediate)?;
    transaction.exec("INSERT INTO item VALUES (1)", ())?;
    let many = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 1000000) SELECT n FROM t";
    let mut rows = transaction.query(many, ())?;
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
