//! What reading the topology costs the worker of a pool, by the number of instances.
//!
//! `cargo bench --bench topology` takes about half a minute. The figure is the CPU time of the worker's own thread, as
//! the kernel counts it (`/proc/self/task/*/schedstat`), for each reading. This is no test: a goal that is missed is
//! printed and the exit status is 0.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::picodata::{Addresses, PicodataCluster, State};
use common::wait_for;
use quorate::Pool;

/// The most milliseconds for a reading of a thousand instances.
const GOAL: f64 = 5.0;
const ROUNDS: u64 = 100;

/// The CPU time of the pool's worker so far.
fn worker_time() -> Option<Duration> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let of_worker = tasks.flatten().find(|task| {
        let name = fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.trim() == "quorate-worker")
    })?;
    let times = fs::read_to_string(of_worker.path().join("schedstat")).ok()?;
    let nanos = times.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// Milliseconds for one reading. `changing`: an instance changes its state before each.
fn cost(instances: usize, changing: bool) -> f64 {
    let cluster = PicodataCluster::start(1);
    let virtuals = cluster.add_virtual(instances - 1, Addresses::Refusing);
    let pool = Pool::open(&format!("{}?topology_interval=5ms", cluster.url(0))).unwrap();
    let readings = || pool.stats().refreshes;
    let wait = |count: u64| {
        wait_for("readings", Duration::from_secs(60), || {
            (readings() >= count).then_some(())
        });
    };
    wait(5);
    let (begin, time, first) = (Instant::now(), worker_time().unwrap(), readings());
    if changing {
        for round in 0..ROUNDS {
            let states = [State::Offline, State::Online];
            let index = virtuals.start + round as usize / 2 % virtuals.len();
            cluster.set_state(index, states[round as usize % 2]);
            wait(first + round + 1);
        }
    } else {
        wait(first + ROUNDS);
    }
    let used = worker_time().unwrap() - time;
    assert!(begin.elapsed() < Duration::from_secs(60));
    used.as_secs_f64() * 1e3 / (readings() - first) as f64
}

fn main() {
    println!("instances   ms of the worker for each reading   with a change before each");
    let mut last = 0.0;
    for instances in [100, 300, 1000] {
        let (still, changing) = (cost(instances, false), cost(instances, true));
        println!("{instances:9}   {still:35.3}   {changing:25.3}");
        last = still.max(changing);
    }
    let word = if last < GOAL { "met" } else { "missed" };
    println!("goal: less than {GOAL} ms at 1000 instances: {word}");
}
