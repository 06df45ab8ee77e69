//! The backend of a Picodata pool: its endpoints are the instances of the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::backend::{Backend, Refreshed, Route, Session, Target};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, NodeCause, Result};
use crate::net::dial::Dialer;
use crate::net::tls::TlsMode;
use crate::net::wait::Call;
use crate::picodata::config::{Balance, Passwords, Scheme};
use crate::picodata::connect::connect;
use crate::picodata::discover::{Topology, discover};
use crate::picodata::members::Members;
use crate::picodata::options::{ConnectOptions, Server};
use crate::pool::flight::{Boarded, Flight};
use crate::topology::Snapshot;

/// How long calls are answered as the server did when it refused the user, without asking it again: Picodata blocks
/// a user after five wrong passwords.
const REFUSAL_MEMORY: Duration = Duration::from_secs(60);
/// How long one instance may take to tell the topology before another one is asked.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(3);

/// What has taken longer than this was a wait.
const A_WAIT: Duration = Duration::from_millis(1);

/// Knows the instances, and chooses among them.
pub(crate) struct PicodataBackend {
    members: Members,
    access: Access,
    /// Where the topology is read, if not from the instances themselves.
    service: Option<(Access, Vec<String>)>,
    seeds: Vec<String>,
    topology: bool,
    measures: bool,
    discovering: Flight,
    /// The session that the topology was read with.
    reader: Mutex<Option<Reader>>,
    leader_changes: AtomicU64,
}

struct Reader {
    address: Arc<str>,
    session: Box<dyn Session>,
}

/// How sessions are opened: the options, the password of each instance, and whether the server takes it.
struct Access {
    options: ConnectOptions,
    passwords: Passwords,
    /// Whether the user was let in. Until then one thread at a time tries.
    is_admitted: AtomicBool,
    trying: Flight,
    /// When the user was refused, and how.
    refused: Mutex<Option<(Instant, Error)>>,
}

impl Access {
    fn new(config: &Config) -> Result<Self> {
        let tls = match config.tls.mode() {
            TlsMode::Disable => None,
            _ => Some(config.tls.build()?),
        };
        let own = &config.picodata;
        let server = match own.scheme {
            Scheme::Picodata => Server::Picodata,
            Scheme::Postgres => Server::Postgres,
        };
        Ok(Access {
            passwords: own.passwords(config.name(), &config.hosts),
            options: ConnectOptions {
                dialer: Dialer::new(None, config.dial.clone(), config.dial_timeout),
                tls,
                connect_timeout: config.dial_timeout,
                database: Some(config.name().to_owned()),
                application_name: own.application_name.clone(),
                options: own.options.clone(),
                allow_cleartext: own.allow_cleartext_password,
                allow_transactions: !own.transaction_guard,
                placeholders: own.placeholders,
                statement_cache: config.statement_cache,
                ..ConnectOptions::new(server, own.user.clone())
            },
            is_admitted: AtomicBool::new(false),
            trying: Flight::default(),
            refused: Mutex::new(None),
        })
    }

    /// Opens a session. A password is tried once: as long as none was taken, the other threads wait.
    ///
    /// Who has waited goes on only if the address is still one to go to.
    fn connect(
        &self,
        address: &str,
        call: &Call<'_>,
        patience: Option<Duration>,
        is_left_out: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Session>> {
        let admitted = || self.is_admitted.load(Ordering::Acquire).then_some(());
        // That it has to wait is no fault of the server at `address`.
        let waited_for = || {
            let text = "other threads still try whether a server takes the user";
            Error::new(ErrorKind::PoolTimeout, text)
        };
        let begin = Instant::now();
        let boarded = self.trying.board(admitted, call);
        let boarded = boarded.map_err(|error| match error.kind() {
            ErrorKind::Timeout => waited_for().with_source(error),
            _ => error,
        })?;
        self.check_refused()?;
        if begin.elapsed() > A_WAIT && is_left_out() {
            return Err(waited_for());
        }
        let own = patience.map_or(Deadline::NONE, Deadline::after);
        let opened = self.open(address, &call.at_most(own));
        match &opened {
            Ok(_) => {
                self.is_admitted.store(true, Ordering::Release);
                self.forget_refusal();
            }
            Err(error) if error.kind() == ErrorKind::Authentication => {
                *self.refused.lock() = Some((Instant::now(), error.copy()));
                self.is_admitted.store(false, Ordering::Release);
            }
            Err(_) => {}
        }
        drop(boarded);
        opened
    }

    fn open(&self, address: &str, call: &Call<'_>) -> Result<Box<dyn Session>> {
        let password = self.passwords.of(address);
        let options = ConnectOptions {
            password: password.map(|password| password.expose().to_owned()),
            ..self.options.clone()
        };
        Ok(Box::new(connect(address, &Arc::new(options), call)?))
    }

    /// Fails as the server did when it refused the user a short while ago.
    fn check_refused(&self) -> Result<()> {
        match &*self.refused.lock() {
            Some((when, error)) if when.elapsed() < REFUSAL_MEMORY => Err(error.copy()),
            _ => Ok(()),
        }
    }

    /// The same without an end, for what nobody has asked for: only a call tries again.
    fn check_ever_refused(&self) -> Result<()> {
        match &*self.refused.lock() {
            Some((_, error)) => Err(error.copy()),
            None => Ok(()),
        }
    }

    fn forget_refusal(&self) {
        *self.refused.lock() = None;
    }
}

impl PicodataBackend {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let own = &config.picodata;
        let service = match &own.service_url {
            Some(service) => Some((Access::new(service)?, service.hosts.clone())),
            None => None,
        };
        let strategy = own.balance.strategy();
        let members = Members::new(own.filter.clone(), strategy, config.pool.max_conns);
        if !own.topology {
            members.apply(Members::of_hosts(&config.hosts));
        }
        Ok(PicodataBackend {
            members,
            access: Access::new(config)?,
            service,
            seeds: config.hosts.clone(),
            topology: own.topology,
            measures: matches!(own.balance, Balance::LowestLatency | Balance::Own(_)),
            discovering: Flight::default(),
            reader: Mutex::new(None),
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
        let ready = || self.members.snapshot().map(|_| ());
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
            match discover(&mut *reader.session, &limited) {
                Ok(topology) => {
                    *self.reader.lock() = Some(reader);
                    self.take(topology);
                    return Ok(());
                }
                Err(error) => {
                    call.check()?;
                    log::debug!(target: "quorate", "{}: reading the topology: {error}", reader.address);
                    causes.push(cause(&reader.address, error));
                }
            }
        }
        for address in self.sources() {
            let limited = call.at_most(Deadline::after(SOURCE_TIMEOUT));
            let read = self
                .source_access()
                .connect(&address, &limited, None, &|| false)
                .and_then(|mut session| Ok((discover(&mut *session, &limited)?, session)));
            match read {
                Ok((topology, session)) => {
                    *self.reader.lock() = Some(Reader { address, session });
                    self.take(topology);
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

    fn take(&self, topology: Topology) {
        let snapshot = match topology {
            Topology::Cluster(snapshot) => snapshot,
            Topology::None => Members::of_hosts(&self.seeds),
        };
        let old = self.members.snapshot();
        let leader = |snapshot: &Snapshot| snapshot.leader().map(|leader| Arc::clone(&leader.uuid));
        let new_leader = leader(&snapshot);
        let old_leader = old.as_deref().and_then(leader);
        if old_leader.is_some() && new_leader.is_some() && old_leader != new_leader {
            self.leader_changes.fetch_add(1, Ordering::Relaxed);
        }
        for change in self.members.apply(snapshot) {
            log::info!(target: "quorate", "{change}");
        }
    }
}

impl Backend for PicodataBackend {
    fn route(&self, target: &Target<'_>, call: &Call<'_>) -> Result<Option<Route>> {
        self.access.check_refused()?;
        self.ensure_discovered(call)?;
        match self.members.choose(target) {
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
        self.members.connected(endpoint);
        Ok(session)
    }

    fn report(&self, endpoint: &str, error: &Error) -> bool {
        if !matches!(
            error.kind(),
            ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout | ErrorKind::Protocol
        ) {
            return false;
        }
        self.members.failed(endpoint);
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
        match self.members.snapshot() {
            Some(_) => self.read_topology(call)?,
            None => self.ensure_discovered(call)?,
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

    fn is_left_out(&self, endpoint: &str) -> bool {
        self.members.is_left_out(endpoint)
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
