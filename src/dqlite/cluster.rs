//! The cluster as an object: its nodes, their roles, and who leads.

use std::fmt;
use std::sync::Arc;

use crate::backend::Backend;
use crate::cancel::{CancelHandle, Running};
use crate::config::{Config, Database};
use crate::deadline::Deadline;
use crate::dqlite::backend::DqliteBackend;
use crate::dqlite::channel::{Channel, harmless};
use crate::dqlite::store::{NodeInfo, NodeRole};
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::{DESCRIBE_FORMAT, RESPONSE_EMPTY};
use crate::error::{Error, ErrorKind, Result};
use crate::net::wait::Call;
use crate::pool::core::{is_passing, retry_backoff};

/// Administers a dqlite cluster: adds, promotes and removes nodes, passes the leadership on.
///
/// Each call finds the leader, as a pool does, and uses a connection of its own. It blocks until it is done,
/// until the deadline of [`within`](ClusterClient::within) or the configured timeout. Any thread may use a
/// client, and clones share what is known of the leader. A change that the cluster refused because the node
/// that was asked is not the leader is repeated on the leader; one whose outcome is unknown is not.
#[derive(Clone)]
pub struct ClusterClient {
    backend: Arc<DqliteBackend>,
    config: Arc<Config>,
    deadline: Option<Deadline>,
    cancel: Option<CancelHandle>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeMetadata {
    /// The number of the failure domain that the node is in: nodes of one domain may fail together.
    pub failure_domain: u64,
    /// The weight of the node when roles are given; lower ones are preferred.
    pub weight: u64,
}

/// A file of a database, as one node has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseFile {
    /// The name: that of the database, or that with `-wal` behind it.
    pub name: String,
    /// The content.
    pub data: Vec<u8>,
}

impl ClusterClient {
    /// Makes a client from a connection string; see [`Config`]. Nothing is dialled yet.
    ///
    /// # Errors
    ///
    /// As [`Pool::open`](crate::Pool::open).
    pub fn open(url: &str) -> Result<Self> {
        Self::with_config(Config::parse(url)?)
    }

    /// Makes a client from a configuration.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`]: it is a configuration of Picodata's. Otherwise as [`open`](ClusterClient::open).
    pub fn with_config(config: Config) -> Result<Self> {
        if config.database != Database::Dqlite {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "only a cluster of dqlite is administered like this; the connection string is Picodata's",
            ));
        }
        config.validate()?;
        Ok(ClusterClient {
            backend: Arc::new(DqliteBackend::new(&config)?),
            config: Arc::new(config),
            deadline: None,
            cancel: None,
        })
    }

    /// The same client with a deadline for the calls made through the value that is returned.
    #[must_use = "the bounds hold for calls made through the value that is returned"]
    pub fn within(&self, deadline: impl Into<Deadline>) -> Self {
        ClusterClient {
            deadline: Some(deadline.into()),
            ..self.clone()
        }
    }

    /// The same client with a handle that cancels the calls made through the value that is returned.
    #[must_use = "the bounds hold for calls made through the value that is returned"]
    pub fn cancel_with(&self, handle: &CancelHandle) -> Self {
        ClusterClient {
            cancel: Some(handle.clone()),
            ..self.clone()
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            deadline: self.deadline.unwrap_or_else(|| self.config.deadline()),
            cancel: self.cancel.as_ref(),
            closing: None,
        }
    }

    fn enter(&self) -> Result<Option<Running<'_>>> {
        match &self.cancel {
            Some(cancel) => cancel.enter(),
            None => Ok(None),
        }
    }

    /// The address of the leader.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`](crate::ErrorKind::NoLeader) with what each node answered.
    pub fn leader(&self) -> Result<String> {
        self.repeat(|call| {
            let (leader, _) = self.backend.leader_channel(call)?;
            Ok(leader.to_string())
        })
    }

    /// The nodes of the cluster, as the leader lists them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`](crate::ErrorKind::NoLeader), or what kept the leader from answering.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>> {
        self.repeat(|call| self.backend.nodes(call))
    }

    /// Adds a node, as a spare: it holds no data until it is given another role.
    ///
    /// # Errors
    ///
    /// What the leader answers: an id or an address that is taken, a change under way
    /// ([`ErrorKind::Busy`](crate::ErrorKind::Busy)).
    pub fn add(&self, id: u64, address: &str) -> Result<()> {
        let request = Request::Add { id, address };
        self.change(&request, format_args!("cannot add node {id} at {address}"))
    }

    /// Gives a node a role. Making a node a voter waits until it has caught up.
    ///
    /// # Errors
    ///
    /// What the leader answers: an unknown node, a role that the node has already, a change under way.
    pub fn assign(&self, id: u64, role: NodeRole) -> Result<()> {
        let request = Request::Assign {
            id,
            role: role.into(),
        };
        self.change(&request, format_args!("cannot make node {id} a {role}"))
    }

    /// Removes a node. The node itself is not told; it should be stopped.
    ///
    /// # Errors
    ///
    /// What the leader answers: an unknown node, a change under way.
    pub fn remove(&self, id: u64) -> Result<()> {
        let request = Request::Remove { id };
        self.change(&request, format_args!("cannot remove node {id}"))
    }

    /// Passes the leadership to the voter `id`, or to any voter if it is 0.
    ///
    /// # Errors
    ///
    /// What the leader answers: the node is no voter, or did not take over in time.
    pub fn transfer(&self, id: u64) -> Result<()> {
        let request = Request::Transfer { id };
        match id {
            0 => self.change(&request, format_args!("cannot pass the leadership on")),
            _ => self.change(&request, format_args!("cannot make node {id} the leader")),
        }
    }

    /// What the node at `address` says of itself.
    ///
    /// # Errors
    ///
    /// What kept the node from answering.
    pub fn describe(&self, address: &str) -> Result<NodeMetadata> {
        let request = Request::Describe {
            format: DESCRIBE_FORMAT,
        };
        let mut channel = self.ask(address, &request).map_err(harmless)?;
        match channel.response().map_err(harmless)? {
            Response::Metadata {
                failure_domain,
                weight,
            } => Ok(NodeMetadata {
                failure_domain,
                weight,
            }),
            _ => Err(harmless(channel.unexpected("METADATA")).with_node(address)),
        }
    }

    /// Sets the weight of the node at `address`.
    ///
    /// # Errors
    ///
    /// What kept the node from answering.
    pub fn set_weight(&self, address: &str, weight: u64) -> Result<()> {
        let mut channel = self.ask(address, &Request::Weight { weight })?;
        if channel.kind() == RESPONSE_EMPTY {
            return Ok(());
        }
        Err(channel.unexpected("EMPTY").with_node(address))
    }

    /// The files of the database `name`, as the leader has them: the database and its write-ahead log.
    ///
    /// The whole is held in memory; a database larger than `max_message` is refused.
    ///
    /// # Errors
    ///
    /// What the leader answers; newer servers refuse a name that does not exist, older ones answer empty
    /// files.
    pub fn dump(&self, name: &str) -> Result<Vec<DatabaseFile>> {
        self.repeat(|call| {
            let (leader, mut channel) = self.backend.leader_channel(call)?;
            channel
                .request(&Request::Dump { name }, call)
                .and_then(|()| files(&mut channel))
                .map_err(|error| harmless(error).with_node(&*leader))
        })
    }

    /// The files of the database `name`, as the node at `address` has them, whether it leads or not. A node that
    /// lags behind has an older state, and none of a database that it has not heard of yet.
    ///
    /// The whole is held in memory; a database larger than `max_message` is refused.
    ///
    /// # Errors
    ///
    /// What kept the node from answering; newer servers refuse a name that they do not know, older ones answer
    /// empty files.
    pub fn dump_from(&self, address: &str, name: &str) -> Result<Vec<DatabaseFile>> {
        let mut channel = self
            .ask(address, &Request::Dump { name })
            .map_err(harmless)?;
        files(&mut channel).map_err(|error| harmless(error).with_node(address))
    }

    fn ask(&self, address: &str, request: &Request<'_>) -> Result<Channel> {
        let _running = self.enter()?;
        let call = self.call();
        let ask = || {
            let mut channel = self.backend.prober().dial(address, &call)?;
            channel.request(request, &call)?;
            Ok(channel)
        };
        ask().map_err(|error: crate::Error| error.with_node(address))
    }

    /// Asks the leader for a change that is answered by EMPTY; `refused` is what to say where the answer is another.
    fn change(&self, request: &Request<'_>, refused: fmt::Arguments<'_>) -> Result<()> {
        self.repeat(|call| {
            let (leader, mut channel) = self.backend.leader_channel(call)?;
            channel
                .request(request, call)
                .map_err(|error| error.with_node(&*leader))?;
            if channel.kind() == RESPONSE_EMPTY {
                return Ok(());
            }
            let error = channel.unexpected("EMPTY").with_node(&*leader);
            Err(error.context(refused))
        })
    }

    /// Repeats what failed for a passing reason and cannot have been applied.
    fn repeat<R>(&self, mut operation: impl FnMut(&Call<'_>) -> Result<R>) -> Result<R> {
        let _running = self.enter()?;
        let call = self.call();
        let mut backoff = retry_backoff();
        loop {
            let error = match operation(&call) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            if let Some(node) = error.node() {
                self.backend.report(node, &error);
            }
            if !is_passing(&error) || backoff.pause(&call).is_err() {
                return Err(error);
            }
        }
    }
}

/// The answer to a request for the files of a database.
fn files(channel: &mut Channel) -> Result<Vec<DatabaseFile>> {
    match channel.response()? {
        Response::Files(files) => Ok(files
            .into_iter()
            .map(|file| DatabaseFile {
                name: file.name.to_owned(),
                data: file.data.to_vec(),
            })
            .collect()),
        _ => Err(channel.unexpected("FILES")),
    }
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClient")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_picodata_is_none_to_administer() {
        let error = ClusterClient::open("picodata://app@127.0.0.1:4327/app").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}
