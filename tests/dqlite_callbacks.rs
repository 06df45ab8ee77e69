//! Functions of the user's that a pool calls: they may panic, and they may close the pool.

mod common;

use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use common::cluster::Cluster;
use common::wait_for;
use quorate::{Config, Pool};

const SOON: Duration = Duration::from_secs(5);

fn config(cluster: &Cluster) -> Config {
    Config::parse(&format!("dqlite://{}/app", cluster.address(0))).unwrap()
}

#[test]
fn a_pool_goes_on_after_a_panic_in_a_callback_on_its_worker() {
    let cluster = Cluster::start(1);
    let mut config = config(&cluster);
    config.set("refresh_interval", "50ms").unwrap();
    let (sender, panics) = mpsc::channel();
    // The list of nodes is first known on the worker.
    config.set_event(move |_| {
        if std::thread::current().name() == Some("quorate-worker") {
            sender.send(()).unwrap();
            panic!("a fault of the user's");
        }
    });
    let pool = Pool::with_config(config).unwrap();
    panics.recv_timeout(SOON).unwrap();
    pool.ping().unwrap();
    let before = pool.stats().refreshes;
    wait_for("the worker reads the topology again", SOON, || {
        (pool.stats().refreshes > before).then_some(())
    });
    let began = Instant::now();
    pool.within(SOON).close().unwrap();
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}

#[test]
fn a_callback_on_the_worker_may_close_the_pool() {
    let cluster = Cluster::start(1);
    let mut config = config(&cluster);
    let shared: Arc<OnceLock<Pool>> = Arc::default();
    let (sender, closed) = mpsc::channel();
    config.set_event({
        let shared = Arc::clone(&shared);
        move |_| {
            if std::thread::current().name() == Some("quorate-worker") {
                let pool = wait_for("the pool is there", SOON, || shared.get());
                let began = Instant::now();
                pool.within(SOON).close().unwrap();
                sender.send(began.elapsed()).unwrap();
            }
        }
    });
    let pool = Pool::with_config(config).unwrap();
    assert!(shared.set(pool).is_ok());
    let took = closed.recv_timeout(2 * SOON).unwrap();
    assert!(took < SOON / 2, "{took:?}");
}
