//! A connection: one session of a pool, in the hands of one thread.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{ExecResult, Session};
use crate::batch::{Batch, BatchResults};
use crate::cancel::CancelHandle;
use crate::convert::FromRow;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::wait::Call;
use crate::params::{Params, ParamsRef};
use crate::pool::core::{Core, is_passing, retry_backoff};
use crate::pool::endpoint::Lease;
use crate::row::{Columns, Row};
use crate::rows::Rows;
use crate::sql;
use crate::statement::Statement;
use crate::transaction::{self, Transaction, TransactionMode};

/// How long the clean-up in a drop (closing rows, rolling back) may take before the connection is closed
/// instead.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the clean-up after a cancelled call may take before the connection is closed instead.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection out of a [`Pool`](crate::Pool). Dropping it gives it back.
///
/// One thread at a time uses a connection (it is `Send`, and its calls take `&mut self`). It is not tied to
/// one socket for life: outside of a transaction, a statement that cannot have been applied because the
/// node is not the leader or the connection was broken is repeated on a new one. Inside a transaction
/// nothing is: the transaction is lost with its connection, and every statement but a rollback fails until
/// it is rolled back.
///
/// A connection never goes back to the pool with an open transaction: it is rolled back first, or closed.
pub struct Connection {
    line: Line,
    cancel: CancelHandle,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
    /// The deadline of the call whose rows or results are being read.
    reading: Option<Deadline>,
}

/// The session of a connection, and what became of it.
struct Line {
    core: Arc<Core>,
    /// None after a failure; the next call takes a new one.
    lease: Option<Lease>,
    /// The transaction that was open went away with its connection.
    lost_transaction: bool,
}

impl Connection {
    pub(crate) fn acquire(
        core: Arc<Core>,
        deadline: Option<Deadline>,
        cancel: Option<CancelHandle>,
    ) -> Result<Self> {
        let cancel = cancel.unwrap_or_else(CancelHandle::for_connection);
        core.check_open()?;
        let lease = {
            let _running = cancel.enter()?;
            let call = bounds(&core, deadline, None, &cancel);
            call.check()?;
            core.lease(&call)?
        };
        Ok(Connection {
            line: Line {
                core,
                lease: Some(lease),
                lost_transaction: false,
            },
            cancel,
            deadline,
            timeout: None,
            reading: None,
        })
    }

    fn bounds(&self) -> Call<'_> {
        bounds(&self.line.core, self.deadline, self.timeout, &self.cancel)
    }

    /// Sets one deadline for all following calls, or with `None` goes back to one timeout for each call.
    pub fn set_deadline(&mut self, deadline: Option<Deadline>) {
        self.deadline = deadline;
    }

    /// Sets the timeout of each following call; `None` is no timeout at all.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = Some(timeout);
    }

    /// The handle that cancels, from any thread, the call that runs on this connection.
    ///
    /// A connection that was taken out with [`Pool::cancel_with`](crate::Pool::cancel_with) gives that handle.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// The address of the node that the connection goes to; empty while it goes to none, after a failure.
    pub fn node(&self) -> &str {
        self.line
            .lease
            .as_ref()
            .map_or("", |lease| lease.endpoint())
    }

    /// Whether a transaction is open, or was lost and waits to be rolled back.
    pub fn in_transaction(&self) -> bool {
        self.line.lost_transaction || self.is_open_on_server()
    }

    fn is_open_on_server(&self) -> bool {
        self.line
            .lease
            .as_ref()
            .and_then(Lease::peek)
            .is_some_and(|session| session.in_transaction())
    }

    /// Runs statements that answer no rows; see [`Pool::exec`](crate::Pool::exec).
    ///
    /// # Errors
    ///
    /// What the server answers, or what kept the statement from it.
    pub fn exec(&mut self, sql: impl AsRef<str>, params: impl Params) -> Result<ExecResult> {
        let sql = sql.as_ref();
        if self.line.lost_transaction {
            return self.after_lost_transaction(sql);
        }
        params.with_values(|params| self.run(|session, call| session.exec(sql, params, call)))
    }

    /// Runs one statement and gives its rows; see [`Pool::query`](crate::Pool::query).
    ///
    /// # Errors
    ///
    /// What the server answers, or what kept the statement from it.
    pub fn query(&mut self, sql: impl AsRef<str>, params: impl Params) -> Result<Rows<'_>> {
        self.start_query(sql.as_ref(), params)?;
        Ok(Rows::borrowed(self))
    }

    pub(crate) fn into_query(
        mut self,
        sql: impl AsRef<str>,
        params: impl Params,
    ) -> Result<Rows<'static>> {
        self.start_query(sql.as_ref(), params)?;
        Ok(Rows::owned(self))
    }

    fn start_query(&mut self, sql: &str, params: impl Params) -> Result<()> {
        params.with_values(|params: ParamsRef<'_>| {
            self.start_reading(|session, call| session.query(sql, params, call))
        })
    }

    /// Runs one statement and gives its first row, converted; further rows are dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRows`] where there is none; otherwise as [`exec`](Connection::exec).
    pub fn query_row<T>(&mut self, sql: impl AsRef<str>, params: impl Params) -> Result<T>
    where
        T: for<'r> FromRow<'r>,
    {
        let mut rows = self.query(sql, params)?;
        let row = match rows.next()? {
            Some(row) => row.read::<T>(),
            None => Err(Error::new(ErrorKind::NoRows, "the query answered no row")
                .with_outcome(Outcome::Rejected)),
        };
        rows.close()?;
        row.map_err(|error| self.after_run(error))
    }

    /// The error of a statement that has run, and of whose row the caller could make nothing.
    pub(crate) fn after_run(&self, error: Error) -> Error {
        let session = self.line.lease.as_ref().and_then(Lease::peek);
        match error.kind() {
            ErrorKind::Conversion if session.is_none_or(|session| session.rows_write()) => {
                error.with_outcome(Outcome::Unknown)
            }
            ErrorKind::Conversion => error.with_outcome(Outcome::Rejected),
            _ => error,
        }
    }

    /// Prepares a statement, so that a fault in it shows now and its first run is quicker.
    ///
    /// A prepared statement is not tied to this connection. Each connection keeps the statements it has
    /// prepared (128 unless set), the least recently used being dropped, so that running the same text again
    /// costs no second preparation with or without this call.
    ///
    /// # Errors
    ///
    /// What the server answers to the text.
    pub fn prepare(&mut self, sql: impl Into<Arc<str>>) -> Result<Statement> {
        let sql = sql.into();
        let description = self.run(|session, call| session.prepare(&sql, call))?;
        Ok(Statement::new(sql, description.parameters))
    }

    /// Sends all statements of a batch at once; see [`Pool::send_batch`](crate::Pool::send_batch).
    ///
    /// # Errors
    ///
    /// What kept the batch from being sent.
    pub fn send_batch(&mut self, batch: &Batch) -> Result<BatchResults<'_>> {
        self.start_batch(batch)?;
        Ok(BatchResults::borrowed(self, batch.len()))
    }

    pub(crate) fn into_batch(mut self, batch: &Batch) -> Result<BatchResults<'static>> {
        self.start_batch(batch)?;
        Ok(BatchResults::owned(self, batch.len()))
    }

    fn start_batch(&mut self, batch: &Batch) -> Result<()> {
        self.start_reading(|session, call| session.start_batch(batch.items(), call))
    }

    /// Begins a transaction. Dropping it rolls it back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] where one is open already (see [`Transaction::savepoint`]); otherwise as
    /// [`exec`](Connection::exec).
    pub fn begin(&mut self, mode: TransactionMode) -> Result<Transaction<'_>> {
        transaction::begin(self, mode)?;
        Ok(Transaction::borrowed(self))
    }

    pub(crate) fn into_transaction(
        mut self,
        mode: TransactionMode,
    ) -> Result<Transaction<'static>> {
        transaction::begin(&mut self, mode)?;
        Ok(Transaction::owned(self))
    }

    /// Runs `body` in a transaction and commits it if `body` answers `Ok`, else rolls it back.
    ///
    /// The whole is repeated, after a pause with jitter and until the deadline, when the database was busy
    /// or when the leader or the connection went away **before the commit was sent**: nothing was applied
    /// then. So `body` may run several times, and should do nothing outside of the database that must not
    /// be done twice. A commit whose outcome is unknown is not repeated.
    ///
    /// # Errors
    ///
    /// What `body` answers; what became of the commit.
    pub fn transaction<T>(
        &mut self,
        mode: TransactionMode,
        body: impl FnMut(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        transaction::run(self, mode, body)
    }

    /// Asks the server for an answer.
    ///
    /// # Errors
    ///
    /// What the server answers, or what kept it from answering.
    pub fn ping(&mut self) -> Result<()> {
        self.run(|session, call| session.ping(call))
    }

    /// Makes one call on the session, on another one if the first cannot have applied it.
    fn run<R>(
        &mut self,
        operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        self.line.core.check_open()?;
        if self.line.lost_transaction {
            return Err(lost_transaction());
        }
        let _running = self.cancel.enter()?;
        let call = bounds(&self.line.core, self.deadline, self.timeout, &self.cancel);
        self.line.attempt(&call, operation)
    }

    /// As [`run`](Connection::run), for a call whose answer is read by later ones: these share its explicit
    /// deadline.
    fn start_reading<R>(
        &mut self,
        operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        self.reading = self.deadline;
        self.run(operation)
    }

    /// Answers a statement after the transaction was lost: a rollback ends it, anything else fails.
    fn after_lost_transaction(&mut self, sql: &str) -> Result<ExecResult> {
        if sql::is_rollback(sql, self.line.core.config.dialect()) {
            self.line.lost_transaction = false;
            return Ok(ExecResult::default());
        }
        Err(lost_transaction())
    }

    /// Goes to the next row of the running query.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        let advanced = self.read(|session, call| session.next_row(call));
        if advanced.is_err() {
            // A call that was cancelled leaves rows under way.
            self.clean_up_within(CANCEL_TIMEOUT, |session, call| session.close_rows(call));
        }
        advanced
    }

    pub(crate) fn columns(&self) -> &Columns {
        static NONE: std::sync::LazyLock<Columns> = std::sync::LazyLock::new(Columns::default);
        self.line
            .lease
            .as_ref()
            .and_then(Lease::peek)
            .map_or(&NONE, |session| session.columns())
    }

    pub(crate) fn row(&self) -> Row<'_> {
        let (cells, data) = self
            .line
            .lease
            .as_ref()
            .and_then(Lease::peek)
            .map_or((&[][..], &[][..]), |session| session.row());
        Row::new(self.columns(), cells, data)
    }

    pub(crate) fn close_rows(&mut self) -> Result<()> {
        self.read(|session, call| session.close_rows(call))
    }

    /// Makes a call that reads on in an answer. It is never repeated.
    pub(crate) fn read<R>(
        &mut self,
        operation: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        self.line.core.check_process()?;
        let _running = self.cancel.enter()?;
        let deadline = self.reading.or(self.deadline);
        let call = bounds(&self.line.core, deadline, self.timeout, &self.cancel);
        self.line.read(&call, operation)
    }

    /// Does `clean_up` within a short time, and closes the connection if that fails.
    pub(crate) fn clean_up(
        &mut self,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<()>,
    ) {
        self.clean_up_within(DROP_TIMEOUT, clean_up);
    }

    fn clean_up_within(
        &mut self,
        timeout: Duration,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<()>,
    ) {
        if self.line.core.is_forked() {
            return;
        }
        let Some(mut lease) = self.line.lease.take() else {
            return;
        };
        let call = Call::until(Deadline::after(timeout));
        match lease.session().and_then(|session| clean_up(session, &call)) {
            Ok(()) => self.line.lease = Some(lease),
            Err(error) => {
                log::debug!(target: "quorate", "{}: closing the connection: {error}", lease.endpoint());
                lease.discard();
            }
        }
    }

    /// Rolls an open transaction back, within a short time; closes the connection if that fails.
    pub(crate) fn roll_back(&mut self) {
        self.line.lost_transaction = false;
        if self.is_open_on_server() {
            self.clean_up(|session, call| {
                session
                    .exec("ROLLBACK", ParamsRef::Positional(&[]), call)
                    .map(|_| ())
            });
        }
    }

    /// Gives the connection up, with the transaction that is open on it.
    pub(crate) fn lose_transaction(&mut self) {
        self.line.lost_transaction = true;
        if let Some(lease) = self.line.lease.take() {
            lease.discard();
        }
    }

    /// Whether the transaction that was begun on this connection is gone with its socket.
    pub(crate) fn has_lost_transaction(&self) -> bool {
        self.line.lost_transaction
    }

    /// The moment by which a call that begins now ends.
    pub(crate) fn call_deadline(&self) -> Deadline {
        self.bounds().deadline
    }

    pub(crate) fn explicit_deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Sleeps for the next pause of `backoff` within the bounds of a call that ends at `deadline`.
    pub(crate) fn pause(
        &self,
        backoff: &mut crate::net::backoff::Backoff,
        deadline: Deadline,
    ) -> Result<()> {
        let _running = self.cancel.enter()?;
        backoff.pause(&self.bounds().at_most(deadline))
    }
}

impl Line {
    /// Makes a call, on new sessions again until the call ends if it cannot have been applied.
    fn attempt<R>(
        &mut self,
        call: &Call<'_>,
        mut operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut backoff = retry_backoff();
        loop {
            call.check()?;
            if self
                .lease
                .as_ref()
                .and_then(Lease::peek)
                .is_some_and(|session| session.is_broken())
            {
                self.lease = None;
            }
            let lease = match &mut self.lease {
                Some(lease) => lease,
                none => none.insert(self.core.lease(call)?),
            };
            let was_in_transaction = lease.session()?.in_transaction();
            let error = match operation(lease.session()?, call) {
                Ok(result) => return Ok(result),
                Err(error) => error.with_node(&**lease.endpoint()),
            };
            self.core.report(lease.endpoint(), &error);
            let gone = lease.session()?.is_broken() || error.kind() == ErrorKind::NotLeader;
            if gone && let Some(lease) = self.lease.take() {
                lease.discard();
            }
            if was_in_transaction {
                self.lost_transaction = gone;
                return Err(error);
            }
            if !gone || !is_passing(&error) || backoff.pause(call).is_err() {
                return Err(error);
            }
            log::debug!(target: "quorate", "{error}; repeating the statement, which was not applied");
        }
    }

    fn read<R>(
        &mut self,
        call: &Call<'_>,
        operation: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let Some(lease) = &mut self.lease else {
            return Err(Error::new(
                ErrorKind::Closed,
                "the connection was closed after an earlier error",
            )
            // What is read on is the answer to something that was sent.
            .with_outcome(Outcome::Unknown));
        };
        let was_in_transaction = lease.session()?.in_transaction();
        operation(lease.session()?, call).map_err(|error| {
            let error = error.with_node(&**lease.endpoint());
            self.core.report(lease.endpoint(), &error);
            // The session stays: it knows what became of the other statements of a batch.
            let broken = lease.peek().is_none_or(|session| session.is_broken());
            self.lost_transaction |= broken && was_in_transaction;
            error
        })
    }
}

/// The bounds of a call: `deadline` if there is one, else the connection's timeout, else the configured one.
fn bounds<'a>(
    core: &Core,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
    cancel: &'a CancelHandle,
) -> Call<'a> {
    let deadline = deadline.unwrap_or_else(|| match timeout {
        Some(Some(timeout)) => Deadline::after(timeout),
        Some(None) => Deadline::NONE,
        None => core.config.deadline(),
    });
    Call {
        deadline,
        cancel: Some(cancel),
    }
}

fn lost_transaction() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "the transaction was lost with its connection; roll it back before anything else",
    )
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.roll_back();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("node", &self.node())
            .field("in_transaction", &self.in_transaction())
            .finish_non_exhaustive()
    }
}
