//! What differs between two moments of a cluster.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::logging::Event;
use crate::topology::{Instance, InstanceState, Snapshot};

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
    let mut before = old.instances().iter().peekable();
    let mut after = new.instances().iter().peekable();
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
