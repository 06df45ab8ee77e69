//! The configuration of a pool: one type for both databases, from a connection string and by setters.

mod duration;
pub(crate) mod options;
pub(crate) mod secret;
mod table;
pub(crate) mod url;

pub(crate) use duration::parse_duration;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::deadline::Deadline;
use crate::dqlite::store::NodeStore;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::{Event, LogLevel, Logger};
use crate::net::dial::DialFn;
use crate::net::tls::{TlsConfig, TlsMode};
use crate::picodata::config::{Balance, Environment, PicodataConfig};
use crate::sql::{self, Dialect, Placeholders};
use crate::topology::BalanceStrategy;

/// Which database a pool talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// dqlite: replicated SQLite, over its own protocol.
    Dqlite,
    /// Picodata, or PostgreSQL itself, over PostgreSQL's protocol.
    Picodata,
}

impl Database {
    /// The SQL that the database speaks.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Database::Dqlite => Dialect::Sqlite,
            Database::Picodata => Dialect::Postgres,
        }
    }

    /// Cuts the first statement off a text that may hold several.
    ///
    /// Answers the statement, without its `;` and without white space and comments around it, and the text behind
    /// the `;`; in the place of that text `None` where no `;` ends the statement, which may then go on in text that is
    /// still to come. Answers `None` where there is no statement. A `;` in a string, in a comment or in the body of a
    /// trigger ends none.
    ///
    /// ```
    /// # use quorate::Database;
    /// let text = "insert into t values (';'); select";
    /// let (first, rest) = Database::Dqlite.first_statement(text).unwrap();
    /// assert_eq!((first, rest), ("insert into t values (';')", Some(" select")));
    /// assert_eq!(Database::Dqlite.first_statement(" select"), Some(("select", None)));
    /// ```
    pub fn first_statement(self, sql: &str) -> Option<(&str, Option<&str>)> {
        sql::first_statement(sql, self.dialect())
    }
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

/// What dqlite alone needs.
#[derive(Clone)]
pub(crate) struct DqliteConfig {
    pub(crate) busy_timeout: Duration,
    pub(crate) max_message: u32,
    pub(crate) store_path: Option<String>,
    pub(crate) store: Option<Arc<dyn NodeStore>>,
    pub(crate) lookup: LookupConfig,
}

impl fmt::Debug for DqliteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DqliteConfig")
            .field("busy_timeout", &self.busy_timeout)
            .field("max_message", &self.max_message)
            .field("store", &self.store_path)
            .field("lookup", &self.lookup)
            .finish()
    }
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
/// picodata://app:secret@10.0.0.1:4327,10.0.0.2:4327/app?sslmode=verify-full&sslrootcert=ca.crt
/// postgres://app@db1,db2:5433/app
/// host=db1,db2 port=5432,5433 user=app password='it\'s' dbname=app
/// ```
///
/// Values with special characters are percent-encoded in a URL; behind `keyword=` they are put in quotes, with a
/// backslash before a quote or a backslash. Durations are written as `1h30m`, `500ms` or, as a number alone, in
/// seconds.
///
/// # Options of both databases
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
/// | `placeholders` | native | how parameters are written: `native`, `question` (`?`), `named` (`:name`). PostgreSQL's own are `$1`; dqlite takes all of its own with each |
/// | `sslmode` | see below | `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`; the second and the third not for dqlite |
/// | `sslrootcert` | | file of CA certificates, or `system` |
/// | `sslcert`, `sslkey` | | files of the client's certificate and its key |
/// | `sslservername` | | the name to look for in the server's certificate instead of the host |
/// | `dial_timeout` | 5s | how long one dial takes at most, TLS included |
///
/// Without `sslmode`, dqlite is spoken to in plain text. For Picodata it is `verify-full` if `sslrootcert` is
/// given, `require` if only `sslcert` is, and `disable` otherwise; libpq's default is `prefer`. Certificates below
/// `~/.postgresql` are not looked for.
///
/// `prefer` and `allow` mean what they do in libpq: TLS where the server offers it and else plain text, or plain text and TLS
/// where the server refuses that. They protect from those who only listen; whoever can alter the traffic has it go in plain
/// text, whatever both ends would like. They verify no certificate, also where `sslrootcert` is given (libpq does then, and
/// takes plain text instead of a certificate that is wrong), while `require` verifies it as `verify-ca` then, as in libpq. The
/// second way is taken only where the server has not asked who the user is yet, so a password is sent once, and both are under
/// the one deadline. Over a Unix socket both are plain text.
///
/// # dqlite
///
/// The hosts are `host:port`, `[IPv6]:port`, `@name` for an abstract Unix socket or a percent-encoded path for
/// a Unix socket (`%2Frun%2Fapp.sock`); the path is the name of the database. Any one node of the cluster is
/// enough, the others are learned.
///
/// | option | default | meaning |
/// | --- | --- | --- |
/// | `busy_timeout` | 5s | how long a statement outside of a transaction is repeated while another connection holds the lock; 0 is not at all |
/// | `max_message` | 67108864 | the largest answer accepted, in bytes |
/// | `refresh_interval` | 30s | how often the list of nodes is read; an error reads it at once |
/// | `store` | | file of the list of nodes, kept up to date: `….yaml`, or else SQLite |
/// | `attempt_timeout` | 15s | how long one node may take to say who leads |
/// | `probe_limit` | 10 | how many nodes are asked at once |
/// | `probe_delay` | 250ms | how long the last known leader may take before others are asked as well |
/// | `backoff_factor`, `backoff_cap` | 50ms, 250ms | the pauses between lookups: doubling, with jitter, up to the cap |
/// | `retry_limit` | 0 | how often a lookup that found no leader is repeated; 0 is until the deadline |
///
/// # Picodata and PostgreSQL
///
/// The schemes `postgres` and `postgresql` mean the same as `picodata`, but for the port where none is given:
/// 5432, as it is behind `keyword=`, and 4327 for `picodata`. A host is a name, an IP address, or a directory
/// with a Unix socket (`%2Frun%2Fpostgresql`); without one it is `localhost`. Any one instance is enough, the
/// others are learned.
///
/// | option | default | meaning |
/// | --- | --- | --- |
/// | `user` | the system's user | the user |
/// | `password` | | the password; otherwise it is looked for in the passfile |
/// | `passfile` | `~/.pgpass` | lines `host:port:database:user:password`; left alone if others than its owner may read it |
/// | `dbname` | the user | the database; Picodata takes any |
/// | `application_name`, `fallback_application_name` | | a name that the server may show |
/// | `options` | | options for the server; for Picodata `name=value,name=value` |
/// | `connect_timeout` | 5s | libpq's name of `dial_timeout`, in seconds; 0 is no limit |
/// | `allow_cleartext_password` | off | whether a password may be sent readable over a connection without TLS |
/// | `transaction_guard` | on | whether to refuse transactions on Picodata, which accepts `BEGIN` and does nothing |
/// | `balance` | round_robin | which instance is next: `round_robin`, `random`, `least_busy`, `lowest_latency` |
/// | `sharding` | auto | whether a statement goes to the master of its bucket where the server tells it (Picodata 26.1 and later): `auto`, `off` |
/// | `role` | any | which instances are used: `any`, `master`, `replica` |
/// | `tier` | | the tiers whose instances are used, with commas between; all without it |
/// | `failure_domain` | | instances that share the most of `name=value,name=value` are preferred |
/// | `topology` | on | whether the instances are learned from the cluster; `off` uses the given hosts alone |
/// | `topology_interval` | 500ms | how often the instances are read; an error reads them at once |
/// | `service_url` | | the connection string of the instance to read them from; any of the pool's without it |
/// | `target_session_attrs` | any | accepted as `any` alone; see `role` |
/// | `channel_binding`, `client_encoding`, `gssencmode`, `sslnegotiation`, `sslcompression`, `sslsni`, `load_balance_hosts` | | accepted with the values that ask for nothing, and refused with others |
///
/// As in libpq, what the string does not say is looked for in the section `service` (or PGSERVICE) of the service
/// file, which is PGSERVICEFILE, `~/.pg_service.conf` or `$PGSYSCONFDIR/pg_service.conf`, and then in the
/// environment: PGHOST, PGHOSTADDR, PGPORT, PGUSER, PGPASSWORD, PGPASSFILE, PGDATABASE, PGSSLMODE,
/// PGSSLROOTCERT, PGSSLCERT, PGSSLKEY, PGAPPNAME, PGOPTIONS, PGCONNECT_TIMEOUT and PGTARGETSESSIONATTRS. An
/// empty variable counts as none.
///
/// # Copies and secrets
///
/// A `Config` may be copied and changed freely; a pool keeps its own copy. `Display` writes a connection string
/// for logs; neither it nor `Debug` shows a password.
#[derive(Clone)]
pub struct Config {
    pub(crate) database: Database,
    pub(crate) hosts: Vec<String>,
    pub(crate) name: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) pool: PoolConfig,
    pub(crate) statement_cache: usize,
    pub(crate) placeholders: Placeholders,
    pub(crate) refresh_interval: Duration,
    pub(crate) tls: TlsConfig,
    pub(crate) dial_timeout: Duration,
    pub(crate) dial: Option<Arc<DialFn>>,
    /// Of no meaning for Picodata.
    pub(crate) dqlite: DqliteConfig,
    /// Of no meaning for dqlite.
    pub(crate) picodata: PicodataConfig,
    pub(crate) logger: Logger,
}

impl Config {
    pub(crate) fn new(database: Database, hosts: Vec<String>, name: String) -> Self {
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
            placeholders: Placeholders::Native,
            refresh_interval: match database {
                Database::Dqlite => Duration::from_secs(30),
                Database::Picodata => Duration::from_millis(500),
            },
            tls: TlsConfig::new(TlsMode::Disable),
            dial_timeout: Duration::from_secs(5),
            dial: None,
            dqlite: DqliteConfig {
                busy_timeout: Duration::from_secs(5),
                max_message: 64 * 1024 * 1024,
                store_path: None,
                store: None,
                lookup: LookupConfig {
                    attempt_timeout: Duration::from_secs(15),
                    probe_limit: 10,
                    probe_delay: Duration::from_millis(250),
                    backoff_factor: Duration::from_millis(50),
                    backoff_cap: Duration::from_millis(250),
                    retry_limit: 0,
                },
            },
            picodata: PicodataConfig::default(),
            logger: Logger::default(),
        }
    }

    /// Reads a connection string.
    ///
    /// For Picodata and PostgreSQL it reads the environment and, where one is named, the service file; it does
    /// no other I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the part that is wrong; for an unknown option, the nearest known one. What
    /// may be a part of a password is not repeated.
    pub fn parse(url: &str) -> Result<Config> {
        Config::parse_in(url, &|name| std::env::var(name).ok())
    }

    /// Reads a connection string as [`parse`](Config::parse) does, with `variable` in the place of the
    /// environment: `|_| None` is none at all.
    ///
    /// # Errors
    ///
    /// As [`parse`](Config::parse).
    pub fn parse_in(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
        url::parse(url, &Environment::new(variable))
    }

    /// The configuration of a client of the dqlite database `name`, whose nodes `store` knows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: the name is no pure file name.
    pub fn dqlite(name: &str, store: impl NodeStore + 'static) -> Result<Config> {
        let mut config = Config::new(Database::Dqlite, Vec::new(), name.to_owned());
        config.dqlite.store = Some(Arc::new(store));
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

    /// The value of an option by its name, as [`set`](Config::set) takes it; `None` where it has none, and for a
    /// password, which is never told.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the option, and the nearest known one where it is unknown.
    pub fn get(&self, option: &str) -> Result<Option<String>> {
        options::get(self, option)
    }

    /// Sets the TLS options.
    pub fn set_tls(&mut self, tls: TlsConfig) -> &mut Self {
        self.tls = tls;
        self
    }

    /// Sets the store that knows the nodes of a dqlite cluster, in place of the hosts.
    pub fn set_store(&mut self, store: impl NodeStore + 'static) -> &mut Self {
        self.dqlite.store = Some(Arc::new(store));
        self
    }

    /// Sets the strategy that chooses among the instances of Picodata, in place of the option `balance`. The
    /// pools that are opened with this configuration and its copies share it.
    pub fn set_balance(&mut self, strategy: impl BalanceStrategy + 'static) -> &mut Self {
        self.picodata.balance = Balance::Own(Arc::new(strategy));
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

    /// The name of the database; for Picodata the user's where none was given.
    pub fn name(&self) -> &str {
        if self.name.is_empty() && self.database == Database::Picodata {
            return &self.picodata.user;
        }
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

    /// How long a statement is repeated that met a lock. PostgreSQL waits for locks itself, for as long as its own
    /// settings say: when it gives up, so does the call.
    pub(crate) fn busy_timeout(&self) -> Duration {
        match self.database {
            Database::Dqlite => self.dqlite.busy_timeout,
            Database::Picodata => Duration::ZERO,
        }
    }

    /// The SQL that the database speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.database.dialect()
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
            Database::Picodata => self.picodata.validate(),
        }
    }

    pub(crate) fn backend(&self) -> Result<Box<dyn Backend>> {
        match self.database {
            Database::Dqlite => crate::dqlite::backend(self),
            Database::Picodata => crate::picodata::backend(self),
        }
    }
}

impl FromStr for Config {
    type Err = Error;

    /// As [`Config::parse`].
    fn from_str(url: &str) -> Result<Config> {
        Config::parse(url)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Config");
        out.field("database", &self.database)
            .field("hosts", &self.hosts)
            .field("name", &self.name())
            .field("timeout", &self.timeout)
            .field("pool", &self.pool)
            .field("statement_cache", &self.statement_cache)
            .field("placeholders", &self.placeholders)
            .field("refresh_interval", &self.refresh_interval)
            .field("tls", &self.tls)
            .field("dial_timeout", &self.dial_timeout)
            .field("dial", &self.dial.is_some());
        match self.database {
            Database::Dqlite => out.field("dqlite", &self.dqlite),
            Database::Picodata => out.field("picodata", &self.picodata),
        };
        out.finish()
    }
}
