//! The instances that a pool knows, and what it has learned of each by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Target;
use crate::lock::{Mutex, RwLock};
use crate::topology::{
    BalanceStrategy, Candidate, Change, Filter, Health, Instance, InstanceState, Snapshot, choose,
    diff,
};

/// How many candidates are compared without an allocation.
const FEW: usize = 16;

/// The last snapshot of the cluster, with the health of each address.
pub(crate) struct Members {
    view: RwLock<Option<Arc<View>>>,
    records: Mutex<HashMap<Arc<str>, Arc<Health>>>,
    filter: Filter,
    strategy: Arc<dyn BalanceStrategy>,
    max_conns: u32,
    /// Whether a record is doubtful, so that answers have to be told.
    is_troubled: AtomicBool,
}

/// A snapshot, and what follows from it for every call.
struct View {
    snapshot: Snapshot,
    /// By address.
    records: HashMap<Arc<str>, Arc<Health>>,
    /// Where calls go as long as no record is doubtful: the instances that the filter admits and prefers.
    usual: Vec<(Arc<Instance>, Arc<Health>)>,
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
    /// Where the cluster vouches for an instance anew, its breaker closes; so it does where the instance is offline, and
    /// no call goes there anyway.
    pub(crate) fn apply(&self, new: Snapshot) -> Vec<Change> {
        let mut records = self.records.lock();
        let view = Arc::new(self.view_of(new, &mut records));
        let old = self.view.write().replace(Arc::clone(&view));
        let changes = old.map_or_else(Vec::new, |old| diff(&old.snapshot, &view.snapshot));
        for change in &changes {
            if (change.vouches() || !change.instance().is_online())
                && let Some(record) = records.get(&change.instance().address)
            {
                record.reset();
            }
        }
        if changes
            .iter()
            .any(|change| matches!(change, Change::Went(_) | Change::Moved { .. }))
        {
            records.retain(|address, _| view.snapshot.at(address).is_some());
        }
        if !changes.is_empty() {
            self.settle(&records);
        }
        changes
    }

    fn view_of(&self, snapshot: Snapshot, known: &mut HashMap<Arc<str>, Arc<Health>>) -> View {
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

    /// The instances of the last snapshot.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Instance>> {
        self.view()
            .map_or_else(Vec::new, |view| view.snapshot.instances().to_vec())
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
            && self.filter.admits(instance)
            && !target.avoid.contains(&instance.address)
        {
            let address = Arc::clone(&instance.address);
            if self.can_be_had(&address, &view, target) {
                return Some(address);
            }
            let others = [target.avoid, &[address]].concat();
            if let Some(other) = self.choose_carefully(&view, target, &others) {
                return Some(other);
            }
        }
        if target.avoid.is_empty() && !self.is_troubled() && !view.usual.is_empty() {
            return self.choose_usual(&view, target);
        }
        self.choose_carefully(&view, target, target.avoid)
    }

    /// Whether a call may go to an instance that is preferred to what the strategy would choose: it is worth no
    /// waiting.
    fn can_be_had(&self, address: &Arc<str>, view: &View, target: &Target<'_>) -> bool {
        (target.load)(address) < self.max_conns
            && (!self.is_troubled()
                || view
                    .records
                    .get(address)
                    .is_none_or(|record| !record.is_left_out()))
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
    fn choose_carefully(
        &self,
        view: &View,
        target: &Target<'_>,
        avoid: &[Arc<str>],
    ) -> Option<Arc<str>> {
        let now = Instant::now();
        let record = |instance: &Instance| view.records.get(&instance.address).map(|r| &**r);
        let is_left = |instance: &Instance| !avoid.contains(&instance.address);
        // No call of a user's is the probe: it would end late, or nobody would know what became of it.
        let does_well =
            |instance: &Instance| record(instance).is_none_or(|record| !record.is_left_out());
        let usable = |instance: &Instance| is_left(instance) && does_well(instance);
        let mut chosen = self.filter.select(&view.snapshot, usable);
        chosen.retain(|instance| is_left(instance));
        let admitted = view.snapshot.instances().iter();
        let admitted = admitted.filter(|instance| self.filter.admits(instance));
        let (left, avoided): (Vec<_>, Vec<_>) = admitted.partition(|one| is_left(one));
        if chosen.is_empty() {
            // Those outside of the preferred failure domain, and those whose breaker is open.
            chosen = left;
        }
        let is_full = |instance: &Instance| (target.load)(&instance.address) >= self.max_conns;
        if avoided.iter().any(|one| does_well(one) && is_full(one)) {
            // A connection of that one comes back soon, while one that is left out may keep the call to its end.
            chosen.retain(|one| does_well(one));
        }
        let candidates: Vec<_> = chosen
            .iter()
            .map(|instance| self.candidate(instance, record(instance), target, now))
            .collect();
        let is_again = !target.avoid.is_empty();
        let chosen = choose(&*self.strategy, &candidates, is_again)?;
        Some(Arc::clone(&chosen.instance.address))
    }

    /// Takes the probe of an instance that is left out and whose pause is over.
    pub(crate) fn probe(&self) -> Option<Arc<str>> {
        let view = self.view()?;
        let now = Instant::now();
        let admitted = |instance: &&Arc<Instance>| self.filter.admits(instance);
        let due = |record: &Arc<Health>| record.is_left_out() && record.admits(now);
        let mut instances = view.snapshot.instances().iter().filter(admitted);
        instances
            .find(|instance| view.records.get(&instance.address).is_some_and(due))
            .map(|instance| Arc::clone(&instance.address))
    }

    /// Whether there is an instance that calls may go to besides `address` and `avoid`.
    pub(crate) fn has_others(&self, address: &str, avoid: &[Arc<str>]) -> bool {
        let admitted = |instance: &Arc<Instance>| {
            self.filter.admits(instance)
                && *instance.address != *address
                && !avoid.contains(&instance.address)
        };
        self.view()
            .is_some_and(|view| view.snapshot.instances().iter().any(admitted))
    }

    fn candidate<'i>(
        &self,
        instance: &'i Instance,
        record: Option<&Health>,
        target: &Target<'_>,
        now: Instant,
    ) -> Candidate<'i> {
        let mut candidate = Candidate::new(instance);
        candidate.in_use = (target.load)(&instance.address);
        candidate.max_conns = self.max_conns;
        candidate.latency = record.and_then(|record| record.latency(now));
        candidate
    }

    fn record(&self, address: &str) -> Arc<Health> {
        let mut records = self.records.lock();
        if let Some(record) = records.get(address) {
            return Arc::clone(record);
        }
        let record = Arc::<Health>::default();
        records.insert(address.into(), Arc::clone(&record));
        record
    }

    /// Whether an answer would change what is thought of an instance.
    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Whether calls are kept from `address`.
    pub(crate) fn is_left_out(&self, address: &str) -> bool {
        let records = self.records.lock();
        records
            .get(address)
            .is_some_and(|record| record.is_left_out())
    }

    /// How long an answer of `address` takes, where that is measured.
    pub(crate) fn latency(&self, address: &str) -> Option<Duration> {
        let records = self.records.lock();
        records.get(address)?.latency(Instant::now())
    }

    /// How many instances there are, and how many of them calls may go to.
    pub(crate) fn count(&self) -> (usize, usize) {
        let Some(view) = self.view() else {
            return (0, 0);
        };
        let instances = view.snapshot.instances();
        let is_usable = |instance: &&Arc<Instance>| {
            let record = view.records.get(&instance.address);
            self.filter.admits(instance) && record.is_none_or(|record| !record.is_left_out())
        };
        (instances.len(), instances.iter().filter(is_usable).count())
    }

    /// Learns that a connection to `address` was made, or that it answered.
    pub(crate) fn heard(&self, address: &str) {
        self.record(address).heard();
        if self.is_troubled() {
            self.settle(&self.records.lock());
        }
    }

    fn settle(&self, records: &HashMap<Arc<str>, Arc<Health>>) {
        let is_doubtful = records.values().any(|record| record.is_doubtful());
        self.is_troubled.store(is_doubtful, Ordering::Relaxed);
    }

    /// Learns how long an answer of `address` took.
    pub(crate) fn answered(&self, address: &str, time: Duration) {
        self.record(address).answered(time, Instant::now());
        if self.is_troubled() {
            self.heard(address);
        }
    }

    /// Learns that no connection to `address` could be had, or that one broke; true if calls are kept from it from
    /// now on.
    pub(crate) fn failed(&self, address: &str) -> bool {
        self.doubt(address, Health::failed)
    }

    /// Learns that a call to `address` ran out of time; true if calls are kept from it from now on.
    pub(crate) fn timed_out(&self, address: &str) -> bool {
        self.doubt(address, Health::timed_out)
    }

    fn doubt(&self, address: &str, learn: fn(&Health, Instant) -> bool) -> bool {
        let record = self.record(address);
        // Under the lock, so that nobody who has just looked at all records takes it back.
        let _records = self.records.lock();
        let has_opened = learn(&record, Instant::now());
        if record.is_doubtful() {
            self.is_troubled.store(true, Ordering::Relaxed);
        }
        has_opened
    }

    /// The given hosts in place of a topology, all of them online.
    pub(crate) fn of_hosts(hosts: &[String]) -> Snapshot {
        let instances = hosts
            .iter()
            .map(|host| Instance::new(host, host, InstanceState::Online));
        Snapshot::new(instances.collect())
    }
}
