//! All instances at one moment, and what differs between two moments.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::logging::Event;
use crate::net::address::Address;
use crate::topology::{Instance, InstanceState};

/// The instances of a cluster at one moment, sorted by uuid. It never changes; a new reading makes a new one.
///
/// No two instances have one uuid, and no two have one address: where the cluster's tables name an address
/// twice, as they do after an instance was expelled and another one joined in its place, the one that is online
/// is kept, and of two such the one that joined last (the higher raft id).
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    instances: Vec<Arc<Instance>>,
    /// Where the master of a replicaset stands in `instances`, by the replicaset's uuid.
    masters: HashMap<Arc<str>, usize>,
    /// Where an address stands in `instances`.
    addresses: HashMap<Arc<str>, usize>,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.instances == other.instances
    }
}

impl Snapshot {
    /// Makes a snapshot of instances in any order, duplicates among them.
    pub(crate) fn new(mut instances: Vec<Instance>) -> Self {
        instances.sort_by(|a, b| a.uuid.cmp(&b.uuid).then_with(|| precedence(b, a)));
        instances.dedup_by(|later, kept| later.uuid == kept.uuid);
        let mut best: HashMap<Arc<str>, usize> = HashMap::with_capacity(instances.len());
        for (index, instance) in instances.iter().enumerate() {
            best.entry(Arc::clone(&instance.address))
                .and_modify(|kept| {
                    if precedence(instance, &instances[*kept]) == Ordering::Greater {
                        *kept = index;
                    }
                })
                .or_insert(index);
        }
        if best.len() < instances.len() {
            let mut index = 0;
            instances.retain(|instance| {
                let kept = best.get(&instance.address) == Some(&index);
                index += 1;
                kept
            });
            for (index, instance) in instances.iter().enumerate() {
                best.insert(Arc::clone(&instance.address), index);
            }
        }
        let mut masters: HashMap<Arc<str>, usize> = HashMap::new();
        for (index, instance) in instances.iter().enumerate() {
            if instance.is_master && !instance.replicaset.is_empty() {
                masters
                    .entry(Arc::clone(&instance.replicaset))
                    .and_modify(|kept| {
                        if precedence(instance, &instances[*kept]) == Ordering::Greater {
                            *kept = index;
                        }
                    })
                    .or_insert(index);
            }
        }
        Snapshot {
            instances: instances.into_iter().map(Arc::new).collect(),
            masters,
            addresses: best,
        }
    }

    /// All instances, sorted by uuid.
    pub(crate) fn instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// The instance with this uuid.
    #[cfg(test)]
    pub(crate) fn get(&self, uuid: &str) -> Option<&Arc<Instance>> {
        let index = self
            .instances
            .binary_search_by(|instance| (*instance.uuid).cmp(uuid))
            .ok()?;
        self.instances.get(index)
    }

    /// The master of the replicaset with this uuid, in whatever state it is.
    pub(crate) fn master(&self, replicaset: &str) -> Option<&Arc<Instance>> {
        self.instances.get(*self.masters.get(replicaset)?)
    }

    /// The raft leader.
    pub(crate) fn leader(&self) -> Option<&Arc<Instance>> {
        self.instances.iter().find(|instance| instance.is_leader)
    }

    /// The instance at `address`, which a user may have written in another way than the cluster does: a seed
    /// `localhost:4327` is the instance that calls itself `127.0.0.1:4327`, so that it is not pooled twice.
    ///
    /// Only this machine's own names are known to be the same; no name is looked up. Who has a connection knows
    /// better still: the server there answers with its uuid.
    pub(crate) fn at(&self, address: &str) -> Option<&Arc<Instance>> {
        if let Some(index) = self.addresses.get(address) {
            return self.instances.get(*index);
        }
        let wanted = Address::parse(address, None).ok()?;
        let written = wanted.to_string();
        if let Some(index) = self.addresses.get(written.as_str()) {
            return self.instances.get(*index);
        }
        if !is_loopback(&wanted) {
            return None;
        }
        let port = written.rsplit_once(':')?.1;
        self.instances.iter().find(|instance| {
            instance
                .address
                .rsplit_once(':')
                .is_some_and(|(_, other)| other == port)
                && Address::parse(&instance.address, None).is_ok_and(|other| is_loopback(&other))
        })
    }
}

/// Which of two descriptions of one instance or one address is to be believed: the greater.
fn precedence(a: &Instance, b: &Instance) -> Ordering {
    let standing = |instance: &Instance| match instance.state {
        InstanceState::Online => 2,
        InstanceState::Expelled => 0,
        InstanceState::Offline | InstanceState::Other(_) => 1,
    };
    standing(a)
        .cmp(&standing(b))
        .then_with(|| a.raft_id.cmp(&b.raft_id))
}

fn is_loopback(address: &Address) -> bool {
    address.host().is_some_and(|host| {
        host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

/// What became different about an instance. Each holds the instance as it is now; [`Went`](Change::Went), as it
/// was last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was not there before.
    Came(Arc<Instance>),
    /// It is there no longer.
    Went(Arc<Instance>),
    /// It has another address.
    Moved {
        instance: Arc<Instance>,
        from: Arc<str>,
    },
    /// It has another state.
    State {
        instance: Arc<Instance>,
        from: InstanceState,
    },
    /// It became the master of its replicaset, or is so no longer.
    Role(Arc<Instance>),
    /// It became the raft leader, or is so no longer.
    Leader(Arc<Instance>),
    /// It has another number in the raft group: it left and joined again.
    Rejoined(Arc<Instance>),
    /// Its name, replicaset, tier, failure domain or version is another one.
    Described(Arc<Instance>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Came(instance) => write!(f, "{instance} came, {}", instance.state),
            Change::Went(instance) => write!(f, "{instance} went"),
            Change::Moved { instance, from } => write!(f, "{instance} moved from {from}"),
            Change::State { instance, from } => {
                write!(f, "{instance} was {from} and is {}", instance.state)
            }
            Change::Role(instance) if instance.is_master => {
                write!(f, "{instance} is the master of its replicaset")
            }
            Change::Role(instance) => write!(f, "{instance} is a replica"),
            Change::Leader(instance) if instance.is_leader => {
                write!(f, "{instance} leads the cluster")
            }
            Change::Leader(instance) => write!(f, "{instance} no longer leads the cluster"),
            Change::Rejoined(instance) => write!(f, "{instance} joined again"),
            Change::Described(instance) => write!(f, "{instance} is described anew"),
        }
    }
}

impl Change {
    /// The instance that changed.
    pub(crate) fn instance(&self) -> &Arc<Instance> {
        match self {
            Change::Came(instance)
            | Change::Went(instance)
            | Change::Moved { instance, .. }
            | Change::State { instance, .. }
            | Change::Role(instance)
            | Change::Leader(instance)
            | Change::Rejoined(instance)
            | Change::Described(instance) => instance,
        }
    }

    /// The event that tells of it, if there is one.
    pub(crate) fn event(&self) -> Option<Event<'_>> {
        match self {
            Change::Came(instance) => Some(Event::InstanceCame(instance)),
            Change::Went(instance) => Some(Event::InstanceWent(instance)),
            Change::Moved { instance, from } => Some(Event::InstanceMoved { instance, from }),
            Change::State { instance, from } => Some(Event::InstanceState { instance, from }),
            Change::Role(instance) => Some(Event::InstanceRole(instance)),
            // Another one leads as soon as it is known which.
            Change::Leader(_) | Change::Rejoined(_) | Change::Described(_) => None,
        }
    }

    /// Whether the cluster vouches for the instance anew, so that its failures up to now count no more.
    ///
    /// That an instance is still called online says nothing: the survivors of a leader that was killed call it
    /// so for more than ten seconds.
    pub(crate) fn vouches(&self) -> bool {
        match self {
            Change::Came(instance)
            | Change::Moved { instance, .. }
            | Change::State { instance, .. }
            | Change::Rejoined(instance) => instance.is_online(),
            Change::Went(_) | Change::Role(_) | Change::Leader(_) | Change::Described(_) => false,
        }
    }
}

/// What differs between two snapshots, in the order of the uuids; one instance may have changed in several ways.
/// Takes time linear in the number of instances.
pub(crate) fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut before = old.instances.iter().peekable();
    let mut after = new.instances.iter().peekable();
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(was), Some(is)) => was.uuid.cmp(&is.uuid),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let was = before.next_if(|_| order != Ordering::Greater);
        let is = after.next_if(|_| order != Ordering::Less);
        match (was, is) {
            (Some(was), Some(is)) => compare(was, is, &mut changes),
            (Some(was), None) => changes.push(Change::Went(Arc::clone(was))),
            (None, Some(is)) => changes.push(Change::Came(Arc::clone(is))),
            (None, None) => return changes,
        }
    }
}

fn compare(was: &Instance, is: &Arc<Instance>, changes: &mut Vec<Change>) {
    if was == &**is {
        return;
    }
    if was.raft_id != is.raft_id {
        changes.push(Change::Rejoined(Arc::clone(is)));
    }
    if was.address != is.address {
        changes.push(Change::Moved {
            instance: Arc::clone(is),
            from: Arc::clone(&was.address),
        });
    }
    if was.state != is.state {
        changes.push(Change::State {
            instance: Arc::clone(is),
            from: was.state.clone(),
        });
    }
    if was.is_master != is.is_master {
        changes.push(Change::Role(Arc::clone(is)));
    }
    if was.is_leader != is.is_leader {
        changes.push(Change::Leader(Arc::clone(is)));
    }
    if was.name != is.name
        || was.replicaset != is.replicaset
        || was.tier != is.tier
        || was.failure_domain != is.failure_domain
        || was.version != is.version
    {
        changes.push(Change::Described(Arc::clone(is)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::topology::testing::instance;

    fn addresses(snapshot: &Snapshot) -> Vec<(&str, u64)> {
        snapshot
            .instances()
            .iter()
            .map(|instance| (&*instance.address, instance.raft_id))
            .collect()
    }

    #[test]
    fn instances_are_sorted_and_found() {
        let snapshot = Snapshot::new((1..=20).rev().map(instance).collect());
        assert!(snapshot.instances().is_sorted_by_key(|i| &i.uuid));
        for number in 1..=20 {
            let wanted = instance(number);
            assert_eq!(**snapshot.get(&wanted.uuid).unwrap(), wanted);
            assert_eq!(**snapshot.at(&wanted.address).unwrap(), wanted);
        }
        assert!(snapshot.get("").is_none());
        assert!(snapshot.at("10.9.9.9:4327").is_none());
        assert!(snapshot.leader().is_none());
    }

    #[test]
    fn of_an_address_that_appears_twice_the_online_instance_is_kept() {
        let mut gone = instance(9);
        gone.state = InstanceState::Expelled;
        let mut back = instance(1);
        back.address = Arc::clone(&gone.address);
        back.raft_id = 4;
        let other = instance(2);
        let snapshot = Snapshot::new(vec![gone.clone(), other.clone(), back.clone()]);
        assert_eq!(
            addresses(&snapshot),
            [("10.0.0.9:4327", 4), ("10.0.0.2:4327", 2)]
        );
        assert_eq!(**snapshot.at(&gone.address).unwrap(), back);

        // Both are offline: the one that joined last. Both are online: the same.
        for state in [InstanceState::Offline, InstanceState::Online] {
            let (mut a, mut b) = (gone.clone(), back.clone());
            (a.state, b.state) = (state.clone(), state);
            let snapshot = Snapshot::new(vec![b.clone(), a.clone()]);
            assert_eq!(addresses(&snapshot), [("10.0.0.9:4327", 9)]);
        }
    }

    #[test]
    fn of_a_uuid_that_appears_twice_the_online_row_is_kept() {
        let mut old = instance(1);
        old.state = InstanceState::Offline;
        old.raft_id = 8;
        old.address = "10.0.0.77:4327".into();
        let snapshot = Snapshot::new(vec![old, instance(1)]);
        assert_eq!(addresses(&snapshot), [("10.0.0.1:4327", 1)]);
    }

    #[test]
    fn the_master_of_a_replicaset_is_found() {
        let mut master = instance(1);
        master.is_master = true;
        let mut replica = instance(2);
        replica.replicaset = Arc::clone(&master.replicaset);
        let snapshot = Snapshot::new(vec![replica, master.clone()]);
        assert_eq!(**snapshot.master(&master.replicaset).unwrap(), master);
        assert!(snapshot.master("unknown").is_none());
        assert!(snapshot.master("").is_none());
    }

    #[test]
    fn a_seed_is_known_under_the_other_names_of_this_machine() {
        let at = |own: &str, seed: &str| {
            let mut one = instance(1);
            one.address = own.into();
            let snapshot = Snapshot::new(vec![one, instance(2)]);
            snapshot.at(seed).map(|found| found.raft_id)
        };
        for (own, seed, found) in [
            ("127.0.0.1:4327", "localhost:4327", true),
            ("localhost:4327", "127.0.0.1:4327", true),
            ("[::1]:4327", "localhost:4327", true),
            ("localhost:4327", "[::1]:4327", true),
            ("127.0.0.1:4327", "LOCALHOST:4327", true),
            ("127.0.0.1:4327", "[::ffff:127.0.0.1]:4327", true),
            ("db1.example:4327", "DB1.example:4327", true),
            ("127.0.0.1:4327", "localhost:4328", false),
            ("127.0.0.1:4327", "db1.example:4327", false),
            ("db1.example:4327", "localhost:4327", false),
            ("127.0.0.1:4327", "no address", false),
            ("127.0.0.1:4327", "/run/localhost:4327", false),
        ] {
            assert_eq!(at(own, seed).is_some(), found, "{own} {seed}");
        }
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let changed = |change: fn(&mut Instance)| {
            let mut is = instance(2);
            change(&mut is);
            let old = Snapshot::new(vec![instance(1), instance(2), instance(3)]);
            let new = Snapshot::new(vec![instance(3), is.clone(), instance(1)]);
            (diff(&old, &new), Arc::new(is))
        };
        let (changes, _) = changed(|_| {});
        assert_eq!(changes, []);
        let (changes, is) = changed(|i| i.address = "b:1".into());
        let from = "10.0.0.2:4327".into();
        assert_eq!(changes, [Change::Moved { instance: is, from }]);
        let (changes, is) = changed(|i| i.state = InstanceState::Offline);
        let from = InstanceState::Online;
        assert_eq!(changes, [Change::State { instance: is, from }]);
        let (changes, is) = changed(|i| i.is_master = true);
        assert_eq!(changes, [Change::Role(is)]);
        let (changes, is) = changed(|i| i.is_leader = true);
        assert_eq!(changes, [Change::Leader(is)]);
        let (changes, is) = changed(|i| i.raft_id = 12);
        assert_eq!(changes, [Change::Rejoined(is)]);
        for change in [
            (|i| i.name = "x".into()) as fn(&mut Instance),
            |i| i.tier = "hot".into(),
            |i| i.replicaset = "r".into(),
            |i| i.version = "26.1.1".into(),
            |i| {
                i.failure_domain.insert("DC".into(), "1".into());
            },
        ] {
            let (changes, is) = changed(change);
            assert_eq!(changes, [Change::Described(is)]);
        }
        let (changes, is) = changed(|i| {
            i.state = InstanceState::Offline;
            i.is_master = true;
        });
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|change| *change.instance() == is));
    }

    #[test]
    fn who_came_and_who_went_is_told() {
        let old = Snapshot::new(vec![instance(2), instance(4)]);
        let new = Snapshot::new(vec![instance(1), instance(4), instance(5)]);
        assert_eq!(
            diff(&old, &new),
            [
                Change::Came(Arc::new(instance(1))),
                Change::Went(Arc::new(instance(2))),
                Change::Came(Arc::new(instance(5))),
            ]
        );
        assert_eq!(diff(&old, &Snapshot::default()).len(), 2);
        assert_eq!(diff(&Snapshot::default(), &Snapshot::default()), []);
    }

    #[test]
    fn only_news_of_an_online_instance_vouch_for_it() {
        let mut off = instance(1);
        off.state = InstanceState::Offline;
        let (on, off) = (Arc::new(instance(1)), Arc::new(off));
        let state = |instance: &Arc<Instance>, from| Change::State {
            instance: Arc::clone(instance),
            from,
        };
        for (change, vouches) in [
            (Change::Came(Arc::clone(&on)), true),
            (Change::Came(Arc::clone(&off)), false),
            (state(&on, InstanceState::Offline), true),
            (state(&off, InstanceState::Online), false),
            (Change::Rejoined(Arc::clone(&on)), true),
            (Change::Role(Arc::clone(&on)), false),
            (Change::Leader(Arc::clone(&on)), false),
            (Change::Described(Arc::clone(&on)), false),
            (Change::Went(on), false),
        ] {
            assert_eq!(change.vouches(), vouches, "{change:?}");
        }
    }

    /// Changes one thing about a cluster of instances by uuid.
    fn disturb(
        model: &mut BTreeMap<Arc<str>, Instance>,
        random: &mut fastrand::Rng,
        next: &mut u64,
    ) {
        let any = random.usize(..model.len().max(1));
        let Some(uuid) = model.keys().nth(any).cloned() else {
            *next += 1;
            let new = instance(*next);
            model.insert(Arc::clone(&new.uuid), new);
            return;
        };
        let Some(one) = model.get_mut(&uuid) else {
            return;
        };
        match random.u8(..8) {
            0 => {
                *next += 1;
                let new = instance(*next);
                model.insert(Arc::clone(&new.uuid), new);
            }
            1 => {
                model.remove(&uuid);
            }
            2 => one.state = InstanceState::Offline,
            3 => one.state = InstanceState::Online,
            4 => one.is_master = !one.is_master,
            5 => one.is_leader = !one.is_leader,
            6 => {
                *next += 1;
                one.address = format!("moved-{next}:4327").into();
            }
            _ => one.raft_id += 1,
        }
    }

    #[test]
    fn ten_thousand_changes_are_followed_one_by_one() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut model, mut next) = (BTreeMap::new(), 0);
        let mut mirror: BTreeMap<Arc<str>, Arc<Instance>> = BTreeMap::new();
        let mut old = Snapshot::default();
        for round in 0..10_000 {
            disturb(&mut model, &mut random, &mut next);
            let mut shuffled: Vec<_> = model.values().cloned().collect();
            random.shuffle(&mut shuffled);
            let new = Snapshot::new(shuffled);
            assert!(new.instances().iter().map(|i| &**i).eq(model.values()));
            let changes = diff(&old, &new);
            assert!(changes.len() <= 1, "{round}: {changes:?}");
            for change in changes {
                let instance = Arc::clone(change.instance());
                match change {
                    Change::Went(_) => mirror.remove(&instance.uuid),
                    _ => mirror.insert(Arc::clone(&instance.uuid), instance),
                };
            }
            assert!(mirror.values().eq(new.instances()), "{round}");
            old = new;
        }
        assert!(next > 1000);
    }

    #[test]
    fn a_thousand_instances_are_compared_in_well_under_a_millisecond() {
        let old = Snapshot::new((0..1000).map(instance).collect());
        let mut instances: Vec<_> = (0..1000).map(instance).collect();
        instances[500].state = InstanceState::Offline;
        let new = Snapshot::new(instances);
        // The quickest of many runs: the machine may be busy with other things.
        let best = (0..100)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(diff(&old, &new).len(), 1);
                start.elapsed()
            })
            .min();
        assert!(best < Some(Duration::from_millis(1)), "{best:?}");
    }
}
