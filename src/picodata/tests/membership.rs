//! A pool's picture of a cluster, through ten thousand changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{Aim, Target};
use crate::picodata::discovery::{Discovery, Leader};
use crate::picodata::members::Members;
use crate::topology::{Change, Filter, Instance, RandomChoice, Snapshot};
use crate::value::{Value, ValueRef};

/// A thousand, as `cargo test --release` has them, take minutes where nothing is optimised.
const INSTANCES: usize = if cfg!(debug_assertions) { 60 } else { 1000 };
const CHANGES: usize = 10_000;

/// What the cluster's tables hold of one place: of the instance that is there, and of the last one that was
/// expelled, whose rows stay.
#[derive(Clone)]
struct Place {
    address: String,
    raft_id: u64,
    state: &'static str,
    master: bool,
    expelled: Option<u64>,
}

impl Place {
    fn row(&self, number: usize, raft_id: u64, state: &str) -> Vec<Value> {
        let name = format!("default_{number}_1");
        let master = if self.master { &name } else { "another" };
        vec![
            Value::Text(format!("00000000-0000-0000-0000-{raft_id:012}")),
            Value::Int(raft_id as i64),
            Value::Text(self.address.clone()),
            Value::Json(format!("[\"{state}\",1]")),
            Value::Text(name.clone()),
            Value::Text(format!("r{number}")),
            Value::Text("default".into()),
            Value::Json("{}".into()),
            Value::Text("25.5.7".into()),
            Value::Text(master.into()),
        ]
    }

    /// The instances of this place as they are read.
    fn read(&self, number: usize, leader: u64) -> Vec<Instance> {
        let leader = Leader::decode(&[ValueRef::Int(leader as i64), ValueRef::Null]);
        let mut discovery = Discovery::new(leader);
        let expelled = self
            .expelled
            .map(|raft_id| self.row(number, raft_id, "Expelled"));
        for row in expelled
            .into_iter()
            .chain([self.row(number, self.raft_id, self.state)])
        {
            discovery.push(&row.iter().map(Value::as_ref).collect::<Vec<_>>());
        }
        assert_eq!(discovery.skipped(), 0);
        let snapshot = discovery.finish().unwrap();
        snapshot
            .instances()
            .iter()
            .map(|one| (**one).clone())
            .collect()
    }
}

/// What is to be seen of an instance: its raft id, address, state, whether it is a master and whether it leads.
type Seen = (u64, String, String, bool, bool);

fn seen(instance: &Instance) -> Seen {
    (
        instance.raft_id,
        instance.address.to_string(),
        instance.state.to_string(),
        instance.is_master,
        instance.is_leader,
    )
}

#[test]
fn the_snapshot_is_the_model_after_each_of_ten_thousand_changes() {
    let mut random = fastrand::Rng::with_seed(19);
    let (mut next, mut leader) = (INSTANCES as u64, 1);
    let mut places: Vec<_> = (1..=INSTANCES)
        .map(|number| Place {
            address: format!("10.0.{}.{}:4327", number / 256, number % 256),
            raft_id: number as u64,
            state: "Online",
            master: true,
            expelled: None,
        })
        .collect();
    let members = Members::new(Filter::default(), Arc::new(RandomChoice), 10);
    let mut read: Vec<_> = (0..INSTANCES)
        .map(|at| places[at].read(at, leader))
        .collect();
    members.apply(Snapshot::new(read.concat()));
    let mut model: BTreeMap<u64, Seen> = BTreeMap::new();
    for (number, place) in places.iter().enumerate() {
        let master = place.state != "Expelled" && place.master;
        let leads = place.state != "Expelled" && place.raft_id == leader;
        let what = (
            place.raft_id,
            place.address.clone(),
            place.state.to_owned(),
            master,
            leads,
        );
        model.insert(number as u64, what);
    }
    let mut kinds = [0; 6];
    for round in 0..CHANGES {
        let at = random.usize(..INSTANCES);
        let kind = random.usize(..6);
        kinds[kind] += 1;
        let old_leader = leader;
        let place = &mut places[at];
        match kind {
            // Joins anew where it was expelled, with a new raft id at the same address.
            0 | 1 if place.state == "Expelled" => {
                next += 1;
                place.expelled = Some(place.raft_id);
                place.raft_id = next;
                place.state = "Online";
            }
            0 => place.state = "Online",
            1 => place.state = "Offline",
            2 => place.state = "Expelled",
            3 => place.master = !place.master,
            4 => place.address = format!("10.1.{}.{}:{}", at / 256, at % 256, 1024 + round),
            _ => leader = place.raft_id,
        }
        // Where it has moved, what the expelled one has left stays behind.
        if kind == 4 {
            place.expelled = None;
        }
        let led = |raft_id| places.iter().position(|place| place.raft_id == raft_id);
        let changed = [Some(at), led(old_leader).filter(|_| leader != old_leader)];
        for at in changed.into_iter().flatten() {
            let place = &places[at];
            read[at] = place.read(at, leader);
            let there = place.state != "Expelled";
            let (master, leads) = (there && place.master, there && place.raft_id == leader);
            let what = (
                place.raft_id,
                place.address.clone(),
                place.state.to_owned(),
                master,
                leads,
            );
            model.insert(at as u64, what);
        }
        let changes = members.apply(Snapshot::new(read.concat()));
        assert!(changes.len() <= 3, "{round}: {changes:?}");
        let snapshot = members.snapshot();
        let mut is: Vec<_> = snapshot.iter().map(|one| seen(one)).collect();
        let mut expected: Vec<_> = model.values().cloned().collect();
        is.sort_unstable();
        expected.sort_unstable();
        assert_eq!(is, expected, "{round}");
        // A call goes to an address of an instance that is online.
        let target = Target {
            avoid: &[],
            load: &|_| 0,
            aim: Aim::Any,
            refresh: &|| {},
        };
        if round % 100 == 0 {
            let chosen = members.choose(&target, |_| None).unwrap();
            let online = |one: &Seen| one.2 == "Online" && *one.1 == *chosen;
            assert!(model.values().any(online), "{chosen}");
            let usable = model.values().filter(|one| one.2 == "Online").count();
            assert_eq!(members.addresses().len(), usable);
        }
        if let Some(Change::Went(gone)) = changes.first() {
            assert!(snapshot.iter().all(|one| one.uuid != gone.uuid));
        }
    }
    println!("changes by kind: {kinds:?}");
}
