//! The queries that read a cluster's topology, and how their rows become a snapshot. No I/O.
//!
//! Picodata has no catalogue of PostgreSQL's and takes no comment in a statement; its own tables hold the
//! topology, and any instance answers, each from its own copy. Instances come from one query, so that they are
//! seen at one moment; who leads comes from another one beside it, which can be sent in the same round trip.
//!
//! | query | who may ask | answers with |
//! | --- | --- | --- |
//! | [`INSTANCES`] | who may read all tables | [`Discovery::push`] |
//! | [`INSTANCES_OF_ANYONE`] | anyone | the same, without the masters |
//! | [`INSTANCES_BRIEF`] | anyone | the same; for a server that lacks a column of the others |
//! | [`LEADER`] | anyone; plain PostgreSQL does not know it | [`Leader::decode`] |
//! | [`TIERS`] | an administrator | [`decode_tier`] |
//! | [`buckets`] | anyone, 25.5.1 and later | [`BucketMap::parse`](super::sharding::BucketMap::parse) |
//! | [`SCHEMA`] | who may read the tables | [`decode_schema`] |
//! | [`table`] | who may read the table | [`Distribution::parse`](super::sharding::Distribution::parse) |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Result};
use crate::net::address::Address;
use crate::topology::{Instance, InstanceState, Snapshot};
use crate::value::ValueRef;

/// All instances that take connections of PostgreSQL's protocol, with what is known of them.
///
/// The join with the addresses is by raft id, because an instance that was expelled keeps its row there. The
/// master is named by the replicaset.
pub(crate) const INSTANCES: &str = "\
SELECT i.uuid, i.raft_id, p.address, i.current_state, i.name, i.replicaset_uuid, i.tier, \
i.failure_domain, i.picodata_version, r.current_master_name \
FROM _pico_instance AS i \
JOIN _pico_replicaset AS r ON i.replicaset_name = r.name \
JOIN _pico_peer_address AS p ON i.raft_id = p.raft_id \
WHERE p.connection_type = 'pgproto'";

/// [`INSTANCES`] without its last column: who has been granted nothing but tables of a program's own may read the instances and
/// their addresses, and not the replicasets.
pub(crate) const INSTANCES_OF_ANYONE: &str = "\
SELECT i.uuid, i.raft_id, p.address, i.current_state, i.name, i.replicaset_uuid, i.tier, \
i.failure_domain, i.picodata_version \
FROM _pico_instance AS i \
JOIN _pico_peer_address AS p ON i.raft_id = p.raft_id \
WHERE p.connection_type = 'pgproto'";

/// The first four columns of [`INSTANCES`], from tables and columns that every version has.
pub(crate) const INSTANCES_BRIEF: &str = "\
SELECT i.uuid, i.raft_id, p.address, i.current_state \
FROM _pico_peer_address AS p \
JOIN _pico_instance AS i ON p.raft_id = i.raft_id \
WHERE p.connection_type = 'pgproto'";

/// The raft id of the leader, 0 where there is none, and the uuid of the instance that answers.
///
/// `pico_raft_leader_uuid()` would be an error where there is no leader.
pub(crate) const LEADER: &str = "SELECT pico_raft_leader_id(), pico_instance_uuid()";

/// The number of buckets of each tier.
pub(crate) const TIERS: &str = "SELECT name, bucket_count FROM _pico_tier";

/// What differs after any change of a table: a new version is a higher one, and a drop lowers the count.
pub(crate) const SCHEMA: &str =
    "SELECT count(*) AS tables, max(schema_version) AS version FROM _pico_table";

/// How many instances are followed; rows may come without end.
const MAX_INSTANCES: usize = 65_536;

/// The query for the ranges of buckets of a tier, as one JSON text.
// A name is a literal and no parameter, which would have to be written as the option `placeholders` says.
pub(crate) fn buckets(tier: &str) -> String {
    format!("SELECT _pico_bucket({}) AS buckets", literal(tier))
}

/// The query for how the rows of a table are spread.
pub(crate) fn table(name: &str) -> String {
    let name = literal(name);
    format!("SELECT distribution, format FROM _pico_table WHERE name = {name}")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The answer to [`LEADER`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leader {
    /// The raft id of the leader, where the cluster has one.
    pub(crate) raft_id: Option<u64>,
    /// The uuid of the instance that answered: by it a seed is known, whatever the seed was called.
    pub(crate) answered_by: Option<Arc<str>>,
}

impl Leader {
    /// Reads the row; what is not understood is left out.
    pub(crate) fn decode(row: &[ValueRef<'_>]) -> Self {
        Leader {
            raft_id: row.first().and_then(raft_id).filter(|id| *id != 0),
            answered_by: row.get(1).and_then(uuid),
        }
    }
}

/// Reads a row of [`TIERS`]: the name of a tier and the number of its buckets.
pub(crate) fn decode_tier(row: &[ValueRef<'_>]) -> Option<(Arc<str>, u64)> {
    match row {
        [name, ValueRef::Int(count)] => Some((text(name)?.into(), u64::try_from(*count).ok()?)),
        _ => None,
    }
}

/// Reads the row of [`SCHEMA`].
pub(crate) fn decode_schema(row: &[ValueRef<'_>]) -> Option<(i64, i64)> {
    match row {
        [ValueRef::Int(tables), ValueRef::Int(version)] => Some((*tables, *version)),
        _ => None,
    }
}

/// Takes the rows of [`INSTANCES`], [`INSTANCES_OF_ANYONE`] or [`INSTANCES_BRIEF`] and makes a [`Snapshot`] of them.
///
/// A row that is not understood is left out and counted: one odd instance must not hide the others.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    leader: Leader,
    instances: Vec<Instance>,
    /// The rows name no masters.
    lacks_masters: bool,
    skipped: usize,
}

impl Discovery {
    /// Begins, with the answer to [`LEADER`] where there is one.
    pub(crate) fn new(leader: Leader) -> Self {
        Discovery {
            leader,
            ..Discovery::default()
        }
    }

    /// Takes one row.
    pub(crate) fn push(&mut self, row: &[ValueRef<'_>]) {
        match self.decode(row) {
            Some(instance) if self.instances.len() < MAX_INSTANCES => self.instances.push(instance),
            _ => self.skipped += 1,
        }
    }

    /// How many rows were left out.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// The snapshot of the rows, what they say twice resolved.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`]: there was no row that could be understood. A cluster that answers has at least
    /// the instance that does.
    pub(crate) fn finish(mut self) -> Result<Snapshot> {
        if self.instances.is_empty() {
            return Err(Error::new(
                ErrorKind::Protocol,
                match self.skipped {
                    0 => "the cluster's tables name no instance with a pgproto address".to_owned(),
                    rows => format!("none of the {rows} rows of the topology is understood"),
                },
            ));
        }
        if self.lacks_masters {
            self.find_masters();
        }
        Ok(Snapshot::new(self.instances))
    }

    /// Makes the instance that is alone in its replicaset the master of that.
    fn find_masters(&mut self) {
        let is_there = |instance: &&mut Instance| instance.state != InstanceState::Expelled;
        let mut alone: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
        for instance in self.instances.iter_mut().filter(is_there) {
            let uuid = Some(Arc::clone(&instance.uuid));
            let only = alone
                .entry(Arc::clone(&instance.replicaset))
                .or_insert(uuid.clone());
            if *only != uuid {
                *only = None;
            }
        }
        for instance in self.instances.iter_mut().filter(is_there) {
            let only = alone.get(&instance.replicaset).cloned().flatten();
            instance.is_master =
                !instance.replicaset.is_empty() && only.as_ref() == Some(&instance.uuid);
        }
    }

    fn decode(&mut self, row: &[ValueRef<'_>]) -> Option<Instance> {
        let (brief, more) = row.split_at_checked(4)?;
        let [uuid_value, raft_value, address, state] = brief else {
            return None;
        };
        let address = Address::parse(&text(address)?, None).ok()?.to_string();
        let mut instance = Instance::new(&uuid(uuid_value)?, &address, decode_state(state)?);
        instance.raft_id = raft_id(raft_value)?;
        let expelled = instance.state == InstanceState::Expelled;
        instance.is_leader = !expelled && self.leader.raft_id == Some(instance.raft_id);
        if let [name, replicaset, tier, domain, version, master @ ..] = more
            && master.len() <= 1
        {
            let shared = |value| text(value).map(Arc::from).unwrap_or_default();
            instance.name = shared(name);
            instance.replicaset = uuid(replicaset).unwrap_or_default();
            instance.tier = shared(tier);
            instance.failure_domain = decode_domain(domain);
            instance.version = shared(version);
            // An expelled instance keeps its name in the tables, and its successor gets the same one.
            instance.is_master = !expelled
                && !instance.name.is_empty()
                && master
                    .first()
                    .and_then(text)
                    .is_some_and(|master| *master == *instance.name);
            self.lacks_masters |= master.is_empty();
        } else if !more.is_empty() {
            return None;
        }
        Some(instance)
    }
}

pub(crate) fn text<'v>(value: &ValueRef<'v>) -> Option<Cow<'v, str>> {
    match value {
        ValueRef::Text(text) | ValueRef::Json(text) => Some(Cow::Borrowed(text)),
        ValueRef::Uuid(uuid) => Some(Cow::Owned(uuid.to_string())),
        _ => None,
    }
}

fn uuid(value: &ValueRef<'_>) -> Option<Arc<str>> {
    let text = text(value)?;
    (!text.is_empty()).then(|| text.to_ascii_lowercase().into())
}

fn raft_id(value: &ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Int(id) => u64::try_from(*id).ok(),
        _ => None,
    }
}

/// A state with the number of the time that the instance has been in it: `["Online",1]`; in some versions
/// `{"Online":1}`.
fn decode_state(value: &ValueRef<'_>) -> Option<InstanceState> {
    let text = text(value)?;
    let name = match serde_json::from_str::<Json>(&text) {
        Ok(Json::Array(parts)) => parts.first()?.as_str()?.to_owned(),
        Ok(Json::Object(parts)) => parts.keys().next()?.clone(),
        Ok(Json::String(name)) => name,
        Ok(_) => return None,
        Err(_) if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => text.into_owned(),
        Err(_) => return None,
    };
    (!name.is_empty()).then(|| InstanceState::from_name(&name))
}

/// An object of names and values; anything else is no failure domain.
fn decode_domain(value: &ValueRef<'_>) -> BTreeMap<String, String> {
    let text = text(value).unwrap_or_default();
    if text == "{}" {
        return BTreeMap::new();
    }
    match serde_json::from_str(&text) {
        Ok(Json::Object(parts)) => parts
            .into_iter()
            .filter_map(|(name, value)| match value {
                Json::String(value) => Some((name, value)),
                _ => None,
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
