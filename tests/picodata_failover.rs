//! An instance dies or hangs under load, and comes back: which calls fail, how long calls go to it, and what is left
//! behind. In a file of its own, because it counts the threads and file descriptors of the process.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::latency::Sleeper;
use common::pico_servers::{self, PicoServers};
use common::wait_for;
use quorate::{Error, ErrorKind, Outcome, Pool};

/// The deadline of a call to an instance that hangs.
const TIMEOUT: Duration = Duration::from_millis(800);
/// By how much a call may outlive its deadline.
const GRACE: Duration = Duration::from_millis(50);
/// How soon calls are away from an instance that has failed, and how soon they are back.
const AWAY: Duration = Duration::from_secs(1);
const BACK: Duration = Duration::from_secs(2);
const THREADS: usize = 8;
/// The instance that fails. The seed is another one.
const VICTIM: usize = 1;

const WRITE: &str = "INSERT INTO entry VALUES ($1) RETURNING pico_instance_uuid()";

/// One call: when it was made, and which instance ran it, or why none did.
struct Made {
    id: i64,
    begin: Instant,
    end: Instant,
    result: Result<usize, Error>,
}

impl Made {
    /// Whether the call went to the instance, whatever became of it there.
    fn went_to(&self, cluster: &PicoServers, instance: usize) -> bool {
        match &self.result {
            Ok(index) => *index == instance,
            Err(error) => error.node() == Some(&*cluster.members[instance].address),
        }
    }
}

/// Ends the load, also where a test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has threads write through the pool for as long as `meanwhile` takes, and gives all their calls.
fn load(
    pool: &Pool,
    cluster: &mut PicoServers,
    first: i64,
    meanwhile: impl FnOnce(&mut PicoServers),
) -> Vec<Made> {
    let stop = AtomicBool::new(false);
    let uuids: Vec<_> = cluster.members.iter().map(|one| one.uuid.clone()).collect();
    let write = |thread: usize| {
        let mut calls = Vec::new();
        let mut id = first + thread as i64;
        while !stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let result = pool.query_row::<(String,)>(WRITE, (id,));
            let result = result.map(|(uuid,)| uuids.iter().position(|one| *one == uuid).unwrap());
            calls.push(Made {
                id,
                begin,
                end: Instant::now(),
                result,
            });
            id += THREADS as i64;
            thread::sleep(Duration::from_millis(1));
        }
        calls
    };
    thread::scope(|scope| {
        let write = &write;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || write(thread)))
            .collect();
        let stopping = Stop(&stop);
        meanwhile(cluster);
        drop(stopping);
        let calls = threads.into_iter().map(|thread| thread.join().unwrap());
        calls.flatten().collect()
    })
}

/// Every write that was answered is there once, and of the others those alone whose outcome is unknown may be.
fn check_writes(cluster: &PicoServers, calls: &[Made]) {
    let mut found = std::collections::HashMap::new();
    for server in &cluster.servers {
        for id in server.sql("SELECT id FROM entry").lines() {
            *found.entry(id.parse::<i64>().unwrap()).or_insert(0) += 1;
        }
    }
    for call in calls {
        let times = found.get(&call.id).copied().unwrap_or(0);
        match &call.result {
            Ok(_) => assert_eq!(times, 1, "{}", call.id),
            Err(error) if error.outcome() == Outcome::Unknown => assert!(times <= 1),
            Err(_) => assert_eq!(times, 0, "{}", call.id),
        }
    }
}

/// How many threads and file descriptors there are.
fn counts() -> (usize, usize) {
    let count = |of: &str| fs::read_dir(format!("/proc/self/{of}")).unwrap().count();
    (count("task"), count("fd"))
}

/// Waits until calls go to the instance again; gives how long after `since` that was.
fn wait_for_traffic(cluster: &PicoServers, instance: usize, since: Instant) -> Duration {
    let count = || cluster.servers[instance].sql("SELECT count(*) FROM entry");
    let before = count();
    wait_for("calls to come back", Duration::from_secs(10), || {
        (count() != before).then(|| since.elapsed())
    })
}

fn last_use(cluster: &PicoServers, calls: &[Made], from: Instant, to: Instant) -> Duration {
    let used = calls
        .iter()
        .filter(|call| (from..to).contains(&call.begin) && call.went_to(cluster, VICTIM));
    used.map(|call| call.begin - from).max().unwrap_or_default()
}

fn first_use(cluster: &PicoServers, calls: &[Made], since: Instant) -> Duration {
    let used = calls
        .iter()
        .filter(|call| call.end > since && call.result.is_ok() && call.went_to(cluster, VICTIM));
    used.map(|call| call.end - since).min().unwrap()
}

/// A call may fail only if it was under way on the instance.
fn check_failures(cluster: &PicoServers, calls: &[Made], kinds: &[ErrorKind]) -> usize {
    let mut failures = 0;
    for call in calls {
        if let Err(error) = &call.result {
            failures += 1;
            let told = format!("{error} after {:?}", call.end - call.begin);
            assert!(call.went_to(cluster, VICTIM), "{told}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{told}");
            assert!(kinds.contains(&error.kind()), "{told}");
        }
    }
    assert!(failures <= THREADS, "{failures} calls failed");
    failures
}

fn killed(cluster: &mut PicoServers, pool: &Pool, first: i64) -> Vec<Made> {
    let (mut kill, mut told, mut up, mut online) = (None, None, None, None);
    let calls = load(pool, cluster, first, |cluster| {
        thread::sleep(Duration::from_millis(500));
        cluster.members[VICTIM].reachable = false;
        kill = Some(Instant::now());
        cluster.servers[VICTIM].kill();
        thread::sleep(AWAY + AWAY / 4);
        // The survivors find out.
        told = Some(Instant::now());
        cluster.offline(VICTIM);
        thread::sleep(Duration::from_millis(700));
        cluster.servers[VICTIM].resume_server();
        cluster.members[VICTIM].reachable = true;
        up = Some(Instant::now());
        thread::sleep(Duration::from_secs(1));
        online = Some(Instant::now());
        cluster.online(VICTIM);
        wait_for_traffic(cluster, VICTIM, Instant::now());
    });
    let [kill, told, up, online] = [kill, told, up, online].map(Option::unwrap);
    let failures = check_failures(cluster, &calls, &[ErrorKind::Disconnected]);
    let away = last_use(cluster, &calls, kill, told);
    let back = first_use(cluster, &calls, online);
    println!(
        "killed: {} calls, {failures} failed, away after {away:?}, back after {back:?}",
        calls.len()
    );
    assert!(away < AWAY && back < BACK);
    // Running is not enough: the cluster has to say that it serves.
    assert_eq!(last_use(cluster, &calls, up, online), Duration::ZERO);
    calls
}

fn hung(cluster: &mut PicoServers, pool: &Pool, first: i64) -> Vec<Made> {
    let (mut freeze, mut thaw) = (None, None);
    let sleeper = Sleeper::start();
    let calls = load(pool, cluster, first, |cluster| {
        thread::sleep(Duration::from_millis(500));
        freeze = Some(Instant::now());
        cluster.servers[VICTIM].freeze();
        // Long enough to see what becomes of those who try it.
        thread::sleep(Duration::from_millis(3500));
        thaw = Some(Instant::now());
        cluster.servers[VICTIM].thaw();
        wait_for_traffic(cluster, VICTIM, Instant::now());
    });
    let [freeze, thaw] = [freeze, thaw].map(Option::unwrap);
    let failures = check_failures(cluster, &calls, &[ErrorKind::Timeout]);
    let away = last_use(cluster, &calls, freeze, thaw);
    let back = first_use(cluster, &calls, thaw);
    let delays = sleeper.stop();
    // What the machine was late by is not the call's.
    let over = |call: &Made| {
        let deadline = call.begin + TIMEOUT;
        let late = call.end.saturating_duration_since(deadline);
        late.saturating_sub(delays.within(deadline, call.end))
    };
    let late = calls.iter().map(over).max().unwrap();
    println!(
        "hung: {} calls, {failures} failed, away after {away:?}, back after {back:?}, late by {late:?}",
        calls.len()
    );
    assert!(failures > 0 && away < AWAY && back < BACK);
    assert!(late < GRACE);
    calls
}

#[test]
fn calls_go_elsewhere_when_an_instance_dies_or_hangs_and_come_back() {
    let mut cluster = pico_servers::start(3);
    cluster.sql_everywhere("CREATE TABLE entry (id bigint); GRANT ALL ON entry TO app");
    let before = counts();
    thread::scope(|scope| {
        // In a thread of its own, since a thread keeps the descriptor that wakes it for as long as it lives.
        scope.spawn(|| {
            let pool = Pool::open(&cluster.url(0)).unwrap();
            let mut calls = killed(&mut cluster, &pool, 0);
            pool.close().unwrap();
            let pool = Pool::open(&format!("{}?timeout=800ms", cluster.url(0))).unwrap();
            calls.extend(hung(&mut cluster, &pool, 1 << 32));
            pool.close().unwrap();
            check_writes(&cluster, &calls);
        });
    });
    let after = wait_for(
        "threads and descriptors to go",
        Duration::from_secs(5),
        || {
            let after = counts();
            (after <= before).then_some(after)
        },
    );
    println!("threads and descriptors: {before:?} before, {after:?} after");
}
