//! Picodata: a distributed SQL database, spoken to over PostgreSQL's protocol.
//!
//! | part | what it does |
//! | --- | --- |
//! | `config` | connection strings, the environment, passfile and service file |
//! | `discovery` | the queries that read the topology, and how their rows become a snapshot |
//! | `sharding` | which bucket a row lies in, and which instance has it |

pub(crate) mod config;
mod discovery;
mod json;
mod sharding;
