//! Threads that write through one pool, and keep a record of what became of each write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate::{Error, ErrorKind, Outcome, Pool, Result};

/// How many threads write.
pub(super) const THREADS: i64 = 4;

/// Writer `w` gives its writes the numbers from `w * SPAN` on.
const SPAN: i64 = 1_000_000_000;

/// Nothing in the table keeps a number from being written twice: a duplicate would be there to be counted.
pub(super) const CREATE: &str =
    "CREATE TABLE writes (id INTEGER NOT NULL, writer INTEGER NOT NULL)";

/// How often each number is in the table.
pub(super) const COUNT: &str = "SELECT id, count(*) FROM writes GROUP BY id";

/// One write, as its writer has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) id: i64,
    pub(super) fate: Fate,
}

/// What the driver said became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    Failed(Outcome, ErrorKind),
}

/// That a node has acknowledged a write.
pub(super) struct Acknowledgement {
    pub(super) node: String,
    pub(super) at: Instant,
}

/// Writes one row, and answers the node that has acknowledged it.
pub(super) fn write(pool: &Pool, id: i64, writer: i64) -> Result<String> {
    let mut connection = pool.acquire()?;
    connection.exec(
        "INSERT INTO writes (id, writer) VALUES (?, ?)",
        (id, writer),
    )?;
    Ok(connection.node().to_owned())
}

/// Writers at work.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Write>>>,
    pub(super) acknowledgements: Receiver<Acknowledgement>,
}

impl Writers {
    pub(super) fn start(pool: &Pool) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, acknowledgements) = mpsc::channel();
        let threads = (1..=THREADS)
            .map(|writer| {
                let (pool, stop, sender) = (pool.clone(), Arc::clone(&stop), sender.clone());
                thread::spawn(move || work(&pool, writer, &stop, &sender))
            })
            .collect();
        Writers {
            stop,
            threads,
            acknowledgements,
        }
    }

    /// Lets each writer end the write it is at, and answers all that were made.
    pub(super) fn stop(self) -> Result<Vec<Write>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        for thread in self.threads {
            let written = thread
                .join()
                .map_err(|_| Error::new(ErrorKind::Internal, "a writer has panicked"))?;
            writes.extend(written);
        }
        Ok(writes)
    }
}

fn work(
    pool: &Pool,
    writer: i64,
    stop: &AtomicBool,
    acknowledgements: &Sender<Acknowledgement>,
) -> Vec<Write> {
    let mut writes = Vec::new();
    for id in writer * SPAN.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let fate = match write(pool, id, writer) {
            Ok(node) => {
                let at = Instant::now();
                let _ = acknowledgements.send(Acknowledgement { node, at });
                Fate::Acknowledged
            }
            Err(error) => Fate::Failed(error.outcome(), error.kind()),
        };
        writes.push(Write { id, fate });
        // SQLite lets one write at a time; whoever comes second is told so at once.
        if let Fate::Failed(_, ErrorKind::Busy) = fate {
            thread::sleep(Duration::from_micros(fastrand::u64(500..5000)));
        }
    }
    writes
}
