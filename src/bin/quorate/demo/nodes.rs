//! The cluster of the demonstration: three processes and one directory, gone when it ends.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use quorate::{Deadline, Error, ErrorKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::Stop;

/// How many nodes the cluster has.
pub(super) const COUNT: usize = 3;

/// One-way latency that the nodes are told, in milliseconds: a follower stands for election after 15 times
/// this.
const LATENCY: &str = "30";

/// Log entries between two snapshots of a node that is started again: more than there will be.
///
/// A node that takes a snapshot of its own while it catches up may miss the leader's, which comes once in 30 seconds
/// (docs/dqlite.md).
const NO_SNAPSHOT: &str = "1000000";

/// Three nodes in processes of their own. Dropping it, and each of the signals that end a program, kills
/// the processes and removes their directory.
pub(super) struct Nodes {
    addresses: Vec<String>,
    directory: PathBuf,
    remains: Arc<Mutex<Remains>>,
}

/// What has to be gone when the demonstration ends.
struct Remains {
    directory: PathBuf,
    children: Vec<Option<Child>>,
}

impl Remains {
    fn clear(&mut self) {
        for mut child in self.children.iter_mut().filter_map(Option::take) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn held(remains: &Mutex<Remains>) -> MutexGuard<'_, Remains> {
    // Whoever panicked with it has left all that is to be removed.
    remains.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nodes {
    /// Makes the directory and finds free addresses. No process is started yet.
    pub(super) fn prepare() -> Result<Nodes, Stop> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| failure("wait for signals", error))?;
        let addresses = free_addresses()?;
        let directory = new_directory()?;
        let remains = Arc::new(Mutex::new(Remains {
            directory: directory.clone(),
            children: (0..COUNT).map(|_| None).collect(),
        }));
        let doomed = Arc::clone(&remains);
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end, so that nothing is started after the last look.
                let mut remains = held(&doomed);
                remains.clear();
                exit(128 + signal);
            }
        });
        Ok(Nodes {
            addresses,
            directory,
            remains,
        })
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The number of the node at `address`, counted from 1; it is its raft id too.
    pub(super) fn number(&self, address: &str) -> Option<usize> {
        let index = self.addresses.iter().position(|known| known == address)?;
        Some(index + 1)
    }

    /// The connection string of a database of the cluster.
    pub(super) fn url(&self, database: &str) -> String {
        format!("dqlite://{}/{database}", self.addresses.join(","))
    }

    /// Starts the nodes with these numbers and waits until each is a voter; answers their process ids.
    ///
    /// Called on the main thread alone: a node is killed when the thread that has started it ends.
    pub(super) fn start(&self, numbers: &[usize], limit: Deadline) -> Result<Vec<u32>, Stop> {
        let started = numbers
            .iter()
            .map(|number| self.spawn(*number))
            .collect::<Result<Vec<_>, _>>()?;
        for (number, (_, line)) in numbers.iter().zip(&started) {
            let line = match limit.remaining() {
                Some(left) => line.recv_timeout(left).unwrap_or_default(),
                None => line.recv().unwrap_or_default(),
            };
            if !line.starts_with("ready ") {
                let log = fs::read_to_string(self.log(*number)).unwrap_or_default();
                return Err(Stop::Failure(Error::new(
                    ErrorKind::Node,
                    format!("node {number} did not become ready: {}", log.trim_end()),
                )));
            }
        }
        Ok(started.into_iter().map(|(process, _)| process).collect())
    }

    /// Starts a process, and answers its id and where its first line will come.
    fn spawn(&self, number: usize) -> Result<(u32, mpsc::Receiver<String>), Stop> {
        let program =
            std::env::current_exe().map_err(|error| failure("find this program", error))?;
        let log = File::create(self.log(number)).map_err(|error| failure("make a log", error))?;
        let data = self.directory.join(format!("node-{number}"));
        let again = data.exists();
        let mut command = Command::new(program);
        command
            .args(["node", "--die-with-parent"])
            .args(["--id", &number.to_string()])
            .args(["--address", &self.addresses[number - 1]])
            .arg("--dir")
            .arg(data)
            .args(["--network-latency", LATENCY])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            // Out of the terminal's reach: Ctrl-C ends the demonstration, which then ends its nodes.
            .process_group(0);
        if number > 1 {
            command.args(["--join", &self.addresses.join(",")]);
        }
        if again {
            command
                .args(["--snapshot-threshold", NO_SNAPSHOT])
                .args(["--snapshot-trailing", NO_SNAPSHOT]);
        }
        let mut remains = held(&self.remains);
        let mut child = command
            .spawn()
            .map_err(|error| failure("start a node", error))?;
        let (process, output) = (child.id(), child.stdout.take());
        remains.children[number - 1] = Some(child);
        drop(remains);

        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            if let Some(output) = output {
                let _ = BufReader::new(output).read_line(&mut line);
            }
            let _ = sender.send(line);
        });
        Ok((process, receiver))
    }

    /// Kills a node with SIGKILL, and answers when its process was gone.
    pub(super) fn kill(&self, number: usize) -> Result<Instant, Stop> {
        let child = held(&self.remains).children[number - 1].take();
        if let Some(mut child) = child {
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(|error| failure("kill a node", error))?;
        }
        Ok(Instant::now())
    }

    /// How the process of a node has ended by itself, if it has.
    pub(super) fn ended(&self, number: usize) -> Option<ExitStatus> {
        let mut remains = held(&self.remains);
        let child = remains.children[number - 1].as_mut()?;
        child.try_wait().ok().flatten()
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("node-{number}.log"))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        held(&self.remains).clear();
    }
}

/// Addresses on a loopback address that is unlikely to be anyone else's: ports of 127.0.0.1 may be taken by
/// an outgoing connection between the look and the bind.
fn free_addresses() -> Result<Vec<String>, Stop> {
    let mut last = None;
    for _ in 0..100 {
        let part = || fastrand::u8(1..=250);
        let host = format!("127.{}.{}.{}", part(), part(), part());
        let addresses: Vec<String> = (1..=COUNT)
            .map(|number| format!("{host}:{}", 9000 + number))
            .collect();
        match addresses.iter().try_for_each(|address| {
            // Freed at once.
            TcpListener::bind(address).map(drop)
        }) {
            Ok(()) => return Ok(addresses),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(failure("find free ports on a loopback address", error))
}

fn new_directory() -> Result<PathBuf, Stop> {
    let path = std::env::temp_dir().join(format!(
        "quorate-demo-{}-{:08x}",
        std::process::id(),
        fastrand::u32(..)
    ));
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(|error| failure(&format!("make the directory {}", path.display()), error))?;
    Ok(path)
}

fn failure(what: &str, error: io::Error) -> Stop {
    Stop::Failure(Error::new(ErrorKind::Node, format!("cannot {what}: {error}")).with_source(error))
}
