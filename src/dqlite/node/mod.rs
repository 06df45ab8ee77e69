//! A dqlite server inside of this process: libdqlite's node, opened at run time.
//!
//! libdqlite (`libdqlite.so.0`) is not linked but opened at the first use, so a program that is only a client
//! needs none. The environment variable `QUORATE_LIBDQLITE` or [`NodeBuilder::library`] names another file.
//!
//! ```no_run
//! use quorate::Pool;
//! use quorate::dqlite::ClusterClient;
//! use quorate::dqlite::node::{BOOTSTRAP_ID, Node, generate_id};
//! use quorate::dqlite::store::NodeRole;
//!
//! # fn main() -> quorate::Result<()> {
//! // The first node begins a cluster and is the whole of it. At its next start it finds its data again.
//! let first = Node::builder(BOOTSTRAP_ID, "10.0.0.1:9001", "data/1").start()?;
//! let pool = Pool::open("dqlite://10.0.0.1:9001/app")?;
//! pool.exec("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT)", ())?;
//!
//! // Another one joins, here or in another process, which keeps the id for the next start.
//! let id = generate_id("10.0.0.1:9002")?;
//! let second = Node::builder(id, "10.0.0.1:9002", "data/2").start()?;
//! let cluster = ClusterClient::open("dqlite://10.0.0.1:9001/app")?;
//! cluster.add(id, "10.0.0.1:9002")?;
//! cluster.assign(id, NodeRole::Voter)?;
//! # pool.close()?;
//! # second.stop()?;
//! first.stop()
//! # }
//! ```
//!
//! # What the host should know
//!
//! - A node has a thread of its own, on which libdqlite runs everything, and the threads of libuv's pool, which
//!   all nodes of a process share. A process may run several nodes, each with its own directory and address.
//! - libdqlite installs no signal handler and changes no disposition. But libuv, which writes for it, does not
//!   suppress SIGPIPE: a client that closes its side and resets the connection was seen to end a process that
//!   had left SIGPIPE at its default (1.11.1 and 1.18.6). [`NodeBuilder::start`] therefore starts these threads
//!   with all signals blocked, faults excepted; the host's own threads and dispositions stay as they are. If
//!   the host has used libuv's thread pool before, its threads keep their mask, and such a host has to ignore
//!   SIGPIPE.
//! - After a `fork` the child has the object but not the thread. There, [`Node::stop`] answers
//!   [`ErrorKind::Forked`] and a drop does nothing; the parent's node goes on.
//! - libdqlite checks its own invariants with assertions, and one that fails ends the process.
//! - A create or start that fails inside of libdqlite leaves some memory and a few descriptors behind, since
//!   libdqlite cannot take down a node that never ran. What is known to fail is refused before it gets there.

mod address;
mod builder;
mod connect;
mod directory;
mod library;
mod listener;
mod raw;
mod vfs;

use std::ffi::CString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use builder::NodeBuilder;
use directory::Directory;
use library::Library;
use raw::RawNode;

use crate::error::{Error, ErrorKind, Result};

/// The id of a node that begins a cluster: a new data directory is set up with it as the only voter. Every
/// other node has to be added to the cluster through its leader.
pub const BOOTSTRAP_ID: u64 = 1;

/// The other id that begins a cluster, the hash that go-dqlite and the original driver give their first node.
pub const BOOTSTRAP_ID_HASHED: u64 = 0x2dc1_7185_8c31_55be;

/// A dqlite node that runs in this process. It stops when it is dropped.
///
/// Its methods may be called from any thread.
pub struct Node {
    /// `None` once it was stopped.
    raw: Option<RawNode>,
    id: u64,
    address: String,
    bind_address: String,
    // After `raw`, so that the directory is free only when the node no longer writes there.
    directory: Directory,
}

impl Node {
    /// Describes the node `id`, which others reach at `address` (`host:port`, or `@name` for an abstract Unix
    /// socket inside of this process) and which keeps its data in `directory`.
    ///
    /// A node has to be given the same id, and a directory its own node, at every start. The id
    /// [`BOOTSTRAP_ID`] begins a cluster; [`generate_id`] makes one for a node that joins.
    pub fn builder(id: u64, address: &str, directory: impl Into<PathBuf>) -> NodeBuilder {
        NodeBuilder::new(id, address, directory.into())
    }

    /// The node's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The address that clients and other nodes reach it by.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address it listens on, host names resolved.
    pub fn bind_address(&self) -> &str {
        &self.bind_address
    }

    /// Its data directory, as a path from the root.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Hands the node's duties over before a stop: leadership to another voter, then its vote to another
    /// node, so that the cluster need not notice the loss first.
    ///
    /// Blocks, without a deadline, until libdqlite is done.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] before libdqlite 1.15.0. [`ErrorKind::Node`]: not everything could be
    /// handed over, as when there is no other node; the node may be stopped all the same.
    pub fn handover(&mut self) -> Result<()> {
        match &mut self.raw {
            Some(raw) => raw
                .handover()
                .map_err(|error| error.with_node(&self.address)),
            None => Ok(()),
        }
    }

    /// Stops the node: it closes its connections, and its data is on disk when this returns.
    ///
    /// Blocks until requests under way have ended, without a deadline; an attempt to reach another node can
    /// hold it up for 5 seconds per address of that node.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`]: called in a child of the process that started the node.
    /// [`ErrorKind::Node`]: libdqlite could not stop it; its memory is then left behind.
    pub fn stop(mut self) -> Result<()> {
        match self.raw.take() {
            Some(raw) => raw.stop().map_err(|error| error.with_node(&self.address)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("bind_address", &self.bind_address)
            .field("directory", &self.directory.path())
            .finish_non_exhaustive()
    }
}

/// Makes a node id from `address` and the clock: two calls answer two ids.
///
/// # Errors
///
/// [`ErrorKind::Config`]: the address contains a NUL. [`ErrorKind::Node`]: libdqlite is missing.
pub fn generate_id(address: &str) -> Result<u64> {
    let address = CString::new(address).map_err(|error| {
        Error::new(ErrorKind::Config, "the node's address contains a NUL").with_source(error)
    })?;
    Ok(Library::open(None)?.generate_id(&address))
}

/// The version of libdqlite as it states it: major, minor, release.
///
/// Some releases state an older one: 1.11.1, the package of Debian 12, says 1.10.0, and 1.15 says 1.14.
///
/// # Errors
///
/// [`ErrorKind::Node`]: libdqlite is missing.
pub fn library_version() -> Result<(u32, u32, u32)> {
    Ok(Library::open(None)?.version())
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Node>();
};
