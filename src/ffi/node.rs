//! Nodes
//!
//! A dqlite server inside of this process: libdqlite's node, opened at run time (`libdqlite.so.0`, or the file
//! that the environment variable `QUORATE_LIBDQLITE` or the option `library` names), so a program that is only
//! a client needs none. A node is described (`quorate_node_config`) and then started. Its threads run with all
//! signals blocked, faults excepted. Any thread may use a node.

use std::ffi::c_char;
use std::ptr::null;
use std::time::Duration;

use super::boundary::{Out, answer, boundary, free};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::{Answer, Failure, quorate_status};
use super::view::{Text, put, text};
use crate::config::parse_duration;
use crate::dqlite::node::{Node, NodeBuilder, generate_id, library_version};
use crate::error::{Error, ErrorKind};
use crate::lock::Mutex;

/// A node that is described but not started. Any thread may use it.
pub struct quorate_node_config {
    builder: Mutex<NodeBuilder>,
}

/// A running node.
pub struct quorate_node {
    /// `None` once it was stopped.
    node: Mutex<Option<Node>>,
    id: u64,
    address: Text,
    bind_address: Text,
}

/// Describes the node `id`, which others reach at `address` (`host:port`, or `@name` for an abstract Unix
/// socket inside of this process) and which keeps its data in `directory`, made where it is missing.
///
/// A node has to be given the same id, and a directory its own node, at every start. The id 1 begins a
/// cluster; `quorate_node_generate_id` makes one for a node that joins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_config_new(
    id: u64,
    address: *const c_char,
    address_len: usize,
    directory: *const c_char,
    directory_len: usize,
    out_config: *mut *mut quorate_node_config,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_config, "out_config"), || {
            let address = text(address, address_len, "address")?;
            let directory = text(directory, directory_len, "directory")?;
            let builder = Mutex::new(Node::builder(id, address, directory));
            Ok(give(quorate_node_config { builder }))
        })
    }
}

/// Sets an option by its name. Durations are written as `500ms` or, as a number alone, in seconds; truth
/// values as `true` and `false`. An option that only newer versions of libdqlite know makes the start answer
/// `QUORATE_STATUS_UNSUPPORTED` where the library is older.
///
/// - `bind_address`: where the node listens, if not at its address
/// - `failure_domain`: the number of the failure domain that it reports of itself
/// - `network_latency`: the average one-way latency to the other nodes, 1ms to 1h
/// - `snapshot_params`: the log entries between two snapshots and those kept after one, as `1024,8192`
/// - `dynamic_trailing`: keep fewer entries where they take more room than the snapshot (libdqlite 1.18.2)
/// - `block_size`: the size in bytes of a block of the log (1.15.0)
/// - `role_management`: let the leader give and take roles (1.15.0)
/// - `target_voters`, `target_standbys`: the numbers that role management aims at (1.15.0)
/// - `auto_recovery`: whether damaged files may be removed at the start (1.16.0)
/// - `snapshot_compression`: whether snapshots are compressed (1.16.2)
/// - `pool_threads`: the number of threads for SQLite's work on disk (1.16.5)
/// - `busy_timeout`: how long a write waits for another's transaction (1.18.2)
/// - `library`: the file of libdqlite
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_config_set(
    config: *const quorate_node_config,
    option: *const c_char,
    option_len: usize,
    value: *const c_char,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let config = borrow(config, "config")?;
            let option = text(option, option_len, "option")?;
            let value = text(value, value_len, "value")?;
            let mut builder = config.builder.lock();
            *builder = set(builder.clone(), option, value)?;
            Ok(())
        })
    }
}

fn set(builder: NodeBuilder, option: &str, value: &str) -> Answer<NodeBuilder> {
    let bad = |wanted: &str| {
        Failure::from(Error::new(
            ErrorKind::Config,
            format!("the option {option} is {value:?}, which is not {wanted}"),
        ))
    };
    let duration = || -> Answer<Duration> {
        parse_duration(value).ok_or_else(|| bad("a duration such as 500ms"))
    };
    let truth = || -> Answer<bool> { value.parse().map_err(|_| bad("true or false")) };
    let number = || -> Answer<u32> { value.parse().map_err(|_| bad("a number")) };
    Ok(match option {
        "bind_address" => builder.bind_address(value),
        "failure_domain" => builder.failure_domain(value.parse().map_err(|_| bad("a number"))?),
        "network_latency" => builder.network_latency(duration()?),
        "snapshot_params" => {
            let (threshold, trailing) = value
                .split_once(',')
                .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)))
                .ok_or_else(|| bad("two numbers such as 1024,8192"))?;
            builder.snapshot_params(threshold, trailing)
        }
        "dynamic_trailing" => builder.dynamic_trailing(truth()?),
        "block_size" => builder.block_size(value.parse().map_err(|_| bad("a number"))?),
        "role_management" => builder.role_management(truth()?),
        "target_voters" => builder.target_voters(number()?),
        "target_standbys" => builder.target_standbys(number()?),
        "auto_recovery" => builder.auto_recovery(truth()?),
        "snapshot_compression" => builder.snapshot_compression(truth()?),
        "pool_threads" => builder.pool_threads(number()?),
        "busy_timeout" => builder.busy_timeout(duration()?),
        "library" => builder.library(value),
        _ => {
            return Err(Failure::from(Error::new(
                ErrorKind::Config,
                format!("there is no option {option:?} of a node"),
            )));
        }
    })
}

/// Frees a description; nodes that were started from it go on. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_config_free(config: *mut quorate_node_config) {
    // SAFETY: the header's rules.
    unsafe { free(config) }
}

/// Starts a node. Blocks until it accepts connections, which includes the reading of its log, without a
/// timeout; starts in one process wait for each other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_start(
    config: *const quorate_node_config,
    out_node: *mut *mut quorate_node,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_node, "out_node"), || {
            let builder = borrow(config, "config")?.builder.lock().clone();
            let node = builder.start()?;
            Ok(give(quorate_node {
                id: node.id(),
                address: Text::new(node.address()),
                bind_address: Text::new(node.bind_address()),
                node: Mutex::new(Some(node)),
            }))
        })
    }
}

/// The id of a node. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_id(node: *const quorate_node) -> u64 {
    // SAFETY: the header's rules.
    answer(0, || unsafe { node.as_ref() }.map(|node| node.id))
}

/// The address that clients and other nodes reach a node by, with a NUL behind it, valid as long as the node.
/// `out_len` may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_address(
    node: *const quorate_node,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            put(out_len, 0);
            Some(node.as_ref()?.address.give(out_len))
        }
    })
}

/// The address that a node listens on, host names resolved, with a NUL behind it, valid as long as the node.
/// `out_len` may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_bind_address(
    node: *const quorate_node,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            put(out_len, 0);
            Some(node.as_ref()?.bind_address.give(out_len))
        }
    })
}

/// Hands a node's duties over before a stop: leadership to another voter, then its vote to another node.
/// Blocks without a timeout. `QUORATE_STATUS_UNSUPPORTED` before libdqlite 1.15.0; `QUORATE_STATUS_NODE`: not
/// everything could be handed over; the node may be stopped all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_handover(
    node: *const quorate_node,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut node = borrow(node, "node")?.node.try_lock().ok_or_else(busy)?;
            match &mut *node {
                Some(node) => Ok(node.handover()?),
                None => Err(Error::new(ErrorKind::Closed, "the node was stopped").into()),
            }
        })
    }
}

/// Stops a node: it closes its connections, and its data is on disk when this returns. Blocks until requests
/// under way have ended, without a timeout. Stopping a second time does nothing. The handle has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_stop(
    node: *const quorate_node,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut node = borrow(node, "node")?.node.try_lock().ok_or_else(busy)?;
            match node.take() {
                Some(node) => Ok(node.stop()?),
                None => Ok(()),
            }
        })
    }
}

fn busy() -> Failure {
    Failure::misuse("another thread is stopping the node or handing it over")
}

/// Frees a node, and stops it if it runs. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_free(node: *mut quorate_node) {
    // SAFETY: the header's rules.
    unsafe { free(node) }
}

/// Makes a node id from an address and the clock: two calls answer two ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_generate_id(
    address: *const c_char,
    address_len: usize,
    out_id: *mut u64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_id, "out_id"), || {
            Ok(generate_id(text(address, address_len, "address")?)?)
        })
    }
}

/// The version of libdqlite as it states it: major × 1,000,000 + minor × 1,000 + release. Some releases state
/// an older one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_node_library_version(
    out_version: *mut u32,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_version, "out_version"), || {
            let (major, minor, release) = library_version()?;
            Ok(major * 1_000_000 + minor * 1_000 + release)
        })
    }
}
