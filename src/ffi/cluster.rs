//! Clusters
//!
//! Administration of a dqlite cluster: its leader, its nodes, their roles, copies of its databases. Each call
//! finds the leader, as a pool does, and uses a connection of its own. A change that the cluster refused
//! because the node that was asked does not lead is repeated on the leader; one whose outcome is unknown is
//! not. Any thread may use a client.

use std::ffi::c_char;

use super::boundary::{Out, answer, boundary, free};
use super::buffer::quorate_buffer;
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::config::quorate_config;
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::nodes::{quorate_nodes, role_of};
use super::status::{Answer, Failure, quorate_status};
use super::view::{Text, text};
use crate::dqlite::{ClusterClient, DatabaseFile};

/// A client that administers a cluster.
pub struct quorate_cluster {
    client: ClusterClient,
}

impl quorate_cluster {
    /// The client, for a call within bounds.
    ///
    /// # Safety
    ///
    /// As for [`bounds`].
    unsafe fn within(
        &self,
        timeout_ms: i64,
        cancel: *const quorate_cancel,
    ) -> Answer<ClusterClient> {
        // SAFETY: the caller's.
        let bounds = unsafe { bounds(timeout_ms, cancel) }?;
        let mut client = self.client.clone();
        if let Some(deadline) = bounds.deadline {
            client = client.within(deadline);
        }
        if let Some(cancel) = bounds.cancel {
            client = client.cancel_with(cancel);
        }
        Ok(client)
    }
}

/// Makes a client from a configuration, which is copied. Nothing is dialled yet. `QUORATE_STATUS_UNSUPPORTED`: the
/// configuration is one of Picodata's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_new(
    config: *const quorate_config,
    out_cluster: *mut *mut quorate_cluster,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_cluster, "out_cluster"), || {
            let client = ClusterClient::with_config(borrow(config, "config")?.copy())?;
            Ok(give(quorate_cluster { client }))
        })
    }
}

/// Gives the address of the leader. `cancel` may be NULL. `QUORATE_STATUS_NO_LEADER`: the error has what each
/// node answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_leader(
    cluster: *const quorate_cluster,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_address: *mut *mut quorate_buffer,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_address, "out_address"), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(give(quorate_buffer::of(client.leader()?.into_bytes())))
        })
    }
}

/// Gives the nodes of the cluster, as the leader lists them. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_nodes(
    cluster: *const quorate_cluster,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_nodes: *mut *mut quorate_nodes,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_nodes, "out_nodes"), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(give(quorate_nodes::of(client.nodes()?)))
        })
    }
}

/// Adds a node, as a spare: it holds no data until it is given another role. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_add(
    cluster: *const quorate_cluster,
    id: u64,
    address: *const c_char,
    address_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(client.add(id, text(address, address_len, "address")?)?)
        })
    }
}

/// Gives a node a role, a `quorate_node_role`. Making a node a voter waits until it has caught up. `cancel` may
/// be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_assign(
    cluster: *const quorate_cluster,
    id: u64,
    role: i32,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(client.assign(id, role_of(role)?)?)
        })
    }
}

/// Removes a node. The node itself is not told; it should be stopped. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_remove(
    cluster: *const quorate_cluster,
    id: u64,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(client.remove(id)?)
        })
    }
}

/// Passes the leadership to the voter `id`, or to any voter if it is 0. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_transfer(
    cluster: *const quorate_cluster,
    id: u64,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(client.transfer(id)?)
        })
    }
}

/// Asks the node at `address` for the number of its failure domain and for its weight when roles are given.
/// `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_describe(
    cluster: *const quorate_cluster,
    address: *const c_char,
    address_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_failure_domain: *mut u64,
    out_weight: *mut u64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    let outputs = (
        Out(out_failure_domain, "out_failure_domain"),
        Out(out_weight, "out_weight"),
    );
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, outputs, || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            let said = client.describe(text(address, address_len, "address")?)?;
            Ok((said.failure_domain, said.weight))
        })
    }
}

/// Sets the weight of the node at `address`; lower ones are preferred when roles are given. `cancel` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_set_weight(
    cluster: *const quorate_cluster,
    address: *const c_char,
    address_len: usize,
    weight: u64,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            Ok(client.set_weight(text(address, address_len, "address")?, weight)?)
        })
    }
}

/// The files of a database, as one node has them: the database and its write-ahead log.
pub struct quorate_dump {
    files: Vec<(Text, Vec<u8>)>,
}

impl From<Vec<DatabaseFile>> for quorate_dump {
    fn from(files: Vec<DatabaseFile>) -> Self {
        let files = files
            .into_iter()
            .map(|file| (Text::new(&file.name), file.data));
        quorate_dump {
            files: files.collect(),
        }
    }
}

/// Copies the database `name` into memory, as the leader has it. `cancel` may be NULL. The dump has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_dump(
    cluster: *const quorate_cluster,
    name: *const c_char,
    name_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_dump: *mut *mut quorate_dump,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_dump, "out_dump"), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            let files = client.dump(text(name, name_len, "name")?)?;
            Ok(give(quorate_dump::from(files)))
        })
    }
}

/// Copies the database `name` into memory, as the node at `address` has it, whether it leads or not: a node that lags
/// behind has an older state. `cancel` may be NULL. The dump has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_dump_from(
    cluster: *const quorate_cluster,
    address: *const c_char,
    address_len: usize,
    name: *const c_char,
    name_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_dump: *mut *mut quorate_dump,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_dump, "out_dump"), || {
            let client = borrow(cluster, "cluster")?.within(timeout_ms, cancel)?;
            let address = text(address, address_len, "address")?;
            let files = client.dump_from(address, text(name, name_len, "name")?)?;
            Ok(give(quorate_dump::from(files)))
        })
    }
}

/// How many files there are. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_dump_len(dump: *const quorate_dump) -> usize {
    // SAFETY: the header's rules.
    answer(0, || unsafe { dump.as_ref() }.map(|dump| dump.files.len()))
}

/// Gives the file `index`, counted from 0: its name, which ends with a NUL, and its content. Both are valid as
/// long as the dump. `QUORATE_STATUS_MISUSE`: there is no such file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_dump_get(
    dump: *const quorate_dump,
    index: usize,
    out_name: *mut *const c_char,
    out_name_len: *mut usize,
    out_data: *mut *const c_char,
    out_data_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    let outputs = (
        Out(out_name, "out_name"),
        Out(out_name_len, "out_name_len"),
        Out(out_data, "out_data"),
        Out(out_data_len, "out_data_len"),
    );
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, outputs, || {
            let files = &borrow(dump, "dump")?.files;
            let (name, data) = files.get(index).ok_or_else(|| {
                Failure::misuse(format!(
                    "there is no file {index}: there are {}",
                    files.len()
                ))
            })?;
            let mut len = 0;
            let name = name.give(&raw mut len);
            Ok((name, len, data.as_ptr().cast(), data.len()))
        })
    }
}

/// Frees a dump. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_dump_free(dump: *mut quorate_dump) {
    // SAFETY: the header's rules.
    unsafe { free(dump) }
}

/// Frees a client. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cluster_free(cluster: *mut quorate_cluster) {
    // SAFETY: the header's rules.
    unsafe { free(cluster) }
}
