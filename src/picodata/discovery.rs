//! The queries that read a cluster's topology, and how their rows become a snapshot. No I/O.
//!
//! Picodata has no catalogue of PostgreSQL's and takes no comment in a statement; its own tables hold the
//! topology, and any instance answers, each from its own copy. Instances come from one query, so that they are
//! seen at one moment; who leads comes from another one beside it, which can be sent in the same round trip.
//!
//! | query | who may ask | answers with |
//! | --- | --- | --- |
//! | [`INSTANCES`] | anyone | [`Discovery::push`] |
//! | [`INSTANCES_BRIEF`] | anyone | the same; for a server that lacks a column of the other |
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

/// Takes the rows of [`INSTANCES`] or [`INSTANCES_BRIEF`] and makes a [`Snapshot`] of them.
///
/// A row that is not understood is left out and counted: one odd instance must not hide the others.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    leader: Leader,
    instances: Vec<Instance>,
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
            Some(instance) => self.instances.push(instance),
            None => self.skipped += 1,
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
    pub(crate) fn finish(self) -> Result<Snapshot> {
        if self.instances.is_empty() {
            return Err(Error::new(
                ErrorKind::Protocol,
                match self.skipped {
                    0 => "the cluster's tables name no instance with a pgproto address".to_owned(),
                    rows => format!("none of the {rows} rows of the topology is understood"),
                },
            ));
        }
        Ok(Snapshot::new(self.instances))
    }

    fn decode(&self, row: &[ValueRef<'_>]) -> Option<Instance> {
        let (brief, more) = row.split_at_checked(4)?;
        let [uuid_value, raft_value, address, state] = brief else {
            return None;
        };
        let address = Address::parse(&text(address)?, None).ok()?.to_string();
        let mut instance = Instance::new(&uuid(uuid_value)?, &address, decode_state(state)?);
        instance.raft_id = raft_id(raft_value)?;
        let expelled = instance.state == InstanceState::Expelled;
        instance.is_leader = !expelled && self.leader.raft_id == Some(instance.raft_id);
        if let [name, replicaset, tier, domain, version, master] = more {
            let shared = |value| text(value).map(Arc::from).unwrap_or_default();
            instance.name = shared(name);
            instance.replicaset = uuid(replicaset).unwrap_or_default();
            instance.tier = shared(tier);
            instance.failure_domain = decode_domain(domain);
            instance.version = shared(version);
            // An expelled instance keeps its name in the tables, and its successor gets the same one.
            instance.is_master = !expelled
                && !instance.name.is_empty()
                && text(master).is_some_and(|master| *master == *instance.name);
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
mod tests {
    use super::*;
    use crate::topology::{Change, diff};
    use crate::value::Value;

    /// The rows of a made-up cluster's tables: an instance that is expelled stays in them.
    #[derive(Debug, Clone)]
    struct Row {
        place: usize,
        raft_id: u64,
        state: &'static str,
        master: bool,
    }

    impl Row {
        fn uuid(&self) -> String {
            format!("00000000-0000-0000-0000-{:012}", self.raft_id)
        }

        fn values(&self) -> Vec<Value> {
            let text = |text: String| Value::Text(text);
            let name = format!("default_{}_1", self.place);
            vec![
                text(self.uuid()),
                Value::Int(self.raft_id as i64),
                text(format!("10.0.0.{}:4327", self.place)),
                Value::Json(format!("[\"{}\",{}]", self.state, self.raft_id)),
                text(name.clone()),
                text(format!("r{}", self.place)),
                text("default".into()),
                Value::Json(format!("{{\"DC\":\"{}\"}}", self.place % 2)),
                text("25.5.7".into()),
                if self.master {
                    text(name)
                } else {
                    text("another".into())
                },
            ]
        }
    }

    fn discover<'r>(rows: impl IntoIterator<Item = &'r Row>, leader: u64) -> Result<Snapshot> {
        let mut discovery = Discovery::new(Leader::decode(&[
            ValueRef::Int(leader as i64),
            ValueRef::Null,
        ]));
        for row in rows {
            let values = row.values();
            let values: Vec<_> = values.iter().map(Value::as_ref).collect();
            discovery.push(&values);
        }
        assert_eq!(discovery.skipped(), 0);
        discovery.finish()
    }

    fn row(place: usize, raft_id: u64, state: &'static str, master: bool) -> Row {
        Row {
            place,
            raft_id,
            state,
            master,
        }
    }

    #[test]
    fn a_row_becomes_an_instance() {
        let snapshot =
            discover(&[row(1, 1, "Online", true), row(2, 2, "Offline", false)], 1).unwrap();
        let [one, two] = snapshot.instances() else {
            panic!("{snapshot:?}");
        };
        assert_eq!(&*one.uuid, "00000000-0000-0000-0000-000000000001");
        assert_eq!(&*one.address, "10.0.0.1:4327");
        assert_eq!((&*one.name, one.raft_id), ("default_1_1", 1));
        assert_eq!((&*one.tier, &*one.version), ("default", "25.5.7"));
        assert_eq!(one.failure_domain["DC"], "1");
        assert!(one.is_online() && one.is_master && one.is_leader);
        assert_eq!(two.state, InstanceState::Offline);
        assert!(!two.is_master && !two.is_leader);
        assert_eq!(snapshot.leader(), Some(one));
        assert_eq!(snapshot.master("r1"), Some(one));
    }

    #[test]
    fn an_instance_that_came_back_under_its_name_stands_for_the_expelled_one() {
        let rows = [
            row(1, 1, "Online", true),
            row(2, 2, "Expelled", true),
            row(2, 4, "Online", true),
            row(3, 3, "Expelled", true),
        ];
        let snapshot = discover(&rows, 2).unwrap();
        let told: Vec<_> = snapshot
            .instances()
            .iter()
            .map(|i| (i.raft_id, i.state.as_str(), i.is_master))
            .collect();
        assert_eq!(
            told,
            [
                (1, "Online", true),
                (3, "Expelled", false),
                (4, "Online", true)
            ]
        );
        // The number of an expelled leader leads nobody.
        assert_eq!(snapshot.leader(), None);
    }

    #[test]
    fn the_brief_rows_do_as_well() {
        let mut discovery = Discovery::default();
        let values = row(1, 7, "Online", true).values();
        let values: Vec<_> = values[..4].iter().map(Value::as_ref).collect();
        discovery.push(&values);
        let snapshot = discovery.finish().unwrap();
        let only = &snapshot.instances()[0];
        assert!(only.is_online() && !only.is_master);
        assert_eq!((only.raft_id, &*only.name), (7, ""));
    }

    #[test]
    fn states_are_read_in_every_form() {
        for (text, state) in [
            (r#"["Online",1]"#, Some("Online")),
            (r#"["Expelled", 12]"#, Some("Expelled")),
            (r#"{"Offline":3}"#, Some("Offline")),
            (r#""Online""#, Some("Online")),
            ("Online", Some("Online")),
            (r#"["Napping",1]"#, Some("Napping")),
            ("[]", None),
            ("{}", None),
            ("[1]", None),
            ("1", None),
            ("", None),
            ("[", None),
        ] {
            let decoded = decode_state(&ValueRef::Json(text));
            assert_eq!(decoded.as_ref().map(InstanceState::as_str), state, "{text}");
        }
    }

    #[test]
    fn a_row_that_is_not_understood_is_left_out() {
        let good = row(1, 1, "Online", false).values();
        let wrong: [(usize, Value); 8] = [
            (0, Value::Null),
            (0, Value::Text(String::new())),
            (1, Value::Int(-1)),
            (1, Value::Text("1".into())),
            (2, Value::Text("10.0.0.1".into())),
            (2, Value::Text("u:p@h:1".into())),
            (2, Value::Null),
            (3, Value::Json("[]".into())),
        ];
        for (column, value) in wrong {
            let mut bad = good.clone();
            bad[column] = value;
            let mut discovery = Discovery::default();
            for row in [&bad[..], &good[..9], &good[..3], &[], &good] {
                discovery.push(&row.iter().map(Value::as_ref).collect::<Vec<_>>());
            }
            assert_eq!(discovery.skipped(), 4);
            assert_eq!(discovery.finish().unwrap().instances().len(), 1);
        }
        // What is not needed to reach an instance may be anything.
        let mut odd = good.clone();
        for value in &mut odd[4..] {
            *value = Value::Null;
        }
        let mut discovery = Discovery::default();
        discovery.push(&odd.iter().map(Value::as_ref).collect::<Vec<_>>());
        assert_eq!(discovery.skipped(), 0);
    }

    #[test]
    fn no_instance_at_all_is_an_error() {
        let error = Discovery::default().finish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let mut discovery = Discovery::default();
        discovery.push(&[]);
        let error = discovery.finish().unwrap_err();
        assert!(error.message().contains("1 rows"), "{error}");
    }

    #[test]
    fn the_leader_and_who_answered_are_read() {
        let uuid = "0B6E8A43-9A2B-4C53-9C0E-8C7A3A1F0001";
        let leader = Leader::decode(&[ValueRef::Int(3), ValueRef::Text(uuid)]);
        assert_eq!(leader.raft_id, Some(3));
        assert_eq!(leader.answered_by.as_deref(), Some(&*uuid.to_lowercase()));
        let none = Leader::decode(&[ValueRef::Int(0), ValueRef::Null]);
        assert_eq!(none, Leader::default());
        assert_eq!(Leader::decode(&[]), Leader::default());
    }

    #[test]
    fn tiers_are_read() {
        let tier = decode_tier(&[ValueRef::Text("hot"), ValueRef::Int(3000)]);
        assert_eq!(tier, Some(("hot".into(), 3000)));
        assert_eq!(
            decode_tier(&[ValueRef::Text("hot"), ValueRef::Int(-1)]),
            None
        );
        assert_eq!(decode_tier(&[ValueRef::Null, ValueRef::Int(1)]), None);
        assert_eq!(decode_tier(&[]), None);
    }

    #[test]
    fn the_queries_are_such_as_picodata_takes() {
        let (buckets, table) = (buckets("it's"), table("o"));
        assert!(buckets.contains("('it''s')") && table.ends_with("name = 'o'"));
        for sql in [
            INSTANCES,
            INSTANCES_BRIEF,
            LEADER,
            TIERS,
            SCHEMA,
            &buckets,
            &table,
        ] {
            assert!(!sql.contains("--") && !sql.contains("/*"), "a comment");
            assert!(!sql.contains(';') && !sql.contains('\n'), "{sql}");
            assert!(!sql.contains("  "), "{sql}");
        }
    }

    /// The tables with their documented columns, in a database at hand.
    #[test]
    fn the_queries_find_the_instances_in_the_tables() {
        let tables = rusqlite::Connection::open_in_memory().unwrap();
        tables
            .execute_batch(
                r#"
CREATE TABLE _pico_instance (name TEXT, uuid TEXT, raft_id INTEGER, replicaset_name TEXT, replicaset_uuid TEXT,
    current_state TEXT, target_state TEXT, failure_domain TEXT, tier TEXT, picodata_version TEXT);
CREATE TABLE _pico_peer_address (raft_id INTEGER, address TEXT, connection_type TEXT);
CREATE TABLE _pico_replicaset (name TEXT, uuid TEXT, current_master_name TEXT, target_master_name TEXT, tier TEXT,
    weight REAL, state TEXT);
INSERT INTO _pico_replicaset VALUES ('r1', 'R-1', 'i1', 'i1', 'default', 1.0, 'ready');
INSERT INTO _pico_instance VALUES
    ('i1', 'u1', 1, 'r1', 'R-1', '["Online",1]', '["Online",1]', '{"DC":"1"}', 'default', '25.5.7'),
    ('i2', 'u4', 4, 'r1', 'R-1', '["Online",1]', '["Online",1]', '{}', 'default', '25.5.7'),
    ('i3', 'u3', 3, 'r1', 'R-1', '["Expelled",1]', '["Expelled",0]', '{}', 'default', '25.5.7');
INSERT INTO _pico_peer_address VALUES
    (1, '127.0.0.1:3301', 'iproto'), (1, '127.0.0.1:4327', 'pgproto'),
    (2, '127.0.0.1:4328', 'pgproto'), (4, '127.0.0.1:4328', 'pgproto'),
    (3, '127.0.0.1:4328', 'pgproto'), (4, '127.0.0.1:3302', 'iproto');
"#,
            )
            .unwrap();
        for (sql, master) in [(INSTANCES, true), (INSTANCES_BRIEF, false)] {
            let mut statement = tables.prepare(sql).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            let mut discovery = Discovery::default();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<_> = (0..columns)
                    .map(|column| match row.get_ref(column).unwrap() {
                        rusqlite::types::ValueRef::Integer(value) => Value::Int(value),
                        rusqlite::types::ValueRef::Text(value) => {
                            Value::Text(String::from_utf8(value.to_vec()).unwrap())
                        }
                        other => panic!("{other:?}"),
                    })
                    .collect();
                discovery.push(&values.iter().map(Value::as_ref).collect::<Vec<_>>());
            }
            assert_eq!(discovery.skipped(), 0);
            let snapshot = discovery.finish().unwrap();
            let told: Vec<_> = snapshot
                .instances()
                .iter()
                .map(|i| (&*i.uuid, &*i.address, i.is_online(), i.is_master))
                .collect();
            assert_eq!(
                told,
                [
                    ("u1", "127.0.0.1:4327", true, master),
                    ("u4", "127.0.0.1:4328", true, false)
                ]
            );
        }
    }

    /// What a user of the cluster sees of its scripted life: places, each with the instance that is there now.
    #[test]
    fn ten_thousand_scripted_changes_are_seen_as_they_are() {
        const PLACES: usize = 12;
        let mut random = fastrand::Rng::with_seed(11);
        let mut rows: Vec<Row> = Vec::new();
        // By place, where the instance that is there now stands in the rows.
        let mut now: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut next, mut leader, mut rejoined) = (0, 0, 0);
        let mut old = Snapshot::default();
        for round in 0..10_000 {
            let place = random.usize(..PLACES);
            match now.get(&place).copied() {
                None => {
                    next += 1;
                    now.insert(place, rows.len());
                    rows.push(row(place, next, "Online", false));
                }
                Some(at) if rows[at].state == "Expelled" => {
                    // Its row stays, and another instance joins under its name and address.
                    next += 1;
                    rejoined += 1;
                    now.insert(place, rows.len());
                    rows.push(row(place, next, "Online", false));
                }
                Some(at) => match random.u8(..10) {
                    0..=2 => rows[at].state = "Offline",
                    3..=5 => rows[at].state = "Online",
                    6 | 7 => rows[at].master = !rows[at].master,
                    8 => leader = rows[at].raft_id,
                    _ => {
                        rows[at].state = "Expelled";
                    }
                },
            }
            // Old rows are cleared away now and then, so that the test stays quick.
            if rows.len() > 3 * PLACES {
                let kept: Vec<_> = now.values().map(|at| rows[*at].clone()).collect();
                for (position, at) in now.values_mut().enumerate() {
                    *at = position;
                }
                rows = kept;
            }
            let mut order: Vec<_> = (0..rows.len()).collect();
            random.shuffle(&mut order);
            let snapshot = discover(order.iter().map(|at| &rows[*at]), leader).unwrap();
            let mut expected: Vec<_> = now
                .values()
                .map(|at| {
                    let row = &rows[*at];
                    let there = row.state != "Expelled";
                    (
                        row.uuid(),
                        row.state.to_owned(),
                        there && row.master,
                        there && row.raft_id == leader,
                    )
                })
                .collect();
            expected.sort();
            let seen: Vec<_> = snapshot
                .instances()
                .iter()
                .map(|i| {
                    (
                        i.uuid.to_string(),
                        i.state.to_string(),
                        i.is_master,
                        i.is_leader,
                    )
                })
                .collect();
            assert_eq!(seen, expected, "{round}");
            for change in diff(&old, &snapshot) {
                let gone = matches!(change, Change::Went(_));
                assert_eq!(snapshot.get(&change.instance().uuid).is_none(), gone);
            }
            old = snapshot;
        }
        assert!(rejoined > 100, "{rejoined}");
    }
}
