//! The instances that a pool knows, and what it has learned of each by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::backend::Target;
use crate::topology::{
    Admission, BalanceStrategy, Breaker, Candidate, Change, Filter, Instance, InstanceState,
    Latency, Snapshot, choose, diff,
};

/// How many candidates are compared without an allocation.
const FEW: usize = 16;

/// The last snapshot of the cluster, with a breaker and a moving average for each address.
pub(crate) struct Members {
    view: RwLock<Option<Arc<View>>>,
    records: Mutex<HashMap<Arc<str>, Arc<Record>>>,
    filter: Filter,
    strategy: Arc<dyn BalanceStrategy>,
    max_conns: u32,
    /// Whether a breaker may be open, so that answers have to be told.
    is_troubled: AtomicBool,
}

/// A snapshot, and what follows from it for every call.
struct View {
    snapshot: Snapshot,
    /// By address.
    records: HashMap<Arc<str>, Arc<Record>>,
    /// Where calls go as long as no breaker is open: the instances that the filter admits and prefers.
    usual: Vec<(Arc<Instance>, Arc<Record>)>,
}

/// What a pool knows of one address from its own calls.
#[derive(Default)]
struct Record {
    breaker: Breaker,
    latency: Latency,
}

impl Members {
    pub(crate) fn new(filter: Filter, strategy: Arc<dyn BalanceStrategy>, max_conns: u32) -> Self {
        Members {
            view: RwLock::new(None),
            records: Mutex::default(),
            filter,
            strategy,
            max_conns,
            is_troubled: AtomicBool::new(false),
        }
    }

    /// Whether there is a snapshot.
    pub(crate) fn is_known(&self) -> bool {
        self.view.read().is_some()
    }

    fn view(&self) -> Option<Arc<View>> {
        self.view.read().clone()
    }

    /// Takes a new snapshot in, and gives what differs from the last one.
    ///
    /// Where the cluster vouches for an instance anew, its breaker closes.
    pub(crate) fn apply(&self, new: Snapshot) -> Vec<Change> {
        let mut records = self.records.lock();
        let view = Arc::new(self.view_of(new, &mut records));
        let old = self.view.write().replace(Arc::clone(&view));
        let changes = old.map_or_else(Vec::new, |old| diff(&old.snapshot, &view.snapshot));
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
            records.retain(|address, _| view.snapshot.at(address).is_some());
        }
        changes
    }

    fn view_of(&self, snapshot: Snapshot, known: &mut HashMap<Arc<str>, Arc<Record>>) -> View {
        let records: HashMap<_, _> = snapshot
            .instances()
            .iter()
            .map(|instance| {
                let address = &instance.address;
                let record = known.entry(Arc::clone(address)).or_default();
                (Arc::clone(address), Arc::clone(record))
            })
            .collect();
        let usual = self
            .filter
            .select(&snapshot, |_| true)
            .into_iter()
            .filter_map(|instance| {
                let record = records.get(&instance.address)?;
                Some((Arc::clone(instance), Arc::clone(record)))
            })
            .collect();
        View {
            snapshot,
            records,
            usual,
        }
    }

    /// The addresses that a pool may have connections to.
    pub(crate) fn addresses(&self) -> Vec<Arc<str>> {
        self.view().map_or_else(Vec::new, |view| {
            let instances = view.snapshot.instances().iter();
            instances
                .filter(|instance| self.filter.admits(instance))
                .map(|instance| Arc::clone(&instance.address))
                .collect()
        })
    }

    /// Chooses the instance for a call: the one that `preferred` finds, if it can be had, or else one that the
    /// strategy chooses. `None` where none is left.
    pub(crate) fn choose(
        &self,
        target: &Target<'_>,
        preferred: impl for<'s> FnOnce(&'s Snapshot) -> Option<&'s Arc<Instance>>,
    ) -> Option<Arc<str>> {
        let view = self.view()?;
        if let Some(instance) = preferred(&view.snapshot)
            && self.can_be_had(instance, &view, target)
        {
            return Some(Arc::clone(&instance.address));
        }
        if target.avoid.is_empty() && !self.is_troubled() && !view.usual.is_empty() {
            return self.choose_usual(&view, target);
        }
        self.choose_carefully(&view, target)
    }

    /// Whether a call may go to an instance that is preferred to what the strategy would choose: it is worth no
    /// waiting.
    fn can_be_had(&self, instance: &Instance, view: &View, target: &Target<'_>) -> bool {
        let address = &instance.address;
        self.filter.admits(instance)
            && !target.avoid.contains(address)
            && (target.load)(address) < self.max_conns
            && (!self.is_troubled()
                || view
                    .records
                    .get(address)
                    .is_none_or(|record| record.breaker.admit(Instant::now()) != Admission::Refuse))
    }

    /// Chooses while all instances do well.
    fn choose_usual(&self, view: &View, target: &Target<'_>) -> Option<Arc<str>> {
        let usual = &view.usual;
        let (first, _) = usual.first()?;
        let index = match self.strategy.choose_by_count(usual.len()) {
            Some(index) => index,
            None => {
                let now = Instant::now();
                let candidates = usual
                    .iter()
                    .map(|(instance, record)| self.candidate(instance, Some(record), target, now));
                let mut few = [Candidate::new(first); FEW];
                if let Some(few) = few.get_mut(..usual.len()) {
                    few.iter_mut()
                        .zip(candidates)
                        .for_each(|(place, one)| *place = one);
                    self.strategy.choose(few)
                } else {
                    self.strategy.choose(&candidates.collect::<Vec<_>>())
                }
            }
        };
        let (chosen, _) = usual.get(index).or(usual.first())?;
        Some(Arc::clone(&chosen.address))
    }

    /// Chooses where some have failed in this call, or lately.
    fn choose_carefully(&self, view: &View, target: &Target<'_>) -> Option<Arc<str>> {
        let now = Instant::now();
        let record = |instance: &Instance| view.records.get(&instance.address).map(|r| &**r);
        let mut avoid: Vec<Arc<str>> = target.avoid.to_vec();
        loop {
            let is_left = |instance: &Instance| !avoid.contains(&instance.address);
            let usable = |instance: &Instance| {
                is_left(instance)
                    && record(instance).is_none_or(|record| record.breaker.would_admit(now))
            };
            let mut chosen = self.filter.select(&view.snapshot, usable);
            chosen.retain(|instance| is_left(instance));
            if chosen.is_empty() {
                // Those outside of the preferred failure domain, and those whose breaker is open.
                chosen = view
                    .snapshot
                    .instances()
                    .iter()
                    .filter(|instance| self.filter.admits(instance) && is_left(instance))
                    .collect();
            }
            let candidates: Vec<_> = chosen
                .iter()
                .map(|instance| self.candidate(instance, record(instance), target, now))
                .collect();
            let instance = choose(&*self.strategy, &candidates)?.instance;
            let address = Arc::clone(&instance.address);
            let refused = candidates.len() > 1
                && record(instance)
                    .is_some_and(|record| record.breaker.admit(now) == Admission::Refuse);
            if !refused {
                return Some(address);
            }
            // Another thread has just taken the probe.
            avoid.push(address);
        }
    }

    fn candidate<'i>(
        &self,
        instance: &'i Instance,
        record: Option<&Record>,
        target: &Target<'_>,
        now: Instant,
    ) -> Candidate<'i> {
        let mut candidate = Candidate::new(instance);
        candidate.in_use = (target.load)(&instance.address);
        candidate.max_conns = self.max_conns;
        candidate.latency = record.and_then(|record| record.latency.value(now));
        candidate
    }

    fn record(&self, address: &str) -> Arc<Record> {
        let mut records = self.records.lock();
        if let Some(record) = records.get(address) {
            return Arc::clone(record);
        }
        let record = Arc::<Record>::default();
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
