//! dqlite: SQLite replicated by raft, spoken to over its own binary protocol.

mod backend;
pub(crate) mod channel;
mod cluster;
mod failure;
mod lookup;
pub mod node;
mod parting;
mod probe;
mod reading;
pub(crate) mod session;
mod statements;
pub mod store;
#[allow(
    dead_code,
    reason = "the protocol is written down whole; a client sends and names less of it"
)]
pub(crate) mod wire;

use crate::backend::Backend;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

pub use cluster::{ClusterClient, DatabaseFile, NodeMetadata};

pub(crate) fn backend(config: &Config) -> Result<Box<dyn Backend>> {
    Ok(Box::new(backend::DqliteBackend::new(config)?))
}

/// Checks the name of a database, which is a pure file name on the server.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fault = if name.is_empty() {
        "the connection string names no database; write dqlite://host:port/database".to_owned()
    } else if name.contains('\0') {
        "the name of the database has a NUL".to_owned()
    } else if name.contains('/') {
        format!("the database name {name:?} has a /; it is a pure file name, without a path")
    } else if name.contains(":memory:") || name.contains("mode=memory") {
        format!(
            "the database name {name:?} asks for a database in memory (mode=memory), \
             which is not replicated"
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Config, fault))
}
