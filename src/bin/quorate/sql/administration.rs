//! The commands about the cluster: who leads, its nodes or instances, and what changes them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::{NodeInfo, NodeRole};
use quorate::{CancelHandle, Database, Instance, ValueRef};

use super::fault::Fault;
use super::shell::{Flow, Shell};

pub(super) fn leader(shell: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    let leader = match shell.database() {
        Database::Dqlite => ask(shell, ClusterClient::leader)?,
        _ => {
            let mut instances = all_instances(shell)?.into_iter();
            let leader = instances.find(|one| one.is_leader);
            let none = || Fault::Command("nobody leads, as far as is known".into());
            leader.ok_or_else(none)?.address.to_string()
        }
    };
    let row = vec![ValueRef::Text(&leader)];
    shell.output.write(&["address"], &[row])?;
    Ok(Flow::Continue)
}

pub(super) fn cluster(shell: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    if shell.database() != Database::Dqlite {
        return instances(shell);
    }
    let (nodes, leader) = ask(shell, |client| Ok((client.nodes()?, client.leader()?)))?;
    let rows: Vec<_> = nodes
        .iter()
        .map(|node| {
            vec![
                ValueRef::Int(node.id.cast_signed()),
                ValueRef::Text(&node.address),
                ValueRef::Text(node.role.as_str()),
                ValueRef::Bool(node.address == leader),
            ]
        })
        .collect();
    let names = ["id", "address", "role", "leader"];
    shell.output.write(&names, &rows)?;
    Ok(Flow::Continue)
}

/// Picodata's instances, by name.
fn all_instances(shell: &mut Shell) -> Result<Vec<Instance>, Fault> {
    // They are known when the first connection is there.
    shell.connect()?;
    let mut all = shell.pool.instances();
    if all.is_empty() {
        return Err(Fault::Command(
            "no instances are known: the server is not Picodata, or the option topology is off"
                .into(),
        ));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn instances(shell: &mut Shell) -> Result<Flow, Fault> {
    let all = all_instances(shell)?;
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            // Who may not read the replicasets does not know their masters.
            let mut others = all
                .iter()
                .filter(|other| other.replicaset == one.replicaset);
            let role = match one.is_master {
                true => ValueRef::Text("master"),
                false if others.any(|other| other.is_master) => ValueRef::Text("replica"),
                false => ValueRef::Null,
            };
            vec![
                ValueRef::Text(&one.name),
                ValueRef::Text(&one.address),
                ValueRef::Text(one.state.as_str()),
                role,
                ValueRef::Bool(one.is_leader),
                ValueRef::Text(&one.tier),
                ValueRef::Text(&one.replicaset),
                ValueRef::Text(&one.version),
            ]
        })
        .collect();
    let names = [
        "name",
        "address",
        "state",
        "role",
        "leader",
        "tier",
        "replicaset",
        "version",
    ];
    shell.output.write(&names, &rows)?;
    Ok(Flow::Continue)
}

pub(super) fn add(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let id = number(words[0], "id")?;
    let done = format!("node {id} is a spare at {}", words[1]);
    change(shell, &done, |client| client.add(id, words[1]))
}

pub(super) fn remove(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let node = node(shell, words[0])?;
    let done = format!("node {} is removed", node.id);
    change(shell, &done, |client| client.remove(node.id))
}

pub(super) fn assign(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let role = match words[1] {
        "voter" => NodeRole::Voter,
        "stand-by" | "standby" => NodeRole::StandBy,
        "spare" => NodeRole::Spare,
        other => {
            return Err(Fault::Command(format!(
                "unknown role {other:?}: the roles are voter, stand-by and spare"
            )));
        }
    };
    let node = node(shell, words[0])?;
    let done = format!("node {} is a {role}", node.id);
    change(shell, &done, |client| client.assign(node.id, role))
}

pub(super) fn transfer(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let id = match words.first() {
        Some(word) => node(shell, word)?.id,
        None => 0,
    };
    change(shell, "the leadership is passed on", |client| {
        client.transfer(id)
    })
}

pub(super) fn describe(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let address = address(shell, words[0])?;
    let metadata = ask(shell, |client| client.describe(&address))?;
    let row = vec![
        ValueRef::Text(&address),
        ValueRef::Int(metadata.failure_domain.cast_signed()),
        ValueRef::Int(metadata.weight.cast_signed()),
    ];
    let names = ["address", "failure_domain", "weight"];
    shell.output.write(&names, &[row])?;
    Ok(Flow::Continue)
}

pub(super) fn weight(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let weight = number(words[1], "weight")?;
    let address = address(shell, words[0])?;
    let done = format!("the weight of {address} is {weight}");
    change(shell, &done, |client| client.set_weight(&address, weight))
}

pub(super) fn dump(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    let name = shell.config.name().to_owned();
    let from = match words.get(1) {
        Some(word) => Some(address(shell, word)?),
        None => None,
    };
    let files = ask(shell, |client| match &from {
        Some(address) => client.dump_from(address, &name),
        None => client.dump(&name),
    })?;
    let mut written = Vec::new();
    for file in &files {
        // The files are called as the database is, and the log has `-wal` behind it.
        let path = match file.name.strip_prefix(&name) {
            Some(behind) => format!("{}{behind}", words[0]),
            None => format!("{}-{}", words[0], written.len()),
        };
        write_new(&path, &file.data)
            .map_err(|error| Fault::Command(format!("cannot write {path}: {error}")))?;
        written.push(format!("{} bytes in {path}", file.data.len()));
    }
    shell.output.done(&written.join(", "))?;
    Ok(Flow::Continue)
}

/// Writes a file that is not there yet, which its owner alone can read.
fn write_new(path: &str, data: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(data)
}

/// Makes a change of the cluster and says that it is made.
fn change(
    shell: &mut Shell,
    done: &str,
    change: impl FnOnce(&ClusterClient) -> quorate::Result<()>,
) -> Result<Flow, Fault> {
    ask(shell, change)?;
    shell.output.done(done)?;
    Ok(Flow::Continue)
}

/// Calls the cluster; Ctrl-C cancels it.
fn ask<R>(
    shell: &Shell,
    call: impl FnOnce(&ClusterClient) -> quorate::Result<R>,
) -> Result<R, Fault> {
    if shell.database() != Database::Dqlite {
        return Err(Fault::Command(
            "this command is for a dqlite cluster; Picodata's is administered with its own tools"
                .into(),
        ));
    }
    let handle = CancelHandle::new();
    let client = ClusterClient::with_config(shell.config.clone())?.cancel_with(&handle);
    Ok(shell.interrupt.during(handle, || call(&client))?)
}

/// The node with an id or an address.
fn node(shell: &Shell, word: &str) -> Result<NodeInfo, Fault> {
    let nodes = ask(shell, ClusterClient::nodes)?;
    let mut nodes = nodes.into_iter();
    let found = nodes.find(|node| node.address == word || node.id.to_string() == word);
    found.ok_or_else(|| Fault::Command(format!("the cluster has no node {word:?}; see .cluster")))
}

/// The address of a node; one that is given is taken as it is, also where the cluster does not know it.
fn address(shell: &Shell, word: &str) -> Result<String, Fault> {
    match word.parse::<u64>() {
        Ok(_) => Ok(node(shell, word)?.address),
        Err(_) => Ok(word.to_owned()),
    }
}

fn number(word: &str, what: &str) -> Result<u64, Fault> {
    word.parse()
        .map_err(|_| Fault::Command(format!("bad {what} {word:?}: it is a number from 0 on")))
}
