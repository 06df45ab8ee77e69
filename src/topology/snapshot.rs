//! All instances at one moment.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

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

#[cfg(test)]
mod tests {
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
}
