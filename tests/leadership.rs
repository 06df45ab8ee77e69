//! A cluster whose leader is not where it was, or nowhere.

mod common;

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::loopback;
use common::raw::{frame, text};
use common::scripted::{ScriptedServer, Step};
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::MemoryNodeStore;
use quorate::{Config, ErrorKind, Pool};

const NODE: &str = "node:9001";

/// The answer to LEADER.
fn names(leader: &str) -> Step {
    let body = [&1u64.to_le_bytes()[..], &text(leader)].concat();
    Step::Send(frame(1, 0, &body))
}

/// A node's part of a conversation that begins with LEADER, and goes on with CLIENT and OPEN where it is a
/// lookup.
fn conversation(leader: &str) -> Vec<Step> {
    let opened = [frame(2, 0, &[0; 8]), frame(4, 0, &[0; 8])].concat();
    vec![
        Step::Handshake,
        Step::Frames(1),
        names(leader),
        Step::Frames(2),
        Step::Send(opened),
        Step::Hang,
    ]
}

#[test]
fn a_leader_that_has_come_to_know_none_is_looked_up_again() {
    let server = ScriptedServer::start(vec![
        // The lookup, and the connection to the leader that it has found.
        conversation(NODE),
        conversation(NODE),
        // The leader has started anew, and is then elected.
        conversation(""),
        conversation(""),
        conversation(NODE),
    ]);
    let mut config = Config::dqlite("test", MemoryNodeStore::from_addresses([NODE])).unwrap();
    let place = server.address().to_owned();
    config.set_dial(move |_, _| TcpStream::connect(&place).map(Into::into));
    let client = ClusterClient::with_config(config)
        .unwrap()
        .within(Duration::from_secs(10));
    assert_eq!(client.leader().unwrap(), NODE);
    assert_eq!(server.connections(), 2);
    assert_eq!(client.leader().unwrap(), NODE);
    assert!(server.connections() > 4, "{}", server.connections());
}

#[test]
fn who_waits_for_another_s_lookup_learns_what_each_node_answered() {
    // Nobody listens there.
    let nodes = [1, 2].map(|number| format!("{}:900{number}", loopback()));
    let pool = Pool::open(&format!("dqlite://{}/test", nodes.join(","))).unwrap();
    // The pool's own thread looks the leader up from the start, and these wait for it.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let error = pool.within(Duration::from_millis(500)).ping().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NoLeader, "{error}");
                for node in &nodes {
                    let cause = error.causes().iter().find(|cause| cause.node == *node);
                    let cause = cause.unwrap_or_else(|| panic!("no cause for {node}: {error}"));
                    assert_eq!(cause.error.kind(), ErrorKind::Connect, "{error}");
                }
            });
        }
    });
}
