//! A database of one test alone, on a node that the tests of a program share.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use quorate::{Config, Error, ErrorKind, Outcome, Pool};

use super::cluster::Cluster;
use super::raw::Raw;
use super::tap::Tap;
use super::unique;

/// A pool on an empty database. It can do what a [`Pool`] can.
pub struct TestDatabase {
    pool: Pool,
    name: String,
    cluster: Arc<Cluster>,
}

impl TestDatabase {
    /// A new database, and a pool with the options of `query`, such as `pool_max_conns=1`.
    pub fn new(query: &str) -> TestDatabase {
        let cluster = shared_node();
        let name = format!("test-{}", unique());
        TestDatabase {
            pool: open(&cluster, &name, query),
            name,
            cluster,
        }
    }

    /// Another pool on the same database.
    pub fn pool_with(&self, query: &str) -> Pool {
        open(&self.cluster, &self.name, query)
    }

    /// Another pool on the same database, with one connection, and a tap on it.
    pub fn tapped(&self, query: &str) -> (Pool, Tap) {
        let tap = Tap::default();
        let url = url(&self.cluster, &self.name, query);
        let mut config = Config::parse(&url).unwrap();
        config.set("pool_max_conns", "1").unwrap();
        let dial = tap.clone();
        config.set_dial(move |address, deadline| dial.dial(address, deadline));
        let pool = Pool::with_config(config).unwrap();
        pool.ping().unwrap();
        tap.take();
        (pool, tap)
    }

    /// A connection that the library has no part in.
    pub fn raw(&self) -> Raw {
        Raw::open(self.address(), &self.name).unwrap()
    }

    pub fn address(&self) -> &str {
        self.cluster.address(0)
    }

    /// Whether the node is older than libdqlite 1.15.
    pub fn is_old(&self) -> bool {
        self.cluster.is_old()
    }

    /// Runs `body` and checks that it has not dialled: the connections were good and stayed in step.
    pub fn without_connects<T>(&self, body: impl FnOnce() -> T) -> T {
        let before = self.pool.stats().connects;
        let result = body();
        assert_eq!(self.pool.stats().connects, before, "a connection was lost");
        result
    }
}

impl Deref for TestDatabase {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.pool
    }
}

fn open(cluster: &Cluster, name: &str, query: &str) -> Pool {
    Pool::open(&url(cluster, name, query)).unwrap()
}

fn url(cluster: &Cluster, name: &str, query: &str) -> String {
    format!("dqlite://{}/{name}?{query}", cluster.address(0))
}

/// The node of this program. It lives as long as a test uses it: a `static` would never be dropped, and its
/// directory would stay behind.
fn shared_node() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::start(1));
    *shared = Arc::downgrade(&cluster);
    cluster
}

/// Checks the kind and the outcome of an error, and that its message has `part` in it.
#[track_caller]
pub fn assert_error(error: &Error, kind: ErrorKind, outcome: Outcome, part: &str) {
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
    assert!(error.message().contains(part), "{part:?} in {error}");
}

/// The time that `body` took.
pub fn timed<T>(body: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = body();
    (result, start.elapsed())
}
