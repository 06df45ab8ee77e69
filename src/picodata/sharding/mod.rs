//! Which bucket a row lies in, and which instance has it.
//!
//! A table is sharded by some of its columns, its distribution key. The bucket of a row is
//!
//! ```text
//! murmur3_32(seed 13, the key's values one after the other as MessagePack) mod bucket_count + 1
//! ```
//!
//! and each replicaset has ranges of buckets. A statement that is sent to the master of its bucket needs no hop
//! inside the cluster. A wrong bucket, or an old map of them, costs that hop and nothing else: every instance
//! runs every statement. So what cannot be computed is left to the balancer.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `murmur` | the hash |
//! | `encode` | the values as the server hashes them |
//! | `key` | the distribution key of a table, and of a statement that the server has described |
//! | `map` | which replicaset has a bucket |
//! | `table` | the key of a table, with all that its buckets are computed from |
//! | `statements` | the keys of statements, as the sessions of a pool learn them |
//! | `router` | what a pool has read of all this, and the way from a call to an instance |
//!
//! Source: Picodata's decision record of 2025-09-12 on query metadata; picopyn 3.2; what a 25.5.7 server
//! answered (`tests/data/picodata-bucket-vectors.csv`).

mod encode;
mod key;
mod map;
mod murmur;
mod router;
mod statements;
mod table;

pub(crate) use encode::{DecimalForm, DoubleForm, Hashing};
pub(crate) use key::{Distribution, HashKey, StatementKey};
pub(crate) use map::BucketMap;
pub(crate) use router::Sharding;
pub(crate) use statements::StatementKeys;
pub(crate) use table::TableKey;
