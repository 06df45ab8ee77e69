//! Transactions that end by something else than their own commit: nothing is written twice, nothing is applied
//! outside of them, and none goes back to the pool open.

mod common;

use std::thread;
use std::time::Duration;

use common::cluster::Cluster;
use common::database::{TestDatabase, assert_error};
use common::proxy::{Direction, Proxy};
use common::wait_for;
use quorate::{Batch, Connection, Error, ErrorKind, Outcome, Pool, Result, TransactionMode};

const SOON: Duration = Duration::from_secs(15);

fn database() -> TestDatabase {
    let db = TestDatabase::new("pool_max_conns=1");
    db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", ())
        .unwrap();
    db.exec("CREATE TABLE log (n INTEGER)", ()).unwrap();
    db
}

fn count(pool: &Pool) -> i64 {
    pool.query_row::<(i64,)>("SELECT count(*) FROM log", ())
        .unwrap()
        .0
}

/// Has the server roll the transaction back, as INSERT OR ROLLBACK does.
fn collide(connection: &mut Connection) {
    connection.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    let error = connection
        .exec("INSERT OR ROLLBACK INTO t VALUES (1)", ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
}

fn busy() -> Error {
    Error::new(ErrorKind::Busy, "the body wants to be repeated")
}

#[test]
fn a_savepoint_that_a_text_leaves_open_does_not_go_back_to_the_pool() {
    let db = database();
    let other = db.pool_with("pool_max_conns=1&busy_timeout=0");
    for text in [
        "SAVEPOINT a; SAVEPOINT b; INSERT INTO log VALUES (1); RELEASE b",
        "SAVEPOINT a; INSERT INTO log VALUES (1); ROLLBACK TO a",
    ] {
        let mut connection = db.acquire().unwrap();
        connection.exec(text, ()).unwrap();
        assert!(connection.in_transaction(), "{text}");
        drop(connection);
        other.exec("DELETE FROM log", ()).unwrap();
        assert_eq!(count(&db), 0, "{text}");
    }
    db.without_connects(|| {
        db.exec("SAVEPOINT a; INSERT INTO log VALUES (1); RELEASE a", ())
            .unwrap()
    });
    assert_eq!(count(&other), 1);
}

#[test]
fn nothing_is_applied_outside_of_a_transaction_that_the_server_has_ended() {
    let db = database();
    let insert = "INSERT INTO log VALUES (1)";
    let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
    collide(&mut transaction);
    let text = "the server has ended the transaction";
    let error = transaction.exec(insert, ()).unwrap_err();
    assert_error(&error, ErrorKind::Database, Outcome::NotSent, text);
    let error = transaction.query(insert, ()).unwrap_err();
    assert_error(&error, ErrorKind::Database, Outcome::NotSent, text);
    let error = transaction.commit().unwrap_err();
    assert_error(&error, ErrorKind::Database, Outcome::NotSent, text);

    for end in ["commit", "rollback", "drop"] {
        let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
        collide(&mut transaction);
        match end {
            "commit" => {
                let error = transaction.commit().unwrap_err();
                assert_error(&error, ErrorKind::Database, Outcome::NotSent, text);
            }
            "rollback" => transaction.rollback().unwrap(),
            _ => drop(transaction),
        }
    }
    assert_eq!(count(&db), 0);
    db.exec(insert, ()).unwrap();
    assert_eq!(count(&db), 1);
}

#[test]
fn an_error_that_leaves_the_transaction_open_costs_no_connection() {
    let db = database();
    db.without_connects(|| {
        let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
        transaction.exec("INSERT INTO t VALUES (1)", ()).unwrap();
        transaction
            .exec("INSERT INTO t VALUES (1)", ())
            .unwrap_err();
        transaction.exec("INSERT INTO log VALUES (1)", ()).unwrap();
        transaction.commit().unwrap();
    });
    assert_eq!(count(&db), 1);
}

#[test]
fn a_body_is_not_repeated_after_something_of_it_was_applied() {
    let db = database();
    let mut runs = 0;
    let result: Result<()> = db.transaction(TransactionMode::Immediate, |connection| {
        runs += 1;
        if runs == 1 {
            collide(connection);
            let mut batch = Batch::new();
            batch.queue("INSERT INTO log VALUES (1)", ()).unwrap();
            connection.send_batch(&batch)?.close()?;
        }
        Err(busy())
    });
    assert_eq!(runs, 1);
    assert_error(
        &result.unwrap_err(),
        ErrorKind::Database,
        Outcome::NotSent,
        "the server has ended the transaction",
    );
    assert_eq!(count(&db), 0);

    // Within a batch the statements behind the one that fails have run before anybody knows.
    let mut runs = 0;
    let result: Result<()> = db.transaction(TransactionMode::Immediate, |connection| {
        runs += 1;
        let mut batch = Batch::new();
        batch.queue("INSERT INTO t VALUES (1)", ()).unwrap();
        batch
            .queue("INSERT OR ROLLBACK INTO t VALUES (1)", ())
            .unwrap();
        batch.queue("INSERT INTO log VALUES (1)", ()).unwrap();
        let mut results = connection.send_batch(&batch)?;
        results.exec()?;
        assert!(results.exec().is_err());
        results.exec()?;
        drop(results);
        Err(busy())
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(runs, 1, "what the batch wrote would be written again");
    assert_eq!(count(&db), 1);
}

#[test]
fn nothing_is_applied_behind_a_batch_whose_answers_nobody_has_read() {
    let db = database();
    let mut batch = Batch::new();
    batch.queue("INSERT INTO t VALUES (1)", ()).unwrap();
    batch
        .queue("INSERT OR ROLLBACK INTO t VALUES (1)", ())
        .unwrap();
    for and_more in [false, true] {
        if and_more {
            batch.queue("INSERT INTO log VALUES (1)", ()).unwrap();
        }
        let mut transaction = db.begin(TransactionMode::Immediate).unwrap();
        drop(transaction.send_batch(&batch).unwrap());
        let insert = "INSERT INTO log VALUES (2)";
        let error = transaction.exec(insert, ()).unwrap_err();
        let text = if and_more {
            "something of it may have been applied"
        } else {
            "nothing of it was applied"
        };
        assert_error(&error, ErrorKind::Database, Outcome::NotSent, text);
        drop(transaction);
        assert_eq!(count(&db), i64::from(and_more));
    }
}

#[test]
fn a_body_is_not_repeated_after_it_has_begun_a_transaction_of_its_own() {
    let db = database();
    let bodies: [&[&str]; 3] = [
        &["COMMIT", "BEGIN"],
        &["END; BEGIN"],
        &["ROLLBACK", "BEGIN"],
    ];
    for statements in bodies {
        let mut runs = 0;
        let result: Result<()> = db.transaction(TransactionMode::Immediate, |connection| {
            runs += 1;
            connection.exec("INSERT INTO log VALUES (1)", ())?;
            for sql in statements {
                connection.exec(sql, ())?;
            }
            if runs < 3 { Err(busy()) } else { Ok(()) }
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(runs, 1, "{statements:?} was run again");
    }
    assert_eq!(count(&db), 2);
}

const COLLIDE: &str = "INSERT OR ROLLBACK INTO t VALUES (1)";
const LOG: &str = "INSERT INTO log VALUES (1)";

/// Runs `body` in a transaction whose COMMIT, which the body sends itself, reaches the server, but whose answer
/// does not come back.
fn with_lost_commit(commit: impl Fn(&mut Connection) -> Result<()>) {
    let cluster = Cluster::start(1);
    let proxy = Proxy::start(cluster.address(0));
    let direct = Pool::open(&format!("dqlite://{}/app", cluster.address(0))).unwrap();
    direct.exec("CREATE TABLE log (n INTEGER)", ()).unwrap();
    direct
        .exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", ())
        .unwrap();
    direct.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    let mut config =
        quorate::Config::parse(&format!("dqlite://{}/app", cluster.address(0))).unwrap();
    let through = proxy.address().to_owned();
    config.set_dial(move |_, _| std::net::TcpStream::connect(&through).map(Into::into));
    let pool = Pool::with_config(config).unwrap();

    let mut runs = 0;
    let result: Result<()> =
        pool.within(SOON)
            .transaction(TransactionMode::Immediate, |connection| {
                runs += 1;
                connection.exec("INSERT INTO log VALUES (1)", ())?;
                if runs > 1 {
                    return Ok(());
                }
                // Else the answer to its preparation would be lost.
                for sql in ["COMMIT", "END", COLLIDE, LOG] {
                    connection.prepare(sql)?;
                }
                proxy.delay(Direction::ToClient, Duration::from_secs(60));
                thread::scope(|scope| {
                    scope.spawn(|| {
                        wait_for("the commit is applied", SOON, || {
                            (count(&direct) == 1).then_some(())
                        });
                        proxy.reset();
                        proxy.delay(Direction::ToClient, Duration::ZERO);
                    });
                    commit(connection)
                })
            });
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!((runs, count(&direct)), (1, 1), "{error}");
}

#[test]
fn a_body_whose_own_commit_was_not_answered_is_not_repeated() {
    with_lost_commit(|connection| connection.exec("COMMIT", ()).map(drop));
    with_lost_commit(|connection| connection.query("END", ()).map(drop));
    with_lost_commit(|connection| {
        let mut batch = Batch::new();
        batch.queue("COMMIT", ()).unwrap();
        connection.send_batch(&batch)?.close()
    });
    // The body hides the error: the commit of the transaction says what is known.
    with_lost_commit(|connection| {
        connection.exec("COMMIT", ()).unwrap_err();
        Ok(())
    });
}

#[test]
fn a_batch_that_may_have_rolled_back_and_was_not_answered_is_not_repeated() {
    with_lost_commit(|connection| {
        let mut batch = Batch::new();
        batch.queue(COLLIDE, ()).unwrap();
        batch.queue(LOG, ()).unwrap();
        connection.send_batch(&batch)?.close()
    });
}
