//! A blocking database driver for dqlite, replicated SQLite, and for Picodata: one pool, one set of errors, one way to
//! bind and to read.
//!
//! ```no_run
//! use quorate::{Pool, TransactionMode};
//!
//! # fn main() -> quorate::Result<()> {
//! let pool = Pool::open("dqlite://10.0.0.1:9001,10.0.0.2:9001,10.0.0.3:9001/app")?;
//! pool.exec("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT)", ())?;
//! pool.transaction(TransactionMode::Immediate, |tx| {
//!     tx.exec("INSERT INTO item (name) VALUES (?)", ("brick",))?;
//!     tx.exec("INSERT INTO item (name) VALUES (?)", ("panel",))
//! })?;
//! let mut rows = pool.query("SELECT id, name FROM item WHERE id > :id", [(":id", 0)])?;
//! while let Some(row) = rows.next()? {
//!     println!("{} {}", row.get::<i64>("id")?, row.get::<&str>("name")?);
//! }
//! # Ok(()) }
//! ```
//!
//! - [`Pool`] is opened once, from a connection string ([`Config`] lists the options), and used from every
//!   thread. It finds the leader, follows it when it changes, and keeps its connections; with Picodata it spreads
//!   the calls over the instances.
//! - [`Pool::exec`], [`Pool::query`] and [`Pool::query_row`] run statements, [`Pool::transaction`] a transaction,
//!   [`Pool::send_batch`] many statements in one round trip; [`Pool::acquire`] takes out one [`Connection`].
//! - Every call blocks the calling thread, which does the network's work itself; asynchronous code makes it where
//!   blocking is allowed (tokio's `spawn_blocking`). Every call ends by its deadline ([`Pool::within`]), whatever the
//!   server does, and can be cancelled from another thread ([`CancelHandle`]).
//! - Every [`Error`] says what became of the statement ([`Outcome`]). The library repeats by itself only what
//!   cannot have been applied, so nothing is written twice.
//! - The same is there for C (`include/quorate.h`, docs/c.md), Go and Python (`bindings/`).
//! - [`dqlite`] holds what that database has beyond SQL: the stores of its nodes, the cluster's administration,
//!   and nodes of one's own.
//!
//! # Values
//!
//! Parameters are given as a tuple, an array, or with [`params!`] and [`named_params!`] ([`Params`]). A row is read as a
//! tuple, as the type of its one column, or as a type of the program's that implements [`FromRow`]; a column as any type
//! that implements [`FromValue`].
//!
//! | type | dqlite | PostgreSQL, Picodata |
//! | --- | --- | --- |
//! | `bool` | BOOLEAN | bool |
//! | `i8` … `i64`, `u8` … `u64`, `isize`, `usize` | INTEGER | int2, int4, int8, oid |
//! | `f32`, `f64` | REAL | float4, float8 |
//! | `&str`, `String`, `Box<str>`, `Arc<str>`, `Cow<str>` | TEXT | text, varchar, char, name, xml, time |
//! | `&[u8]`, `Vec<u8>`, `[u8; N]`, `Box<[u8]>`, … | BLOB | bytea |
//! | [`chrono::DateTime`] of `Utc` or `FixedOffset`, [`chrono::NaiveDateTime`] (in UTC), [`SystemTime`](std::time::SystemTime) | text; read from columns declared TIMESTAMP, DATETIME or DATE, and from text | timestamptz, timestamp |
//! | [`chrono::NaiveDate`] | the same | date |
//! | [`chrono::NaiveTime`] | text | time |
//! | [`uuid::Uuid`] | text; read from a blob of 16 bytes too | uuid |
//! | [`serde_json::Value`] | text | json, jsonb |
//! | `rust_decimal::Decimal` | text; a column declared DECIMAL or NUMERIC makes a float of it, one declared TEXT does not | numeric |
//! | `time::OffsetDateTime`, `PrimitiveDateTime`, `Date` | as chrono's | as chrono's |
//! | `Option<T>` | NULL, or as `T` | NULL, or as `T` |
//! | [`Value`], [`ValueRef`] | any | any |
//!
//! No conversion loses anything: a number that does not fit is an error, as is a NULL that is read as anything but an
//! `Option` or a [`Value`]. A column of another type of PostgreSQL's (an array, an interval) is cast to text in the
//! statement.
//!
//! # Features
//!
//! - `cli`, on by default: the program `quorate`. A program that depends on this crate turns it off
//!   (`default-features = false`).
//! - `sqlite-store`, on by default: the list of dqlite's nodes in an SQLite file. It compiles SQLite, of which a program
//!   can have one version alone; one that uses another rusqlite than this crate's (0.37) leaves it out.
//! - `rust_decimal`, `time`: the types of these crates as values.
//!
//! A pool, a cancel handle and a statement may be used by any thread at any time; a connection, and what borrows
//! it, by one thread at a time, as the borrow checker sees to. No global state is kept but one thread for all
//! pools, which ends with the last; no signal handler is installed, and no write raises SIGPIPE. After a fork the
//! child's calls fail with [`ErrorKind::Forked`]; it opens a pool of its own.

mod backend;
mod batch;
mod cancel;
mod clock;
mod config;
mod connection;
mod convert;
mod deadline;
pub mod dqlite;
mod error;
#[allow(
    unsafe_code,
    unreachable_pub,
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "the C ABI: pointers come in, C names go out, and the header says what callers owe"
)]
mod ffi;
mod foreign;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod lock;
mod logging;
mod net;
mod params;
mod picodata;
mod pool;
mod process;
mod row;
mod rows;
mod sharding;
mod sql;
mod statement;
mod statement_cache;
mod text;
mod time;
mod topology;
mod transaction;
mod value;

pub use backend::ExecResult;
pub use batch::{Batch, BatchResults, BatchRows};
pub use cancel::CancelHandle;
pub use config::{Config, Database};
pub use connection::Connection;
pub use convert::{FromRow, FromValue};
pub use deadline::Deadline;
pub use error::{Error, ErrorField, ErrorKind, NodeCause, Outcome, Result};
pub use logging::{Event, LogLevel};
pub use net::dial::DialFn;
pub use net::tls::{TlsConfig, TlsMode};
pub use params::{BoundValue, Params, ParamsRef, ToValue};
pub use pool::Pool;
pub use pool::stats::{EndpointStats, Stats};
pub use row::{ColumnIndex, Columns, Row};
pub use rows::{OptionalRow, Rows, TypedRows};
pub use sharding::ShardingKey;
pub use statement::Statement;
pub use topology::{
    BalanceStrategy, Candidate, Instance, InstanceState, LeastBusy, LowestLatency, RandomChoice,
    RoundRobin,
};
pub use transaction::{Savepoint, Transaction, TransactionMode};
pub use value::{Value, ValueRef, ValueType};
