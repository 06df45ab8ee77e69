//! Who is a member of a pool, and where calls go meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{Aim, Target};
use crate::picodata::members::Members;
use crate::topology::testing::instance;
use crate::topology::{Change, Filter, Instance, InstanceState, RoundRobin, Snapshot};

fn members() -> Members {
    Members::new(Filter::default(), Arc::new(RoundRobin::new()), 10)
}

/// An instance by its raft id, at an address of that number.
fn at(raft_id: u64, address: u64) -> Instance {
    let mut instance = instance(raft_id);
    instance.address = name(address);
    instance
}

fn name(address: u64) -> Arc<str> {
    format!("10.0.0.{address}:5432").into()
}

fn with_state(raft_id: u64, state: InstanceState) -> Instance {
    Instance {
        state,
        ..at(raft_id, raft_id)
    }
}

/// Takes a snapshot in, and gives what has changed, as words and raft ids.
fn apply(members: &Members, instances: &[Instance]) -> Vec<(&'static str, u64)> {
    let changes = members.apply(Snapshot::new(instances.to_vec()));
    let mut told: Vec<_> = changes
        .iter()
        .map(|change| {
            let word = match change {
                Change::Came(_) => "came",
                Change::Went(_) => "went",
                Change::Moved { .. } => "moved",
                _ => "changed",
            };
            (word, change.instance().raft_id)
        })
        .collect();
    told.sort_unstable();
    told
}

fn choose(members: &Members, avoid: &[Arc<str>]) -> Option<Arc<str>> {
    choose_with(members, avoid, &|_| 0)
}

/// Chooses with so many connections in use.
fn choose_with(
    members: &Members,
    avoid: &[Arc<str>],
    load: &dyn Fn(&str) -> u32,
) -> Option<Arc<str>> {
    let target = Target {
        avoid,
        load,
        aim: Aim::Any,
        refresh: &|| {},
    };
    members.choose(&target, |_| None)
}

/// How often each address is chosen out of 60 times.
fn spread(members: &Members) -> Vec<(Arc<str>, usize)> {
    let mut counts = BTreeMap::new();
    for _ in 0..60 {
        *counts.entry(choose(members, &[]).unwrap()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// Calls go to exactly these addresses, evenly.
#[track_caller]
fn goes_to(members: &Members, addresses: &[u64]) {
    let each = 60 / addresses.len();
    let expected: Vec<_> = addresses.iter().map(|one| (name(*one), each)).collect();
    assert_eq!(spread(members), expected);
    let known: Vec<_> = addresses.iter().map(|one| name(*one)).collect();
    let mut addresses = members.addresses();
    addresses.sort_unstable();
    assert_eq!(addresses, known);
}

/// Fails so often that calls keep away.
fn fail(members: &Members, address: u64) {
    let address = name(address);
    let failed: Vec<_> = (0..3).map(|_| members.failed(&address)).collect();
    assert_eq!(failed, [false, false, true]);
    assert!(members.is_left_out(&address));
}

#[test]
fn instances_come_and_go_by_their_uuids() {
    use InstanceState::{Expelled, Offline, Online};
    let members = members();
    assert!(!members.is_known() && choose(&members, &[]).is_none());
    type Step<'a> = (&'a [Instance], &'a [(&'a str, u64)], &'a [u64]);
    let expelled = with_state(3, Expelled);
    let steps: [Step<'_>; 9] = [
        // The first snapshot is what there is, and no change.
        (&[at(1, 1), at(2, 2)], &[], &[1, 2]),
        (&[at(1, 1), at(2, 2), at(3, 3)], &[("came", 3)], &[1, 2, 3]),
        (&[at(3, 3), at(1, 1), at(2, 2)], &[], &[1, 2, 3]),
        (&[at(1, 1), at(3, 3)], &[("went", 2)], &[1, 3]),
        // The same one elsewhere.
        (&[at(1, 9), at(3, 3)], &[("moved", 1)], &[3, 9]),
        // It has left its row behind, and another one has joined at its address.
        (&[at(1, 9), expelled.clone()], &[("changed", 3)], &[9]),
        (
            &[at(1, 9), expelled, at(4, 3)],
            &[("came", 4), ("went", 3)],
            &[3, 9],
        ),
        // An address that is there twice is one member, whatever the order.
        (
            &[at(5, 3), at(4, 3), at(1, 9)],
            &[("came", 5), ("went", 4)],
            &[3, 9],
        ),
        (
            &[with_state(1, Offline), with_state(5, Online)],
            &[("changed", 1), ("moved", 1), ("moved", 5)],
            &[5],
        ),
    ];
    for (number, (instances, changes, addresses)) in steps.iter().enumerate() {
        assert_eq!(apply(&members, instances), *changes, "step {number}");
        goes_to(&members, addresses);
    }
    assert_eq!(members.count(), (2, 1));
    // None is left that could be asked.
    apply(&members, &[with_state(1, Offline)]);
    assert!(choose(&members, &[]).is_none() && members.addresses().is_empty());
}

#[test]
fn what_is_thought_of_an_address_goes_with_its_instance() {
    let members = members();
    let all = [at(1, 1), at(2, 2), at(3, 3)];
    apply(&members, &all);
    fail(&members, 2);
    // The others share the calls; with one of them avoided, the last takes them all.
    let survivors = [(name(1), 30), (name(3), 30)];
    assert_eq!(spread(&members), survivors);
    assert_eq!(choose(&members, &[name(1)]), Some(name(3)));
    // There is nothing better than one that is left out.
    assert_eq!(choose(&members, &[name(1), name(3)]), Some(name(2)));
    assert_eq!(choose(&members, &[name(1), name(2), name(3)]), None);
    // The cluster has nothing new to say of it.
    apply(&members, &all);
    assert_eq!(spread(&members), survivors);
    // It has left; who is at its address then is somebody else.
    apply(&members, &[all[0].clone(), all[2].clone()]);
    apply(&members, &[all[0].clone(), at(7, 2), all[2].clone()]);
    goes_to(&members, &[1, 2, 3]);

    // The cluster vouches for it again.
    fail(&members, 2);
    let offline = Instance {
        state: InstanceState::Offline,
        ..at(7, 2)
    };
    apply(&members, &[all[0].clone(), offline, all[2].clone()]);
    assert_eq!(spread(&members), survivors);
    assert!(!members.is_troubled(), "nobody asks one that is offline");
    apply(&members, &[all[0].clone(), at(7, 2), all[2].clone()]);
    goes_to(&members, &[1, 2, 3]);
    // At another address it is not judged by the old one.
    fail(&members, 2);
    apply(&members, &[all[0].clone(), at(7, 8), all[2].clone()]);
    goes_to(&members, &[1, 3, 8]);
}

#[test]
fn a_call_waits_for_a_connection_of_one_that_does_well_and_not_for_one_that_is_left_out() {
    let members = members();
    apply(&members, &[at(1, 1), at(2, 2), at(3, 3)]);
    fail(&members, 2);
    let full = |address: &str| if address == &*name(2) { 0 } else { 10 };
    assert_eq!(choose_with(&members, &[name(1), name(3)], &full), None);
    // The third has failed in this call.
    let first = |address: &str| if address == &*name(1) { 10 } else { 0 };
    assert_eq!(choose_with(&members, &[name(3)], &first), Some(name(1)));
    assert_eq!(choose_with(&members, &[name(3), name(1)], &first), None);
    // None that does well is left to wait for.
    fail(&members, 1);
    fail(&members, 3);
    let chosen = choose_with(&members, &[name(1), name(3)], &full);
    assert_eq!(chosen, Some(name(2)));
}
