//! dqlite: SQLite replicated by raft, spoken to over its own binary protocol.

#[allow(dead_code, reason = "the session that speaks this protocol comes next")]
pub(crate) mod wire;
