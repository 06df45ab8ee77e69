//! A node store that lives as long as its process.

use super::{NodeInfo, NodeRole, NodeStore, checked, without_duplicates};
use crate::error::Result;
use crate::lock::RwLock;

/// Keeps the nodes in memory. Neither call does any I/O.
#[derive(Debug, Default)]
pub struct MemoryNodeStore {
    nodes: RwLock<Vec<NodeInfo>>,
}

impl MemoryNodeStore {
    /// A store that begins with `nodes`. It may be empty, to be set later.
    pub fn new(nodes: impl IntoIterator<Item = NodeInfo>) -> Self {
        MemoryNodeStore {
            nodes: RwLock::new(without_duplicates(nodes.into_iter().collect())),
        }
    }

    /// A store that begins with nodes of which the addresses alone are known: their id is 0, and each is
    /// taken for a voter.
    pub fn from_addresses(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(addresses.into_iter().map(|address| NodeInfo {
            id: 0,
            address: address.into(),
            role: NodeRole::Voter,
        }))
    }
}

impl NodeStore for MemoryNodeStore {
    fn get(&self) -> Result<Vec<NodeInfo>> {
        Ok(self.nodes.read().clone())
    }

    fn set(&self, nodes: &[NodeInfo]) -> Result<()> {
        let nodes = checked(nodes)?;
        *self.nodes.write() = nodes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_voters_in_their_order_without_duplicates() {
        let store = MemoryNodeStore::from_addresses(["b:1", "a:1", "b:1"]);
        let nodes = store.get().unwrap();
        let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
        assert_eq!(addresses, ["b:1", "a:1"]);
        assert!(
            nodes
                .iter()
                .all(|node| node.id == 0 && node.role == NodeRole::Voter)
        );
    }
}
