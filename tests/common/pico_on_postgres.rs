//! Real PostgreSQL servers that look like the instances of one Picodata cluster: the tables `_pico_…` and the
//! functions `pico_…` as SQL, and a model of the cluster that is written into each of them.
//!
//! What PostgreSQL does otherwise stays so: it sends BackendKeyData, has transactions, and tells errors by
//! their codes (a forbidden table is 42501). Each server has rows of its own in the tables of a test.

/// The servers, whatever starts them. Instance `n` of the cluster is the server `n`.
pub trait Servers {
    /// Runs statements on one server, as a user that may create tables; panics if they fail.
    fn execute(&self, instance: usize, sql: &str);
}

/// One row of `_pico_instance`, with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub uuid: String,
    pub raft_id: u64,
    /// The index of its replicaset.
    pub replicaset: usize,
    /// `Online`, `Offline` or `Expelled`.
    pub state: &'static str,
    pub incarnation: u64,
    pub tier: String,
    /// `host:port`.
    pub address: String,
    /// Such as `{"dc": "1"}`.
    pub failure_domain: String,
    /// Whether its server is asked; one that is killed cannot be told anything.
    pub reachable: bool,
}

/// The cluster as its servers are to tell it.
pub struct PicoOnPostgres<S> {
    pub servers: S,
    /// By server.
    pub members: Vec<Member>,
    /// The index of each replicaset's master.
    pub masters: Vec<usize>,
    /// `None` without a quorum.
    pub leader: Option<usize>,
    pub bucket_count: u64,
    /// Addresses that expelled instances have left, with their raft ids.
    pub left: Vec<(u64, String)>,
    last_raft_id: u64,
}

impl<S: Servers> PicoOnPostgres<S> {
    /// Makes the servers at these addresses one cluster, with so many instances in each replicaset.
    pub fn create(servers: S, addresses: &[String], replication_factor: usize) -> Self {
        let member = |(index, address): (usize, &String)| {
            let replicaset = index / replication_factor;
            let place = index % replication_factor + 1;
            Member {
                name: format!("default_{}_{place}", replicaset + 1),
                uuid: uuid(1, index as u64 + 1),
                raft_id: index as u64 + 1,
                replicaset,
                state: "Online",
                incarnation: 1,
                tier: "default".to_owned(),
                address: address.clone(),
                failure_domain: "{}".to_owned(),
                reachable: true,
            }
        };
        let cluster = PicoOnPostgres {
            servers,
            members: addresses.iter().enumerate().map(member).collect(),
            masters: (0..addresses.len()).step_by(replication_factor).collect(),
            leader: Some(0),
            bucket_count: 3000,
            left: Vec::new(),
            last_raft_id: addresses.len() as u64,
        };
        for server in 0..cluster.members.len() {
            cluster.servers.execute(server, SCHEMA);
        }
        cluster.write();
        cluster
    }

    pub fn offline(&mut self, index: usize) {
        self.members[index].state = "Offline";
        self.write();
    }

    pub fn online(&mut self, index: usize) {
        self.members[index].state = "Online";
        self.members[index].incarnation += 1;
        self.write();
    }

    pub fn expel(&mut self, index: usize) {
        self.members[index].state = "Expelled";
        self.write();
    }

    /// An expelled instance joins again under its name: with a new uuid and raft id, while its old address
    /// rows stay.
    pub fn rejoin(&mut self, index: usize) {
        self.last_raft_id += 1;
        let member = &mut self.members[index];
        self.left.push((member.raft_id, member.address.clone()));
        member.raft_id = self.last_raft_id;
        member.uuid = uuid(1, self.last_raft_id);
        member.state = "Online";
        member.incarnation = 1;
        self.write();
    }

    /// Makes an instance the master of its replicaset.
    pub fn change_master(&mut self, index: usize) {
        self.masters[self.members[index].replicaset] = index;
        self.write();
    }

    /// `None` is what is known of the leader without a quorum.
    pub fn change_leader(&mut self, leader: Option<usize>) {
        self.leader = leader;
        self.write();
    }

    /// Says whether a server can be told of changes; one that can again is told all of them.
    pub fn set_reachable(&mut self, index: usize, reachable: bool) {
        self.members[index].reachable = reachable;
        self.write();
    }

    /// Writes the model, as it is now, into every server that is reachable.
    pub fn write(&self) {
        let reachable = |index: &usize| self.members[*index].reachable;
        for server in (0..self.members.len()).filter(reachable) {
            self.servers.execute(server, &self.rows(server));
        }
    }

    /// The statements that replace all rows of the server `me`, in one transaction.
    pub fn rows(&self, me: usize) -> String {
        let mut instances = Vec::new();
        let mut addresses = Vec::new();
        for member in &self.members {
            let state = format!("[\"{}\",{}]", member.state, member.incarnation);
            instances.push(row(&[
                &member.name,
                &member.uuid,
                &member.raft_id.to_string(),
                &replicaset_name(&member.tier, member.replicaset),
                &uuid(2, member.replicaset as u64 + 1),
                &state,
                &state,
                &member.failure_domain,
                &member.tier,
                "25.5.7-0",
            ]));
            addresses.push((member.raft_id, &member.address));
        }
        addresses.extend(
            self.left
                .iter()
                .map(|(raft_id, address)| (*raft_id, address)),
        );
        let address_rows = addresses.iter().flat_map(|(raft_id, address)| {
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            let raft_id = raft_id.to_string();
            [
                row(&[&raft_id, &format!("{host}:3301"), "iproto"]),
                row(&[&raft_id, address, "pgproto"]),
            ]
        });
        let replicasets = self.masters.iter().enumerate().map(|(index, master)| {
            let master = &self.members[*master];
            row(&[
                &replicaset_name(&master.tier, index),
                &uuid(2, index as u64 + 1),
                &master.name,
                &master.name,
                &master.tier,
                "1",
                "auto",
                "ready",
            ])
        });
        let factor = self
            .members
            .len()
            .div_ceil(self.masters.len().max(1))
            .to_string();
        let tier = row(&["default", &factor, "true", &self.bucket_count.to_string()]);
        let (leader_id, leader_uuid) = match self.leader {
            Some(leader) => (self.members[leader].raft_id, &*self.members[leader].uuid),
            None => (0, ""),
        };
        let standing = row(&[&self.members[me].uuid, &leader_id.to_string(), leader_uuid]);
        let tables = [
            ("_pico_instance", instances),
            ("_pico_peer_address", address_rows.collect()),
            ("_pico_replicaset", replicasets.collect()),
            ("_pico_tier", vec![tier]),
            ("pico_standing", vec![standing]),
        ];
        let mut sql = String::from("BEGIN;\n");
        for (table, rows) in tables {
            sql.push_str(&format!("DELETE FROM {table};\n"));
            sql.push_str(&format!(
                "INSERT INTO {table} VALUES {};\n",
                rows.join(", ")
            ));
        }
        sql.push_str("COMMIT;\n");
        sql
    }
}

fn replicaset_name(tier: &str, index: usize) -> String {
    format!("{tier}_{}", index + 1)
}

fn uuid(kind: u64, number: u64) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

/// Values as literals; PostgreSQL makes of each what the column is.
fn row(values: &[&str]) -> String {
    let literals: Vec<_> = values
        .iter()
        .map(|value| format!("'{}'", value.replace('\'', "''")))
        .collect();
    format!("({})", literals.join(", "))
}

/// The tables and functions. An ordinary user may read all tables but `_pico_tier`, and call all functions.
pub const SCHEMA: &str = include_str!("pico_on_postgres.sql");
