//! dqlite: replicated SQLite over its own wire protocol.

pub mod node;
