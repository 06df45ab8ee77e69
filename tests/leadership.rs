//! A node that was the leader and is not any more.

mod common;

use std::net::TcpStream;
use std::time::Duration;

use common::raw::{frame, text};
use common::scripted::{ScriptedServer, Step};
use quorate::Config;
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::MemoryNodeStore;

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
