//! dqlite: SQLite replicated by raft, spoken to over its own binary protocol.

pub mod store;
pub(crate) mod wire;
