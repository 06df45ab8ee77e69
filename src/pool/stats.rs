//! What a pool counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// How often the topology was read.
    pub refreshes: u64,
    /// How often the topology could not be read; the last good one was kept.
    pub refresh_failures: u64,
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
        if !ok {
            add(&self.refresh_failures, 1);
        }
    }

    /// The counts; what is a state and no count is left at 0.
    pub(crate) fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            acquires: get(&self.acquires),
            waits: get(&self.waits),
            wait_time: Duration::from_nanos(get(&self.wait_nanos)),
            connects: get(&self.connects),
            connect_failures: get(&self.connect_failures),
            failures: get(&self.failures),
            refreshes: get(&self.refreshes),
            refresh_failures: get(&self.refresh_failures),
            ..Stats::default()
        }
    }
}
