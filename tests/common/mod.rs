//! What integration tests, benchmarks and the demonstration share: real nodes as processes, a proxy that
//! breaks connections in every way, a server that plays a script, a stand-in for a Picodata cluster, and a client
//! that owes the library nothing.
// Each of the programs that include this module uses a part of it, and none exports it.
#![allow(dead_code, unreachable_pub)]

pub mod acceptor;
pub mod basic;
pub mod cluster;
pub mod database;
pub mod fake;
pub mod fake_postgres;
pub mod latency;
pub mod passing;
pub mod pg_raw;
pub mod pico_on_postgres;
pub mod pico_servers;
pub mod picodata;
pub mod postgres;
pub mod proxy;
pub mod raw;
pub mod scripted;
pub mod shell;
pub mod tap;

pub use basic::*;
