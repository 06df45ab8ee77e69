//! The pool: its size, its order, its end, and what it leaves behind.

mod common;

use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::cluster::Cluster;
use common::fake::{ANSWER, FakeLeader};
use common::proxy::Proxy;
use common::scripted::Step;
use common::wait_for;
use quorate::{Config, Error, ErrorKind, Outcome, Pool, TransactionMode};

const SOON: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(150);
/// By how much a call may outlive its deadline; other tests run at the same time.
const GRACE: Duration = Duration::from_millis(250);

const SELECT: &str = "SELECT n FROM t";

/// A pool that talks to nobody but the fake leader, after its worker has done so.
fn fake_pool(leader: &FakeLeader, options: &str) -> Pool {
    let options = format!("statement_cache=0&refresh_interval=1h&{options}");
    let pool = Pool::open(&format!("dqlite://{}/test?{options}", leader.address())).unwrap();
    wait_for("the worker has read the list of nodes", SOON, || {
        (pool.stats().refreshes == 1).then_some(())
    });
    pool
}

fn one(pool: &Pool) -> quorate::Result<i64> {
    pool.query_row::<(i64,)>(SELECT, ()).map(|(n,)| n)
}

#[track_caller]
fn assert_kind<T>(result: quorate::Result<T>, kind: ErrorKind) -> Error {
    let error = result.err().expect("the call succeeded");
    assert_eq!(
        (error.kind(), error.outcome()),
        (kind, Outcome::NotSent),
        "{error}"
    );
    error
}

#[test]
fn no_more_connections_than_allowed_and_first_come_first_served() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "pool_max_conns=2");
    let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    let start = Instant::now();
    let error = assert_kind(pool.within(SHORT).exec(SELECT, ()), ErrorKind::PoolTimeout);
    assert!(
        (SHORT..SHORT + GRACE).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert!(error.message().contains("all 2 connections"), "{error}");

    let order = Mutex::new(Vec::new());
    let served = &order;
    thread::scope(|scope| {
        for number in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                let connection = pool.within(SOON).acquire().unwrap();
                served.lock().unwrap().push(number);
                drop(connection);
            });
            wait_for("the thread waits", SOON, || {
                (pool.stats().waiting == number + 1).then_some(())
            });
        }
        let stats = pool.stats();
        assert_eq!((stats.connections, stats.in_use, stats.idle), (2, 2, 0));
        let [first, second] = held;
        drop(first);
        wait_for("the others are served", SOON, || {
            (pool.stats().waiting == 0).then_some(())
        });
        drop(second);
    });
    assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
    wait_for("the connections come back", SOON, || {
        (pool.stats().idle == 2).then_some(())
    });
    let stats = pool.stats();
    assert_eq!(
        (stats.max_conns, stats.connections, stats.in_use),
        (2, 2, 0)
    );
    assert_eq!((stats.acquires, stats.waits, stats.connects), (10, 9, 2));
    assert!(stats.wait_time >= SHORT, "{stats:?}");
    assert_eq!((stats.connect_failures, stats.failures), (0, 0));
}

#[test]
fn the_acquire_timeout_ends_a_wait_before_the_deadline() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "pool_max_conns=1&acquire_timeout=150ms&timeout=0");
    let held = pool.acquire().unwrap();
    let start = Instant::now();
    assert_kind(pool.exec(SELECT, ()), ErrorKind::PoolTimeout);
    assert!(
        (SHORT..SHORT + GRACE).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    drop(held);
    // It holds for the connection, not for the statement.
    leader.act(vec![
        Step::Pause(2 * SHORT),
        Step::Send(common::fake::rows(3)),
    ]);
    assert_eq!(one(&pool).unwrap(), 3);
}

#[test]
fn a_close_sends_all_who_wait_away() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "pool_max_conns=1");
    let held = pool.acquire().unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| pool.within(SOON).exec(SELECT, ())))
            .collect();
        wait_for("all wait", SOON, || {
            (pool.stats().waiting == 32).then_some(())
        });
        let error = pool.within(SHORT).close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("1 connections"), "{error}");
        for waiter in waiters {
            assert_kind(waiter.join().unwrap(), ErrorKind::Closed);
        }
        // The one that is in use is waited for.
        let closer = scope.spawn(|| pool.within(SOON).close());
        drop(held);
        closer.join().unwrap().unwrap();
    });
    assert!(start.elapsed() < SOON, "somebody waited for its deadline");
    for _ in 0..2 {
        assert_kind(pool.exec(SELECT, ()), ErrorKind::Closed);
        assert_kind(pool.acquire(), ErrorKind::Closed);
        assert_kind(pool.begin(TransactionMode::Deferred), ErrorKind::Closed);
        pool.close().unwrap();
    }
    wait_for("the server sees it", SOON, || {
        (leader.open() == 0).then_some(())
    });
}

#[test]
fn a_close_ends_those_who_look_for_the_leader_or_dial() {
    for known in [true, false] {
        let leader = FakeLeader::start();
        if !known {
            leader.hush();
        }
        let options = "statement_cache=0&refresh_interval=1h&pool_max_conns=8";
        let pool = Pool::open(&format!("dqlite://{}/test?{options}", leader.address())).unwrap();
        if known {
            assert_eq!(one(&pool).unwrap(), ANSWER);
            leader.hush();
            pool.reset();
        }
        let start = Instant::now();
        thread::scope(|scope| {
            let before = leader.open();
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| pool.within(SOON).exec(SELECT, ())))
                .collect();
            wait_for("somebody asks", SOON, || {
                (leader.open() > before || !known && leader.open() > 0).then_some(())
            });
            pool.within(SOON).close().unwrap();
            for waiter in waiters {
                assert_kind(waiter.join().unwrap(), ErrorKind::Closed);
            }
        });
        assert!(start.elapsed() < SOON / 2, "{:?}", start.elapsed());
    }
}

#[test]
fn a_short_close_does_not_wait_for_a_long_one() {
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = Mutex::new(receiver);
    let mut config = Config::parse("dqlite://127.0.0.1:1/test").unwrap();
    // A dial function that keeps no deadline.
    config.set_dial(move |_, _| {
        let _ = receiver.lock().unwrap().recv();
        Err(std::io::Error::other("no"))
    });
    let pool = Pool::with_config(config).unwrap();
    thread::scope(|scope| {
        let long = scope.spawn(|| pool.within(SOON).close());
        wait_for("the close has begun", SOON, || {
            let error = pool.within(Duration::ZERO).acquire().unwrap_err();
            (error.kind() == ErrorKind::Closed).then_some(())
        });
        let start = Instant::now();
        let _ = pool.within(SHORT).close();
        assert!(start.elapsed() < SHORT + GRACE, "{:?}", start.elapsed());
        drop(sender);
        long.join().unwrap().unwrap();
    });
}

#[test]
fn what_is_in_use_outlives_the_pool() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "pool_max_conns=4");
    let mut connection = pool.acquire().unwrap();
    leader.act(vec![Step::Send(
        [
            common::fake::part(&[1, 2], false),
            common::fake::part(&[3], true),
        ]
        .concat(),
    )]);
    let mut rows = pool.query(SELECT, ()).unwrap();
    assert!(rows.next().unwrap().is_some());
    drop(pool);
    let rest: Vec<_> = rows.typed::<(i64,)>().map(Result::unwrap).collect();
    assert_eq!(rest, [(2,), (3,)]);
    assert_kind(connection.exec(SELECT, ()), ErrorKind::Closed);
    drop(connection);
    wait_for("all connections end", SOON, || {
        (leader.open() == 0).then_some(())
    });
}

#[test]
fn a_reset_replaces_the_connections_and_the_pool_stays_open() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "pool_max_conns=4");
    let held = pool.acquire().unwrap();
    drop(pool.acquire().unwrap());
    assert_eq!(pool.stats().connections, 2);
    pool.reset();
    assert_eq!((pool.stats().idle, pool.stats().in_use), (0, 1));
    drop(held);
    assert_eq!(pool.stats().connections, 0);
    assert_eq!(one(&pool).unwrap(), ANSWER);
    assert_eq!(pool.stats().connects, 3);
}

#[test]
fn the_least_number_is_kept_and_the_old_are_replaced() {
    let leader = FakeLeader::start();
    let pool = fake_pool(
        &leader,
        "pool_min_conns=3&pool_max_conns=4&pool_health_check_period=20ms",
    );
    wait_for("three connections are open", SOON, || {
        (pool.stats().idle == 3).then_some(())
    });
    pool.reset();
    wait_for("three others are open", SOON, || {
        (pool.stats().idle == 3 && pool.stats().connects == 6).then_some(())
    });
    let pool = fake_pool(
        &leader,
        "pool_max_conn_lifetime=100ms&pool_max_conn_lifetime_jitter=0",
    );
    assert_eq!(one(&pool).unwrap(), ANSWER);
    assert_eq!(one(&pool).unwrap(), ANSWER);
    let before = pool.stats().connects;
    wait_for("the connection is replaced", SOON, || {
        assert_eq!(one(&pool).unwrap(), ANSWER);
        (pool.stats().connects > before).then_some(())
    });
    assert_eq!(pool.stats().connections, 1);
}

#[test]
fn a_connection_that_nobody_uses_for_long_is_closed() {
    let leader = FakeLeader::start();
    for limit in [
        "pool_max_conn_idle_time=200ms",
        "pool_max_conn_lifetime=200ms&pool_max_conn_lifetime_jitter=0",
    ] {
        let pool = fake_pool(&leader, &format!("pool_health_check_period=10ms&{limit}"));
        let mut used = Instant::now();
        for _ in 0..20 {
            assert_eq!(one(&pool).unwrap(), ANSWER);
            used = Instant::now();
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((pool.stats().idle, pool.stats().connects), (1, 1));
        wait_for("it is closed", SOON, || (leader.open() == 0).then_some(()));
        if limit.contains("idle") {
            assert!(
                used.elapsed() >= Duration::from_millis(200),
                "closed too early"
            );
        }
        wait_for("its place is free", SOON, || {
            let stats = pool.stats();
            ((stats.connections, stats.idle, stats.in_use) == (0, 0, 0)).then_some(())
        });
        assert_eq!(one(&pool).unwrap(), ANSWER);
    }
}

#[test]
fn a_checkout_makes_no_round_trip() {
    let cluster = Cluster::start(1);
    let proxy = Proxy::start(cluster.address(0));
    let mut config = Config::parse(&format!(
        "dqlite://{}/test?refresh_interval=1h",
        cluster.address(0)
    ))
    .unwrap();
    let to = proxy.address().to_owned();
    config.set_dial(move |_, _| Ok(OwnedFd::from(TcpStream::connect(&to)?)));
    let pool = Pool::with_config(config).unwrap();
    wait_for("the worker is done", SOON, || {
        (pool.stats().refreshes == 1).then_some(())
    });
    pool.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
    let before = proxy.stats();
    for _ in 0..50 {
        drop(pool.acquire().unwrap());
    }
    assert_eq!(proxy.stats(), before);
    assert_eq!(pool.stats().connects, 1);
}

#[test]
fn an_idle_connection_that_has_died_costs_no_error() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader, "");
    for (end, connects) in [(Step::Close, 2), (Step::Reset, 3)] {
        leader.act(vec![Step::Send(common::fake::rows(1)), end]);
        assert_eq!(one(&pool).unwrap(), 1);
        wait_for("the server ends the connection", SOON, || {
            (leader.open() == 0).then_some(())
        });
        assert_eq!(one(&pool).unwrap(), ANSWER);
        let stats = pool.stats();
        assert_eq!((stats.connects, stats.connections), (connects, 1));
        assert_eq!((stats.failures, stats.connect_failures), (0, 0));
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The names of the library's own threads that are running.
fn threads() -> Vec<String> {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| name.starts_with("quorate-"))
        .collect()
}

/// Set for the process in which the descriptors and threads are counted: other tests open their own.
const ALONE: &str = "QUORATE_TEST_ALONE";

/// Runs one test of this program in a process of its own.
fn run_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in a process of its own");
    false
}

#[test]
fn a_close_leaves_no_descriptor_and_no_thread() {
    if !run_alone("a_close_leaves_no_descriptor_and_no_thread") {
        return;
    }
    let cluster = Cluster::start(3);
    let url = format!(
        "dqlite://{}/test?pool_max_conns=8&pool_min_conns=2",
        cluster.addresses().join(",")
    );
    // What the calling thread waits with stays with it, and is opened by its first call.
    drop(Pool::open(&url).unwrap());
    wait_for("the first pool is gone", SOON, || {
        threads().is_empty().then_some(())
    });
    let before = descriptors();
    let settled = || {
        wait_for("all is given back", SOON, || {
            (descriptors() == before && threads().is_empty()).then_some(())
        });
    };
    for close in [true, false] {
        let pool = Pool::open(&url).unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| pool.query_row::<(i64,)>("SELECT 1", ()).unwrap());
            }
        });
        assert!(descriptors() > before && !threads().is_empty());
        if close {
            // The handle outlives the close, and holds nothing.
            pool.within(SOON).close().unwrap();
            settled();
        }
        drop(pool);
        settled();
    }
}

#[test]
#[allow(unsafe_code)]
fn a_forked_child_is_told_and_leaves_the_parent_alone() {
    if !run_alone("a_forked_child_is_told_and_leaves_the_parent_alone") {
        return;
    }
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/test", cluster.address(0))).unwrap();
    pool.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
    let mut connection = pool.acquire().unwrap();
    let node = connection.node().to_owned();
    let mut transaction = pool.begin(TransactionMode::Immediate).unwrap();
    transaction.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    let mut rows = pool
        .query(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5000) \
             SELECT n FROM c",
            (),
        )
        .unwrap();
    assert!(rows.next().unwrap().is_some());

    // SAFETY: the child uses memory of its own, takes no lock that another thread may have held but the
    // allocator's, which libc repairs in the child, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = |result: Result<(), Error>| {
            result.is_err_and(|error| error.kind() == ErrorKind::Forked)
        };
        let checks = [
            forked(pool.exec("INSERT INTO t VALUES (2)", ()).map(drop)),
            forked(pool.acquire().map(drop)),
            forked(connection.exec("INSERT INTO t VALUES (3)", ()).map(drop)),
            forked(transaction.exec("INSERT INTO t VALUES (4)", ()).map(drop)),
            // Rows that were received before are the child's as well; the next part is not.
            forked(loop {
                match rows.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }),
            forked(pool.close()),
        ];
        drop(rows);
        drop(transaction);
        drop(connection);
        drop(pool);
        let failed = checks.iter().position(|good| !good);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(failed.map_or(0, |index| index as i32 + 1)) };
    }
    let mut status = 0;
    let waited = wait_for("the child ends", SOON, || {
        // SAFETY: `status` lives as long as the call.
        let waited = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        (waited != 0).then_some(waited)
    });
    assert_eq!(waited, child);
    assert!(
        libc::WIFEXITED(status),
        "the child was ended by a signal: {status}"
    );
    assert_eq!(
        libc::WEXITSTATUS(status),
        0,
        "the number of the check that failed"
    );

    let rest = rows.typed::<(i64,)>().map(Result::unwrap).count();
    assert_eq!(rest, 4999);
    transaction.exec("INSERT INTO t VALUES (5)", ()).unwrap();
    transaction.commit().unwrap();
    let (sum,): (i64,) = connection.query_row("SELECT sum(n) FROM t", ()).unwrap();
    assert_eq!(sum, 6);
    assert_eq!(connection.node(), node);
    assert_eq!(pool.stats().connects, 3);
}

#[test]
fn sixteen_threads_share_a_pool() {
    let cluster = Cluster::start(1);
    let url = format!("dqlite://{}/test?pool_max_conns=5", cluster.address(0));
    let pool = Pool::open(&url).unwrap();
    pool.exec("CREATE TABLE t (thread INTEGER, n INTEGER)", ())
        .unwrap();
    let barrier = Arc::new(Barrier::new(16));
    let most = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..16_i64)
        .map(|thread| {
            let (pool, barrier, most) = (pool.clone(), Arc::clone(&barrier), Arc::clone(&most));
            thread::spawn(move || {
                barrier.wait();
                for n in 0..100_i64 {
                    let written = wait_for("the write gets through", SOON, || {
                        match pool.exec("INSERT INTO t VALUES (?, ?)", (thread, n)) {
                            Ok(result) => Some(result.rows_affected),
                            Err(error) if error.kind() == ErrorKind::Busy => None,
                            Err(error) => panic!("{error}"),
                        }
                    });
                    assert_eq!(written, 1);
                    let (own,): (i64,) = pool
                        .query_row("SELECT count(*) FROM t WHERE thread = ?", (thread,))
                        .unwrap();
                    assert_eq!(own, n + 1);
                    most.fetch_max(pool.stats().in_use as usize, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let (rows, distinct): (i64, i64) = pool
        .query_row(
            "SELECT count(*), count(DISTINCT thread * 1000 + n) FROM t",
            (),
        )
        .unwrap();
    assert_eq!((rows, distinct), (1600, 1600));
    let stats = pool.stats();
    assert!(
        most.load(Ordering::Relaxed) <= 5 && stats.connects <= 5,
        "{stats:?}"
    );
    assert_eq!(
        (stats.in_use, stats.waiting, stats.failures),
        (0, 0, 0),
        "{stats:?}"
    );
    pool.within(SOON).close().unwrap();
}
