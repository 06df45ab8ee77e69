//! Real dqlite nodes as processes that can be killed, stopped and started again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::raw::{Member, Raw, VOTER};
use super::{TempDir, loopback, wait_for};

/// How long a node may take to start, join, find a leader or end, on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The latency that the nodes are told, in milliseconds: a follower stands for election after 15 times this.
const LATENCY: u32 = 30;

/// Nodes of one cluster. All are killed, and their directories removed, on drop.
pub struct Cluster {
    directory: TempDir,
    host: String,
    nodes: Vec<Process>,
    options: Vec<String>,
    version: (u32, u32, u32),
}

struct Process {
    address: String,
    /// `None` while it is not running.
    child: Option<Child>,
}

impl Cluster {
    /// Starts `count` nodes as voters of one cluster. Node 0 begins it, so it is the first leader.
    ///
    /// Panics where libdqlite is missing, with the name of its package in the message.
    pub fn start(count: usize) -> Cluster {
        Cluster::start_with(count, &[])
    }

    /// The same, with further options of `quorate node`.
    pub fn start_with(count: usize, options: &[&str]) -> Cluster {
        let mut cluster = Cluster {
            directory: TempDir::new(),
            host: loopback(),
            nodes: Vec::new(),
            options: options.iter().map(ToString::to_string).collect(),
            version: (0, 0, 0),
        };
        for index in 0..count {
            cluster.add();
            if index > 0 {
                cluster.join(index);
            }
        }
        cluster
    }

    /// Starts a further process, which is not a member of the cluster until [`join`](Cluster::join), and
    /// answers its index.
    pub fn add(&mut self) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Process {
            address: format!("{}:{}", self.host, 9001 + index),
            child: None,
        });
        self.restart(index);
        index
    }

    /// Makes a running node a voter, and returns when the leader lists it as one.
    pub fn join(&self, index: usize) {
        let (id, address) = (self.id(index), self.address(index));
        wait_for("a node becomes a voter", DEADLINE, || {
            let mut leader = self.leader_connection()?;
            let member = leader.cluster().ok()?.into_iter().find(|one| one.id == id);
            match member {
                // An error may mean "done before": the list decides.
                None => drop(leader.add(id, address)),
                Some(Member { role: VOTER, .. }) => return Some(()),
                Some(_) => {
                    leader.set_timeout(DEADLINE);
                    drop(leader.assign(id, VOTER));
                }
            }
            None
        });
    }

    /// Starts the node `index`, which is not running, with the directory and address it had.
    pub fn restart(&mut self, index: usize) {
        assert!(self.nodes[index].child.is_none(), "node {index} is running");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(["node", "--die-with-parent"])
            .args(["--id", &self.id(index).to_string()])
            .args(["--address", self.address(index)])
            .arg("--dir")
            .arg(self.data_directory(index))
            .args(["--network-latency", &LATENCY.to_string()])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(self.log_path(index)).unwrap());
        let mut child = spawn(command);
        let (sender, receiver) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            let _ = sender.send(line);
        });
        self.nodes[index].child = Some(child);
        let line = receiver.recv_timeout(DEADLINE).unwrap_or_default();
        assert!(
            line.starts_with("ready "),
            "node {index} did not start: {line:?} {}",
            self.log(index)
        );
        self.version = version(&line).unwrap_or_else(|| panic!("no version in {line:?}"));
    }

    /// The version of libdqlite as the nodes state it, which is 1.10.0 for 1.11.1.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Whether the nodes run a libdqlite before 1.15, which answers differently in many places.
    pub fn is_old(&self) -> bool {
        // 1.15.0 calls itself 1.14.0.
        self.version < (1, 14, 0)
    }

    /// SIGKILL; returns when the process has ended.
    pub fn kill(&mut self, index: usize) {
        self.signal(index, Signal::KILL);
        self.reap(index);
    }

    /// SIGTERM; returns the status with which the process ended.
    pub fn terminate(&mut self, index: usize) -> ExitStatus {
        self.signal(index, Signal::TERM);
        self.reap(index)
    }

    /// SIGSTOP: the node keeps its sockets and answers nothing until [`cont`](Cluster::cont).
    pub fn stop(&self, index: usize) {
        self.signal(index, Signal::STOP);
        let path = format!("/proc/{}/stat", self.pid(index));
        wait_for("a process stops", DEADLINE, || {
            let stat = fs::read_to_string(&path).ok()?;
            let state = stat.rsplit(") ").next()?.chars().next()?;
            (state == 'T').then_some(())
        });
    }

    /// SIGCONT.
    pub fn cont(&self, index: usize) {
        self.signal(index, Signal::CONT);
    }

    pub fn id(&self, index: usize) -> u64 {
        index as u64 + 1
    }

    pub fn address(&self, index: usize) -> &str {
        &self.nodes[index].address
    }

    /// The addresses of all nodes, running or not.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    /// The process id of a running node.
    pub fn pid(&self, index: usize) -> u32 {
        self.nodes[index]
            .child
            .as_ref()
            .unwrap_or_else(|| panic!("node {index} is not running"))
            .id()
    }

    pub fn is_running(&self, index: usize) -> bool {
        self.nodes[index].child.is_some()
    }

    /// Whether a node has ended by itself.
    pub fn has_lost_a_node(&self) -> bool {
        let running = (0..self.nodes.len()).filter(|index| self.is_running(*index));
        running.into_iter().any(|index| {
            let path = format!("/proc/{}/stat", self.pid(index));
            let stat = fs::read_to_string(path).unwrap_or_default();
            // Nobody has waited for it.
            stat.rsplit(") ")
                .next()
                .is_none_or(|rest| rest.starts_with('Z'))
        })
    }

    /// What the node has written to standard error.
    pub fn log(&self, index: usize) -> String {
        fs::read_to_string(self.log_path(index)).unwrap_or_default()
    }

    pub fn data_directory(&self, index: usize) -> PathBuf {
        self.path().join(format!("node-{index}"))
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Waits for a leader and answers its index. Only a node that calls itself the leader counts: the others
    /// may still name one that is dead.
    pub fn leader(&self) -> usize {
        wait_for("a leader is elected", DEADLINE, || self.leader_now())
    }

    /// The index of the node that calls itself the leader, if one does at this moment.
    pub fn leader_now(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|index| {
            self.is_running(*index) && self.leader_known_to(*index) == Some(self.id(*index))
        })
    }

    /// The id of the leader that a node names; `None` too where it does not answer within half a second.
    pub fn leader_known_to(&self, index: usize) -> Option<u64> {
        let mut raw = Raw::connect(self.address(index)).ok()?;
        raw.set_timeout(Duration::from_millis(500));
        raw.leader().ok()?.map(|(id, _)| id)
    }

    fn leader_connection(&self) -> Option<Raw> {
        Raw::connect(self.address(self.leader_now()?)).ok()
    }

    fn log_path(&self, index: usize) -> PathBuf {
        self.path().join(format!("node-{index}.log"))
    }

    fn signal(&self, index: usize, signal: Signal) {
        let pid = Pid::from_raw(self.pid(index).cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn reap(&mut self, index: usize) -> ExitStatus {
        let mut child = self.nodes[index].child.take().unwrap();
        wait_for("a process ends", DEADLINE, || child.try_wait().unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The version in a node's line "ready … version=MAJOR.MINOR.RELEASE".
fn version(line: &str) -> Option<(u32, u32, u32)> {
    let (_, version) = line.trim().split_once("version=")?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// Starts a process from a thread that lives as long as the program.
///
/// "Die with the parent" means, to Linux, with the parent's thread: a node that a test's own thread started
/// would not outlive that test, whoever holds the cluster.
fn spawn(command: Command) -> Child {
    type Request = (Command, mpsc::Sender<Child>);
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                let child = command.spawn().expect("the program quorate can be started");
                let _ = answer.send(child);
            }
        });
        sender
    });
    let (sender, receiver) = mpsc::channel();
    spawner.send((command, sender)).unwrap();
    receiver.recv().unwrap()
}
