//! The program `quorate demo`, and `quorate node --join`, which it is made of.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::cluster::DEADLINE;
use common::{TempDir, loopback, wait_for};
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::NodeRole;
use rustix::process::{Pid, Signal, kill_process};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate");

/// The demonstration, with a directory of its own for what it makes.
fn demo(directory: &TempDir) -> Command {
    let mut command = Command::new(QUORATE);
    command.arg("demo").env("TMPDIR", directory.path());
    command
}

/// The command lines of the processes that have something to do with `directory`.
fn processes_in(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}

fn assert_nothing_left(directory: &TempDir) {
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let running = processes_in(directory.path());
    assert!(running.is_empty(), "{running:?}");
}

/// The numbers of the last line, in its order.
fn numbers(line: &str) -> Vec<usize> {
    let names = ["acknowledged", "unknown", "found", "lost", "duplicates"];
    let parts: Vec<_> = line.split(' ').collect();
    assert_eq!(parts.len(), names.len(), "{line}");
    names
        .iter()
        .zip(parts)
        .map(|(name, part)| {
            let (left, right) = part.split_once('=').unwrap();
            assert_eq!(left, *name);
            right.parse().unwrap()
        })
        .collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_demonstration_accounts_for_every_write_and_leaves_nothing_behind() {
    let directory = TempDir::new();
    let begin = Instant::now();
    let output = demo(&directory).output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(30));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err, "");
    let [acknowledged, unknown, found, lost, duplicates] = numbers(out.lines().last().unwrap())[..]
    else {
        unreachable!()
    };
    assert!(acknowledged > 0, "{out}");
    assert!((acknowledged..=acknowledged + unknown).contains(&found));
    assert_eq!((lost, duplicates), (0, 0));
    for part in [
        "node 1 leads",
        "SIGKILL",
        "the next write",
        "the copy of the database on node 3 has the same",
        "not sent",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_nothing_left(&directory);
}

/// Starts the demonstration and reads on until a line contains `part`.
fn demo_until(part: &str, directory: &TempDir) -> (Child, BufReader<ChildStdout>) {
    let mut child = demo(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(part) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "no line: {part}");
    }
    (child, output)
}

#[test]
fn a_signal_ends_the_demonstration_and_its_nodes() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let directory = TempDir::new();
        let (mut child, _output) = demo_until("begin to write", &directory);
        assert_eq!(processes_in(directory.path()).len(), 3);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = wait_for("the demonstration ends", DEADLINE, || {
            child.try_wait().unwrap()
        });
        assert_eq!(ended.code(), Some(status));
        assert_nothing_left(&directory);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_demonstration() {
    let directory = TempDir::new();
    let (mut child, output) = demo_until("begin to write", &directory);
    drop(output);
    let ended = wait_for("the demonstration ends", DEADLINE, || {
        child.try_wait().unwrap()
    });
    assert_eq!(ended.code(), Some(1));
    let mut err = String::new();
    child.stderr.unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("cannot write to standard output"), "{err}");
    assert_nothing_left(&directory);
}

#[test]
fn the_nodes_end_with_a_demonstration_that_was_killed() {
    let directory = TempDir::new();
    let (mut child, _output) = demo_until("begin to write", &directory);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the nodes end", DEADLINE, || {
        processes_in(directory.path()).is_empty().then_some(())
    });
}

#[test]
fn a_missing_library_is_named_with_its_package() {
    let directory = TempDir::new();
    let output = demo(&directory)
        .env("QUORATE_LIBDQLITE", directory.path().join("none.so"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("install the package libdqlite0"));
    assert_nothing_left(&directory);
}

#[test]
fn an_argument_is_refused() {
    let output = Command::new(QUORATE).args(["demo", "--fast"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--fast"));
}

/// A node that begins a cluster or joins one.
struct Joining {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Joining {
    fn start(id: u64, address: &str, directory: &Path, known: Option<&str>) -> Joining {
        let mut command = Command::new(QUORATE);
        command
            .args(["node", "--die-with-parent", "--network-latency", "30"])
            .args(["--id", &id.to_string(), "--address", address, "--dir"])
            .arg(directory.join(id.to_string()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(known) = known {
            command.args(["--join", known]);
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Joining { child, output }
    }

    fn wait_ready(mut self) -> Joining {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line:?}");
        self
    }

    fn terminate(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let ended = wait_for("the node ends", DEADLINE, || self.child.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
    }

    fn output(mut self) -> Output {
        let status = wait_for("the node ends", DEADLINE, || self.child.try_wait().unwrap());
        let mut stderr = Vec::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_end(&mut stderr).unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr,
        }
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nodes_join_in_any_order_and_stay_members() {
    let (directory, host) = (TempDir::new(), loopback());
    let addresses: Vec<_> = (1..=3).map(|id| format!("{host}:900{id}")).collect();
    let known = addresses.join(",");
    let start = |id: u64| {
        let address = &addresses[id as usize - 1];
        Joining::start(id, address, directory.path(), (id > 1).then_some(&known))
    };
    let client = ClusterClient::open(&format!("dqlite://{known}/test"))
        .unwrap()
        .within(DEADLINE);

    // The last one first: it waits for a cluster.
    let third = start(3);
    let first = start(1).wait_ready();
    let second = start(2).wait_ready();
    let third = third.wait_ready();
    let members = || {
        let mut nodes = client.nodes().unwrap();
        nodes.sort_by_key(|node| node.id);
        nodes
    };
    let before = members();
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|node| node.role == NodeRole::Voter));

    second.terminate();
    let second = start(2).wait_ready();
    assert_eq!(members(), before);

    // One address is one node's.
    let elsewhere = format!("{host}:9004");
    let refused = Joining::start(2, &elsewhere, &directory.path().join("x"), Some(&known)).output();
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused.stderr);
    assert!(message.contains("the cluster has node 2 at"), "{message}");
    assert_eq!(members(), before);

    drop((first, second, third));
}

#[test]
fn a_node_that_waits_to_join_can_be_stopped() {
    let (directory, host) = (TempDir::new(), loopback());
    let address = format!("{host}:9002");
    let known = format!("{host}:9001");
    let node = Joining::start(2, &address, directory.path(), Some(&known));
    wait_for("the node accepts connections", DEADLINE, || {
        std::net::TcpStream::connect(&address).ok()
    });
    node.terminate();
}
