//! What a call that has ended leaves behind on a real PostgreSQL, when its answer, or what was to cancel it, comes late.

mod common;

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::database::assert_error;
use common::postgres::{Auth, PostgresCluster, PostgresOptions};
use common::proxy::{Direction, Proxy};
use quorate::{Config, Deadline, ErrorKind, Outcome, Pool, TransactionMode};

const USER: &str = "app";

/// A server, a proxy before it, and a pool whose first connection goes one way and all later ones, which cancel, the
/// other.
struct Setup {
    _cluster: PostgresCluster,
    proxy: Proxy,
    pool: Pool,
}

impl Setup {
    fn new(first_by_proxy: bool) -> Setup {
        let cluster = PostgresCluster::start(&PostgresOptions::new().user(USER, "", Auth::Trust));
        let proxy = Proxy::start(&cluster.address());
        let url = format!(
            "postgres://{USER}@{}/postgres?topology=off&pool_max_conns=1",
            cluster.address()
        );
        let mut config = Config::parse(&url).unwrap();
        let is_first = AtomicBool::new(true);
        let proxied: Arc<str> = proxy.address().into();
        config.set_dial(move |address, _: Deadline| {
            let is_first = is_first.swap(false, Ordering::Relaxed);
            let by_proxy = is_first == first_by_proxy;
            let stream = TcpStream::connect(if by_proxy { &*proxied } else { address })?;
            Ok(OwnedFd::from(stream))
        });
        let pool = Pool::with_config(config).unwrap();
        pool.exec("CREATE TABLE note (n int)", ()).unwrap();
        Setup {
            _cluster: cluster,
            proxy,
            pool,
        }
    }
}

#[test]
fn a_begin_whose_answer_comes_late_leaves_no_transaction_open() {
    let setup = Setup::new(true);
    let mut connection = setup.pool.acquire().unwrap();
    connection.ping().unwrap();
    // It comes while the server is asked to cancel what it has already done.
    let late = Duration::from_millis(60);
    setup.proxy.delay(Direction::ToClient, late);
    connection.set_timeout(Some(late - Duration::from_millis(10)));
    let mode = TransactionMode::Deferred;
    let error = connection.begin(mode).map(drop).unwrap_err();
    assert_error(&error, ErrorKind::Timeout, Outcome::NotSent, "deadline");
    setup.proxy.delay(Direction::ToClient, Duration::ZERO);
    connection.set_timeout(Some(Duration::from_secs(10)));
    assert!(!connection.in_transaction());
    connection.exec("INSERT INTO note VALUES (1)", ()).unwrap();
    drop(connection);
    let (count,): (i64,) = setup
        .pool
        .query_row("SELECT count(*) FROM note", ())
        .unwrap();
    assert_eq!(count, 1, "what was acknowledged is there");
}

#[test]
fn a_cancel_that_comes_late_stops_no_other_statement() {
    // A busy machine may not get to the rows in time.
    let number = (0..10).find_map(|_| after_a_late_cancel());
    assert_eq!(number, Some(7));
}

/// Closes rows that are under way, whose cancel comes late, and answers what the next statement does; `None` if the rows
/// did not come before the deadline.
fn after_a_late_cancel() -> Option<i32> {
    let setup = Setup::new(false);
    let mut connection = setup.pool.acquire().unwrap();
    connection.ping().unwrap();
    setup
        .proxy
        .delay(Direction::ToServer, Duration::from_millis(150));
    // All rows have come by the time at which nobody waits for the cancel any more.
    connection.set_timeout(Some(Duration::from_millis(50)));
    let many = "SELECT n, 'a row of a result' FROM generate_series(1, 1000) AS s (n)";
    let closed = connection.query(many, ()).and_then(|mut rows| {
        assert!(rows.next()?.is_some());
        rows.close()
    });
    if let Err(error) = closed {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        return None;
    }
    connection.set_timeout(Some(Duration::from_secs(10)));
    let slow = "SELECT 7 FROM pg_sleep(0.3)";
    let (number,): (i32,) = connection.query_row(slow, ()).unwrap();
    Some(number)
}
