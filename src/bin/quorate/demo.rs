//! `quorate demo`: a cluster of three loses its leader, and every write is accounted for.

mod copies;
mod nodes;
mod report;
mod writers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use quorate::dqlite::ClusterClient;
use quorate::dqlite::node::library_version;
use quorate::{Deadline, Error, ErrorKind, Pool};

use crate::arguments::{Stop, unexpected};
use copies::Table;
use nodes::{COUNT, Nodes};
use report::Report;
use writers::{Acknowledgement, Writers};

const HELP: &str = "\
Usage: quorate demo

Starts a dqlite cluster of three nodes, as processes of their own in a temporary directory, writes to it
from four threads, kills the leader meanwhile, and accounts for every write. Takes some seconds and leaves
nothing behind. The last line is
acknowledged=A unknown=U found=F lost=L duplicates=D
and the exit status is 0 if nothing was lost, nothing is there twice, and F is between A and A+U.
";

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(28);

/// How long the threads write before the leader is killed, and after another has taken over.
const BEFORE: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(1500);

/// The name of the database.
const DATABASE: &str = "demo";

/// How long a node may take to give its copy, and the pause between two looks at that of a node that lags behind.
const COPY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run(words: Vec<OsString>) -> Result<(), Stop> {
    let mut parser = lexopt::Parser::from_args(words);
    if let Some(argument) = parser.next()? {
        return Err(match argument {
            Long("help") | Short('h') => Stop::Text(HELP.into()),
            other => unexpected(&other, &["--help"]),
        });
    }
    // Before anything is made: it says which package is missing.
    library_version()?;
    let nodes = Nodes::prepare()?;
    let report = Demo::new(&nodes)?.play()?;
    let fault = report.fault();
    // The directory and the processes are gone before the last line is written.
    drop(nodes);
    say(&format!("\n{report}\n{}", report.summary()))?;
    match fault {
        None => Ok(()),
        Some(fault) => Err(Stop::Failure(Error::new(ErrorKind::Internal, fault))),
    }
}

struct Demo<'n> {
    begin: Instant,
    limit: Deadline,
    nodes: &'n Nodes,
    cluster: ClusterClient,
    pool: Pool,
}

impl<'n> Demo<'n> {
    fn new(nodes: &'n Nodes) -> Result<Self, Stop> {
        let begin = Instant::now();
        let limit = Deadline::from(begin + LIMIT);
        let url = nodes.url(DATABASE);
        Ok(Demo {
            begin,
            limit,
            nodes,
            cluster: ClusterClient::open(&url)?.within(limit),
            pool: Pool::open(&url)?,
        })
    }

    fn play(&self) -> Result<Report, Stop> {
        self.form_cluster()?;
        self.try_pool()?;
        let writes = self.write_through_a_failure()?;
        let table = self.count_on_every_node()?;
        self.pool.within(self.limit).close()?;
        Ok(Report::new(&writes, &table))
    }

    fn form_cluster(&self) -> Result<(), Stop> {
        say(&format!(
            "three dqlite nodes in {}\n\nseconds",
            self.nodes.directory().display()
        ))?;
        let numbers: Vec<usize> = (1..=COUNT).collect();
        let processes = self.nodes.start(&numbers, self.limit)?;
        for ((number, address), process) in
            numbers.iter().zip(self.nodes.addresses()).zip(processes)
        {
            self.note(&format!("node {number} is process {process} at {address}"))?;
        }
        let leader = self.cluster.leader()?;
        let voters = self.cluster.nodes()?.len();
        self.note(&format!(
            "the cluster has {voters} voters; {} leads",
            self.name(&leader)
        ))
    }

    fn try_pool(&self) -> Result<(), Stop> {
        let pool = self.pool.within(self.limit);
        self.note(&format!("a pool is opened: {}", self.nodes.url(DATABASE)))?;
        pool.exec("CREATE TABLE greetings (text TEXT NOT NULL)", ())?;
        pool.exec("INSERT INTO greetings VALUES (?)", ["hello"])?;
        let (text,): (String,) = pool.query_row("SELECT text FROM greetings", ())?;
        self.note(&format!(
            "a table is made, a row written and read: {text:?}"
        ))?;
        pool.exec(writers::CREATE, ())?;
        Ok(())
    }

    /// Answers what the writers have done while the leader died.
    fn write_through_a_failure(&self) -> Result<Vec<writers::Write>, Stop> {
        let writers = Writers::start(&self.pool);
        self.note(&format!("{} threads begin to write", writers::THREADS))?;
        let before = self.watch(&writers, BEFORE);

        let leader = self.cluster.leader()?;
        let number = self.nodes.number(&leader).ok_or_else(|| strange(&leader))?;
        let death = self.nodes.kill(number)?;
        self.note_at(
            death,
            &format!(
                "{before} writes are acknowledged; the leader, node {number}, is killed (SIGKILL)"
            ),
        )?;

        let next = self.next_acknowledgement(&writers, &leader)?;
        let pause = next.at.saturating_duration_since(death);
        self.note_at(
            next.at,
            &format!(
                "the next write is acknowledged, {:.3} s after; now {} leads",
                pause.as_secs_f64(),
                self.name(&next.node)
            ),
        )?;

        let after = self.watch(&writers, AFTER);
        let writes = writers.stop()?;
        self.note(&format!("{after} more are acknowledged; the threads stop"))?;

        self.nodes.start(&[number], self.limit)?;
        self.note(&format!("node {number} is started again"))?;
        Ok(writes)
    }

    /// Counts acknowledgements for a time.
    fn watch(&self, writers: &Writers, time: Duration) -> usize {
        let end = Deadline::after(time).min(self.limit);
        let mut count = 0;
        while writers
            .acknowledgements
            .recv_timeout(end.remaining().unwrap_or_default())
            .is_ok()
        {
            count += 1;
        }
        count
    }

    /// The first acknowledgement that is not the dead leader's.
    fn next_acknowledgement(&self, writers: &Writers, dead: &str) -> Result<Acknowledgement, Stop> {
        loop {
            let left = self.limit.remaining().unwrap_or_default();
            let acknowledgement = writers.acknowledgements.recv_timeout(left).map_err(|_| {
                Stop::Failure(Error::new(
                    ErrorKind::Timeout,
                    "no write was acknowledged after the leader's death",
                ))
            })?;
            if acknowledgement.node != dead {
                return Ok(acknowledgement);
            }
        }
    }

    /// Reads the table through the pool, and requires that every node comes to have the same in its own copy of the
    /// database. Answers how often each number is in the table.
    fn count_on_every_node(&self) -> Result<Table, Stop> {
        let mut connection = self.pool.within(self.limit).acquire()?;
        let table = connection
            .query(writers::COUNT, ())?
            .typed::<(i64, i64)>()
            .map(|row| row.map(|(id, count)| (id, count as usize)))
            .collect::<quorate::Result<Table>>()?;
        let leader = self.name(connection.node());
        drop(connection);
        let rows = rows(&table);
        self.note(&format!("{leader} leads and counts {rows} rows"))?;
        for number in 1..=COUNT {
            self.wait_for_copy(number, &table)?;
            self.note(&format!(
                "the copy of the database on node {number} has the same {rows} rows"
            ))?;
        }
        Ok(table)
    }

    /// Waits until a node has the same in its own copy: one that was started again has to catch up.
    fn wait_for_copy(&self, number: usize, table: &Table) -> Result<(), Stop> {
        let address = &self.nodes.addresses()[number - 1];
        loop {
            let cluster = self.cluster.within(Deadline::after(COPY));
            let copy = copies::read(&cluster, address, DATABASE, self.nodes.directory());
            let why = match copy {
                Ok(copy) if copy == *table => return Ok(()),
                Ok(copy) => format!("its copy has {} rows of {}", rows(&copy), rows(table)),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.nodes.ended(number) {
                let text = format!("node {number} has ended: {status}");
                return Err(Stop::Failure(Error::new(ErrorKind::Internal, text)));
            }
            if self.limit.has_passed() {
                let text = format!("node {number} does not catch up: {why}");
                return Err(Stop::Failure(Error::new(ErrorKind::Internal, text)));
            }
            thread::sleep(PAUSE);
        }
    }

    fn name(&self, address: &str) -> String {
        match self.nodes.number(address) {
            Some(number) => format!("node {number}"),
            None => address.to_owned(),
        }
    }

    fn note(&self, text: &str) -> Result<(), Stop> {
        self.note_at(Instant::now(), text)
    }

    fn note_at(&self, at: Instant, text: &str) -> Result<(), Stop> {
        let seconds = at.saturating_duration_since(self.begin).as_secs_f64();
        say(&format!("{seconds:7.3}  {text}"))
    }
}

fn rows(table: &Table) -> usize {
    table.values().sum()
}

fn strange(address: &str) -> Stop {
    Stop::Failure(Error::new(
        ErrorKind::Internal,
        format!("{address} leads, which is none of the three nodes"),
    ))
}

/// Writes lines to standard output. A reader that has gone away ends the demonstration.
fn say(text: &str) -> Result<(), Stop> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| {
            Stop::Failure(
                Error::new(
                    ErrorKind::Node,
                    format!("cannot write to standard output: {error}"),
                )
                .with_source(error),
            )
        })
}
