//! What a pool counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::lock::Mutex;

/// The state of a pool, and what it has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The most connections there may be to one endpoint.
    pub max_conns: u32,
    /// Open connections, in use and idle.
    pub connections: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Connections in use.
    pub in_use: u32,
    /// Callers that wait for a connection at this moment.
    pub waiting: u32,
    /// How often a connection was taken out.
    pub acquires: u64,
    /// How often a caller had to wait because all connections were in use.
    pub waits: u64,
    /// How long callers have waited, all in all.
    pub wait_time: Duration,
    /// Connections that were opened.
    pub connects: u64,
    /// Attempts to open a connection that failed.
    pub connect_failures: u64,
    /// Calls that failed because a connection broke, ran past its deadline, or met a node that was not the
    /// leader.
    pub failures: u64,
    /// How often another node became the leader.
    pub leader_changes: u64,
    /// How often the topology was read, or could not be. What the first call reads by itself is not counted.
    pub refreshes: u64,
    /// How often the topology could not be read; the last good one was kept.
    pub refresh_failures: u64,
    /// How long ago the topology was read last; `None` if it never was.
    pub topology_age: Option<Duration>,
    /// Whether the topology could not be read the last time, so that an older one is in use.
    pub topology_failing: bool,
    /// With Picodata: how many instances the cluster has, those that are offline included.
    pub instances: u32,
    /// With Picodata: how many instances calls may go to at this moment.
    pub usable_instances: u32,
}

/// The state of a pool's connections to one node or instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// The address.
    pub address: Arc<str>,
    /// Open connections, in use and idle.
    pub connections: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Connections in use.
    pub in_use: u32,
    /// Callers that wait for a connection at this moment.
    pub waiting: u32,
    /// Whether calls are kept from it for now, because several have failed there.
    pub left_out: bool,
    /// How long it takes to answer: a moving average. `None` where it is not measured, which takes a strategy that
    /// looks at it.
    pub latency: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    acquires: AtomicU64,
    waits: AtomicU64,
    wait_nanos: AtomicU64,
    connects: AtomicU64,
    connect_failures: AtomicU64,
    failures: AtomicU64,
    refreshes: AtomicU64,
    refresh_failures: AtomicU64,
    topology: Mutex<TopologyState>,
}

#[derive(Debug, Default)]
struct TopologyState {
    read: Option<Instant>,
    is_failing: bool,
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn acquired(&self) {
        add(&self.acquires, 1);
    }

    pub(crate) fn waited(&self, time: Duration) {
        add(&self.waits, 1);
        add(&self.wait_nanos, time.as_nanos() as u64);
    }

    pub(crate) fn connected(&self) {
        add(&self.connects, 1);
    }

    pub(crate) fn connect_failed(&self) {
        add(&self.connect_failures, 1);
    }

    pub(crate) fn failed(&self) {
        add(&self.failures, 1);
    }

    pub(crate) fn refreshed(&self, ok: bool) {
        add(&self.refreshes, 1);
        let mut topology = self.topology.lock();
        topology.is_failing = !ok;
        if ok {
            topology.read = Some(Instant::now());
        } else {
            add(&self.refresh_failures, 1);
        }
    }

    /// The counts; what is a state and no count is left at 0.
    pub(crate) fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let topology = self.topology.lock();
        Stats {
            acquires: get(&self.acquires),
            waits: get(&self.waits),
            wait_time: Duration::from_nanos(get(&self.wait_nanos)),
            connects: get(&self.connects),
            connect_failures: get(&self.connect_failures),
            failures: get(&self.failures),
            refreshes: get(&self.refreshes),
            refresh_failures: get(&self.refresh_failures),
            topology_age: topology.read.map(|read| read.elapsed()),
            topology_failing: topology.is_failing,
            ..Stats::default()
        }
    }
}
