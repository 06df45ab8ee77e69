//! All there is of the cluster, held by the one thread that serves it.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use super::auth::Users;
use super::catalog::Catalog;
use super::engine::Engine;
use super::error::PgError;
use super::plan::Plan;
use super::tls::Certificates;

/// How many of its last statements an instance remembers.
const REMEMBERED: usize = 200;

/// Which Picodata it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Release {
    /// 25.5: no metadata of statements, no code of its own for a stale one.
    #[default]
    V25,
    /// 26.1: `pico_query_metadata` and `pico_stmt_invalidation` are understood.
    V26,
}

/// What becomes of a statement, in place of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, with this code and message.
    Refuse(&'static str, String),
    /// It is not run, and nothing is answered any more on its connection.
    Stall,
    /// It is not run, and the connection is closed.
    Close,
    /// It is run, and the connection is closed before the answer.
    RunAndClose,
}

/// What an instance has seen.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub connections_open: u64,
    pub connections_total: u64,
    /// Queries of the simple protocol, and portals that were run for the first time.
    pub statements: u64,
    pub parses: u64,
    pub auth_failures: u64,
    pub cancel_requests: u64,
    /// The last statements, the oldest first.
    pub last: VecDeque<String>,
    /// How often each text was run.
    pub runs: HashMap<String, usize>,
}

/// The process of an instance, as far as there is one.
#[derive(Default)]
pub struct Node {
    pub listener: Option<TcpListener>,
    /// It keeps its sockets and answers nothing.
    pub hung: bool,
    /// Every answer is held this long.
    pub delay: Duration,
    /// Counts up when all connections are to be dropped.
    pub generation: u64,
    pub counters: Counters,
    /// For statements that contain a text: what becomes of so many of them.
    pub faults: Vec<(String, Fault, usize)>,
}

pub struct World {
    pub engine: Engine,
    pub catalog: Catalog,
    pub users: Users,
    pub release: Release,
    pub tls: Option<Certificates>,
    /// One for each instance of the catalog.
    pub nodes: Vec<Node>,
    /// Listens on behalf of virtual instances, on every loopback address.
    pub wildcard: Option<TcpListener>,
    /// The virtual instances that the wildcard listener speaks for.
    pub virtuals: HashMap<Ipv4Addr, usize>,
    /// From when on the instances know that there is no quorum.
    pub quorum_lost_at: Option<Instant>,
}

impl World {
    pub fn counters(&mut self, node: usize) -> &mut Counters {
        &mut self.nodes[node].counters
    }

    pub fn note_statement(&mut self, node: usize, sql: &str) {
        let counters = self.counters(node);
        counters.statements += 1;
        if counters.last.len() == REMEMBERED {
            counters.last.pop_front();
        }
        counters.last.push_back(sql.to_owned());
        *counters.runs.entry(sql.to_owned()).or_default() += 1;
    }

    /// What is to become of a statement, if a test has ordered anything.
    pub fn fault(&mut self, node: usize, sql: &str) -> Option<Fault> {
        let faults = &mut self.nodes[node].faults;
        let found = faults
            .iter_mut()
            .find(|(text, _, left)| *left > 0 && sql.contains(&**text))?;
        found.2 -= 1;
        Some(found.1.clone())
    }

    pub fn quorum_lost(&self) -> bool {
        self.quorum_lost_at.is_some()
    }

    /// Makes the `pico_…` functions answer for one instance.
    pub fn answer_as(&self, node: usize) {
        let unknown = self.quorum_lost_at.is_some_and(|at| Instant::now() >= at);
        let leader = self.catalog.leader.filter(|_| !unknown);
        let leader = leader.map(|leader| &self.catalog.instances[leader]);
        let mut facts = self.engine.facts();
        facts.me.clone_from(&self.catalog.instances[node].uuid);
        facts.leader_id = leader.map_or(0, |leader| leader.raft_id);
        facts.leader_uuid = leader.map(|leader| leader.uuid.clone());
    }

    /// What a storage says of a statement that names a table which has changed since it was prepared, or is gone,
    /// whatever is called so now.
    pub fn stale(&self, plan: &Plan) -> Option<&'static str> {
        plan.tables.iter().find_map(|(name, known)| {
            let table = self.engine.table(name);
            match table.filter(|table| table.version == *known || table.made_at() <= *known) {
                Some(table) if table.version == *known => None,
                Some(_) => Some("storage schema version different from router"),
                None => Some("space metadata for table: 1025 not found"),
            }
        })
    }

    /// All rows are kept by the first replicaset: an instance of another gets the error from there, wrapped.
    pub fn duplicate_key(&self, node: usize, table: &str) -> PgError {
        let inner = PgError::duplicate_key(table);
        if self.catalog.instances[node].replicaset == 0 {
            PgError::sql(format!("box error: {inner}"))
        } else {
            self.remote(node, &inner)
        }
    }

    /// An error that happened on another replicaset than the instance's own, if there is one.
    pub fn remote(&self, node: usize, inner: &str) -> PgError {
        let own = self.catalog.instances[node].replicaset;
        let sets = &self.catalog.replicasets;
        let other = if own == 0 { sets.len() - 1 } else { 0 };
        PgError::remote(&sets[other].uuid, inner)
    }
}
