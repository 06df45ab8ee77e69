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
    let snapshot = discover(&[row(1, 1, "Online", true), row(2, 2, "Offline", false)], 1).unwrap();
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
fn without_masters_in_the_rows_who_is_alone_in_its_replicaset_is_one() {
    let mut discovery = Discovery::default();
    let rows = [
        row(1, 1, "Online", false),
        row(2, 2, "Expelled", false),
        row(2, 4, "Offline", false),
        row(3, 3, "Online", false),
        row(4, 5, "Online", false),
    ];
    for row in &rows {
        let mut values = row.values();
        if row.place == 4 {
            values[5] = Value::Text("r3".into());
        }
        discovery.push(&values[..9].iter().map(Value::as_ref).collect::<Vec<_>>());
    }
    assert_eq!(discovery.skipped(), 0);
    let snapshot = discovery.finish().unwrap();
    let raft_id = |replicaset| snapshot.master(replicaset).map(|master| master.raft_id);
    assert_eq!(["r1", "r2", "r3"].map(raft_id), [Some(1), Some(4), None]);
    assert_eq!(&*snapshot.instances()[0].version, "25.5.7");
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
        for row in [&bad[..], &good[..8], &good[..3], &[], &good] {
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
fn rows_without_end_fill_no_memory() {
    let row = row(1, 1, "Online", false).values();
    let row: Vec<_> = row.iter().map(Value::as_ref).collect();
    let mut discovery = Discovery::default();
    for _ in 0..MAX_INSTANCES + 3 {
        discovery.push(&row);
    }
    assert_eq!(discovery.skipped(), 3);
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
        INSTANCES_OF_ANYONE,
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
    for (sql, master) in [
        (INSTANCES, true),
        (INSTANCES_OF_ANYONE, false),
        (INSTANCES_BRIEF, false),
    ] {
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
