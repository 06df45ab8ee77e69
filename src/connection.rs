//! A connection: one session of a pool, in the hands of one thread.

mod bounds;
mod clean_up;
mod first;
mod line;
mod reading;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use self::bounds::{begin, begin_at, enter, within};
use crate::backend::{Aim, ExecResult, Session, TableSharding};
use crate::batch::{Batch, BatchResults};
use crate::cancel::CancelHandle;
use crate::clock::Moment;
use crate::convert::FromRow;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::logging::Logger;
use crate::net::backoff::Backoff;
use crate::net::flight::Boarded;
use crate::net::wait::Call;
use crate::params::{Params, ParamsRef};
use crate::pool::core::Core;
use crate::pool::lease::Lease;
use crate::rows::Rows;
use crate::sql::{self, Dialect, Effect};
use crate::statement::Statement;
use crate::transaction::{self, Transaction, TransactionMode};

pub(crate) use line::BUSY_PAUSE;
use line::{BatchInTransaction, Line, Lost, Suspect};

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
    /// The deadline of the call that has begun, with taking the connection out or with what its answer is for, and
    /// has not run its statement yet.
    begun: Option<Deadline>,
}

/// Who can cancel the calls of a connection.
struct Cancel {
    /// The connection's own handle. Made when it is first asked for; until then nobody can cancel with it.
    own: OnceCell<CancelHandle>,
    /// The handle of a caller, which takes the own one's place for as long as it is set.
    lent: Option<CancelHandle>,
}

impl Connection {
    /// Takes a connection out for a caller, who keeps it.
    pub(crate) fn acquire(
        core: &Arc<Core>,
        aim: Aim<'_>,
        deadline: Option<Deadline>,
        cancel: Option<CancelHandle>,
    ) -> Result<Self> {
        let mut connection = Connection::acquire_for_call(core, aim, deadline, cancel)?;
        connection.begun = None;
        Ok(connection)
    }

    /// Takes a connection out for one call of the pool: the first statement is a part of that call, so it
    /// has the same deadline, and the process is not looked at again.
    pub(crate) fn acquire_for_call(
        core: &Arc<Core>,
        aim: Aim<'_>,
        deadline: Option<Deadline>,
        cancel: Option<CancelHandle>,
    ) -> Result<Self> {
        core.check_open()?;
        let (lease, begun) = {
            let _running = enter(cancel.as_ref())?;
            let (call, now) = begin(core, deadline, None, cancel.as_ref());
            call.check_at(now)?;
            (core.lease(aim, &call, now)?, call.deadline)
        };
        Ok(Connection {
            line: Line::new(core, lease),
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

    /// The sharding key of a table: what is known of it, or what one thread reads for all.
    pub(crate) fn sharding_key(
        core: &Arc<Core>,
        table: &str,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<Arc<dyn TableSharding>> {
        core.check_open()?;
        let Some(sharding) = core.backend.sharding() else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "dqlite has no sharding keys: every node has all rows",
            ));
        };
        let (call, _) = begin(core, deadline, None, cancel);
        let boarded = {
            let _running = enter(cancel)?;
            let call = Call {
                closing: Some(core.closing()),
                ..call
            };
            sharding.reading().board(|| sharding.known(table), &call)?
        };
        let _landing = match boarded {
            Boarded::Ready(key) => return Ok(key),
            Boarded::Pilot(landing) => landing,
        };
        let (any, deadline) = (Aim::Any, Some(call.deadline));
        let mut connection = Connection::acquire_for_call(core, any, deadline, cancel.cloned())?;
        let key = connection.run(|session, call| sharding.read_table(table, session, call));
        connection.give_back();
        key
    }

    /// Asks every endpoint of the pool for an answer; false if calls go to one alone, which was not asked.
    pub(crate) fn ping_all(
        core: &Core,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<bool> {
        core.check_open()?;
        let _running = enter(cancel)?;
        core.ping_all(&begin(core, deadline, None, cancel).0)
    }

    /// Gives the connection back, by a call of the pool that has taken it out itself and has run no code of
    /// the caller's but conversions meanwhile: the process has not been forked in between.
    pub(crate) fn give_back(mut self) {
        self.roll_back();
        if let Some(lease) = self.line.lease.take() {
            lease.give_back();
        }
    }

    /// The bounds of a call that begins now.
    fn begin_call(&self) -> Call<'_> {
        let (core, cancel) = (&self.line.core, self.cancel.get());
        begin(core, self.deadline, self.timeout, cancel).0
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
        self.line.lost.is_some() || self.is_open_on_server()
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
        if self.line.suspect.is_some() {
            let settled = self.settle_suspicion();
            if self.line.lost.is_none() {
                settled?;
            }
        }
        if let Some(lost) = self.line.lost {
            return self.after_lost_transaction(sql, lost);
        }
        params
            .with_values(|params| self.run(|session, call| session.exec(sql, params, call)))
            .map_err(|error| self.may_have_ended(sql, error))
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

    #[inline]
    pub(crate) fn start_query(&mut self, sql: &str, params: impl Params) -> Result<()> {
        params
            .with_values(|params: ParamsRef<'_>| {
                self.start_reading(|session, call| session.query(sql, params, call))
            })
            .map_err(|error| self.may_have_ended(sql, error))
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
        let sql = sql.as_ref();
        params.with_values(|params| {
            let first = self.query_first(sql, params)?;
            let row = first.row().read();
            first.end(row, Error::after_run)
        })
    }

    /// The error of a query that has run and answered no row.
    pub(crate) fn no_row(&self) -> Error {
        let outcome = match self.written().rows_affected {
            0 => Outcome::Rejected,
            _ => Outcome::Unknown,
        };
        Error::new(ErrorKind::NoRows, "the query answered no row").with_outcome(outcome)
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
        let in_transaction = self.is_open_on_server();
        self.start_reading(|session, call| session.start_batch(batch.items(), call))?;
        self.line.batch = in_transaction.then(|| BatchInTransaction {
            may_end: batch.items().iter().any(|item| {
                sql::transaction_effect(&item.sql, self.dialect()) != Effect::None
                    || self.dialect() == Dialect::Sqlite && names_rollback(&item.sql)
            }),
        });
        Ok(())
    }

    /// Begins a transaction. Dropping it rolls it back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] where one is open already (see [`Transaction::savepoint`]); otherwise as
    /// [`exec`](Connection::exec). The outcome is never `Unknown`: what begins a transaction applies nothing.
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
    /// ```no_run
    /// # use quorate::{Pool, Result, TransactionMode};
    /// fn transfer(pool: &Pool, from: i64, to: i64, amount: i64) -> Result<bool> {
    ///     pool.transaction(TransactionMode::Immediate, |tx| {
    ///         let balance: i64 = tx.query_row("SELECT balance FROM account WHERE id = ?", [from])?;
    ///         if balance < amount {
    ///             return Ok(false);
    ///         }
    ///         let change = "UPDATE account SET balance = balance + ? WHERE id = ?";
    ///         tx.exec(change, (-amount, from))?;
    ///         tx.exec(change, (amount, to))?;
    ///         Ok(true)
    ///     })
    /// }
    /// ```
    ///
    /// A program that gives up for a reason of its own answers an [`Error`] that carries it:
    /// `Error::new(ErrorKind::Misuse, "the account is closed").with_source(reason)`.
    ///
    /// # Errors
    ///
    /// What `body` answers: with the outcome `Unknown` where something that it did may have been applied, because it has
    /// ended the transaction itself, or an error has, and never so otherwise, whatever the statement that failed in it had;
    /// what became of the commit.
    pub fn transaction<T>(
        &mut self,
        mode: TransactionMode,
        body: impl FnMut(&mut Transaction<'_>) -> Result<T>,
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
        let (deadline, now) = self.begin_run()?;
        self.run_until(deadline, now, operation)
    }

    /// The deadline of the call that runs a statement now, and the present moment.
    #[inline]
    fn begin_run(&mut self) -> Result<(Deadline, Moment)> {
        // Taking the connection out may have used the time up; who began has looked at the exact clock.
        if let Some(deadline) = self.begun.take() {
            return Ok((deadline, Moment::recent()));
        }
        self.line.core.check_open()?;
        let core = &self.line.core;
        Ok(begin_at(core, self.deadline, self.timeout))
    }

    /// Makes one call on the session, which ends at `deadline`; on another one if the first cannot have applied it.
    #[inline]
    fn run_until<R>(
        &mut self,
        deadline: Deadline,
        now: Moment,
        operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        if self.line.suspect.is_some() {
            self.settle_suspicion_until(deadline)?;
        }
        if let Some(lost) = self.line.lost {
            return Err(lost.error());
        }
        self.line.batch = None;
        let _running = enter(self.cancel.get())?;
        let call = within(deadline, self.cancel.get());
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
    fn after_lost_transaction(&mut self, sql: &str, lost: Lost) -> Result<ExecResult> {
        if sql::is_rollback(sql, self.dialect()) {
            self.line.lost = None;
            self.line.note_over();
            self.line.let_broken_go();
            return Ok(ExecResult::default());
        }
        let commits = sql::transaction_effect(sql, self.dialect()) == Effect::End;
        let error = lost.error();
        Err(if lost == Lost::InDoubt && commits {
            error.with_outcome(Outcome::Unknown)
        } else {
            error
        })
    }

    /// The error of a statement; where it was one that may end the transaction, and was not answered, what was
    /// done in the transaction may have been applied.
    fn may_have_ended(&mut self, sql: &str, error: Error) -> Error {
        if self.line.lost.is_some()
            && error.outcome() == Outcome::Unknown
            && sql::transaction_effect(sql, self.dialect()) != Effect::None
        {
            self.line.lost = Some(Lost::InDoubt);
        }
        error
    }

    /// Asks the server whether the transaction is still open; see [`Line::settle_suspicion`].
    fn settle_suspicion(&mut self) -> Result<()> {
        self.settle_suspicion_until(self.begin_call().deadline)
    }

    #[cold]
    fn settle_suspicion_until(&mut self, deadline: Deadline) -> Result<()> {
        let _running = enter(self.cancel.get())?;
        let call = within(deadline, self.cancel.get());
        self.line.settle_suspicion(&call)
    }

    /// Whether nothing of the open transaction was applied, nor can be once it is rolled back.
    pub(crate) fn can_be_undone(&mut self) -> bool {
        if self.line.suspect == Some(Suspect::Batch) && self.settle_suspicion().is_err() {
            return self.line.lost == Some(Lost::Undone);
        }
        self.line.note_ended();
        self.in_transaction() && self.line.lost != Some(Lost::InDoubt) && !self.line.has_ended
    }

    /// Notes that a statement of a batch has succeeded.
    pub(crate) fn note_applied(&mut self) {
        self.line.note_applied();
    }

    /// Notes that a transaction was begun, which [`can_be_undone`](Connection::can_be_undone) is asked of later.
    pub(crate) fn note_begun(&mut self) {
        self.line.note_begun();
    }

    /// Lets go of a transaction that has ended as it should.
    pub(crate) fn forget_begun(&mut self) {
        self.line.forget_begun();
    }

    /// Whether a statement has ended the transaction that was begun, and none is open now.
    pub(crate) fn has_ended_transaction(&mut self) -> bool {
        self.line.note_ended();
        self.line.has_ended && !self.in_transaction()
    }

    /// Gives the connection up, with the transaction that is open on it.
    pub(crate) fn lose_transaction(&mut self) {
        self.line.lose_transaction();
        if let Some(lease) = self.line.lease.take() {
            lease.discard();
        }
    }

    /// Whether the transaction that was begun on this connection is gone with its socket.
    pub(crate) fn has_lost_transaction(&self) -> bool {
        self.line.lost.is_some()
    }

    /// The moment by which a call that begins now ends.
    pub(crate) fn call_deadline(&self) -> Deadline {
        self.begun.unwrap_or_else(|| self.begin_call().deadline)
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
        backoff.pause(&self.begin_call().at_most(deadline))
    }
}

impl Cancel {
    fn get(&self) -> Option<&CancelHandle> {
        self.lent.as_ref().or_else(|| self.own.get())
    }
}

/// Whether ROLLBACK stands anywhere in a text: INSERT OR ROLLBACK ends the transaction where it fails, and what is
/// behind it in a batch is then applied at once.
fn names_rollback(sql: &str) -> bool {
    const WORD: &[u8] = b"rollback";
    let mut parts = sql.as_bytes().windows(WORD.len());
    parts.any(|part| part.eq_ignore_ascii_case(WORD))
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("node", &self.node())
            .field("in_transaction", &self.in_transaction())
            .finish_non_exhaustive()
    }
}
