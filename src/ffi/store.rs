//! Node stores
//!
//! Where a client keeps the addresses of a dqlite cluster between runs: in memory, in a file that go-dqlite's
//! programs share, or wherever the caller's own functions keep them. A store is given to a configuration
//! (`quorate_config_set_store`). Any thread may use one.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::boundary::{Out, boundary, free};
use super::callback::{UserData, quorate_destroy_fn};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::nodes::quorate_nodes;
use super::status::{Failure, quorate_status};
use super::view::text;
use crate::dqlite::store::{self, MemoryNodeStore, NodeInfo, NodeStore};
use crate::error::{Error, ErrorKind, Result};

/// A place that keeps the list of a cluster's nodes.
pub struct quorate_store {
    store: Arc<dyn NodeStore>,
}

impl quorate_store {
    pub(super) fn share(&self) -> Arc<dyn NodeStore> {
        Arc::clone(&self.store)
    }
}

/// Puts the nodes that are stored into `nodes`, which is empty, with `quorate_nodes_add`; none where nothing
/// has been stored. Answers 0, or a number of the caller's own for a failure, which the error then names.
///
/// Called on the thread that looks for the leader, by several at once; it must not use the pool.
pub type quorate_store_get_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, nodes: *mut quorate_nodes) -> i32>;

/// Stores `nodes`, which are valid during the call, in place of what was stored. Answers as
/// `quorate_store_get_fn` does, and is called on the pool's own thread.
pub type quorate_store_set_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, nodes: *const quorate_nodes) -> i32>;

/// Makes a store in memory that begins with `nodes`, which are copied and may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_new(
    nodes: *const quorate_nodes,
    out_store: *mut *mut quorate_store,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_store, "out_store"), || {
            let nodes = nodes.as_ref().map(quorate_nodes::list).unwrap_or_default();
            Ok(give(quorate_store {
                store: Arc::new(MemoryNodeStore::new(nodes)),
            }))
        })
    }
}

/// Opens the store in the file at `path`: YAML if the name ends in `.yaml` or `.yml`, and an SQLite database
/// otherwise, which is made if it is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_open(
    path: *const c_char,
    path_len: usize,
    out_store: *mut *mut quorate_store,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_store, "out_store"), || {
            let store = <dyn NodeStore>::open(text(path, path_len, "path")?)?;
            Ok(give(quorate_store {
                store: store.into(),
            }))
        })
    }
}

/// Makes a store of the caller's functions. `user_data` and `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_new_callbacks(
    get: quorate_store_get_fn,
    set: quorate_store_set_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_store: *mut *mut quorate_store,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_store, "out_store"), || {
            let get = get.ok_or_else(|| Failure::null("get"))?;
            let set = set.ok_or_else(|| Failure::null("set"))?;
            Ok(give(quorate_store {
                store: Arc::new(Callbacks { get, set, user }),
            }))
        })
    }
}

/// Reads the nodes of a store. The list has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_get(
    store: *const quorate_store,
    out_nodes: *mut *mut quorate_nodes,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_nodes, "out_nodes"), || {
            Ok(give(quorate_nodes::of(
                borrow(store, "store")?.store.get()?,
            )))
        })
    }
}

/// Replaces the nodes of a store. `QUORATE_STATUS_MISUSE`: the list is empty, or an address is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_set(
    store: *const quorate_store,
    nodes: *const quorate_nodes,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let store = borrow(store, "store")?;
            Ok(store.store.set(&borrow(nodes, "nodes")?.list())?)
        })
    }
}

/// Makes another handle on the same store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_clone(
    store: *const quorate_store,
    out_store: *mut *mut quorate_store,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_store, "out_store"), || {
            let store = borrow(store, "store")?.share();
            Ok(give(quorate_store { store }))
        })
    }
}

/// Frees a handle. Pools that were given the store keep it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_store_free(store: *mut quorate_store) {
    // SAFETY: the header's rules.
    unsafe { free(store) }
}

struct Callbacks {
    get: unsafe extern "C" fn(*mut c_void, *mut quorate_nodes) -> i32,
    set: unsafe extern "C" fn(*mut c_void, *const quorate_nodes) -> i32,
    user: UserData,
}

impl NodeStore for Callbacks {
    fn get(&self) -> Result<Vec<NodeInfo>> {
        let mut nodes = quorate_nodes::of(Vec::new());
        // SAFETY: the header's rules for the function; the list is there during the call.
        let answer = unsafe { (self.get)(self.user.pointer(), &raw mut nodes) };
        checked(answer, "get")?;
        Ok(nodes.list())
    }

    fn set(&self, nodes: &[NodeInfo]) -> Result<()> {
        let nodes = quorate_nodes::of(store::checked(nodes)?);
        // SAFETY: the header's rules for the function; the list is there during the call.
        let answer = unsafe { (self.set)(self.user.pointer(), &raw const nodes) };
        checked(answer, "set")
    }
}

fn checked(answer: i32, name: &str) -> Result<()> {
    if answer == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Store,
        format!("the store's {name} function answered {answer}"),
    ))
}
