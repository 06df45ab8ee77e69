//! A stand-in for a Picodata cluster: instances that speak the PostgreSQL protocol with Picodata's manners,
//! share their data, and do what a test tells them.
//!
//! The messages are coded by the `pgwire` crate. Its server is not used: the end of its start sends
//! BackendKeyData, its row descriptions have the type modifier 0, and it flushes every answer on its own.
//! Picodata itself does likewise: it takes the messages from `pgwire` and has a loop of its own.
//!
//! One thread serves a whole cluster, so that a test which counts threads counts one more, however many
//! connections there are. It ends, with all sockets, when the cluster is dropped.

pub mod auth;
pub mod catalog;
mod engine;
mod error;
mod grammar;
mod indexes;
mod infer;
mod lexer;
mod notices;
mod plan;
mod script;
mod server;
mod session;
mod sql;
mod tables;
mod tls;
mod types;
mod world;

use std::collections::HashMap;

pub use self::exports::*;

/// Programs that only pass through here use none of them.
#[allow(unused_imports)]
mod exports {
    pub use super::auth::Method;
    pub use super::catalog::{Instance, Replicaset, State, Tier};
    pub use super::script::Addresses;
    pub use super::world::{Counters, Fault, Release};
}

use auth::{User, Users};
use catalog::Catalog;
use engine::Engine;
use server::Server;
use tls::Certificates;
use world::World;

/// The user that every cluster has. It authenticates with MD5 and may not read `_pico_tier`.
pub const USER: &str = "tester";
pub const PASSWORD: &str = "T0psecret";

/// The user that may read everything.
pub const ADMIN: &str = "admin";

pub struct PicodataCluster {
    server: Server,
    ca_pem: Option<String>,
}

/// How a cluster is to be.
pub struct Builder {
    instances: usize,
    replication_factor: usize,
    tiers: Vec<Tier>,
    release: Release,
    tls: bool,
}

impl Builder {
    /// How many instances it starts with.
    pub fn instances(mut self, count: usize) -> Builder {
        self.instances = count;
        self
    }

    /// How many instances of the tier "default" make a replicaset.
    pub fn replication_factor(mut self, factor: usize) -> Builder {
        self.replication_factor = factor;
        self
    }

    /// A further tier, for [`PicodataCluster::join_tier`].
    pub fn tier(mut self, name: &str, replication_factor: usize, bucket_count: u64) -> Builder {
        self.tiers.push(Tier {
            name: name.to_owned(),
            replication_factor,
            can_vote: false,
            bucket_count,
        });
        self
    }

    pub fn release(mut self, release: Release) -> Builder {
        self.release = release;
        self
    }

    /// Every instance demands TLS, with a certificate for its address and for `localhost`.
    pub fn tls(mut self) -> Builder {
        self.tls = true;
        self
    }

    pub fn start(self) -> PicodataCluster {
        let certificates = self.tls.then(Certificates::new);
        let ca_pem = certificates
            .as_ref()
            .map(|certificates| certificates.ca_pem.clone());
        let mut tiers = self.tiers;
        tiers.push(Tier {
            name: "default".to_owned(),
            replication_factor: self.replication_factor,
            can_vote: true,
            bucket_count: 3000,
        });
        let release = self.release;
        let server = Server::start(move || {
            let mut users = Users::default();
            users.put(USER, User::new(PASSWORD, Method::Md5));
            let mut admin = User::new(PASSWORD, Method::Md5);
            admin.privileged = true;
            users.put(ADMIN, admin);
            World {
                engine: Engine::new(),
                catalog: Catalog {
                    tiers,
                    version: match release {
                        Release::V25 => catalog::VERSION_25,
                        Release::V26 => catalog::VERSION_26,
                    },
                    ..Catalog::default()
                },
                users,
                release,
                tls: certificates,
                nodes: Vec::new(),
                wildcard: None,
                virtuals: HashMap::new(),
                quorum_lost_at: None,
            }
        });
        let cluster = PicodataCluster { server, ca_pem };
        for _ in 0..self.instances {
            cluster.join();
        }
        cluster
    }
}

impl PicodataCluster {
    /// A cluster of so many instances, each a replicaset of its own. Instance 0 is the raft leader.
    pub fn start(instances: usize) -> PicodataCluster {
        PicodataCluster::builder().instances(instances).start()
    }

    pub fn builder() -> Builder {
        Builder {
            instances: 3,
            replication_factor: 1,
            tiers: Vec::new(),
            release: Release::V25,
            tls: false,
        }
    }

    /// `host:port` of an instance.
    pub fn address(&self, index: usize) -> String {
        self.server
            .call(move |world| world.catalog.instances[index].address.clone())
    }

    /// The addresses of all instances, in whatever state, forgotten ones excepted.
    pub fn addresses(&self) -> Vec<String> {
        let instances = self
            .instances()
            .into_iter()
            .filter(|instance| !instance.forgotten);
        instances.map(|instance| instance.address).collect()
    }

    /// A connection string for one instance, as the user [`USER`].
    pub fn url(&self, index: usize) -> String {
        format!("postgres://{USER}:{PASSWORD}@{}/any", self.address(index))
    }

    /// The certificate, in PEM, that signed those of the instances.
    pub fn ca_pem(&self) -> &str {
        self.ca_pem.as_ref().expect("the cluster has TLS")
    }

    /// The model: every instance there has been, by index.
    pub fn instances(&self) -> Vec<Instance> {
        self.server.call(|world| world.catalog.instances.clone())
    }

    pub fn instance(&self, index: usize) -> Instance {
        self.server
            .call(move |world| world.catalog.instances[index].clone())
    }

    pub fn replicasets(&self) -> Vec<Replicaset> {
        self.server.call(|world| world.catalog.replicasets.clone())
    }

    /// The index of the raft leader.
    pub fn leader(&self) -> Option<usize> {
        self.server.call(|world| world.catalog.leader)
    }

    /// Adds a user, or changes one.
    pub fn put_user(&self, name: &str, password: &str, method: Method) {
        let (name, user) = (name.to_owned(), User::new(password, method));
        self.server.call(move |world| world.users.put(&name, user));
    }

    /// How often a user has failed to authenticate since it last succeeded.
    pub fn auth_failures(&self, user: &str) -> u64 {
        let user = user.to_owned();
        self.server
            .call(move |world| world.users.get(&user).map_or(0, |user| user.failures))
    }

    pub fn is_blocked(&self, user: &str) -> bool {
        let user = user.to_owned();
        self.server
            .call(move |world| world.users.get(&user).is_some_and(User::is_blocked))
    }

    /// What an administrator does: the failures are forgotten.
    pub fn unblock(&self, user: &str) {
        let user = user.to_owned();
        self.server.call(move |world| {
            if let Some(user) = world.users.get_mut(&user) {
                user.failures = 0;
            }
        });
    }

    /// What one instance has seen.
    pub fn counters(&self, index: usize) -> Counters {
        self.server
            .call(move |world| world.nodes[index].counters.clone())
    }

    /// The last statements that one instance has run, the oldest first.
    pub fn statements(&self, index: usize) -> Vec<String> {
        self.counters(index).last.into()
    }

    /// How many connections the instances have together.
    pub fn connections_open(&self) -> u64 {
        self.server.call(|world| {
            world
                .nodes
                .iter()
                .map(|node| node.counters.connections_open)
                .sum()
        })
    }
}
