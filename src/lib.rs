//! A blocking database driver for Picodata and dqlite.

pub mod dqlite;
pub mod error;
mod row;
pub mod value;
