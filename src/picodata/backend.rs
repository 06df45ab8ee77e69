//! The backend of a Picodata pool: its endpoints are the instances of the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::backend::{Aim, Backend, Refreshed, Route, Session, ShardingSource, Standing, Target};
use crate::batch::BatchItem;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, NodeCause, Result};
use crate::lock::Mutex;
use crate::logging::{Event, Logger};
use crate::net::flight::{Boarded, Flight};
use crate::net::wait::Call;
use crate::params::Params;
use crate::picodata::access::Access;
use crate::picodata::config::Balance;
use crate::picodata::discover::{Topology, discover};
use crate::picodata::members::Members;
use crate::picodata::sharding::Sharding;
use crate::sql::{Dialect, is_ddl};
use crate::topology::{Instance, Snapshot};

/// How long one instance may take to tell the topology before another one is asked.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(3);

/// Knows the instances, and chooses among them.
pub(crate) struct PicodataBackend {
    members: Members,
    sharding: Sharding,
    access: Access,
    /// Where the topology is read, if not from the instances themselves.
    service: Option<(Access, Vec<String>)>,
    seeds: Vec<String>,
    logger: Logger,
    topology: bool,
    measures: bool,
    discovering: Flight,
    /// The session that the topology was read with.
    reader: Mutex<Option<Reader>>,
    /// The uuid of the last instance that led.
    last_leader: Mutex<Option<Arc<str>>>,
    leader_changes: AtomicU64,
}

struct Reader {
    address: Arc<str>,
    session: Box<dyn Session>,
}

impl PicodataBackend {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let own = &config.picodata;
        let service = match &own.service_url {
            Some(service) => Some((Access::new(service, None)?, service.hosts.clone())),
            None => None,
        };
        let strategy = own.balance.strategy();
        let members = Members::new(own.filter.clone(), strategy, config.pool.max_conns);
        if !own.topology {
            members.apply(Members::of_hosts(&config.hosts));
        }
        let sharding = Sharding::new(own.sharding);
        Ok(PicodataBackend {
            members,
            access: Access::new(config, sharding.statement_keys().cloned())?,
            sharding,
            service,
            seeds: config.hosts.clone(),
            logger: config.logger.clone(),
            topology: own.topology,
            measures: matches!(own.balance, Balance::LowestLatency | Balance::Own(_)),
            discovering: Flight::default(),
            reader: Mutex::new(None),
            last_leader: Mutex::new(None),
            leader_changes: AtomicU64::new(0),
        })
    }

    /// The way in to where the topology is read.
    fn source_access(&self) -> &Access {
        self.service
            .as_ref()
            .map_or(&self.access, |(access, _)| access)
    }

    /// Sees to it that there is a snapshot: one thread reads it, the others wait.
    fn ensure_discovered(&self, call: &Call<'_>) -> Result<()> {
        let ready = || self.members.is_known().then_some(());
        match self.discovering.board(ready, call)? {
            Boarded::Ready(()) => Ok(()),
            Boarded::Pilot(_landing) => self.read_topology(call),
        }
    }

    /// Where the topology may be read, in the order to try.
    fn sources(&self) -> Vec<Arc<str>> {
        let mut sources: Vec<Arc<str>> = Vec::new();
        let mut known = match &self.service {
            Some(_) => Vec::new(),
            None => self.members.addresses(),
        };
        known.sort_by_key(|address| self.members.is_left_out(address));
        let given = self
            .service
            .as_ref()
            .map_or(&self.seeds, |(_, hosts)| hosts);
        for source in known
            .into_iter()
            .chain(given.iter().map(|host| host.as_str().into()))
        {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// Reads the topology from the first source that answers, beginning with the session that did last time.
    fn read_topology(&self, call: &Call<'_>) -> Result<()> {
        let mut causes = Vec::new();
        let is_trusted = |reader: &Reader| !self.members.is_left_out(&reader.address);
        let kept = self.reader.lock().take().filter(is_trusted);
        if let Some(mut reader) = kept {
            let limited = call.at_most(Deadline::after(SOURCE_TIMEOUT));
            match discover(&mut *reader.session, &self.logger, &limited) {
                Ok(topology) => {
                    self.take(topology, reader, &limited);
                    return Ok(());
                }
                Err(error) => {
                    call.check()?;
                    self.logger.debug(format_args!(
                        "{}: reading the topology: {error}",
                        reader.address
                    ));
                    causes.push(cause(&reader.address, error));
                }
            }
        }
        for address in self.sources() {
            let limited = call.at_most(Deadline::after(SOURCE_TIMEOUT));
            let read = self
                .source_access()
                .connect(&address, &limited, None, &|| false)
                .and_then(|mut session| {
                    Ok((discover(&mut *session, &self.logger, &limited)?, session))
                });
            match read {
                Ok((topology, session)) => {
                    self.take(topology, Reader { address, session }, &limited);
                    return Ok(());
                }
                Err(error) if is_final(&error) => return Err(error.with_node(&*address)),
                Err(error) => {
                    causes.push(cause(&address, error));
                    call.check()?;
                }
            }
        }
        Err(Error::new(
            ErrorKind::Connect,
            "the topology of the cluster cannot be read from any instance",
        )
        .with_causes(causes))
    }

    /// Takes in what was read, and reads with the same session what depends on it.
    fn take(&self, topology: Topology, mut reader: Reader, call: &Call<'_>) {
        let snapshot = match topology {
            Topology::Cluster(snapshot) => snapshot,
            Topology::None => Members::of_hosts(&self.seeds),
        };
        self.sharding.set_servers(&snapshot);
        let leader = snapshot.leader().cloned();
        let changes = self.members.apply(snapshot);
        for change in &changes {
            self.logger.info(format_args!("{change}"));
            if let Some(event) = change.event() {
                self.logger.event(event);
            }
        }
        if let Some(leader) = leader {
            let last = self.last_leader.lock().replace(Arc::clone(&leader.uuid));
            if last.is_some_and(|last| last != leader.uuid) {
                self.leader_changes.fetch_add(1, Ordering::Relaxed);
                self.logger.event(Event::Leader(&leader.address));
            }
        }
        let has_changed = !changes.is_empty();
        match self
            .sharding
            .refresh(&mut *reader.session, has_changed, call)
        {
            Ok(()) => *self.reader.lock() = Some(reader),
            // An old map costs a hop. The next reading has a session of its own.
            Err(error) => {
                self.logger.debug(format_args!(
                    "{}: reading the buckets: {error}",
                    reader.address
                ));
            }
        }
    }

    /// The instance that is nearest to what a call is for.
    fn nearest<'s>(
        &self,
        target: &Target<'_>,
        snapshot: &'s Snapshot,
    ) -> Option<&'s Arc<Instance>> {
        match target.aim {
            Aim::Any => None,
            // It is the leader that carries it out, whoever is asked.
            Aim::Statement(sql, _) if is_ddl(sql, Dialect::Postgres) => snapshot.leader(),
            Aim::Statement(sql, params) => {
                self.sharding
                    .of_statement(sql, params, snapshot, target.refresh)
            }
            Aim::Batch(items) => self.of_batch(items, target, snapshot),
            Aim::Bucket { tier, bucket } => {
                self.sharding
                    .of_bucket(tier, bucket, snapshot, target.refresh)
            }
        }
    }
}

impl PicodataBackend {
    /// The one master that all statements of a batch are for; `None` where they differ, or one is not known.
    fn of_batch<'s>(
        &self,
        items: &[BatchItem],
        target: &Target<'_>,
        snapshot: &'s Snapshot,
    ) -> Option<&'s Arc<Instance>> {
        let mut masters = items.iter().map(|item| {
            let master = item.params.with_values(|params| {
                let sharding = &self.sharding;
                Ok(sharding.of_statement(&item.sql, params, snapshot, target.refresh))
            });
            master.ok().flatten()
        });
        let first = masters.next()??;
        masters
            .all(|master| master.is_some_and(|master| Arc::ptr_eq(master, first)))
            .then_some(first)
    }
}

impl Backend for PicodataBackend {
    fn route(&self, target: &Target<'_>, call: &Call<'_>) -> Result<Option<Route>> {
        self.access.check_refused()?;
        let choose = || {
            self.members
                .choose(target, |snapshot| self.nearest(target, snapshot))
        };
        let mut chosen = choose();
        if chosen.is_none() && !self.members.is_known() {
            self.ensure_discovered(call)?;
            chosen = choose();
        }
        match chosen {
            Some(endpoint) => Ok(Some(Route {
                endpoint,
                session: None,
                exclusive: false,
            })),
            None if target.avoid.is_empty() => Err(Error::new(
                ErrorKind::Connect,
                "no instance of the cluster is online and has the role and the tier that are asked for",
            )),
            None => Ok(None),
        }
    }

    fn connect(
        &self,
        endpoint: &str,
        patience: Option<Duration>,
        call: &Call<'_>,
    ) -> Result<Box<dyn Session>> {
        let is_left_out = || self.members.is_left_out(endpoint);
        let session = self
            .access
            .connect(endpoint, call, patience, &is_left_out)?;
        self.members.heard(endpoint);
        Ok(session)
    }

    fn report(&self, endpoint: &str, error: &Error) -> bool {
        let is_left_out = match error.kind() {
            ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Protocol => {
                self.members.failed(endpoint)
            }
            ErrorKind::Timeout => self.members.timed_out(endpoint),
            _ => {
                if error.sqlstate().is_some() && self.members.is_troubled() {
                    self.members.heard(endpoint);
                }
                return false;
            }
        };
        if is_left_out {
            self.logger.info(format_args!(
                "{endpoint} failed several times and is left out for now"
            ));
        }
        self.topology
    }

    fn answered(&self, endpoint: &str, time: Duration) {
        self.members.answered(endpoint, time);
    }

    fn measures(&self) -> bool {
        self.measures || self.members.is_troubled()
    }

    fn refresh(&self, call: &Call<'_>) -> Result<Refreshed> {
        if !self.topology {
            return Ok(Refreshed::default());
        }
        self.source_access().check_ever_refused()?;
        if self.members.is_known() {
            self.read_topology(call)?;
        } else {
            self.ensure_discovered(call)?;
        }
        Ok(Refreshed {
            keep: Some(self.members.addresses()),
        })
    }

    fn endpoints(&self, call: &Call<'_>) -> Result<Vec<Arc<str>>> {
        self.access.check_refused()?;
        self.ensure_discovered(call)?;
        Ok(self.members.addresses())
    }

    fn leaves_out(&self) -> bool {
        self.members.is_troubled()
    }

    fn probe(&self) -> Option<Arc<str>> {
        if self.access.check_ever_refused().is_err() {
            return None;
        }
        self.members.probe()
    }

    fn has_others(&self, endpoint: &str, avoid: &[Arc<str>]) -> bool {
        self.members.has_others(endpoint, avoid)
    }

    fn reset(&self) {
        self.access.forget_refusal();
        if let Some((access, _)) = &self.service {
            access.forget_refusal();
        }
        *self.reader.lock() = None;
    }

    fn sharding(&self) -> Option<&dyn ShardingSource> {
        Some(&self.sharding)
    }

    fn known_endpoints(&self) -> Vec<Arc<str>> {
        self.members.addresses()
    }

    fn standing(&self, endpoint: &str) -> Standing {
        Standing {
            is_left_out: self.members.is_left_out(endpoint),
            latency: self.members.latency(endpoint),
        }
    }

    fn instances(&self) -> (usize, usize) {
        self.members.count()
    }

    fn known_instances(&self) -> Vec<Arc<Instance>> {
        let mut instances = self.members.snapshot();
        // The hosts that stand in for instances where there is no topology have none.
        instances.retain(|instance| instance.raft_id != 0);
        instances
    }

    fn leader_changes(&self) -> u64 {
        self.leader_changes.load(Ordering::Relaxed)
    }
}

/// Whether no other instance would answer otherwise.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Authentication
            | ErrorKind::Config
            | ErrorKind::Tls
            | ErrorKind::Cancelled
            | ErrorKind::Closed
    )
}

fn cause(address: &str, error: Error) -> NodeCause {
    NodeCause {
        node: address.to_owned(),
        error,
    }
}
