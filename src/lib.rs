//! A blocking database driver for Picodata and dqlite.

mod dqlite;
pub mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod row;
pub mod value;
