//! Picodata, a distributed SQL database, and PostgreSQL as the server that speaks the same protocol.
//!
//! The protocol is tokio-postgres's: a state machine that needs no runtime. What is written here is what it
//! leaves to its user.
//!
//! | part | what it does |
//! | --- | --- |
//! | `backend` | the endpoints of a pool: who they are, which one is next, and what keeps a wrong password from being sent again |
//! | `members` | the instances that are known, and what the pool has learned of each by itself |
//! | `discover` | reading the topology over a session |
//! | `config` | connection strings, the environment, passfile and service file |
//! | `discovery` | the queries that read the topology, and how their rows become a snapshot |
//! | `sharding` | which bucket a row lies in, and which instance has it |
//! | `options` | what a session is opened with |
//! | `connect` | from an address to a session: TLS, start-up, authentication; the request to cancel |
//! | `frames` | where each message begins and ends, in either direction; no I/O |
//! | `line` | the socket, and what has passed over it; `startup`: what is looked after while a conversation begins |
//! | `pipe` | what tokio-postgres reads and writes: two queues in memory |
//! | `drive` | polling tokio-postgres on the caller's thread, and waiting for the socket between |
//! | `portal` | the run of a prepared statement, and of a text in a batch, without tokio-postgres; `message`: what is sent for it |
//! | `session` | the conversation; `answer`: the rows of a statement; `batch`: many statements at once |
//! | `preparing` | having a text prepared, and forgetting one that is out of date |
//! | `statements` | what is known of a text, and what the server said when it prepared it |
//! | `description` | the columns of a text that was not prepared; `types`: those that the server has defined itself |
//! | `encode`, `decode`, `numeric`, `array` | parameters and columns in PostgreSQL's binary forms |
//! | `failure` | from the errors of tokio-postgres and of the server to ours; `server_error`: the latter, field by field |

mod access;
mod answer;
mod array;
mod backend;
mod batch;
pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod decode;
mod description;
mod discover;
pub(crate) mod discovery;
mod drive;
mod encode;
pub(crate) mod encryption;
mod failure;
pub(crate) mod frames;
pub(crate) mod json;
mod line;
mod members;
mod message;
pub(crate) mod numeric;
pub(crate) mod options;
mod pipe;
mod portal;
mod preparing;
mod server_error;
mod session;
pub(crate) mod sharding;
mod startup;
mod statements;
mod types;

use crate::backend::Backend;
use crate::config::Config;
use crate::error::Result;

pub(crate) fn backend(config: &Config) -> Result<Box<dyn Backend>> {
    Ok(Box::new(backend::PicodataBackend::new(config)?))
}

#[cfg(test)]
mod tests;
