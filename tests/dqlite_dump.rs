//! Copies of a database: the leader's, and that of each node.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use common::cluster::{Cluster, DEADLINE};
use common::{TempDir, loopback, wait_for};
use quorate::dqlite::store::NodeRole;
use quorate::dqlite::{ClusterClient, DatabaseFile};
use quorate::{Deadline, ErrorKind, Outcome, Pool};

fn url(cluster: &Cluster) -> String {
    format!("dqlite://{}/test", cluster.addresses().join(","))
}

/// The rows of a copy, by number; none if the node has not heard of the table yet.
fn rows(files: &[DatabaseFile]) -> BTreeMap<i64, Vec<u8>> {
    let directory = TempDir::new();
    for file in files {
        fs::write(directory.path().join(&file.name), &file.data).unwrap();
    }
    let database = rusqlite::Connection::open(directory.path().join("test")).unwrap();
    let Ok(mut statement) = database.prepare("SELECT id, data FROM t") else {
        return BTreeMap::new();
    };
    let rows = statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_database_is_copied_from_the_leader_and_from_each_node() {
    let mut cluster = Cluster::start(3);
    let url = url(&cluster);
    let pool = Pool::open(&url).unwrap();
    pool.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)", ())
        .unwrap();
    let late = (cluster.leader() + 1) % 3;
    cluster.kill(late);
    let expected: BTreeMap<i64, Vec<u8>> = (1..=20)
        .map(|id| (id, vec![id as u8; 50 * id as usize]))
        .collect();
    for (id, data) in &expected {
        pool.exec("INSERT INTO t VALUES (?, ?)", (*id, data.as_slice()))
            .unwrap();
    }
    let client = ClusterClient::open(&url).unwrap().within(DEADLINE);
    let files = client.dump("test").unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["test", "test-wal"]);
    assert_eq!(rows(&files), expected);

    let gone = client.dump_from(cluster.address(late), "test").unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Connect);
    assert_eq!(gone.outcome(), Outcome::NotSent);
    assert_eq!(gone.node(), Some(cluster.address(late)));
    cluster.restart(late);
    for index in 0..3 {
        wait_for("the node has every row", DEADLINE, || {
            let copy = client.dump_from(cluster.address(index), "test").ok()?;
            (rows(&copy) == expected).then_some(())
        });
    }
}

#[test]
fn a_copy_of_a_database_that_nobody_knows_is_empty_or_refused() {
    let cluster = Cluster::start(1);
    let client = ClusterClient::open(&url(&cluster))
        .unwrap()
        .within(DEADLINE);
    for answer in [
        client.dump("nowhere"),
        client.dump_from(cluster.address(0), "nowhere"),
    ] {
        match answer {
            // 1.11.1
            Ok(files) => assert!(files.iter().all(|file| file.data.is_empty()), "{files:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Database, "{error:?}"),
        }
    }
    let past = Deadline::after(Duration::ZERO);
    let late = ClusterClient::open(&format!("dqlite://{}:9009/test", loopback()))
        .unwrap()
        .within(past)
        .dump_from(cluster.address(0), "test")
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
}

#[test]
fn a_change_that_the_leader_refuses_says_which() {
    let cluster = Cluster::start(1);
    let client = ClusterClient::open(&url(&cluster))
        .unwrap()
        .within(DEADLINE);
    let taken = cluster.address(0);
    for (refused, text) in [
        (
            client.add(1, taken),
            format!("cannot add node 1 at {taken}: "),
        ),
        (
            client.assign(9, NodeRole::StandBy),
            "cannot make node 9 a stand-by: ".to_owned(),
        ),
        (client.remove(9), "cannot remove node 9: ".to_owned()),
        (
            client.transfer(9),
            "cannot make node 9 the leader: ".to_owned(),
        ),
    ] {
        let error = refused.unwrap_err();
        assert!(error.message().starts_with(&text), "{error}");
    }
}
