//! Lists of nodes
//!
//! The nodes of a cluster, as its leader or a store describes them. One thread at a time changes a list.

use std::ffi::c_char;

use super::boundary::{Out, answer, boundary, free};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::{Answer, Failure, quorate_status};
use super::view::{Text, text};
use crate::dqlite::store::{NodeInfo, NodeRole};
use crate::lock::Mutex;

/// What a node does in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum quorate_node_role {
    /// Replicates the data and takes part in elections: only a voter can be the leader.
    #[default]
    Voter = 0,
    /// Replicates the data without a vote.
    StandBy = 1,
    /// Neither replicates nor votes.
    Spare = 2,
}

impl From<NodeRole> for quorate_node_role {
    fn from(role: NodeRole) -> Self {
        match role {
            NodeRole::Voter => quorate_node_role::Voter,
            NodeRole::StandBy => quorate_node_role::StandBy,
            NodeRole::Spare => quorate_node_role::Spare,
        }
    }
}

pub(super) fn role_of(role: i32) -> Answer<NodeRole> {
    match role {
        0 => Ok(NodeRole::Voter),
        1 => Ok(NodeRole::StandBy),
        2 => Ok(NodeRole::Spare),
        _ => Err(Failure::misuse(format!("{role} is no quorate_node_role"))),
    }
}

/// A list of nodes.
pub struct quorate_nodes {
    nodes: Mutex<Vec<(NodeInfo, Text)>>,
}

impl quorate_nodes {
    pub(super) fn of(nodes: Vec<NodeInfo>) -> Self {
        let nodes = nodes.into_iter().map(|node| {
            let address = Text::new(&node.address);
            (node, address)
        });
        quorate_nodes {
            nodes: Mutex::new(nodes.collect()),
        }
    }

    pub(super) fn list(&self) -> Vec<NodeInfo> {
        self.nodes
            .lock()
            .iter()
            .map(|(node, _)| node.clone())
            .collect()
    }
}

/// Makes an empty list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_nodes_new(
    out_nodes: *mut *mut quorate_nodes,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_nodes, "out_nodes"), || {
            Ok(give(quorate_nodes::of(Vec::new())))
        })
    }
}

/// Puts a node at the end: its raft id, 0 where it is not known; its address, `host:port` or `@name`; its
/// `quorate_node_role`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_nodes_add(
    nodes: *const quorate_nodes,
    id: u64,
    address: *const c_char,
    address_len: usize,
    role: i32,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let nodes = borrow(nodes, "nodes")?;
            let address = text(address, address_len, "address")?;
            let node = NodeInfo {
                id,
                address: address.to_owned(),
                role: role_of(role)?,
            };
            nodes.nodes.lock().push((node, Text::new(address)));
            Ok(())
        })
    }
}

/// How many nodes there are. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_nodes_len(nodes: *const quorate_nodes) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { nodes.as_ref() }.map(|nodes| nodes.nodes.lock().len())
    })
}

/// Gives the node `index`, counted from 0. The address ends with a NUL and is valid until the list is freed.
/// `QUORATE_STATUS_MISUSE`: there is no such node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_nodes_get(
    nodes: *const quorate_nodes,
    index: usize,
    out_id: *mut u64,
    out_address: *mut *const c_char,
    out_address_len: *mut usize,
    out_role: *mut quorate_node_role,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    let outputs = (
        Out(out_id, "out_id"),
        Out(out_address, "out_address"),
        Out(out_address_len, "out_address_len"),
        Out(out_role, "out_role"),
    );
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, outputs, || {
            let nodes = borrow(nodes, "nodes")?.nodes.lock();
            let (node, address) = nodes.get(index).ok_or_else(|| {
                Failure::misuse(format!(
                    "there is no node {index}: there are {}",
                    nodes.len()
                ))
            })?;
            let mut len = 0;
            let pointer = address.give(&raw mut len);
            Ok((node.id, pointer, len, node.role.into()))
        })
    }
}

/// Frees a list. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_nodes_free(nodes: *mut quorate_nodes) {
    // SAFETY: the header's rules.
    unsafe { free(nodes) }
}
