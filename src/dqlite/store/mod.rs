//! Node stores: where a client keeps the addresses of a dqlite cluster between runs.
//!
//! A client that looks for the leader asks its store for candidates, and writes back what the leader says
//! about the cluster. Three stores are here: [`MemoryNodeStore`], [`YamlNodeStore`] and, with the feature
//! `sqlite-store`, `SqliteNodeStore`. The last two read and write the files of go-dqlite, so programs in both languages
//! can share one.

mod memory;
#[cfg(feature = "sqlite-store")]
mod sqlite;
pub(crate) mod yaml;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};

pub use memory::MemoryNodeStore;
#[cfg(feature = "sqlite-store")]
pub use sqlite::{SqliteNodeStore, SqliteNodeStoreBuilder};
pub use yaml::YamlNodeStore;

/// What a node does in its cluster. The order is the order in which a lookup should ask.
///
/// The numbers are those of dqlite's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u64)]
pub enum NodeRole {
    /// Replicates the data and takes part in elections: only a voter can be the leader. It is also what a
    /// store reports where it does not know the role, so that the node is asked.
    #[default]
    Voter = 0,
    /// Replicates the data without a vote.
    StandBy = 1,
    /// Neither replicates nor votes.
    Spare = 2,
}

impl NodeRole {
    /// The role in lower-case words.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeRole::Voter => "voter",
            NodeRole::StandBy => "stand-by",
            NodeRole::Spare => "spare",
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<NodeRole> for u64 {
    fn from(role: NodeRole) -> u64 {
        role as u64
    }
}

impl TryFrom<u64> for NodeRole {
    type Error = Error;

    /// Fails with [`ErrorKind::Conversion`] for a number that stands for no role.
    fn try_from(number: u64) -> Result<Self> {
        match number {
            0 => Ok(NodeRole::Voter),
            1 => Ok(NodeRole::StandBy),
            2 => Ok(NodeRole::Spare),
            _ => Err(Error::new(ErrorKind::Conversion, unknown_role(number))),
        }
    }
}

fn unknown_role(number: impl fmt::Display) -> String {
    format!("role {number} is unknown; the roles are 0 (voter), 1 (stand-by) and 2 (spare)")
}

/// A node of a cluster, as its leader or a store describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeInfo {
    /// The raft id; 0 where it is not known.
    pub id: u64,
    /// Where the node listens: `host:port`, or `@name` for an abstract Unix socket.
    pub address: String,
    /// What the node does.
    pub role: NodeRole,
}

/// Keeps the list of a cluster's nodes.
///
/// **Blocking**: both calls may read or write a file and wait for another program's lock on it, for a
/// bounded time; neither uses the network.
///
/// **Threads**: one store may be used by any number of threads at once.
///
/// **Atomicity**: [`get`](NodeStore::get) answers a list that was set as a whole, the old one or the new
/// one, never a part of either, also where another process writes and also where it is killed meanwhile. Of
/// two writers the last one wins.
///
/// **Lists**: the order is kept, unless a store says otherwise. Of several nodes with one address the first
/// is kept and the others are dropped, in both directions.
pub trait NodeStore: Send + Sync {
    /// Reads the nodes. The list is empty where nothing has been stored yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store cannot be read, or holds what is no list of nodes.
    fn get(&self) -> Result<Vec<NodeInfo>>;

    /// Replaces the nodes by `nodes`. A store that already answers this list is not written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if the list is empty, or an address is: no leader reports an empty cluster, and
    /// a store without nodes would leave every client of it without a way back. [`ErrorKind::Store`] if the
    /// store cannot be written; it then holds what it held before.
    fn set(&self, nodes: &[NodeInfo]) -> Result<()>;

    /// As [`get`](NodeStore::get), for a call that ends at `deadline`. A store that may have to wait waits no
    /// longer; the others need not have this method.
    ///
    /// # Errors
    ///
    /// As [`get`](NodeStore::get); the deadline passed.
    fn get_within(&self, _deadline: Deadline) -> Result<Vec<NodeInfo>> {
        self.get()
    }

    /// As [`set`](NodeStore::set), for a call that ends at `deadline`.
    ///
    /// # Errors
    ///
    /// As [`set`](NodeStore::set); the deadline passed.
    fn set_within(&self, nodes: &[NodeInfo], _deadline: Deadline) -> Result<()> {
        self.set(nodes)
    }
}

impl dyn NodeStore {
    /// Opens the store in the file at `path`: a [`YamlNodeStore`] if the name ends in `.yaml` or `.yml`, and
    /// a `SqliteNodeStore` otherwise, whose file and table are created if they are missing.
    ///
    /// go-dqlite chooses by `.yaml` alone: it takes a name in `.yml` for an SQLite database.
    ///
    /// # Errors
    ///
    /// Those of [`YamlNodeStore::open`] and of `SqliteNodeStore::open`. [`ErrorKind::Unsupported`]: the file is one for
    /// SQLite, and the feature `sqlite-store` is off.
    pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn NodeStore>> {
        let path = path.as_ref();
        let name = path.as_os_str().as_encoded_bytes();
        if name.ends_with(b".yaml") || name.ends_with(b".yml") {
            Ok(Box::new(YamlNodeStore::open(path)?))
        } else {
            open_sqlite(path)
        }
    }
}

#[cfg(feature = "sqlite-store")]
fn open_sqlite(path: &Path) -> Result<Box<dyn NodeStore>> {
    Ok(Box::new(SqliteNodeStore::open(path)?))
}

#[cfg(not(feature = "sqlite-store"))]
fn open_sqlite(path: &Path) -> Result<Box<dyn NodeStore>> {
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "the node store {} is an SQLite file, which this build of the library cannot read: turn its feature \
             sqlite-store on, or use a file in .yaml",
            path.display()
        ),
    ))
}

/// Orders nodes as a leader lookup should ask them: voters, then stand-bys, then spares, and within a role as
/// they came.
pub fn order_for_lookup(mut nodes: Vec<NodeInfo>) -> Vec<NodeInfo> {
    nodes.sort_by_key(|node| node.role);
    nodes
}

fn without_duplicates(mut nodes: Vec<NodeInfo>) -> Vec<NodeInfo> {
    let mut seen = HashSet::with_capacity(nodes.len());
    nodes.retain(|node| seen.insert(node.address.clone()));
    nodes
}

/// The list that a store has to hold after `set(nodes)`.
pub(crate) fn checked(nodes: &[NodeInfo]) -> Result<Vec<NodeInfo>> {
    if nodes.is_empty() {
        return Err(Error::new(
            ErrorKind::Misuse,
            "an empty list of nodes would make the cluster unreachable for good; \
             give at least one node",
        ));
    }
    if let Some(position) = nodes.iter().position(|node| node.address.is_empty()) {
        return Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "node {} of {} has an empty address",
                position + 1,
                nodes.len()
            ),
        ));
    }
    Ok(without_duplicates(nodes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn node(id: u64, address: &str, role: NodeRole) -> NodeInfo {
        NodeInfo {
            id,
            address: address.into(),
            role,
        }
    }

    #[test]
    fn roles_and_numbers_convert_both_ways() {
        for role in [NodeRole::Voter, NodeRole::StandBy, NodeRole::Spare] {
            assert_eq!(NodeRole::try_from(u64::from(role)).unwrap(), role);
        }
        let error = NodeRole::try_from(3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conversion);
        assert!(error.message().contains("role 3 is unknown"));
    }

    #[test]
    fn lookup_asks_voters_first_and_keeps_the_order_within_a_role() {
        let nodes = vec![
            node(1, "spare", NodeRole::Spare),
            node(2, "voter b", NodeRole::Voter),
            node(3, "stand-by", NodeRole::StandBy),
            node(4, "voter a", NodeRole::Voter),
        ];
        let order: Vec<u64> = order_for_lookup(nodes).iter().map(|node| node.id).collect();
        assert_eq!(order, [2, 4, 3, 1]);
    }

    #[cfg(not(feature = "sqlite-store"))]
    #[test]
    fn a_store_that_was_left_out_says_which_feature_has_it() {
        let error = <dyn NodeStore>::open("servers.db").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("sqlite-store"), "{error}");
    }

    #[cfg(feature = "sqlite-store")]
    #[test]
    fn every_store_keeps_to_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let stores: [Box<dyn NodeStore>; 4] = [
            Box::new(MemoryNodeStore::new([])),
            <dyn NodeStore>::open(dir.path().join("servers.db")).unwrap(),
            <dyn NodeStore>::open(dir.path().join("servers.yaml")).unwrap(),
            <dyn NodeStore>::open(dir.path().join("servers.yml")).unwrap(),
        ];
        assert!(!dir.path().join("servers.yml").exists());
        for store in stores {
            assert_eq!(store.get().unwrap(), []);
            let long = [
                node(u64::MAX, "z:1", NodeRole::Spare),
                node(2, "@a", NodeRole::Voter),
                node(3, "m:1", NodeRole::StandBy),
            ];
            store.set(&long).unwrap();
            assert_eq!(store.get().unwrap(), long);

            let twice = [
                node(5, "@a", NodeRole::Voter),
                node(6, "@a", NodeRole::Spare),
            ];
            store.set(&twice).unwrap();
            assert_eq!(store.get().unwrap(), twice[..1]);

            for refused in [&[][..], &[node(1, "", NodeRole::Voter)]] {
                let error = store.set(refused).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Misuse);
                assert!(error.message().contains("empty"), "{error}");
            }
            assert_eq!(store.get().unwrap(), twice[..1]);
        }
    }
}
