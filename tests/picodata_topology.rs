//! How a pool follows the topology of a cluster that the stand-in plays, and what calls do when it cannot be trusted.

mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use common::latency::{Sleeper, waited_for_processor};
use common::picodata::{Addresses, Fault, PASSWORD, PicodataCluster, State, USER};
use common::proxy::Proxy;
use common::wait_for;
use quorate::{ErrorKind, Outcome, Pool};

const SOON: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_millis(50);

fn url(seed: &str, more: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@{seed}/any?topology_interval=100ms{more}")
}

fn open(cluster: &PicodataCluster, more: &str) -> Pool {
    Pool::open(&url(&cluster.address(0), more)).unwrap()
}

/// How often each address is given a connection, of so many.
fn spread(pool: &Pool, count: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        let connection = pool.acquire().unwrap();
        *counts.entry(connection.node().to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Calls go to exactly these addresses, and evenly: none of them is there twice.
#[track_caller]
fn goes_to(pool: &Pool, addresses: &[String]) {
    let mut expected: Vec<_> = addresses.iter().map(|one| (one.clone(), 10)).collect();
    expected.sort();
    wait_for("calls to go where they should", SOON, || {
        let counts = spread(pool, 10 * addresses.len());
        counts
            .into_iter()
            .eq(expected.iter().cloned())
            .then_some(())
    });
}

/// Whether calls go to all but one address, and to those evenly.
#[track_caller]
fn passes_over_evenly(pool: &Pool, addresses: &[String], passed_over: usize) {
    const EACH: usize = 150;
    let counts = spread(pool, EACH * (addresses.len() - 1));
    for (index, address) in addresses.iter().enumerate() {
        let count = counts.get(address).copied().unwrap_or(0);
        let expected = if index == passed_over { 0 } else { EACH };
        // A third of the calls are spread at random: the standard deviation is 5.
        assert!(count.abs_diff(expected) <= 35, "{index}: {counts:?}");
    }
}

/// How many statements that read the topology an instance has run.
fn readings(cluster: &PicodataCluster, index: usize) -> usize {
    let statements = cluster.statements(index);
    let read = statements
        .iter()
        .filter(|one| one.contains("_pico_instance"));
    read.count()
}

#[test]
fn a_seed_under_another_name_is_not_pooled_twice() {
    let cluster = PicodataCluster::start(3);
    let proxies: Vec<_> = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"]
        .into_iter()
        .enumerate()
        .map(|(index, at)| Proxy::start_at(at, &cluster.address(index)))
        .collect();
    let addresses: Vec<_> = proxies.iter().map(|one| one.address().to_owned()).collect();
    for (index, address) in addresses.iter().enumerate() {
        let address = address.clone();
        cluster.change(index, move |one| one.address = address);
    }
    let port = addresses[0].rsplit_once(':').unwrap().1;
    let upper = format!("LOCALHOST:{port}");
    for seed in [&format!("localhost:{port}"), &upper, &addresses[2]] {
        let pool = Pool::open(&url(seed, "")).unwrap();
        goes_to(&pool, &addresses);
        assert_eq!(pool.stats().connections, 3);
        pool.close().unwrap();
    }
}

#[test]
fn an_address_that_appears_twice_is_one_endpoint() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    let all = cluster.addresses();
    goes_to(&pool, &all);
    // Its rows and its process stay.
    cluster.expel(2);
    goes_to(&pool, &all[..2]);
    let again = cluster.rejoin(2);
    goes_to(&pool, &all);
    cluster.expel(again);
    goes_to(&pool, &all[..2]);
    cluster.rejoin_renamed(again);
    goes_to(&pool, &all);
    pool.close().unwrap();
}

#[test]
fn calls_are_spread_evenly_past_an_instance_that_is_busy_or_gone() {
    let cluster = PicodataCluster::start(3);
    let all = cluster.addresses();
    let pool = open(&cluster, "&pool_max_conns=1");
    for (index, address) in all.iter().enumerate() {
        let held = wait_for("a connection to it", SOON, || {
            let connection = pool.acquire().unwrap();
            (connection.node() == address).then_some(connection)
        });
        passes_over_evenly(&pool, &all, index);
        drop(held);
    }
    // It is still said to be online.
    cluster.kill(1);
    wait_for("the dead one to be left out", SOON, || {
        drop(pool.acquire().unwrap());
        (pool.stats().usable_instances == 2).then_some(())
    });
    let survivors = [all[0].clone(), all[2].clone()];
    goes_to(&pool, &survivors);
    cluster.offline(1);
    goes_to(&pool, &survivors);
    cluster.restart(1);
    cluster.online(1);
    goes_to(&pool, &all);
    pool.close().unwrap();
}

#[test]
fn a_topology_that_cannot_be_read_keeps_the_last_one() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    goes_to(&pool, &cluster.addresses());
    assert_eq!(pool.stats().refresh_failures, 0);
    for index in 0..3 {
        let refused = Fault::Refuse("XX000", "sbroad: IO error".to_owned());
        cluster.inject(index, "_pico_instance", refused, usize::MAX);
    }
    // It is not read that this one is gone.
    cluster.set_state(2, State::Offline);
    wait_for("two failures", SOON, || {
        (pool.stats().refresh_failures >= 2).then_some(())
    });
    goes_to(&pool, &cluster.addresses());
    (0..3).for_each(|index| cluster.clear_faults(index));
    goes_to(&pool, &cluster.addresses()[..2]);
    let failures = pool.stats().refresh_failures;
    let read = pool.stats().refreshes;
    wait_for("two further readings", SOON, || {
        (pool.stats().refreshes >= read + 2).then_some(())
    });
    assert_eq!(pool.stats().refresh_failures, failures);
    pool.close().unwrap();
}

#[test]
fn the_topology_is_read_where_the_service_url_says_and_not_at_all_without_it() {
    let cluster = PicodataCluster::start(4);
    let service = format!(
        "postgres%3A%2F%2F{USER}%3A{PASSWORD}%40{}%2Fany",
        cluster.address(3)
    );
    cluster.offline(3);
    let pool = open(&cluster, &format!("&service_url={service}"));
    let all = cluster.addresses();
    goes_to(&pool, &all[..3]);
    wait_for("five readings", SOON, || {
        (readings(&cluster, 3) >= 5).then_some(())
    });
    assert_eq!(
        (0..3).map(|index| readings(&cluster, index)).sum::<usize>(),
        0
    );
    cluster.offline(0);
    goes_to(&pool, &all[1..3]);
    // Without the service instance the last topology stays.
    cluster.kill(3);
    let failures = pool.stats().refresh_failures;
    wait_for("two failures", SOON, || {
        (pool.stats().refresh_failures >= failures + 2).then_some(())
    });
    goes_to(&pool, &all[1..3]);
    pool.close().unwrap();

    let seeds = format!("{},{}", all[1], all[2]);
    let pool = Pool::open(&url(&seeds, "&topology=off")).unwrap();
    let before: Vec<_> = (0..3).map(|index| readings(&cluster, index)).collect();
    goes_to(&pool, &all[1..3]);
    cluster.offline(2);
    thread::sleep(Duration::from_millis(300));
    goes_to(&pool, &all[1..3]);
    let after: Vec<_> = (0..3).map(|index| readings(&cluster, index)).collect();
    assert_eq!(before, after);
    pool.close().unwrap();
}

/// As a real cluster behaves (docs/picodata.md): the survivors name the dead leader and show it Online for a while, and
/// what they are asked about rows hangs.
#[test]
fn calls_keep_their_deadlines_while_a_dead_leader_is_named() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "&timeout=300ms");
    pool.within(SOON)
        .exec(
            "CREATE TABLE item (id INTEGER NOT NULL, PRIMARY KEY (id))",
            (),
        )
        .unwrap();
    let sql = "SELECT id FROM item WHERE id = 7";
    pool.within(SOON).exec(sql, ()).unwrap();
    cluster.kill(0);
    (1..3).for_each(|index| cluster.inject(index, "item", Fault::Stall, usize::MAX));
    let sleeper = Sleeper::start();
    let calls = Mutex::new(Vec::new());
    let end = Instant::now() + Duration::from_secs(2);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while Instant::now() < end {
                    let (begin, ready) = (Instant::now(), waited_for_processor());
                    let error = pool.exec(sql, ()).unwrap_err();
                    let (deadline, end) = (begin + TIMEOUT, Instant::now());
                    let waited = waited_for_processor() - ready;
                    calls.lock().unwrap().push((deadline, end, waited));
                    // The dead one may reset a connection after a statement went out on it.
                    assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::Timeout
                                | ErrorKind::PoolTimeout
                                | ErrorKind::Connect
                                | ErrorKind::Disconnected
                        ),
                        "{error}"
                    );
                }
            });
        }
    });
    let delays = sleeper.stop();
    let calls = calls.into_inner().unwrap();
    // Threads that only sleep are woken sooner than those that have worked, as a call does that has to log in.
    let late = calls.iter().map(|(deadline, end, waited)| {
        let late = end.saturating_duration_since(*deadline);
        let machine = delays.within(*deadline, *end);
        late.saturating_sub(machine.max(*waited))
    });
    let late = late.max().unwrap();
    // What asks no row is answered all the while.
    pool.within(SOON)
        .query_row::<(i64,)>("SELECT 1", ())
        .unwrap();
    (1..3).for_each(|index| cluster.clear_faults(index));
    cluster.change_leader(1);
    cluster.offline(0);
    let recovered = Instant::now();
    wait_for("a call that succeeds", SOON, || pool.exec(sql, ()).ok());
    let first = recovered.elapsed();
    println!(
        "{} calls, late by at most {late:?}; a call succeeds {first:?} after there is a leader again",
        calls.len()
    );
    assert!(late < GRACE && first < Duration::from_secs(2));
    pool.close().unwrap();
}

#[test]
fn without_a_quorum_reads_go_on_and_the_last_topology_stays() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    goes_to(&pool, &cluster.addresses());
    cluster.lose_quorum(Duration::from_millis(200));
    // The tables say what they said.
    cluster.offline(2);
    thread::sleep(Duration::from_millis(600));
    goes_to(&pool, &cluster.addresses());
    assert_eq!(pool.query_row::<(i64,)>("SELECT 1", ()).unwrap(), (1,));
    let error = pool.exec("CREATE TABLE t (a INTEGER NOT NULL, PRIMARY KEY (a))", ());
    let error = error.unwrap_err();
    // The server makes the change when it can.
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(pool.stats().refresh_failures, 0);
    cluster.regain_quorum();
    goes_to(&pool, &cluster.addresses()[..2]);
    pool.close().unwrap();
}

/// A hundred instances that are no processes beside one that is: what the pool learns is what the script did.
#[test]
fn a_hundred_instances_are_followed_end_to_end() {
    let cluster = PicodataCluster::start(1);
    let virtuals = cluster.add_virtual(100, Addresses::Answering);
    let pool = open(&cluster, "&topology_interval=20ms");
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..6 {
        for _ in 0..10 {
            let index = random.usize(virtuals.clone());
            let state = [State::Online, State::Offline, State::Expelled][random.usize(..3)];
            // An expelled instance does not come back as it was.
            if cluster.instance(index).state != State::Expelled {
                cluster.set_state(index, state);
            }
        }
        let instances = cluster.instances();
        let online = instances.iter().filter(|one| one.state == State::Online);
        let mut expected: Vec<_> = online.map(|one| one.address.clone()).collect();
        expected.sort();
        wait_for("the pool to see it", 2 * SOON, || {
            // Each in turn, so that one round is all of them.
            let counts = spread(&pool, expected.len());
            counts.keys().eq(expected.iter()).then_some(())
        });
        assert!(expected.len() > 20, "{round}");
    }
    pool.close().unwrap();
}
