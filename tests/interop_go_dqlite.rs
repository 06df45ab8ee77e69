//! Interoperation with go-dqlite: its example program runs the nodes and writes through its own client,
//! while the pool does the same; and both read the other's node stores.
//!
//! The programs `dqlite-demo` and `dqlite` come from Debian's package go-dqlite.

mod common;

use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::cluster::DEADLINE;
use common::{TempDir, loopback, wait_for};
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::{NodeInfo, NodeRole, NodeStore};
use quorate::{Batch, Pool, TransactionMode};

/// The nodes, as processes of `dqlite-demo`; killed on drop.
struct GoCluster {
    directory: TempDir,
    host: String,
    nodes: Vec<Child>,
}

impl GoCluster {
    /// Starts three nodes and waits until the first leads and all are members.
    fn start() -> GoCluster {
        let mut cluster = GoCluster {
            directory: TempDir::new(),
            host: loopback(),
            nodes: Vec::new(),
        };
        for index in 0..3 {
            cluster.add(index);
        }
        cluster
    }

    fn add(&mut self, index: usize) {
        let log = self.directory.path().join(format!("{index}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new("dqlite-demo");
        command
            .args(["--verbose", "--api", &self.api(index)])
            .args(["--db", &self.address(index), "--dir"])
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        if index > 0 {
            command.args(["--join", &self.address(0)]);
        }
        let child = command.spawn().unwrap_or_else(|error| missing(&error));
        self.nodes.push(child);
        // It serves its interface once it is a member and its client has found the leader.
        wait_for("a node of go-dqlite starts", DEADLINE, || {
            if let Some(status) = self.nodes[index].try_wait().unwrap() {
                let log = fs::read_to_string(&log).unwrap();
                panic!("dqlite-demo has ended, {status}: {log}");
            }
            TcpStream::connect(self.api(index)).ok()
        });
    }

    fn address(&self, index: usize) -> String {
        format!("{}:{}", self.host, 9001 + index)
    }

    fn api(&self, index: usize) -> String {
        format!("{}:{}", self.host, 8001 + index)
    }

    /// The file in which a node keeps the addresses of the cluster.
    fn store(&self, index: usize) -> PathBuf {
        let directory = self.directory.path().join(self.address(index));
        directory.join("cluster.yaml")
    }

    fn url(&self) -> String {
        format!("dqlite://{}/demo", self.address(0))
    }

    fn kill(&mut self, index: usize) {
        self.nodes[index].kill().unwrap();
        self.nodes[index].wait().unwrap();
    }

    /// Writes a value through go-dqlite's client, inside of the process of a node. It does not repeat what
    /// meets another write under way, so this does.
    fn put(&self, index: usize, key: &str, value: &str) {
        wait_for("the database is free", DEADLINE, || {
            let answer = self.http(index, "PUT", key, value);
            match answer.trim_end() {
                "done" => Some(()),
                "Error: database is locked" => None,
                other => panic!("PUT {key}: {other}"),
            }
        });
    }

    /// Reads a value through go-dqlite's client.
    fn get(&self, index: usize, key: &str) -> String {
        self.http(index, "GET", key, "").trim_end().to_owned()
    }

    fn http(&self, index: usize, method: &str, key: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.api(index)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "{method} /{key} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }
}

impl Drop for GoCluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn missing(error: &std::io::Error) -> ! {
    assert_eq!(error.kind(), IoKind::NotFound, "{error}");
    panic!(
        "the programs dqlite-demo and dqlite are missing; install the package go-dqlite (Debian)"
    );
}

/// Runs a statement in go-dqlite's shell, which finds the cluster through the store `file`.
fn shell(file: &Path, sql: &str) -> String {
    let output = Command::new("dqlite")
        .arg("--servers")
        .arg(format!("file://{}", file.display()))
        .args(["demo", sql])
        .output()
        .unwrap_or_else(|error| missing(&error));
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text.trim_end().to_owned()
}

#[test]
fn both_clients_write_and_each_reads_what_the_other_wrote() {
    let mut cluster = GoCluster::start();
    let pool = Pool::open(&cluster.url()).unwrap();
    let value = |key: &str| {
        let sql = "SELECT value FROM model WHERE key = ?";
        let (value,): (String,) = pool.query_row(sql, [key]).unwrap();
        value
    };

    // One after the other, through each node of theirs.
    let insert = "INSERT INTO model (key, value) VALUES (?, ?)";
    for index in 0..3 {
        cluster.put(index, &format!("go-{index}"), "from Go – ü");
        assert_eq!(value(&format!("go-{index}")), "from Go – ü");
        let key = format!("rust-{index}");
        pool.exec(insert, (&key, "from Rust – ü")).unwrap();
        assert_eq!(cluster.get(index, &key), "from Rust – ü");
    }

    // Both at once: 50 writes each.
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..50 {
                cluster.put(number % 3, &format!("both-go-{number}"), "go");
            }
        });
        for number in 0..50 {
            let key = format!("both-rust-{number}");
            pool.transaction(TransactionMode::Immediate, |transaction| {
                transaction.exec(insert, (&key, "rust"))
            })
            .unwrap();
        }
    });
    let mut batch = Batch::new();
    for owner in ["go", "rust"] {
        let sql = "SELECT count(*) FROM model WHERE key LIKE 'both-%' AND value = ?";
        batch.queue(sql, [owner]).unwrap();
    }
    let mut counts = pool.send_batch(&batch).unwrap();
    for _ in 0..2 {
        assert_eq!(counts.query_row::<(i64,)>().unwrap(), (50,));
    }
    counts.close().unwrap();
    for number in 0..50 {
        assert_eq!(cluster.get(0, &format!("both-rust-{number}")), "rust");
    }

    // Their roles are given some time after a node joined, and without three voters none may fail.
    let client = ClusterClient::open(&cluster.url()).unwrap();
    wait_for("go-dqlite makes all nodes voters", 2 * DEADLINE, || {
        let nodes = client.nodes().ok()?;
        let voters = nodes.iter().filter(|node| node.role == NodeRole::Voter);
        (voters.count() == 3).then_some(())
    });
    let leader = client.leader().unwrap();
    let index = (0..3)
        .find(|index| cluster.address(*index) == leader)
        .unwrap();
    // The pool was told one address, and has learned the others.
    cluster.kill(index);
    let pool = pool.within(DEADLINE);
    let (rows,): (i64,) = pool.query_row("SELECT count(*) FROM model", ()).unwrap();
    assert_eq!(rows, 106);
    pool.exec(insert, ("after", "the leader died")).unwrap();
    assert_eq!(cluster.get((index + 1) % 3, "after"), "the leader died");
    pool.close().unwrap();
}

#[test]
fn each_opens_the_other_s_node_stores() {
    let cluster = GoCluster::start();
    cluster.put(0, "store", "found");
    let sql = "SELECT value FROM model WHERE key = 'store'";

    // Theirs, as its owner keeps it: read, and used to find the cluster.
    let theirs = cluster.store(2);
    let nodes = wait_for("go-dqlite has stored all nodes", 2 * DEADLINE, || {
        let nodes = <dyn NodeStore>::open(&theirs).ok()?.get().ok()?;
        (nodes.len() == 3).then_some(nodes)
    });
    let mut addresses: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
    addresses.sort();
    assert_eq!(addresses, [0, 1, 2].map(|index| cluster.address(index)));
    assert_eq!(nodes[0].role, NodeRole::Voter);
    let copy = cluster.directory.path().join("copy.yaml");
    fs::copy(&theirs, &copy).unwrap();
    let pool = Pool::open(&format!("dqlite:///demo?store={}", copy.display())).unwrap();
    assert_eq!(pool.query_row::<(String,)>(sql, ()).unwrap().0, "found");

    // Ours: in YAML with all that is known, in SQLite with the address alone.
    let members: Vec<NodeInfo> = ClusterClient::open(&cluster.url())
        .unwrap()
        .within(Duration::from_secs(10))
        .nodes()
        .unwrap();
    for name in ["ours.yaml", "ours.db"] {
        let ours = cluster.directory.path().join(name);
        <dyn NodeStore>::open(&ours).unwrap().set(&members).unwrap();
        assert_eq!(shell(&ours, sql), "found", "{name}");
    }
}
