//! A blocking database driver for Picodata and dqlite.

mod backend;
mod batch;
mod cancel;
mod config;
mod connection;
mod convert;
mod deadline;
pub mod dqlite;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod net;
mod params;
#[allow(
    dead_code,
    reason = "the pool does not choose between the two databases yet"
)]
mod picodata;
mod pool;
mod row;
mod rows;
#[allow(
    dead_code,
    unused_imports,
    reason = "the PostgreSQL dialect and the placeholders wait for their backend"
)]
mod sql;
mod statement;
mod statement_cache;
mod time;
mod transaction;
mod value;

pub use backend::ExecResult;
pub use batch::{Batch, BatchResults, BatchRows};
pub use cancel::CancelHandle;
pub use config::{Config, Database};
pub use connection::Connection;
pub use convert::{FromRow, FromValue};
pub use deadline::Deadline;
pub use error::{Error, ErrorKind, NodeCause, Outcome, Result};
pub use net::dial::DialFn;
pub use net::tls::{TlsConfig, TlsMode};
pub use params::{Params, ParamsRef, ToValue};
pub use pool::Pool;
pub use pool::stats::Stats;
pub use row::{ColumnIndex, Columns, Row};
pub use rows::{OptionalRow, Rows, TypedRows};
pub use statement::Statement;
pub use transaction::{Savepoint, Transaction, TransactionMode};
pub use value::{Value, ValueRef};
