//! The instances that a pool knows, and what it has learned of each by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::backend::Target;
use crate::topology::{
    Admission, BalanceStrategy, Breaker, BreakerConfig, Candidate, Change, Filter, Instance,
    InstanceState, Latency, Snapshot, choose, diff,
};

/// The last snapshot of the cluster, with a breaker and a moving average for each address.
pub(crate) struct Members {
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    records: Mutex<HashMap<Arc<str>, Arc<Record>>>,
    filter: Filter,
    strategy: Arc<dyn BalanceStrategy>,
    max_conns: u32,
    /// Whether a breaker may be open, so that answers have to be told.
    is_troubled: AtomicBool,
}

/// What a pool knows of one address from its own calls.
struct Record {
    breaker: Breaker,
    latency: Latency,
}

impl Members {
    pub(crate) fn new(filter: Filter, strategy: Arc<dyn BalanceStrategy>, max_conns: u32) -> Self {
        Members {
            snapshot: RwLock::new(None),
            records: Mutex::default(),
            filter,
            strategy,
            max_conns,
            is_troubled: AtomicBool::new(false),
        }
    }

    /// The last snapshot; `None` before the first.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.read().clone()
    }

    /// Takes a new snapshot in, and gives what differs from the last one.
    ///
    /// Where the cluster vouches for an instance anew, its breaker closes.
    pub(crate) fn apply(&self, new: Snapshot) -> Vec<Change> {
        let new = Arc::new(new);
        let old = self.snapshot.write().replace(Arc::clone(&new));
        let changes = old.map_or_else(Vec::new, |old| diff(&old, &new));
        let mut records = self.records.lock();
        for change in &changes {
            if change.vouches()
                && let Some(record) = records.get(&change.instance().address)
            {
                record.breaker.reset();
                record.latency.forget();
            }
        }
        if changes
            .iter()
            .any(|change| matches!(change, Change::Went(_) | Change::Moved { .. }))
        {
            records.retain(|address, _| new.at(address).is_some());
        }
        changes
    }

    /// The addresses that a pool may have connections to.
    pub(crate) fn addresses(&self) -> Vec<Arc<str>> {
        self.snapshot().map_or_else(Vec::new, |snapshot| {
            let instances = snapshot.instances().iter();
            instances
                .filter(|instance| self.filter.admits(instance))
                .map(|instance| Arc::clone(&instance.address))
                .collect()
        })
    }

    /// Chooses the instance for a call; `None` where none is left.
    pub(crate) fn choose(&self, target: &Target<'_>) -> Option<Arc<str>> {
        let snapshot = self.snapshot()?;
        let now = Instant::now();
        let records = self.records_of(&snapshot);
        let record = |instance: &Instance| records.get(&instance.address);
        let is_left = |instance: &Instance| !target.avoid.contains(&instance.address);
        // No call of a user's is the probe: it would end late, or nobody would know what became of it.
        let usable = |instance: &Instance| {
            is_left(instance) && record(instance).is_none_or(|record| !record.breaker.is_open())
        };
        let mut chosen = self.filter.select(&snapshot, usable);
        chosen.retain(|instance| is_left(instance));
        if chosen.is_empty() {
            // Those outside of the preferred failure domain, and those whose breaker is open.
            chosen = snapshot
                .instances()
                .iter()
                .filter(|instance| self.filter.admits(instance) && is_left(instance))
                .collect();
        }
        let candidates: Vec<_> = chosen
            .iter()
            .map(|instance| {
                let mut candidate = Candidate::new(instance);
                candidate.in_use = (target.load)(&instance.address);
                candidate.max_conns = self.max_conns;
                candidate.latency = record(instance).and_then(|record| record.latency.value(now));
                candidate
            })
            .collect();
        choose(&*self.strategy, &candidates).map(|chosen| Arc::clone(&chosen.instance.address))
    }

    /// Takes the probe of an instance that is left out and whose pause is over.
    pub(crate) fn probe(&self) -> Option<Arc<str>> {
        let snapshot = self.snapshot()?;
        let now = Instant::now();
        let records = self.records.lock();
        let admitted = |instance: &&Arc<Instance>| self.filter.admits(instance);
        let mut addresses = snapshot.instances().iter().filter(admitted);
        let due = |record: &Arc<Record>| {
            record.breaker.is_open() && record.breaker.admit(now) == Admission::Probe
        };
        addresses
            .find(|instance| records.get(&instance.address).is_some_and(due))
            .map(|instance| Arc::clone(&instance.address))
    }

    /// Whether there is an instance that calls may go to besides `address` and `avoid`.
    pub(crate) fn has_others(&self, address: &str, avoid: &[Arc<str>]) -> bool {
        let admitted = |instance: &Arc<Instance>| {
            self.filter.admits(instance)
                && *instance.address != *address
                && !avoid.contains(&instance.address)
        };
        self.snapshot()
            .is_some_and(|snapshot| snapshot.instances().iter().any(admitted))
    }

    fn records_of(&self, snapshot: &Snapshot) -> HashMap<Arc<str>, Arc<Record>> {
        let records = self.records.lock();
        snapshot
            .instances()
            .iter()
            .filter_map(|instance| {
                let record = records.get(&instance.address)?;
                Some((Arc::clone(&instance.address), Arc::clone(record)))
            })
            .collect()
    }

    fn record(&self, address: &str) -> Arc<Record> {
        let mut records = self.records.lock();
        if let Some(record) = records.get(address) {
            return Arc::clone(record);
        }
        let record = Arc::new(Record {
            breaker: Breaker::new(BreakerConfig::default()),
            latency: Latency::default(),
        });
        records.insert(address.into(), Arc::clone(&record));
        record
    }

    /// Whether a breaker may be open, which an answer would close.
    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Whether calls are kept from `address`.
    pub(crate) fn is_left_out(&self, address: &str) -> bool {
        let records = self.records.lock();
        records
            .get(address)
            .is_some_and(|record| record.breaker.is_open())
    }

    /// Learns that a connection to `address` was made.
    pub(crate) fn connected(&self, address: &str) {
        self.record(address).breaker.succeeded();
        if self.is_troubled() {
            let records = self.records.lock();
            let is_open = records.values().any(|record| record.breaker.is_open());
            self.is_troubled.store(is_open, Ordering::Relaxed);
        }
    }

    /// Learns how long an answer of `address` took.
    pub(crate) fn answered(&self, address: &str, time: Duration) {
        self.record(address).latency.record(time, Instant::now());
        if self.is_troubled() {
            self.connected(address);
        }
    }

    /// Learns that no connection to `address` could be had, or that one broke.
    pub(crate) fn failed(&self, address: &str) {
        let record = self.record(address);
        // Under the lock, so that nobody who has just looked at all breakers takes it back.
        let _records = self.records.lock();
        if record.breaker.failed(Instant::now()) {
            self.is_troubled.store(true, Ordering::Relaxed);
            log::info!(target: "quorate", "{address} failed several times and is left out for now");
        }
    }

    /// The given hosts in place of a topology, all of them online.
    pub(crate) fn of_hosts(hosts: &[String]) -> Snapshot {
        let instances = hosts
            .iter()
            .map(|host| Instance::new(host, host, InstanceState::Online));
        Snapshot::new(instances.collect())
    }
}
