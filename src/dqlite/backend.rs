//! The backend of a dqlite pool: its one endpoint is the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::backend::{Backend, Refreshed, Route, Session, Target};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::dqlite::channel::Channel;
use crate::dqlite::channel::harmless;
use crate::dqlite::lookup::Lookup;
use crate::dqlite::probe::{Found, Prober};
use crate::dqlite::store::{MemoryNodeStore, NodeInfo, NodeRole, NodeStore};
use crate::dqlite::wire::CLUSTER_FORMAT_ROLES;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use crate::logging::Event;
use crate::net::flight::{Boarded, Flight};
use crate::net::wait::Call;

/// Knows the leader, and finds it again when it is lost.
pub(crate) struct DqliteBackend {
    prober: Prober,
    lookup: Lookup,
    store: Arc<dyn NodeStore>,
    state: Mutex<State>,
    /// One thread looks the leader up; the others wait for it.
    looking: Flight,
    leader_changes: AtomicU64,
}

/// The leader, and the session that a lookup has opened on it.
struct Leader {
    address: Arc<str>,
    session: Option<Box<dyn Session>>,
}

#[derive(Default)]
struct State {
    /// The leader, until something speaks against it.
    leader: Option<Arc<str>>,
    /// The last leader, which is asked first.
    last: Option<Arc<str>>,
}

impl DqliteBackend {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let store = store(config)?;
        let prober = Prober::new(config)?;
        Ok(DqliteBackend {
            lookup: Lookup::new(
                prober.clone(),
                Arc::clone(&store),
                // A store that the program has set stands in their place.
                match config.dqlite.store {
                    Some(_) => Vec::new(),
                    None => config.hosts.clone(),
                },
                config.dqlite.lookup.clone(),
            ),
            prober,
            store,
            state: Mutex::default(),
            looking: Flight::default(),
            leader_changes: AtomicU64::new(0),
        })
    }

    pub(crate) fn prober(&self) -> &Prober {
        &self.prober
    }

    /// The leader, looked up if need be; one thread looks, the others wait for it.
    fn leader(&self, call: &Call<'_>) -> Result<Leader> {
        let known = || self.state.lock().leader.clone();
        let boarded = self.looking.board(known, call);
        let landing = match boarded {
            Ok(Boarded::Ready(address)) => {
                return Ok(Leader {
                    address,
                    session: None,
                });
            }
            Ok(Boarded::Pilot(landing)) => landing,
            Err(error) if error.kind() == ErrorKind::Timeout => return Err(self.lookup.failure()),
            Err(error) => return Err(error),
        };
        let last = self.state.lock().last.clone();
        let Found { leader, session } = self.lookup.find(last.as_deref(), call)?;
        let has_changed = self.set_leader(&leader);
        drop(landing);
        if has_changed {
            self.leader_changes.fetch_add(1, Ordering::Relaxed);
            let logger = self.prober.logger();
            logger.info(format_args!("the leader is now {leader}"));
            logger.event(Event::Leader(&leader));
        }
        Ok(Leader {
            address: leader,
            session: Some(session),
        })
    }

    /// Takes a leader in that a lookup has found; true if it was another one before.
    fn set_leader(&self, leader: &Arc<str>) -> bool {
        let mut state = self.state.lock();
        state.leader = Some(Arc::clone(leader));
        let last = state.last.replace(Arc::clone(leader));
        last.is_some_and(|last| last != *leader)
    }

    /// Opens a conversation with the leader.
    pub(crate) fn leader_channel(&self, call: &Call<'_>) -> Result<(Arc<str>, Channel)> {
        let leader = self.leader(call)?.address;
        match self.prober.channel(&leader, call) {
            Ok(channel) => Ok((leader, channel)),
            Err(error) => {
                let error = error.with_node(&*leader);
                self.report(&leader, &error);
                Err(error)
            }
        }
    }

    /// Asks the leader for the nodes of the cluster.
    pub(crate) fn nodes(&self, call: &Call<'_>) -> Result<Vec<NodeInfo>> {
        let (leader, mut channel) = self.leader_channel(call)?;
        let request = Request::Cluster {
            format: CLUSTER_FORMAT_ROLES,
        };
        channel
            .request(&request, call)
            .map_err(|error| harmless(error).with_node(&*leader))?;
        match channel.response().map_err(harmless)? {
            Response::Nodes(nodes) => Ok(nodes
                .into_iter()
                .map(|node| NodeInfo {
                    id: node.id,
                    address: node.address.to_owned(),
                    // A role that is not known is asked last.
                    role: node
                        .role
                        .and_then(|role| NodeRole::try_from(role).ok())
                        .unwrap_or(NodeRole::Spare),
                })
                .collect()),
            _ => Err(harmless(channel.unexpected("NODES")).with_node(&*leader)),
        }
    }
}

impl Backend for DqliteBackend {
    fn route(&self, _target: &Target<'_>, call: &Call<'_>) -> Result<Option<Route>> {
        let leader = self.leader(call)?;
        Ok(Some(Route {
            endpoint: leader.address,
            session: leader.session,
            exclusive: true,
        }))
    }

    fn connect(
        &self,
        endpoint: &str,
        patience: Option<Duration>,
        call: &Call<'_>,
    ) -> Result<Box<dyn Session>> {
        let own = patience.map_or(Deadline::NONE, Deadline::after);
        self.prober.connect(endpoint, &call.at_most(own))
    }

    fn report(&self, endpoint: &str, error: &Error) -> bool {
        if !matches!(
            error.kind(),
            ErrorKind::NotLeader
                | ErrorKind::NoLeader
                | ErrorKind::Disconnected
                | ErrorKind::Connect
                | ErrorKind::Timeout
                | ErrorKind::Protocol
        ) {
            return false;
        }
        let mut state = self.state.lock();
        let doubtful = state.leader.as_deref() == Some(endpoint);
        if doubtful {
            state.leader = None;
        }
        doubtful
    }

    fn refresh(&self, call: &Call<'_>) -> Result<Refreshed> {
        let nodes = self.nodes(call)?;
        if !nodes.is_empty()
            && self
                .store
                .get_within(call.deadline)
                .map_or(true, |known| known != nodes)
        {
            let logger = self.prober.logger();
            logger.info(format_args!("the cluster has {} nodes", nodes.len()));
            self.store.set_within(&nodes, call.deadline)?;
            logger.event(Event::Nodes(nodes.len()));
        }
        Ok(Refreshed::default())
    }

    fn leader_changes(&self) -> u64 {
        self.leader_changes.load(Ordering::Relaxed)
    }
}

/// The store that a configuration names.
fn store(config: &Config) -> Result<Arc<dyn NodeStore>> {
    if let Some(store) = &config.dqlite.store {
        return Ok(Arc::clone(store));
    }
    match &config.dqlite.store_path {
        Some(path) => Ok(<dyn NodeStore>::open(path)?.into()),
        None => Ok(Arc::new(MemoryNodeStore::from_addresses(
            config.hosts.iter().cloned(),
        ))),
    }
}
