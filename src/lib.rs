//! A blocking database driver for Picodata and dqlite.

pub mod dqlite;
pub mod error;
mod row;
#[allow(
    dead_code,
    unused_imports,
    reason = "the connections of both backends call it, and they are not in the tree yet"
)]
mod sql;
pub mod value;
