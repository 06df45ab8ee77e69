//! The stand-in for a Picodata cluster (tests/common/picodata) as a program, for the tests of the bindings.
//!
//!     standin COUNT
//!
//! Starts so many instances, each a replicaset of its own, prints `ready` and the connection string, carries out the
//! commands that bindings/testing/cluster.py describes, and ends when standard input does.

// The tests use the rest.
#![allow(dead_code, unreachable_pub)]

#[path = "../tests/common/basic.rs"]
mod basic;
#[path = "../tests/common/picodata/mod.rs"]
mod picodata;

use std::io::BufRead;

use basic::loopback;
use picodata::{PASSWORD, PicodataCluster, USER};

fn main() {
    let count = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let cluster = PicodataCluster::start(count.expect("the number of instances"));
    let hosts = cluster.addresses().join(",");
    println!("ready picodata://{USER}:{PASSWORD}@{hosts}/any");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("commands are text");
        match obey(&cluster, &line) {
            Ok(answer) => println!("ok {answer}"),
            Err(error) => println!("error {error}"),
        }
    }
}

fn obey(cluster: &PicodataCluster, line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap_or_default();
    if command == "leader" {
        let leader = cluster.leader().ok_or("nobody leads")?;
        return Ok(leader.to_string());
    }
    let index: usize = words
        .next()
        .and_then(|word| word.parse().ok())
        .filter(|index| *index < cluster.instances().len())
        .ok_or_else(|| format!("which instance? {line:?}"))?;
    match command {
        "kill" => cluster.terminate(index),
        "freeze" => cluster.hang(index),
        "thaw" => cluster.resume(index),
        "restart" => {
            cluster.restart(index);
            cluster.online(index);
        }
        "address" => return Ok(cluster.address(index)),
        other => return Err(format!("unknown command {other:?}")),
    }
    Ok(String::new())
}
