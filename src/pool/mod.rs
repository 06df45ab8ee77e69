//! The pool: the object that a program opens once and asks from every thread.

pub(crate) mod core;
pub(crate) mod endpoint;
pub(crate) mod gate;
pub(crate) mod lease;
mod search;
pub(crate) mod stats;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Aim, ExecResult};
use crate::batch::{Batch, BatchResults};
use crate::cancel::CancelHandle;
use crate::config::Config;
use crate::connection::Connection;
use crate::convert::FromRow;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::params::Params;
use crate::pool::core::Core;
use crate::pool::stats::{EndpointStats, Stats};
use crate::pool::worker::Worker;
use crate::rows::Rows;
use crate::sharding::ShardingKey;
use crate::topology::Instance;
use crate::transaction::{Transaction, TransactionMode};

/// How long a worker that is stopped by the drop of its pool is waited for.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// A pool of connections to a cluster.
///
/// A pool is opened once and used from every thread; cloning it is cheap, and all clones are one pool. It
/// closes when the last clone is dropped, or with [`close`](Pool::close).
///
/// Every call blocks the calling thread, which does the network's work itself, and has a deadline: the
/// configured timeout (30 s unless set), or what [`within`](Pool::within) says. The deadline covers
/// everything: waiting for a connection, finding the leader, dialling, the answer.
///
/// With dqlite all connections go to the leader. A statement that a server refused because it is not the
/// leader, and one that never left this process, is repeated by the pool on the leader until the deadline;
/// one whose outcome is unknown is never repeated.
///
/// With Picodata the calls are spread over the instances of the cluster, each of which has up to
/// `pool_max_conns` connections. An instance that cannot be reached is left out while there are others.
///
/// ```no_run
/// use std::time::Duration;
/// use quorate::{OptionalRow, Pool};
///
/// # fn main() -> quorate::Result<()> {
/// let pool = Pool::open("dqlite://10.0.0.1:9001,10.0.0.2:9001/app?timeout=5s")?;
/// let done = pool.exec("INSERT INTO item (name) VALUES (?)", ("brick",))?;
/// println!("{} row, number {}", done.rows_affected, done.last_insert_id);
/// let (count,): (i64,) = pool.query_row("SELECT count(*) FROM item", ())?;
/// let quick = pool.within(Duration::from_millis(200));
/// let name: Option<(String,)> = quick.query_row("SELECT name FROM item WHERE id = ?", [count]).optional()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    deadline: Option<Deadline>,
    cancel: Option<CancelHandle>,
}

struct Shared {
    core: Arc<Core>,
    worker: Worker,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.core.is_forked() {
            return;
        }
        self.core.begin_close();
        self.worker.wait(Deadline::after(DROP_TIMEOUT));
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.shared.core.config)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Opens a pool from a connection string such as `dqlite://10.0.0.1:9001,10.0.0.2:9001/app`.
    ///
    /// Nothing is dialled yet: a cluster that cannot be reached shows in the first call. See [`Config`] for
    /// the options.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) names what is wrong with the string and, for an
    /// unknown option, the nearest known one.
    pub fn open(url: &str) -> Result<Pool> {
        Pool::with_config(Config::parse(url)?)
    }

    /// Opens a pool from a configuration; see [`open`](Pool::open).
    ///
    /// # Errors
    ///
    /// As [`open`](Pool::open).
    pub fn with_config(config: Config) -> Result<Pool> {
        config.validate()?;
        let backend = config.backend()?;
        let core = Arc::new(Core::new(config, backend));
        let worker = Worker::start(Arc::clone(&core))?;
        Ok(Pool {
            shared: Arc::new(Shared { core, worker }),
            deadline: None,
            cancel: None,
        })
    }

    /// The same pool with a deadline for the calls made through the value that is returned:
    /// `pool.within(Duration::from_secs(2)).exec(…)`.
    ///
    /// A [`Duration`] counts from now. The deadline holds for each call and for the rows it answers.
    #[must_use = "the bounds hold for calls made through the value that is returned"]
    pub fn within(&self, deadline: impl Into<Deadline>) -> Pool {
        Pool {
            deadline: Some(deadline.into()),
            ..self.clone()
        }
    }

    /// The same pool with a handle that cancels the calls made through the value that is returned.
    #[must_use = "the bounds hold for calls made through the value that is returned"]
    pub fn cancel_with(&self, handle: &CancelHandle) -> Pool {
        Pool {
            cancel: Some(handle.clone()),
            ..self.clone()
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    /// Takes a connection out of the pool, for as long as the value lives.
    ///
    /// Makes no round trip where an idle connection is at hand; waits for one, or dials, where not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`](crate::ErrorKind::PoolTimeout) when all stay in use,
    /// [`ErrorKind::NoLeader`](crate::ErrorKind::NoLeader) with what each node answered,
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), and whatever a failed dial has to say. The outcome
    /// is always `NotSent`.
    pub fn acquire(&self) -> Result<Connection> {
        self.acquire_for(Aim::Any)
    }

    /// Takes a connection out for a caller who has something in mind with it.
    pub(crate) fn acquire_for(&self, aim: Aim<'_>) -> Result<Connection> {
        Connection::acquire(self.core(), aim, self.deadline, self.cancel.clone())
    }

    /// The same pool within other bounds.
    pub(crate) fn bounded(&self, deadline: Option<Deadline>, cancel: Option<CancelHandle>) -> Pool {
        Pool {
            shared: Arc::clone(&self.shared),
            deadline,
            cancel,
        }
    }

    /// As [`acquire`](Pool::acquire), within bounds that hold for the acquisition alone.
    pub(crate) fn acquire_within(
        &self,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<Connection> {
        let mut connection = Connection::acquire(self.core(), Aim::Any, deadline, cancel.cloned())?;
        connection.release_bounds();
        Ok(connection)
    }

    /// Takes a connection out for one call, whose bounds also hold for the rows it answers.
    pub(crate) fn acquire_for_call_within(
        &self,
        aim: Aim<'_>,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<Connection> {
        Connection::acquire_for_call(self.core(), aim, deadline, cancel.cloned())
    }

    /// Fails in a child of the process that opened the pool.
    pub(crate) fn check_process(&self) -> Result<()> {
        self.core().check_process()
    }

    fn acquire_for_call(&self, aim: Aim<'_>) -> Result<Connection> {
        Connection::acquire_for_call(self.core(), aim, self.deadline, self.cancel.clone())
    }

    /// Makes one call on a connection that nobody else sees.
    fn with_connection<R>(
        &self,
        aim: Aim<'_>,
        call: impl FnOnce(&mut Connection) -> Result<R>,
    ) -> Result<R> {
        let mut connection = self.acquire_for_call(aim)?;
        let result = call(&mut connection);
        connection.give_back();
        result
    }

    /// Runs statements that answer no rows, and says how many rows they changed.
    ///
    /// Several statements in one text run one after the other, without parameters, up to the first that
    /// fails; the result is the last one's. A statement that does answer rows runs too; its rows are
    /// dropped.
    ///
    /// # Errors
    ///
    /// What the server answers, or what kept the statement from it; [`Error::outcome`](crate::Error::outcome)
    /// says whether it may have been applied.
    pub fn exec(&self, sql: impl AsRef<str>, params: impl Params) -> Result<ExecResult> {
        let sql = sql.as_ref();
        params.with_values(|params| {
            let aim = Aim::Statement(sql, params);
            self.with_connection(aim, |connection| connection.exec(sql, params))
        })
    }

    /// Runs one statement and gives its rows, one at a time, as they arrive.
    ///
    /// The rows hold a connection until they are dropped.
    ///
    /// # Errors
    ///
    /// As [`exec`](Pool::exec).
    pub fn query(&self, sql: impl AsRef<str>, params: impl Params) -> Result<Rows<'static>> {
        let sql = sql.as_ref();
        params.with_values(|params| {
            let connection = self.acquire_for_call(Aim::Statement(sql, params))?;
            connection.into_query(sql, params)
        })
    }

    /// Runs one statement and gives its first row, converted; further rows are dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRows`](crate::ErrorKind::NoRows) where there is none; see
    /// [`OptionalRow`](crate::OptionalRow). Otherwise as [`exec`](Pool::exec).
    pub fn query_row<T>(&self, sql: impl AsRef<str>, params: impl Params) -> Result<T>
    where
        T: for<'r> FromRow<'r>,
    {
        let sql = sql.as_ref();
        params.with_values(|params| {
            let aim = Aim::Statement(sql, params);
            self.with_connection(aim, |connection| connection.query_row(sql, params))
        })
    }

    /// Sends all statements of a batch at once and gives the results one at a time.
    ///
    /// The results hold a connection until they are dropped. A batch is no transaction: each statement has
    /// its own result or error, and one that fails does not stop those behind it.
    ///
    /// With Picodata from 26.1 on, a batch whose statements are all for buckets of one master goes there.
    ///
    /// # Errors
    ///
    /// What kept the batch from being sent; nothing was applied then, unless the outcome says otherwise.
    pub fn send_batch(&self, batch: &Batch) -> Result<BatchResults<'static>> {
        let aim = Aim::Batch(batch.items());
        self.acquire_for_call(aim)?.into_batch(batch)
    }

    /// Begins a transaction on a connection of its own. Dropping it rolls it back.
    ///
    /// # Errors
    ///
    /// As [`exec`](Pool::exec).
    pub fn begin(&self, mode: TransactionMode) -> Result<Transaction<'static>> {
        self.acquire_for_call(Aim::Any)?.into_transaction(mode)
    }

    /// Runs `body` in a transaction and commits it; repeats the whole when the database was busy or the
    /// leader went away before the commit. See
    /// [`Connection::transaction`](crate::Connection::transaction).
    ///
    /// # Errors
    ///
    /// What `body` answers, or what became of the commit.
    pub fn transaction<T>(
        &self,
        mode: TransactionMode,
        body: impl FnMut(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.acquire_for_call(Aim::Any)?.transaction(mode, body)
    }

    /// The sharding key of a table of Picodata, by which a program can tell where a row lies: see [`ShardingKey`].
    /// `table` is the name as the table `_pico_table` has it.
    ///
    /// What is known is given at once; otherwise one thread reads it with up to four queries, over a connection
    /// of the pool, and others that ask meanwhile wait for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): the table is global; the database is dqlite or
    /// plain PostgreSQL; the server is older than 25.5.1 and the user may not read `_pico_tier` either.
    /// [`ErrorKind::Database`](crate::ErrorKind::Database): there is no such table. Otherwise as
    /// [`acquire`](Pool::acquire).
    pub fn sharding_key(&self, table: impl AsRef<str>) -> Result<ShardingKey> {
        let table = table.as_ref();
        let key =
            Connection::sharding_key(self.core(), table, self.deadline, self.cancel.as_ref())?;
        Ok(ShardingKey::new(self.bounded(None, None), key))
    }

    /// Asks for an answer, over a connection of the pool: with dqlite the leader, with Picodata every instance.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Pool::acquire), and what the server answers. With Picodata
    /// [`causes`](crate::Error::causes) has the error of each instance that did not answer.
    pub fn ping(&self) -> Result<()> {
        if Connection::ping_all(self.core(), self.deadline, self.cancel.as_ref())? {
            return Ok(());
        }
        self.with_connection(Aim::Any, |connection| connection.ping())
    }

    /// The state of the pool and what it has counted. Never blocks on the network.
    ///
    /// In a forked child all figures are 0.
    pub fn stats(&self) -> Stats {
        if self.core().is_forked() {
            return Stats::default();
        }
        self.core().stats()
    }

    /// The state of the connections to each node or instance that calls go to, sorted by address: with dqlite the
    /// leader, with Picodata every instance that is online and has the role and tier that are asked for. Never
    /// blocks on the network.
    ///
    /// Empty in a forked child.
    pub fn endpoint_stats(&self) -> Vec<EndpointStats> {
        if self.core().is_forked() {
            return Vec::new();
        }
        self.core().endpoint_stats()
    }

    /// The instances of a Picodata cluster as the topology was read last, those included that are offline or are not
    /// asked for, sorted by uuid. Never blocks on the network.
    ///
    /// Empty before the first call, with dqlite ([`ClusterClient::nodes`](crate::dqlite::ClusterClient::nodes) reads its
    /// nodes), with PostgreSQL, where the option `topology` is off, and in a forked child.
    pub fn instances(&self) -> Vec<Instance> {
        if self.core().is_forked() {
            return Vec::new();
        }
        self.core().instances()
    }

    /// The configuration that the pool was opened with.
    pub fn config(&self) -> &Config {
        &self.core().config
    }

    /// Closes all idle connections at once and those in use when they come back. The pool stays open.
    pub fn reset(&self) {
        if !self.core().is_forked() {
            self.core().reset();
        }
    }

    /// Closes the pool: calls that wait for a connection fail with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), later calls too, and this call waits until the
    /// connections in use have come back, until the deadline of [`within`](Pool::within) or the configured
    /// timeout.
    ///
    /// May be called more than once and from any thread.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) says how many connections are still in use; the
    /// pool is closed nevertheless. [`ErrorKind::Forked`](crate::ErrorKind::Forked) in a forked child.
    pub fn close(&self) -> Result<()> {
        let core = self.core();
        if core.is_forked() {
            return core.check_process();
        }
        let deadline = self.deadline.unwrap_or_else(|| core.config.deadline());
        core.begin_close();
        self.shared.worker.wait(deadline);
        core.wait_closed(deadline)
    }
}
