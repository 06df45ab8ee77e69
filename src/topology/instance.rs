//! One instance of a cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// An instance, as the cluster's own tables describe it.
///
/// The `uuid` is what an instance is known by: the address may change, and a name is used again by an instance
/// that joins in the place of an expelled one, with a new `raft_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// The identifier, in lower case with hyphens.
    pub uuid: Arc<str>,
    /// The name, such as `default_1_1`; empty where it is not known.
    pub name: Arc<str>,
    /// Where the instance takes connections of this driver's protocol, as `host:port`.
    pub address: Arc<str>,
    /// The number of the instance in the raft group.
    pub raft_id: u64,
    /// The uuid of the replicaset that the instance belongs to; empty where it is not known.
    pub replicaset: Arc<str>,
    /// The tier; empty where it is not known.
    pub tier: Arc<str>,
    /// Where the instance runs, by name and value (`DC`: `1`); the cluster writes both in upper case.
    pub failure_domain: BTreeMap<String, String>,
    /// Whether it serves.
    pub state: InstanceState,
    /// Whether it is the master of its replicaset: the one whose writes the others follow.
    pub is_master: bool,
    /// Whether it is the raft leader of the cluster.
    pub is_leader: bool,
    /// The version of the server, such as `25.5.7`; empty where it is not known.
    pub version: Arc<str>,
}

/// The state that the cluster gives an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// It serves.
    Online,
    /// It was stopped, or the cluster no longer hears of it.
    Offline,
    /// It was removed from the cluster and does not come back under this uuid.
    Expelled,
    /// A state that this version of the driver does not know; no connection goes to such an instance.
    Other(Arc<str>),
}

impl InstanceState {
    /// The state called `name`, as the cluster writes it.
    pub fn from_name(name: &str) -> Self {
        match name {
            "Online" => InstanceState::Online,
            "Offline" => InstanceState::Offline,
            "Expelled" => InstanceState::Expelled,
            other => InstanceState::Other(other.into()),
        }
    }

    /// The name, as the cluster writes it.
    pub fn as_str(&self) -> &str {
        match self {
            InstanceState::Online => "Online",
            InstanceState::Offline => "Offline",
            InstanceState::Expelled => "Expelled",
            InstanceState::Other(name) => name,
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Instance {
    /// An instance of which no more is known yet than these three.
    pub(crate) fn new(uuid: &str, address: &str, state: InstanceState) -> Self {
        Instance {
            uuid: uuid.into(),
            name: Arc::default(),
            address: address.into(),
            raft_id: 0,
            replicaset: Arc::default(),
            tier: Arc::default(),
            failure_domain: BTreeMap::new(),
            state,
            is_master: false,
            is_leader: false,
            version: Arc::default(),
        }
    }

    /// Whether the instance serves.
    pub fn is_online(&self) -> bool {
        self.state == InstanceState::Online
    }
}

impl fmt::Display for Instance {
    /// The name, where there is one, and the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(&self.address);
        }
        write!(f, "{} at {}", self.name, self.address)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// The instance number `number` of a made-up cluster: online, a replica of its own replicaset.
    pub(crate) fn instance(number: u64) -> Instance {
        let mut instance = Instance::new(
            &format!("00000000-0000-0000-0000-{number:012}"),
            &format!("10.0.{}.{}:4327", number / 256, number % 256),
            InstanceState::Online,
        );
        instance.name = format!("default_{number}_1").into();
        instance.raft_id = number;
        instance.replicaset = format!("10000000-0000-0000-0000-{number:012}").into();
        instance.tier = "default".into();
        instance.version = "25.5.7".into();
        instance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_written_under_the_clusters_names() {
        for name in ["Online", "Offline", "Expelled", "Confused"] {
            assert_eq!(InstanceState::from_name(name).to_string(), name);
        }
        assert_eq!(
            InstanceState::from_name("online"),
            InstanceState::Other("online".into())
        );
    }

    #[test]
    fn an_instance_is_shown_by_name_and_address() {
        assert_eq!(
            testing::instance(1).to_string(),
            "default_1_1 at 10.0.0.1:4327"
        );
        let nameless = Instance::new("u", "a:1", InstanceState::Offline);
        assert_eq!(nameless.to_string(), "a:1");
    }
}
