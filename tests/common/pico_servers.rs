//! Real PostgreSQL servers in the place of the instances of one Picodata cluster.

use std::thread;

use super::pico_on_postgres::{PicoOnPostgres, Servers};
use super::postgres::{Auth, PostgresCluster, PostgresOptions};

/// The user that every cluster has, who authenticates with MD5 as most of Picodata's do, and the user's password.
pub const USER: &str = "app";
pub const PASSWORD: &str = "T0psecret";

impl Servers for Vec<PostgresCluster> {
    fn execute(&self, instance: usize, sql: &str) {
        self[instance].sql(sql);
    }
}

/// A cluster whose instances are servers that can be killed and frozen.
pub type PicoServers = PicoOnPostgres<Vec<PostgresCluster>>;

/// Starts so many servers, each a replicaset of its own.
pub fn start(count: usize) -> PicoServers {
    start_with(count, &options(), |_, server| server.address())
}

/// One user, of whom every server notes the attempts to connect.
pub fn options() -> PostgresOptions {
    PostgresOptions::new()
        .user(USER, PASSWORD, Auth::Md5)
        .setting("log_connections", "on")
}

/// Starts servers with these options. `address` says what the cluster calls each of them.
pub fn start_with(
    count: usize,
    options: &PostgresOptions,
    address: impl Fn(usize, &PostgresCluster) -> String,
) -> PicoServers {
    let servers: Vec<_> = thread::scope(|scope| {
        let starting: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| PostgresCluster::start(options)))
            .collect();
        let started = starting.into_iter().map(|thread| thread.join().unwrap());
        started.collect()
    });
    let named = servers.iter().enumerate();
    let addresses: Vec<_> = named.map(|(index, one)| address(index, one)).collect();
    PicoOnPostgres::create(servers, &addresses, 1)
}

impl PicoServers {
    /// A connection string for one instance, as the user [`USER`].
    pub fn url(&self, index: usize) -> String {
        let address = &self.members[index].address;
        format!("postgres://{USER}:{PASSWORD}@{address}/postgres")
    }

    /// Runs statements on every server that can be told.
    pub fn sql_everywhere(&self, sql: &str) {
        for (member, server) in self.members.iter().zip(&self.servers) {
            if member.reachable {
                server.sql(sql);
            }
        }
    }

    /// Which instance has this uuid.
    pub fn index_of(&self, uuid: &str) -> usize {
        let mut members = self.members.iter();
        members.position(|member| member.uuid == uuid).unwrap()
    }
}
