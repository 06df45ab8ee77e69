//! A blocking database driver for Picodata and dqlite.

pub mod error;
pub mod net;
mod row;
pub mod value;
