//! `quorate node`: one dqlite node as a process of its own.

mod join;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use lexopt::prelude::*;
use quorate::dqlite::ClusterClient;
use quorate::dqlite::node::{Node, NodeBuilder, library_version};
use quorate::{Error, ErrorKind};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::{Stop, missing, unexpected, value};

const HELP: &str = "\
Usage: quorate node --id N --address HOST:PORT --dir DIR [options]

Runs a dqlite node until SIGTERM or SIGINT, then stops it and exits with status 0. Once the node accepts
connections and has joined, one line goes to standard output:
ready id=N address=HOST:PORT version=MAJOR.MINOR.RELEASE

A cluster of three on one machine, each command in a terminal of its own:
  quorate node --id 1 --address 127.0.0.1:9001 --dir data1
  quorate node --id 2 --address 127.0.0.1:9002 --dir data2 --join 127.0.0.1:9001
  quorate node --id 3 --address 127.0.0.1:9003 --dir data3 --join 127.0.0.1:9001

  --id N                      the node's id; 1 begins a new cluster
  --address HOST:PORT         where clients and other nodes reach it
  --dir DIR                   its data directory, made where it is missing
  --join HOST:PORT[,...]      nodes of the cluster that it shall be a voter of; waits until it is one, and
                              changes nothing where it is a member already
  --bind ADDRESS              where it listens, if not at its address: HOST:PORT or @NAME
  --failure-domain N          the failure domain it reports
  --network-latency MS        average one-way latency between nodes, in milliseconds
  --snapshot-threshold N      log entries between two snapshots (1024)
  --snapshot-trailing N       log entries kept after a snapshot (8192)
  --block-size BYTES          size of a block of the log (libdqlite 1.15)
  --role-management           let the leader give and take roles (libdqlite 1.15)
  --target-voters N           voters that role management aims at (libdqlite 1.15)
  --target-standbys N         stand-bys that role management aims at (libdqlite 1.15)
  --auto-recovery true|false  whether damaged files may be removed (libdqlite 1.16)
  --busy-timeout MS           how long a write waits for another, in milliseconds (libdqlite 1.18.2)
  --library FILE              the libdqlite to use, instead of the installed one
  --die-with-parent           be killed when the process that started this one ends
";

const OPTIONS: &[&str] = &[
    "--id",
    "--address",
    "--dir",
    "--join",
    "--bind",
    "--failure-domain",
    "--network-latency",
    "--snapshot-threshold",
    "--snapshot-trailing",
    "--block-size",
    "--role-management",
    "--target-voters",
    "--target-standbys",
    "--auto-recovery",
    "--busy-timeout",
    "--library",
    "--die-with-parent",
    "--help",
];

pub(crate) fn run(words: Vec<OsString>) -> Result<(), Stop> {
    let options = Options::parse(words)?;
    let parent = getppid();
    if options.die_with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| internal("tie the node to its parent", error.into()))?;
        // The signal is sent for an end that is still to come.
        if getppid() != parent {
            return Err(Stop::Usage(
                "--die-with-parent: the parent process has ended already".into(),
            ));
        }
    }
    // Before the node: a signal that comes while it starts is answered when it has.
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).map_err(|error| internal("wait for signals", error))?;

    let (sender, events) = mpsc::channel();
    let joined = sender.clone();
    thread::spawn(move || {
        signals.forever().next();
        let _ = sender.send(Event::Signal);
    });
    let node = options.builder.start()?;
    match options.cluster {
        None => announce(&node)?,
        Some(cluster) => {
            let (id, address) = (node.id(), node.address().to_owned());
            thread::spawn(move || {
                let _ = joined.send(Event::Joined(join::join(&cluster, id, &address)));
            });
        }
    }
    for event in events {
        match event {
            Event::Signal => break,
            Event::Joined(result) => {
                result?;
                announce(&node)?;
            }
        }
    }
    node.stop()?;
    Ok(())
}

/// What a node that runs waits for.
enum Event {
    Signal,
    Joined(quorate::Result<()>),
}

fn announce(node: &Node) -> Result<(), Stop> {
    let (major, minor, release) = library_version()?;
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "ready id={} address={} version={major}.{minor}.{release}",
        node.id(),
        node.address()
    )
    .and_then(|()| stdout.flush())
    .map_err(|error| internal("write to standard output", error))
}

struct Options {
    builder: NodeBuilder,
    /// The cluster to join.
    cluster: Option<ClusterClient>,
    die_with_parent: bool,
}

impl Options {
    fn parse(words: Vec<OsString>) -> Result<Options, Stop> {
        let mut parser = lexopt::Parser::from_args(words);
        let (mut id, mut address, mut directory) = (None, None::<String>, None::<PathBuf>);
        let (mut threshold, mut trailing) = (None, None);
        let mut cluster = None;
        let mut die_with_parent = false;
        let mut set: Vec<Box<dyn FnOnce(NodeBuilder) -> NodeBuilder>> = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("id") => id = Some(value::<u64>(&mut parser, "--id")?),
                Long("address") => address = Some(value(&mut parser, "--address")?),
                Long("dir") => {
                    directory = Some(parser.value()?.into());
                }
                Long("join") => {
                    let nodes: String = value(&mut parser, "--join")?;
                    // A connection string names a database, which a change of the cluster does not use.
                    let client = ClusterClient::open(&format!("dqlite://{nodes}/cluster"));
                    cluster = Some(client.map_err(|error| {
                        Stop::Usage(format!("bad value {nodes:?} for --join: {error}"))
                    })?);
                }
                Long("bind") => {
                    let bind: String = value(&mut parser, "--bind")?;
                    set.push(Box::new(move |node| node.bind_address(&bind)));
                }
                Long("failure-domain") => {
                    let domain = value(&mut parser, "--failure-domain")?;
                    set.push(Box::new(move |node| node.failure_domain(domain)));
                }
                Long("network-latency") => {
                    let latency = Duration::from_millis(value(&mut parser, "--network-latency")?);
                    set.push(Box::new(move |node| node.network_latency(latency)));
                }
                Long("snapshot-threshold") => {
                    threshold = Some(value(&mut parser, "--snapshot-threshold")?);
                }
                Long("snapshot-trailing") => {
                    trailing = Some(value(&mut parser, "--snapshot-trailing")?);
                }
                Long("block-size") => {
                    let size = value(&mut parser, "--block-size")?;
                    set.push(Box::new(move |node| node.block_size(size)));
                }
                Long("role-management") => {
                    set.push(Box::new(|node| node.role_management(true)));
                }
                Long("target-voters") => {
                    let voters = value(&mut parser, "--target-voters")?;
                    set.push(Box::new(move |node| node.target_voters(voters)));
                }
                Long("target-standbys") => {
                    let standbys = value(&mut parser, "--target-standbys")?;
                    set.push(Box::new(move |node| node.target_standbys(standbys)));
                }
                Long("auto-recovery") => {
                    let enabled = value(&mut parser, "--auto-recovery")?;
                    set.push(Box::new(move |node| node.auto_recovery(enabled)));
                }
                Long("busy-timeout") => {
                    let timeout = Duration::from_millis(value(&mut parser, "--busy-timeout")?);
                    set.push(Box::new(move |node| node.busy_timeout(timeout)));
                }
                Long("library") => {
                    let path = PathBuf::from(parser.value()?);
                    set.push(Box::new(move |node| node.library(path)));
                }
                Long("die-with-parent") => die_with_parent = true,
                Long("help") | Short('h') => return Err(Stop::Text(HELP.into())),
                other => return Err(unexpected(&other, OPTIONS)),
            }
        }
        let mut builder = Node::builder(
            id.ok_or_else(|| missing("--id"))?,
            &address.ok_or_else(|| missing("--address"))?,
            directory.ok_or_else(|| missing("--dir"))?,
        );
        if threshold.is_some() || trailing.is_some() {
            builder = builder.snapshot_params(threshold.unwrap_or(1024), trailing.unwrap_or(8192));
        }
        Ok(Options {
            builder: set.into_iter().fold(builder, |builder, set| set(builder)),
            cluster,
            die_with_parent,
        })
    }
}

fn internal(what: &str, error: io::Error) -> Stop {
    Stop::Failure(Error::new(ErrorKind::Node, format!("cannot {what}: {error}")).with_source(error))
}
