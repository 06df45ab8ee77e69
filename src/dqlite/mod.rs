//! The dqlite backend.

pub mod store;
