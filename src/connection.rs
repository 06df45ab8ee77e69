//! A connection: one session of a pool, in the hands of one thread.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::backend::{ExecResult, NextRow, Session};
use crate::batch::{Batch, BatchResults};
use crate::cancel::{CancelHandle, Running};
use crate::convert::FromRow;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::logging::Logger;
use crate::net::backoff::Backoff;
use crate::net::wait::Call;
use crate::params::{Params, ParamsRef};
use crate::pool::core::{Core, is_passing, retry_backoff};
use crate::pool::endpoint::Lease;
use crate::row::{Columns, Row};
use crate::rows::Rows;
use crate::sql::{self, Dialect};
use crate::statement::Statement;
use crate::transaction::{self, Transaction, TransactionMode};

/// How long the clean-up in a drop (closing rows, rolling back) may take before the connection is closed
/// instead.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the clean-up after a cancelled call may take before the connection is closed instead.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(100);

/// How much time a clean-up has when the deadline of its call has passed: enough for a server that answers.
const CLEAN_UP_GRACE: Duration = Duration::from_millis(20);

/// The first pause before a statement that met a lock is repeated, and the longest.
pub(crate) const BUSY_PAUSE: (Duration, Duration) =
    (Duration::from_millis(2), Duration::from_millis(100));

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
    cancel: Cancel,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
    /// The deadline of the call whose rows or results are being read.
    reading: Option<Deadline>,
    /// The deadline of the call of the pool that has taken the connection out and not run its statement yet.
    begun: Option<Deadline>,
}

/// Who can cancel the calls of a connection.
struct Cancel {
    /// The connection's own handle. Made when it is first asked for; until then nobody can cancel with it.
    own: OnceCell<CancelHandle>,
    /// The handle of a caller, which takes the own one's place for as long as it is set.
    lent: Option<CancelHandle>,
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
    /// Takes a connection out for a caller, who keeps it.
    pub(crate) fn acquire(
        core: &Arc<Core>,
        deadline: Option<Deadline>,
        cancel: Option<CancelHandle>,
    ) -> Result<Self> {
        let mut connection = Connection::acquire_for_call(core, deadline, cancel)?;
        connection.begun = None;
        Ok(connection)
    }

    /// Takes a connection out for one call of the pool: the first statement is a part of that call, so it
    /// has the same deadline, and the process is not looked at again.
    pub(crate) fn acquire_for_call(
        core: &Arc<Core>,
        deadline: Option<Deadline>,
        cancel: Option<CancelHandle>,
    ) -> Result<Self> {
        core.check_open()?;
        let (lease, begun) = {
            let _running = enter(cancel.as_ref())?;
            let now = Instant::now();
            let call = bounds(core, deadline, None, cancel.as_ref(), now);
            call.check_at(now)?;
            (core.lease(&call, now)?, call.deadline)
        };
        Ok(Connection {
            line: Line {
                core: Arc::clone(core),
                lease: Some(lease),
                lost_transaction: false,
            },
            cancel: Cancel {
                own: cancel.map_or_else(OnceCell::new, OnceCell::from),
                lent: None,
            },
            deadline,
            timeout: None,
            reading: None,
            begun: Some(begun),
        })
    }

    /// Asks every endpoint of the pool for an answer; false if calls go to one alone, which was not asked.
    pub(crate) fn ping_all(
        core: &Core,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<bool> {
        core.check_open()?;
        let _running = enter(cancel)?;
        core.ping_all(&bounds(core, deadline, None, cancel, Instant::now()))
    }

    /// Gives the connection back, by a call of the pool that has taken it out itself and has run no code of
    /// the caller's but conversions meanwhile: the process has not been forked in between.
    pub(crate) fn give_back(mut self) {
        self.roll_back();
        if let Some(lease) = self.line.lease.take() {
            lease.give_back();
        }
    }

    fn bounds(&self, now: Instant) -> Call<'_> {
        let (deadline, cancel) = (self.deadline, self.cancel.get());
        bounds(&self.line.core, deadline, self.timeout, cancel, now)
    }

    /// Gives the calls from here on, and the rows they answer, other bounds: a deadline, or with `None` one
    /// timeout each; a caller's cancel handle, or with `None` the connection's own.
    pub(crate) fn set_bounds(&mut self, deadline: Option<Deadline>, cancel: Option<&CancelHandle>) {
        self.deadline = deadline;
        self.cancel.lent = cancel.cloned();
    }

    /// Lets go of the bounds that the connection was acquired within.
    pub(crate) fn release_bounds(&mut self) {
        self.deadline = None;
        self.begun = None;
        self.cancel.own = OnceCell::new();
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
        let cancel = self.cancel.own.get_or_init(CancelHandle::for_connection);
        cancel.clone()
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

    pub(crate) fn start_query(&mut self, sql: &str, params: impl Params) -> Result<()> {
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
        match error.kind() {
            ErrorKind::Conversion => error.with_outcome(self.outcome_after_run()),
            _ => error,
        }
    }

    /// What to say of a query that has run when its caller can do nothing with its row.
    pub(crate) fn outcome_after_run(&self) -> Outcome {
        let session = self.line.lease.as_ref().and_then(Lease::peek);
        if session.is_none_or(|session| session.rows_write()) {
            Outcome::Unknown
        } else {
            Outcome::Rejected
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

    pub(crate) fn start_batch(&mut self, batch: &Batch) -> Result<()> {
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
        let begun = self.begun.take();
        if begun.is_none() {
            self.line.core.check_open()?;
        }
        if self.line.lost_transaction {
            return Err(lost_transaction());
        }
        let _running = enter(self.cancel.get())?;
        let now = Instant::now();
        let call = bounds(
            &self.line.core,
            begun.or(self.deadline),
            self.timeout,
            self.cancel.get(),
            now,
        );
        // Taking the connection out may have used the time up.
        call.check_at(now)?;
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
        let advanced = self.next_row();
        if advanced.is_err() {
            self.settle();
        }
        advanced
    }

    /// Gives rows to `take`, within the bounds of one call, for as long as it answers true. False where the
    /// rows have ended.
    pub(crate) fn advance_while(&mut self, take: &mut dyn FnMut(&Row<'_>) -> bool) -> Result<bool> {
        let advanced = self.read(|session, call| {
            loop {
                match session.next_row()? {
                    NextRow::Row => {}
                    NextRow::End => return Ok(false),
                    NextRow::Wait => {
                        session.receive_rows(call)?;
                        continue;
                    }
                }
                if !take(&Row::new(
                    session.columns(),
                    session.cells(),
                    session.data(),
                )) {
                    return Ok(true);
                }
            }
        });
        if advanced.is_err() {
            self.settle();
        }
        advanced
    }

    /// Ends the reading of rows that a cancelled call has left under way.
    ///
    /// A session that breaks is kept: it knows what became of the other statements of a batch. The next call
    /// replaces it.
    fn settle(&mut self) {
        if self.line.core.is_forked() {
            return;
        }
        let call = Call::until(clean_up_deadline(
            CANCEL_TIMEOUT,
            self.reading.or(self.deadline),
        ));
        let Some(Ok(session)) = self.line.lease.as_mut().map(Lease::session) else {
            return;
        };
        if let Err(error) = session.close_rows(&call) {
            self.line.core.config.logger.debug(format_args!(
                "the rows of a call that failed cannot be closed: {error}"
            ));
        }
        self.line.lost_transaction |= session.is_broken() && session.in_transaction();
    }

    /// What has been received is given without a look at the clock or the process: only the row that has to
    /// be waited for pays for that.
    fn next_row(&mut self) -> Result<bool> {
        loop {
            match self.line.next_row()? {
                NextRow::Row => return Ok(true),
                NextRow::End => return Ok(false),
                NextRow::Wait => self.read(|session, call| session.receive_rows(call))?,
            }
        }
    }

    pub(crate) fn columns(&self) -> &Columns {
        match self.line.lease.as_ref().and_then(Lease::peek) {
            Some(session) => session.columns(),
            None => no_columns(),
        }
    }

    #[inline]
    pub(crate) fn row(&self) -> Row<'_> {
        match self.line.lease.as_ref().and_then(Lease::peek) {
            Some(session) => Row::new(session.columns(), session.cells(), session.data()),
            None => Row::new(no_columns(), &[], &[]),
        }
    }

    pub(crate) fn close_rows(&mut self) -> Result<()> {
        if self.line.read(|session| Ok(session.try_close_rows()))? {
            return Ok(());
        }
        self.read(|session, call| session.close_rows(call))
    }

    /// Makes a call that reads on in an answer. It is never repeated.
    pub(crate) fn read<R>(
        &mut self,
        operation: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        self.line.core.check_process()?;
        let _running = enter(self.cancel.get())?;
        let call = bounds(
            &self.line.core,
            self.reading.or(self.deadline),
            self.timeout,
            self.cancel.get(),
            Instant::now(),
        );
        self.line.read(|session| operation(session, &call))
    }

    /// Does `clean_up` after reading within a short time, and closes the connection if that fails. A
    /// transaction that is open on it is then lost.
    pub(crate) fn clean_up(
        &mut self,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<()>,
    ) {
        let deadline = clean_up_deadline(DROP_TIMEOUT, self.reading.or(self.deadline));
        self.clean_up_until(deadline, clean_up);
    }

    fn clean_up_until(
        &mut self,
        deadline: Deadline,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<()>,
    ) {
        if self.line.core.is_forked() {
            return;
        }
        let Some(mut lease) = self.line.lease.take() else {
            return;
        };
        let call = Call::until(deadline);
        match lease.session().and_then(|session| clean_up(session, &call)) {
            Ok(()) => self.line.lease = Some(lease),
            Err(error) => {
                self.line.core.config.logger.debug(format_args!(
                    "{}: closing the connection: {error}",
                    lease.endpoint()
                ));
                self.line.lost_transaction |=
                    lease.peek().is_some_and(|session| session.in_transaction());
                lease.discard();
            }
        }
    }

    /// Rolls an open transaction back, within a short time; closes the connection if that fails.
    pub(crate) fn roll_back(&mut self) {
        if self.is_open_on_server() {
            let deadline = clean_up_deadline(DROP_TIMEOUT, self.deadline);
            self.clean_up_until(deadline, |session, call| {
                session
                    .exec("ROLLBACK", ParamsRef::Positional(&[]), call)
                    .map(|_| ())
            });
        }
        self.line.lost_transaction = false;
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
        self.begun
            .unwrap_or_else(|| self.bounds(Instant::now()).deadline)
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.line.core.config.logger
    }

    /// The SQL that the server speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.line.core.config.dialect()
    }

    pub(crate) fn explicit_deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Sleeps for the next pause of `backoff` within the bounds of a call that ends at `deadline`.
    pub(crate) fn pause(&self, backoff: &mut Backoff, deadline: Deadline) -> Result<()> {
        let _running = enter(self.cancel.get())?;
        backoff.pause(&self.bounds(Instant::now()).at_most(deadline))
    }
}

impl Cancel {
    fn get(&self) -> Option<&CancelHandle> {
        self.lent.as_ref().or_else(|| self.own.get())
    }
}

impl Line {
    /// Makes a call, on new sessions again until the call ends if it cannot have been applied.
    fn attempt<R>(
        &mut self,
        call: &Call<'_>,
        mut operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut backoff = None;
        let mut busy = None;
        loop {
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
                none => none.insert(self.core.lease(call, Instant::now())?),
            };
            let was_in_transaction = lease.session()?.in_transaction();
            let began = self.core.backend.measures().then(Instant::now);
            let error = match operation(lease.session()?, call) {
                Ok(result) => {
                    if let Some(began) = began {
                        let backend = &self.core.backend;
                        backend.answered(lease.endpoint(), began.elapsed());
                    }
                    return Ok(result);
                }
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
            if error.kind() == ErrorKind::Busy && error.outcome() == Outcome::Rejected && !gone {
                if busy
                    .get_or_insert_with(|| Busy::new(&self.core, call))
                    .pause()
                {
                    continue;
                }
                return Err(error);
            }
            let backoff = backoff.get_or_insert_with(retry_backoff);
            if !gone || !is_passing(&error) || backoff.pause(call).is_err() {
                return Err(error);
            }
            self.core.config.logger.debug(format_args!(
                "{error}; repeating the statement, which was not applied"
            ));
        }
    }

    /// Reads on in an answer.
    fn read<R>(&mut self, operation: impl FnOnce(&mut dyn Session) -> Result<R>) -> Result<R> {
        let Some(lease) = &mut self.lease else {
            return Err(closed_by_error());
        };
        let was_in_transaction = lease.session()?.in_transaction();
        operation(lease.session()?).map_err(|error| self.reading_failed(error, was_in_transaction))
    }

    fn next_row(&mut self) -> Result<NextRow> {
        let Some(lease) = &mut self.lease else {
            return Err(closed_by_error());
        };
        let session = lease.session()?;
        match session.next_row() {
            Ok(next) => Ok(next),
            Err(error) => {
                let in_transaction = session.in_transaction();
                Err(self.reading_failed(error, in_transaction))
            }
        }
    }

    #[cold]
    fn reading_failed(&mut self, error: Error, was_in_transaction: bool) -> Error {
        let Some(lease) = &self.lease else {
            return error;
        };
        let error = error.with_node(&**lease.endpoint());
        self.core.report(lease.endpoint(), &error);
        // The session stays: it knows what became of the other statements of a batch.
        let broken = lease.peek().is_none_or(|session| session.is_broken());
        self.lost_transaction |= broken && was_in_transaction;
        error
    }
}

/// The repetition of a statement that met the lock of another connection. Servers refuse it at once.
struct Busy<'a> {
    backoff: Backoff,
    call: Call<'a>,
}

impl<'a> Busy<'a> {
    fn new(core: &Core, call: &Call<'a>) -> Self {
        Busy {
            backoff: Backoff::new(BUSY_PAUSE.0, BUSY_PAUSE.1),
            call: call.at_most(Deadline::after(core.config.busy_timeout())),
        }
    }

    /// Waits for a while; false if the time is over.
    fn pause(&mut self) -> bool {
        self.backoff.pause(&self.call).is_ok()
    }
}

/// The bounds of a call: `deadline` if there is one, else the connection's timeout, else the configured one.
fn bounds<'a>(
    core: &Core,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
    cancel: Option<&'a CancelHandle>,
    now: Instant,
) -> Call<'a> {
    let deadline = deadline.unwrap_or_else(|| {
        timeout
            .unwrap_or(core.config.timeout)
            .map_or(Deadline::NONE, |timeout| Deadline::at(now, timeout))
    });
    Call {
        deadline,
        cancel,
        closing: None,
    }
}

/// The moment by which a clean-up ends that has `timeout` and belongs to a call that ends at `deadline`.
fn clean_up_deadline(timeout: Duration, deadline: Option<Deadline>) -> Deadline {
    let own = Deadline::after(timeout);
    match deadline.and_then(Deadline::remaining) {
        Some(left) => own.min(Deadline::after(left.max(CLEAN_UP_GRACE))),
        None => own,
    }
}

/// Marks the calling thread as inside a call that `cancel` cancels.
fn enter(cancel: Option<&CancelHandle>) -> Result<Option<Running<'_>>> {
    cancel.map_or(Ok(None), CancelHandle::enter)
}

#[cold]
fn no_columns() -> &'static Columns {
    static NONE: LazyLock<Columns> = LazyLock::new(Columns::default);
    &NONE
}

fn closed_by_error() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the connection was closed after an earlier error",
    )
    // What is read on is the answer to something that was sent.
    .with_outcome(Outcome::Unknown)
}

fn lost_transaction() -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the transaction was lost with its connection, and nothing of it was applied; \
         roll it back before anything else",
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
