//! The instances, replicasets and tiers of the cluster, as the script has made them, and what the tables
//! `_pico_…` say of them. The two are the same as long as there is a quorum.

use std::collections::HashMap;

use uuid::Uuid;

use super::engine::Engine;
use super::error::json_text;

/// `_pico_instance.picodata_version` of each release.
pub const VERSION_25: &str = "25.5.7-0-g0000000";
pub const VERSION_26: &str = "26.1.1-0-g0000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Online,
    Offline,
    Expelled,
}

/// One row of `_pico_instance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    pub uuid: String,
    pub raft_id: u64,
    /// The index of its replicaset.
    pub replicaset: usize,
    pub state: State,
    pub incarnation: u64,
    /// `host:port` of the PostgreSQL protocol.
    pub address: String,
    pub tier: String,
    pub failure_domain: Vec<(String, String)>,
    /// Whether another instance has taken its name, so that only its address rows are left.
    pub forgotten: bool,
}

/// One row of `_pico_replicaset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicaset {
    pub name: String,
    pub uuid: String,
    pub tier: String,
    /// The index of its master.
    pub master: usize,
}

/// One row of `_pico_tier`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub name: String,
    pub replication_factor: usize,
    pub can_vote: bool,
    pub bucket_count: u64,
}

#[derive(Default)]
pub struct Catalog {
    pub instances: Vec<Instance>,
    pub replicasets: Vec<Replicaset>,
    pub tiers: Vec<Tier>,
    /// The index of the raft leader.
    pub leader: Option<usize>,
    /// Without a quorum nothing is written: the tables keep what they say.
    pub frozen: bool,
    /// The version of all instances.
    pub version: &'static str,
    /// The ranges of buckets of a tier, where a test has moved them: first, last, index of the replicaset.
    pub ranges: HashMap<String, Vec<(u64, u64, usize)>>,
}

impl Catalog {
    /// Adds an instance that is Online, to a replicaset of the tier that has room for it, or else to a new
    /// one. Answers its index.
    pub fn join(&mut self, address: &str, tier: &str) -> usize {
        let index = self.instances.len();
        let wanted = self.tiers.iter().find(|one| one.name == tier);
        let factor = wanted
            .unwrap_or_else(|| panic!("there is no tier {tier}"))
            .replication_factor;
        let members = |set: usize| {
            let alive = |one: &&Instance| one.replicaset == set && one.state != State::Expelled;
            self.instances.iter().filter(alive).count()
        };
        // The last replicaset of a tier is the only one that may not be full, unless members were expelled.
        let free = (0..self.replicasets.len())
            .rev()
            .take(4)
            .find(|set| self.replicasets[*set].tier == tier && members(*set) < factor);
        let replicaset = free.unwrap_or_else(|| {
            let same = self
                .replicasets
                .iter()
                .filter(|set| set.tier == tier)
                .count();
            self.replicasets.push(Replicaset {
                name: format!("{tier}_{}", same + 1),
                uuid: Uuid::from_u64_pair(
                    0x5e70_0000_0000_4000,
                    0x8000_0000_0000_0000 + index as u64,
                )
                .to_string(),
                tier: tier.to_owned(),
                master: index,
            });
            self.replicasets.len() - 1
        });
        let place = self
            .instances
            .iter()
            .filter(|one| one.replicaset == replicaset)
            .count()
            + 1;
        let name = format!("{}_{place}", self.replicasets[replicaset].name);
        self.push(Instance {
            name,
            uuid: String::new(),
            raft_id: 0,
            replicaset,
            state: State::Online,
            incarnation: 1,
            address: address.to_owned(),
            tier: tier.to_owned(),
            failure_domain: Vec::new(),
            forgotten: false,
        })
    }

    /// Adds an instance with a uuid and a raft id that none has had.
    pub fn push(&mut self, mut instance: Instance) -> usize {
        let index = self.instances.len();
        instance.raft_id = index as u64 + 1;
        instance.uuid =
            Uuid::from_u64_pair(0x1257_0000_0000_4000, 0x8000_0000_0000_0000 + index as u64)
                .to_string();
        self.instances.push(instance);
        index
    }

    pub fn is_running(&self, index: usize) -> bool {
        self.instances[index].state == State::Online
    }

    /// Writes one instance, with its addresses, into the tables.
    pub fn publish(&self, engine: &Engine, index: usize) {
        if self.frozen {
            return;
        }
        let one = &self.instances[index];
        let set = &self.replicasets[one.replicaset];
        let state = format!("[\"{:?}\",{}]", one.state, one.incarnation);
        let domain: Vec<_> = one
            .failure_domain
            .iter()
            .map(|(key, value)| format!("{}:{}", json_text(key), json_text(value)))
            .collect();
        let domain = format!("{{{}}}", domain.join(","));
        if !one.forgotten {
            engine.write(
                "INSERT OR REPLACE INTO _pico_instance VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9)",
                &[
                    &one.name, &one.uuid, &one.raft_id, &set.name, &set.uuid, &state, &domain, &one.tier,
                    &self.version,
                ],
            );
            let names = [one.name.clone(), set.name.clone(), one.tier.clone()];
            engine.facts().instances.insert(one.uuid.clone(), names);
        }
        let host = one.address.rsplit_once(':').map_or("", |(host, _)| host);
        for (address, kind) in [
            (format!("{host}:3301"), "iproto"),
            (one.address.clone(), "pgproto"),
        ] {
            engine.write(
                "INSERT OR REPLACE INTO _pico_peer_address VALUES (?1, ?2, ?3)",
                &[&one.raft_id, &address, &kind],
            );
        }
    }

    /// Writes the replicasets and tiers into the tables.
    pub fn publish_sets(&self, engine: &Engine) {
        if self.frozen {
            return;
        }
        engine.write("DELETE FROM _pico_tier", &[]);
        for tier in &self.tiers {
            engine.write(
                "INSERT INTO _pico_tier VALUES (?1, ?2, ?3, 1, 1, 1, ?4)",
                &[
                    &tier.name,
                    &tier.replication_factor,
                    &tier.can_vote,
                    &tier.bucket_count,
                ],
            );
            engine
                .facts()
                .buckets
                .insert(tier.name.clone(), self.buckets(tier));
        }
        for set in &self.replicasets {
            engine.write(
                "INSERT OR REPLACE INTO _pico_replicaset \
                 VALUES (?1, ?2, ?3, ?3, ?4, 1.0, 'auto', 'ready', 1, 1, '{}')",
                &[
                    &set.name,
                    &set.uuid,
                    &self.instances[set.master].name,
                    &set.tier,
                ],
            );
        }
    }

    /// Writes everything.
    pub fn publish_all(&self, engine: &Engine) {
        for index in 0..self.instances.len() {
            self.publish(engine, index);
        }
        self.publish_sets(engine);
    }

    /// The ranges of buckets of a tier, shared evenly among its replicasets unless a test has moved them: first,
    /// last, index of the replicaset.
    pub fn ranges(&self, tier: &Tier) -> Vec<(u64, u64, usize)> {
        if let Some(moved) = self.ranges.get(&tier.name) {
            return moved.clone();
        }
        let sets = self.replicasets.iter().enumerate();
        let sets: Vec<_> = sets.filter(|(_, set)| set.tier == tier.name).collect();
        let bound = |place: usize| tier.bucket_count * place as u64 / sets.len() as u64;
        let ranges = sets.iter().enumerate();
        ranges
            .map(|(place, (set, _))| (bound(place) + 1, bound(place + 1), *set))
            .collect()
    }

    /// What `_pico_bucket` answers.
    fn buckets(&self, tier: &Tier) -> String {
        let range = |(first, last, set): &(u64, u64, usize)| {
            format!(
                "{{\"bucket_id_start\":{},\"target_replicaset_uuid\":\"{uuid}\",\"tier_name\":{},\
                 \"state\":\"active\",\"current_replicaset_uuid\":\"{uuid}\",\"bucket_id_end\":{}}}",
                first,
                json_text(&tier.name),
                last,
                uuid = self.replicasets[*set].uuid,
            )
        };
        let ranges: Vec<_> = self.ranges(tier).iter().map(range).collect();
        format!("[{}]", ranges.join(","))
    }
}
