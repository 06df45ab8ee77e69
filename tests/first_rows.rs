//! The first row of a query: what its error says became of the statement, and how long it may take in all.

mod common;

use common::database::{TestDatabase, assert_error};
use common::pico_servers;
use quorate::{Batch, ErrorKind, Outcome, Pool};

#[test]
fn a_statement_that_was_applied_is_not_called_rejected() {
    let cluster = pico_servers::start(1);
    cluster.sql_everywhere("CREATE TABLE item (id bigint); GRANT ALL ON item TO app");
    let pool = Pool::open(&cluster.url(0)).unwrap();
    let insert = "INSERT INTO item VALUES ($1) RETURNING 'a text'";

    let error = pool.query_row::<(i64,)>(insert, (1,)).unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Unknown, "text");
    let error = pool.query_row::<(i64,)>("SELECT 'a text'", ()).unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Rejected, "text");

    let mut batch = Batch::new();
    batch.queue(insert, (2,)).unwrap();
    batch.queue("SELECT 'a text'", ()).unwrap();
    let mut results = pool.send_batch(&batch).unwrap();
    let error = results.query_row::<(i64,)>().unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Unknown, "text");
    let error = results.query_row::<(i64,)>().unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Rejected, "text");
    drop(results);

    let (count,) = pool
        .query_row::<(i64,)>("SELECT count(*) FROM item", ())
        .unwrap();
    assert_eq!(count, 2);
    no_row(
        &pool,
        "INSERT INTO item VALUES (3)",
        "DELETE FROM item WHERE id = 9",
    );
}

#[test]
fn a_statement_without_rows_that_was_applied_is_not_called_rejected() {
    let db = TestDatabase::new("");
    db.exec("CREATE TABLE item (id INTEGER)", ()).unwrap();
    let pool = db.pool_with("");
    no_row(
        &pool,
        "INSERT INTO item VALUES (3)",
        "DELETE FROM item WHERE id = 9",
    );
}

/// Asks two statements that answer no rows for one; the first changes something, the second nothing.
fn no_row(pool: &Pool, changing: &str, idle: &str) {
    for (sql, outcome) in [(changing, Outcome::Unknown), (idle, Outcome::Rejected)] {
        let error = pool.query_row::<(i64,)>(sql, ()).unwrap_err();
        assert_error(&error, ErrorKind::NoRows, outcome, "no row");
        let mut batch = Batch::new();
        batch.queue(sql, ()).unwrap();
        let mut results = pool.send_batch(&batch).unwrap();
        let error = results.query_row::<(i64,)>().unwrap_err();
        assert_error(&error, ErrorKind::NoRows, outcome, "no row");
    }
}

#[test]
fn the_row_and_the_rest_of_the_answer_share_one_timeout() {
    let cluster = pico_servers::start(1);
    // A row fills the server's buffer, and so arrives by itself: the first after 0.2 s, the second 0.2 s later.
    let slow = "SELECT repeat('x', 10000), pg_sleep(0.2)::text FROM generate_series(1, 2)";
    for (timeout, ends) in [("300ms", false), ("5s", true)] {
        let pool = Pool::open(&format!("{}?timeout={timeout}", cluster.url(0))).unwrap();
        let mut connection = pool.acquire().unwrap();
        for row in [
            connection.query_row::<(String, String)>(slow, ()),
            pool.query_row::<(String, String)>(slow, ()),
        ] {
            match row {
                Ok((text, _)) => assert!(ends && text.len() == 10000),
                Err(error) => assert!(!ends && error.kind() == ErrorKind::Timeout, "{error}"),
            }
        }
    }
}
