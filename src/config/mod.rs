//! The configuration of a pool: one type for both databases, from a connection string and by setters.

mod duration;
mod options;
mod url;

pub(crate) use duration::parse_duration;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::deadline::Deadline;
use crate::dqlite::store::NodeStore;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::{Event, LogLevel, Logger};
use crate::net::backoff::Backoff;
use crate::net::dial::DialFn;
use crate::net::tls::{TlsConfig, TlsMode};
use crate::sql::Dialect;

/// Which database a pool talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// dqlite: replicated SQLite, over its own protocol.
    Dqlite,
}

/// The sizes and times of a pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct PoolConfig {
    pub(crate) max_conns: u32,
    pub(crate) min_conns: u32,
    pub(crate) max_conn_lifetime: Option<Duration>,
    pub(crate) max_conn_lifetime_jitter: Duration,
    pub(crate) max_conn_idle_time: Option<Duration>,
    pub(crate) health_check_period: Duration,
    pub(crate) acquire_timeout: Option<Duration>,
}

/// How the leader of a dqlite cluster is looked up.
#[derive(Debug, Clone)]
pub(crate) struct LookupConfig {
    pub(crate) attempt_timeout: Duration,
    pub(crate) probe_limit: usize,
    pub(crate) probe_delay: Duration,
    pub(crate) backoff_factor: Duration,
    pub(crate) backoff_cap: Duration,
    pub(crate) retry_limit: u32,
}

/// The configuration of a pool.
///
/// It is read from a connection string:
///
/// ```text
/// dqlite://10.0.0.1:9001,10.0.0.2:9001,[::1]:9001/app?pool_max_conns=20&timeout=5s
/// ```
///
/// The hosts are `host:port`, `[IPv6]:port`, `@name` for an abstract Unix socket or a percent-encoded path for
/// a Unix socket (`%2Frun%2Fapp.sock`); the path is the name of the database. Any one node of the cluster is
/// enough, the others are learned. Values with special characters are percent-encoded. Durations are written
/// as `1h30m`, `500ms` or, as a number alone, in seconds.
///
/// | option | default | meaning |
/// | --- | --- | --- |
/// | `timeout` | 30s | the deadline of each call that has no other; 0 is none |
/// | `acquire_timeout` | 10s | how long a call waits for a connection at most, the lookup of the leader included; 0 is no limit of its own |
/// | `pool_max_conns` | 10 | the most connections to one node |
/// | `pool_min_conns` | 0 | so many are kept open |
/// | `pool_max_conn_lifetime` | 1h | a connection older than this is closed when it is idle; 0 is never |
/// | `pool_max_conn_lifetime_jitter` | 6m | up to this is added to each lifetime, so that not all end at once |
/// | `pool_max_conn_idle_time` | 30m | a connection idle for longer is closed (looked at every 30 s); 0 is never |
/// | `pool_health_check_period` | 1m | how often the least number of connections is seen to |
/// | `statement_cache` | 128 | prepared statements that a connection keeps; 0 prepares none |
/// | `max_message` | 67108864 | the largest answer accepted, in bytes |
/// | `refresh_interval` | 30s | how often the list of nodes is read; an error reads it at once |
/// | `sslmode` | disable | `disable`, `require`, `verify-ca`, `verify-full` |
/// | `sslrootcert` | | file of CA certificates, or `system` |
/// | `sslcert`, `sslkey` | | files of the client's certificate and its key |
/// | `sslservername` | | the name to look for in the server's certificate instead of the host |
/// | `dial_timeout` | 5s | how long one dial takes at most, TLS included |
/// | `store` | | file of the list of nodes, kept up to date: `….yaml`, or else SQLite |
/// | `attempt_timeout` | 15s | how long one node may take to say who leads |
/// | `probe_limit` | 10 | how many nodes are asked at once |
/// | `probe_delay` | 250ms | how long the last known leader may take before others are asked as well |
/// | `backoff_factor`, `backoff_cap` | 100ms, 1s | the pauses between lookups: doubling, with jitter, up to the cap |
/// | `retry_limit` | 0 | how often a lookup that found no leader is repeated; 0 is until the deadline |
///
/// A `Config` may be copied and changed freely; a pool keeps its own copy. `Debug` shows no secret.
#[derive(Clone)]
pub struct Config {
    pub(crate) database: Database,
    pub(crate) hosts: Vec<String>,
    pub(crate) name: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) pool: PoolConfig,
    pub(crate) statement_cache: usize,
    pub(crate) max_message: u32,
    pub(crate) refresh_interval: Duration,
    pub(crate) tls: TlsConfig,
    pub(crate) dial_timeout: Duration,
    pub(crate) dial: Option<Arc<DialFn>>,
    pub(crate) store_path: Option<String>,
    pub(crate) store: Option<Arc<dyn NodeStore>>,
    pub(crate) lookup: LookupConfig,
    pub(crate) logger: Logger,
}

impl Config {
    fn new(database: Database, hosts: Vec<String>, name: String) -> Self {
        Config {
            database,
            hosts,
            name,
            timeout: Some(Duration::from_secs(30)),
            pool: PoolConfig {
                max_conns: 10,
                min_conns: 0,
                max_conn_lifetime: Some(Duration::from_secs(3600)),
                max_conn_lifetime_jitter: Duration::from_secs(360),
                max_conn_idle_time: Some(Duration::from_secs(1800)),
                health_check_period: Duration::from_secs(60),
                acquire_timeout: Some(Duration::from_secs(10)),
            },
            statement_cache: 128,
            max_message: 64 * 1024 * 1024,
            refresh_interval: Duration::from_secs(30),
            tls: TlsConfig::new(TlsMode::Disable),
            dial_timeout: Duration::from_secs(5),
            dial: None,
            store_path: None,
            store: None,
            lookup: LookupConfig {
                attempt_timeout: Duration::from_secs(15),
                probe_limit: 10,
                probe_delay: Duration::from_millis(250),
                backoff_factor: Backoff::DEFAULT_FACTOR,
                backoff_cap: Backoff::DEFAULT_CAP,
                retry_limit: 0,
            },
            logger: Logger::default(),
        }
    }

    /// Reads a connection string.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the part that is wrong; for an unknown option, the nearest known one.
    pub fn parse(url: &str) -> Result<Config> {
        url::parse(url)
    }

    /// The configuration of a client of the dqlite database `name`, whose nodes `store` knows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: the name is no pure file name.
    pub fn dqlite(name: &str, store: impl NodeStore + 'static) -> Result<Config> {
        let mut config = Config::new(Database::Dqlite, Vec::new(), name.to_owned());
        config.store = Some(Arc::new(store));
        config.validate()?;
        Ok(config)
    }

    /// Sets an option by its name, as in a connection string, its value not percent-encoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the option, and the nearest known one where it is unknown.
    pub fn set(&mut self, option: &str, value: &str) -> Result<&mut Self> {
        options::set(self, option, value)?;
        Ok(self)
    }

    /// Sets the TLS options.
    pub fn set_tls(&mut self, tls: TlsConfig) -> &mut Self {
        self.tls = tls;
        self
    }

    /// Sets the store that knows the nodes of a dqlite cluster, in place of the hosts.
    pub fn set_store(&mut self, store: impl NodeStore + 'static) -> &mut Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the function that makes connections; see [`DialFn`].
    pub fn set_dial(
        &mut self,
        dial: impl Fn(&str, Deadline) -> std::io::Result<std::os::fd::OwnedFd> + Send + Sync + 'static,
    ) -> &mut Self {
        self.dial = Some(Arc::new(dial));
        self
    }

    /// Sets the function that is told what the library would otherwise tell the `log` facade.
    ///
    /// It is called on the thread that has something to say: that of a call, the pool's own, or a short-lived
    /// one of a leader lookup, and by several at once. It should return soon, and must not call the pool.
    pub fn set_log(&mut self, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> &mut Self {
        self.logger.set_log(log);
        self
    }

    /// Sets the function that is told when the leader or the list of nodes changes.
    ///
    /// It is called on the thread that has noticed, and by several at once. It should return soon, and may
    /// ask the pool for its [`stats`](crate::Pool::stats), but must make no call that takes a connection.
    pub fn set_event(&mut self, event: impl Fn(Event<'_>) + Send + Sync + 'static) -> &mut Self {
        self.logger.set_event(event);
        self
    }

    /// Which database the pool talks to.
    pub fn database(&self) -> Database {
        self.database
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hosts of the connection string.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The deadline of a call that begins now and has no other.
    pub(crate) fn deadline(&self) -> Deadline {
        self.timeout.map_or(Deadline::NONE, Deadline::after)
    }

    /// The SQL that the database speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.database {
            Database::Dqlite => Dialect::Sqlite,
        }
    }

    /// Checks the options against each other.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.pool.min_conns > self.pool.max_conns {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "pool_min_conns is {} and pool_max_conns {}: the least cannot be more than the most",
                    self.pool.min_conns, self.pool.max_conns
                ),
            ));
        }
        match self.database {
            Database::Dqlite => crate::dqlite::check_name(&self.name),
        }
    }

    pub(crate) fn backend(&self) -> Result<Box<dyn Backend>> {
        match self.database {
            Database::Dqlite => crate::dqlite::backend(self),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("database", &self.database)
            .field("hosts", &self.hosts)
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("pool", &self.pool)
            .field("statement_cache", &self.statement_cache)
            .field("max_message", &self.max_message)
            .field("refresh_interval", &self.refresh_interval)
            .field("tls", &self.tls)
            .field("dial_timeout", &self.dial_timeout)
            .field("dial", &self.dial.is_some())
            .field("store", &self.store_path)
            .field("lookup", &self.lookup)
            .finish()
    }
}
