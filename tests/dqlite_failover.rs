//! The leader of three real nodes is killed or stopped again and again under load, and every write is
//! accounted for afterwards.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, DEADLINE};
use common::latency::Sleeper;
use common::raw::{Cell, Raw};
use common::wait_for;
use quorate::{Batch, Error, Outcome, Pool, Result, TransactionMode};

const ROUNDS: usize = 20;
/// The deadline of every call.
const TIMEOUT: Duration = Duration::from_secs(2);
/// By how much a call may outlive its deadline.
const GRACE: Duration = Duration::from_millis(50);
/// Between the calls of one writer, so that the table stays small enough to be read at the end.
const PACE: Duration = Duration::from_millis(4);
/// How many writes must be acknowledged between two faults.
const CALM: u64 = 40;

const INSERT: &str = "INSERT INTO written (thread, counter) VALUES (?, ?)";

/// A row: the thread that wrote it, and which of its rows it is.
type Key = (i64, i64);

/// What became of the writes of one call.
struct Written {
    call: u64,
    keys: Vec<Key>,
    /// All of them are there or none.
    atomic: bool,
    outcome: Option<Outcome>,
    error: String,
    start: Instant,
    end: Instant,
}

#[derive(Default)]
struct Log {
    written: Mutex<Vec<Written>>,
    acknowledged: AtomicU64,
    calls: AtomicU64,
    /// The first acknowledgement of a call that began after the last fault.
    fault: Mutex<Option<(Instant, Option<Duration>)>>,
}

/// How a writer writes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Autocommit,
    Transaction,
    Batch,
}

struct Writer {
    thread: i64,
    next: i64,
    manner: Manner,
    pool: Pool,
    log: Arc<Log>,
}

impl Writer {
    fn keys(&mut self, count: i64) -> Vec<Key> {
        let first = self.next;
        self.next += count;
        (first..self.next)
            .map(|counter| (self.thread, counter))
            .collect()
    }

    /// Makes one call. Its deadline covers all that belongs to it, the drop of what it answers included.
    fn write(&mut self) {
        let keys = self.keys(match self.manner {
            Manner::Autocommit => 1,
            Manner::Transaction => 2,
            Manner::Batch => 4,
        });
        let start = Instant::now();
        let pool = self.pool.within(start + TIMEOUT);
        let results: Vec<Result<()>> = match self.manner {
            Manner::Autocommit => vec![pool.exec(INSERT, keys[0]).map(drop)],
            Manner::Transaction => {
                vec![pool.transaction(TransactionMode::Immediate, |connection| {
                    for key in &keys {
                        connection.exec(INSERT, *key)?;
                    }
                    Ok(())
                })]
            }
            Manner::Batch => batch(&pool, &keys),
        };
        drop(pool);
        self.note(keys, results, start);
    }

    fn note(&self, keys: Vec<Key>, results: Vec<Result<()>>, start: Instant) {
        let end = Instant::now();
        let call = self.log.calls.fetch_add(1, Ordering::Relaxed);
        let atomic = results.len() == 1;
        let groups: Vec<Vec<Key>> = if atomic {
            vec![keys]
        } else {
            keys.into_iter().map(|key| vec![key]).collect()
        };
        for (keys, result) in groups.into_iter().zip(results) {
            if result.is_ok() {
                self.log.acknowledged.fetch_add(1, Ordering::Relaxed);
                if let Some((fault, first)) = &mut *self.log.fault.lock().unwrap()
                    && start > *fault
                {
                    first.get_or_insert_with(|| end - *fault);
                }
            }
            self.log.written.lock().unwrap().push(Written {
                call,
                keys,
                atomic,
                outcome: result.as_ref().err().map(Error::outcome),
                error: result.err().map(|e| e.to_string()).unwrap_or_default(),
                start,
                end,
            });
        }
    }
}

/// Writes the rows in one batch; each has a result of its own.
fn batch(pool: &Pool, keys: &[Key]) -> Vec<Result<()>> {
    let mut batch = Batch::new();
    for key in keys {
        batch.queue(INSERT, *key).unwrap();
    }
    match pool.send_batch(&batch) {
        Ok(mut results) => keys.iter().map(|_| results.exec().map(drop)).collect(),
        Err(error) => {
            // None was sent, or all have the outcome of the whole.
            let again =
                || Err(Error::new(error.kind(), error.message()).with_outcome(error.outcome()));
            keys.iter().map(|_| again()).collect()
        }
    }
}

/// Kills or stops the leader, waits for the first write that is acknowledged after it, and brings the node
/// back. Answers how long that write took to come.
fn fault(cluster: &mut Cluster, kill: bool, own: &mut Writer) -> Duration {
    let log = Arc::clone(&own.log);
    let leader = cluster.leader();
    if kill {
        cluster.kill(leader);
    } else {
        cluster.stop(leader);
    }
    *log.fault.lock().unwrap() = Some((Instant::now(), None));
    let end = Instant::now() + DEADLINE;
    let recovery = loop {
        if let Some((_, Some(first))) = *log.fault.lock().unwrap() {
            break first;
        }
        assert!(
            Instant::now() < end,
            "no write was acknowledged after the fault"
        );
        // The other writers may hang in calls that they had begun.
        own.write();
        thread::sleep(PACE);
    };
    if kill {
        cluster.restart(leader);
    } else {
        cluster.cont(leader);
    }
    wait_for("the node knows the leader again", DEADLINE, || {
        cluster.leader_known_to(leader)
    });
    let calm = log.acknowledged.load(Ordering::Relaxed) + CALM;
    wait_for("writes go on", DEADLINE, || {
        (log.acknowledged.load(Ordering::Relaxed) >= calm).then_some(())
    });
    recovery
}

#[test]
fn every_write_is_accounted_for_while_leaders_die_and_hang() {
    let mut cluster = Cluster::start(3);
    let url = format!(
        "dqlite://{}/test?pool_max_conns=16",
        cluster.addresses().join(",")
    );
    let pool = Pool::open(&url).unwrap();
    pool.exec("CREATE TABLE written (thread INTEGER, counter INTEGER)", ())
        .unwrap();

    let log = Arc::new(Log::default());
    let writer = |thread, manner| Writer {
        thread,
        next: 0,
        manner,
        pool: pool.clone(),
        log: Arc::clone(&log),
    };
    let sleeper = Sleeper::start();
    let stop = AtomicBool::new(false);
    let mut recoveries = Vec::new();
    thread::scope(|scope| {
        let manners = [
            Manner::Autocommit,
            Manner::Autocommit,
            Manner::Transaction,
            Manner::Autocommit,
            Manner::Batch,
            Manner::Transaction,
        ];
        for (thread, manner) in (0..).zip(manners) {
            let (mut writer, stop) = (writer(thread, manner), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.write();
                    thread::sleep(PACE);
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        let mut own = writer(-1, Manner::Autocommit);
        for round in 0..ROUNDS {
            recoveries.push(fault(&mut cluster, round % 2 == 0, &mut own));
        }
    });

    let delays = sleeper.stop();
    let written = std::mem::take(&mut *log.written.lock().unwrap());
    let found = found(&cluster);
    let verdict = Verdict::of(&written, &found);
    let late = written
        .iter()
        .map(|one| {
            let deadline = one.start + TIMEOUT;
            let raw = one.end.saturating_duration_since(deadline);
            (
                raw.saturating_sub(delays.within(deadline, one.end)),
                raw,
                one,
            )
        })
        .max_by_key(|(net, raw, _)| (*net, *raw))
        .unwrap();
    println!(
        "{} overrun_max={:?} (of the machine {:?}, in a call that ended with {:?}) {} {}",
        verdict.figures,
        late.1,
        late.1 - late.0,
        late.2.error,
        summary("killed", recoveries.iter().step_by(2)),
        summary("stopped", recoveries.iter().skip(1).step_by(2)),
    );
    assert!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    assert!(
        late.0 <= GRACE,
        "call {} ended {:?} late",
        late.2.call,
        late.1
    );
    pool.within(Duration::from_secs(5)).close().unwrap();
}

/// Ends the writers also where the test fails, so that the scope ends.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often each row is there, read by a client that shares no code with the library.
fn found(cluster: &Cluster) -> HashMap<Key, u32> {
    let rows = wait_for("the table can be read", DEADLINE, || {
        let mut raw = Raw::open(cluster.address(cluster.leader()), "test").ok()?;
        raw.set_timeout(DEADLINE);
        raw.query("SELECT thread, counter FROM written").ok()
    });
    let mut found = HashMap::new();
    for row in rows {
        let [Cell::Int(thread), Cell::Int(counter)] = row[..] else {
            panic!("a row is {row:?}");
        };
        *found.entry((thread, counter)).or_default() += 1;
    }
    found
}

struct Verdict {
    figures: String,
    faults: Vec<String>,
}

impl Verdict {
    fn of(written: &[Written], found: &HashMap<Key, u32>) -> Verdict {
        let (mut acknowledged, mut unknown, mut rejected, mut not_sent) = (0, 0, 0, 0);
        let (mut known, mut faults) = (0, Vec::new());
        for one in written {
            let rows = one.keys.len();
            let there: u32 = one.keys.iter().filter_map(|key| found.get(key)).sum();
            known += there;
            let at_most_once = one
                .keys
                .iter()
                .all(|key| found.get(key).is_none_or(|n| *n == 1));
            let whole = !one.atomic || there == 0 || there as usize == rows;
            let (counter, good) = match one.outcome {
                None => (&mut acknowledged, there as usize == rows),
                Some(Outcome::Unknown) => (&mut unknown, true),
                Some(Outcome::Rejected) => (&mut rejected, there == 0),
                Some(Outcome::NotSent) => (&mut not_sent, there == 0),
            };
            *counter += rows;
            if !(good && at_most_once && whole) {
                faults.push(format!(
                    "{:?}: {there} of {rows} rows are there, outcome {:?}, {}",
                    one.keys, one.outcome, one.error
                ));
            }
        }
        let rows: u32 = found.values().sum();
        if known != rows {
            faults.push(format!("{} rows that nobody wrote", rows - known));
        }
        if acknowledged == 0 || unknown == 0 {
            faults.push("the faults did not hit any write".into());
        }
        Verdict {
            figures: format!(
                "acknowledged={acknowledged} unknown={unknown} rejected={rejected} \
                 not_sent={not_sent} found={rows}"
            ),
            faults,
        }
    }
}

fn summary<'a>(name: &str, times: impl Iterator<Item = &'a Duration>) -> String {
    let mut times: Vec<_> = times.copied().collect();
    times.sort_unstable();
    let last = times.len() - 1;
    let at = |index: usize| times[index].as_millis();
    let (min, median, max) = (at(0), at(last / 2), at(last));
    format!("ms_to_first_write_after_{name}={min}/{median}/{max}")
}
