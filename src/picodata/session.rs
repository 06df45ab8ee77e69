//! A session with Picodata or PostgreSQL: one statement at a time.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::backend::{BatchStep, Description, ExecResult, NextRow, Session};
use crate::batch::BatchItem;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::socket::Idle;
use crate::net::stream::Answers;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::picodata::answer::{Answer, Reading, Step};
use crate::picodata::batch::BatchStatement;
use crate::picodata::connect;
use crate::picodata::drive::{self, Driver, given_up};
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::options::{ConnectOptions, Server};
use crate::picodata::portal;
use crate::picodata::startup::Key;
use crate::picodata::statements::{Kind, Prepared, RowShape};
use crate::picodata::types::Types;
use crate::row::{Cell, Columns};
use crate::sql::{Effect, Placeholders};
use crate::statement_cache::StatementCache;

/// How long a call that has ended waits for the server to give its statement up, before the connection is: by so
/// much may a call outlive its deadline.
const STOP_TIMEOUT: Duration = Duration::from_millis(30);
/// How many rows of an answer that nobody wants are read before the server is asked to stop.
const FEW_ROWS: usize = 256;

/// A conversation with one server.
///
/// When a call ends before its statement is answered, a server that has sent a key is asked to cancel the
/// statement, and the session goes on if it answers within [`STOP_TIMEOUT`]; otherwise, and always with
/// Picodata, which sends no key, the connection is given up.
pub(crate) struct PicodataSession {
    pub(super) driver: Driver,
    pub(super) client: Arc<Client>,
    address: String,
    pub(super) options: Arc<ConnectOptions>,
    /// What cancels a statement; Picodata sends none.
    key: Option<Key>,
    pub(super) statements: StatementCache<Arc<Prepared>>,
    pub(super) reading: Reading,
    /// What the last statement without rows has done that was queried or stepped to.
    written: ExecResult,
    pub(super) steps: VecDeque<BatchStatement>,
    pub(super) types: Types,
    /// What the texts that were run make of the transaction; the server's word counts where there is one.
    in_transaction: bool,
}

impl PicodataSession {
    pub(crate) fn new(
        mut driver: Driver,
        client: Client,
        address: &str,
        options: Arc<ConnectOptions>,
        key: Option<Key>,
    ) -> Self {
        if options.statement_keys.is_some() {
            driver.keep_descriptions();
        }
        PicodataSession {
            driver,
            client: Arc::new(client),
            address: address.to_owned(),
            key,
            statements: StatementCache::new(options.statement_cache),
            options,
            reading: Reading::default(),
            written: ExecResult::default(),
            steps: VecDeque::new(),
            types: Types::new(),
            in_transaction: false,
        }
    }

    /// Which server is at the other end, as far as its start-up has told.
    pub(crate) fn server(&self) -> Server {
        self.options.server
    }

    /// Makes the session one whose server has sent no key, as Picodata is.
    #[cfg(test)]
    pub(super) fn forget_key(&mut self) {
        self.key = None;
    }

    /// Fails where the session was given up. Rows and batches that were not read to their end are dropped.
    fn begin(&mut self, call: &Call<'_>) -> Result<()> {
        self.in_transaction = self.in_transaction();
        self.reading.end();
        self.steps.clear();
        if self.driver.is_broken() {
            return Err(given_up());
        }
        self.quiesce(call)?;
        self.driver.line_mut().expect(Answers::One);
        self.driver.line_mut().forget_rolled_back();
        Ok(())
    }

    /// Waits until the server has answered what was asked before; nothing new was sent if it fails.
    pub(super) fn quiesce(&mut self, call: &Call<'_>) -> Result<()> {
        let quiet = self.driver.quiesce(call).map_err(|failure| failure.error);
        let quiet = quiet.and_then(|()| match self.driver.is_broken() {
            true => Err(self.driver.ending()),
            false => Ok(()),
        });
        quiet.map_err(|error| error.with_outcome(Outcome::NotSent))
    }

    pub(super) fn kind_of(&self, sql: &str) -> Result<Kind> {
        Kind::of(sql, self.options.server, self.options.allow_transactions)
    }

    /// Takes in that the `number`th statement of the connection has run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`]: it was to commit, and the server has rolled back instead.
    pub(super) fn completed(&mut self, kind: Kind, number: u64) -> Result<()> {
        match kind.effect {
            Effect::Begin => self.in_transaction = true,
            Effect::End => self.in_transaction = false,
            Effect::None | Effect::Savepoint | Effect::Release | Effect::RollbackTo => {}
        }
        if kind.rolls_back || !self.driver.line().was_rolled_back(number) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Database,
            "the server has rolled the transaction back instead of committing it, because of an earlier error in it",
        )
        .with_outcome(Outcome::Rejected))
    }

    /// Runs a request of tokio-postgres that executes the `number`th statement of the connection.
    ///
    /// The outcome of the error is what became of that statement.
    pub(super) fn run<T>(
        &mut self,
        number: u64,
        call: &Call<'_>,
        mut request: impl FnMut(&mut Context<'_>) -> Poll<Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.try_until(number, call, |driver, call| driver.run(call, &mut request))
    }

    /// Makes a part of the conversation that executes the `number`th statement of the connection. It may be gone on
    /// with when its call has ended.
    ///
    /// The outcome of the error is what became of that statement.
    fn try_until<T>(
        &mut self,
        number: u64,
        call: &Call<'_>,
        mut part: impl FnMut(&mut Driver, &Call<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let done = part(&mut self.driver, call);
        done.map_err(|failure| self.failed(failure, number, call, part))
    }

    #[cold]
    fn failed<T>(
        &mut self,
        mut failure: Failure,
        number: u64,
        call: &Call<'_>,
        part: impl FnMut(&mut Driver, &Call<'_>) -> Result<T, Failure>,
    ) -> Failure {
        match failure.cause {
            Cause::Answered | Cause::Stale => self.driver.settle(call),
            Cause::Unsendable => {}
            Cause::Broken => {
                self.driver.set_broken();
                let outcome = self.driver.outcome(number);
                failure.error = failure.error.with_outcome(outcome);
            }
            Cause::CallEnded => {
                let outcome = match self.driver.outcome(number) {
                    // What was not sent yet must not be sent later.
                    Outcome::NotSent => {
                        self.driver.set_broken();
                        Outcome::NotSent
                    }
                    _ => self.stop(part),
                };
                failure.error = failure.error.with_outcome(outcome);
            }
        }
        failure
    }

    /// Has the server give up what it runs, and says what became of it. The session is broken if it does not.
    pub(super) fn stop<T>(
        &mut self,
        mut part: impl FnMut(&mut Driver, &Call<'_>) -> Result<T, Failure>,
    ) -> Outcome {
        let call = Call::until(Deadline::after(STOP_TIMEOUT));
        let stopped = self
            .cancel(&call)
            .is_ok()
            .then(|| part(&mut self.driver, &call));
        match stopped {
            Some(Err(failure)) if matches!(failure.cause, Cause::Answered | Cause::Stale) => {
                self.driver.settle(&call);
                Outcome::Rejected
            }
            // It was done already. Rows that are under way are skipped, if they come.
            Some(Ok(_)) => {
                self.driver.settle(&call);
                if self.driver.transaction_status().is_none() {
                    self.driver.set_broken();
                }
                Outcome::Unknown
            }
            _ => {
                self.driver.set_broken();
                Outcome::Unknown
            }
        }
    }

    fn cancel(&self, call: &Call<'_>) -> Result<()> {
        let key = self.key.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the server cancels no statements")
        })?;
        connect::cancel(&self.address, &self.options, key, call).inspect_err(|error| {
            self.options
                .logger
                .debug(format_args!("{}: cancelling: {error}", self.address));
        })
    }

    /// Runs a prepared statement and gives what it answers first: a row, or the end.
    fn start(
        &mut self,
        prepared: &Prepared,
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<(Answer, Step), Failure> {
        let values = prepared.bind(params).map_err(Failure::unsendable)?;
        self.quiesce(call).map_err(Failure::waiting)?;
        let number = self.driver.executed() + 1;
        let line = self.driver.line_mut();
        line.queue_runs(|runs| portal::write(prepared, &values, runs))?;
        let mut answer = Answer::of_prepared();
        let first = self.try_until(number, call, |driver, call| answer.wait_step(driver, call))?;
        Ok((answer, first))
    }

    /// Runs a text, and once more if the server has found what it had prepared to be out of date, and cannot
    /// have run it.
    fn start_text(
        &mut self,
        sql: &str,
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<(Arc<Prepared>, Answer, Step)> {
        let prepared = self.look_up(sql, params, call)?;
        let failure = match self.start(&prepared, params, call) {
            Ok((answer, first)) => return Ok((prepared, answer, first)),
            Err(failure) => failure,
        };
        let reads = prepared.kind.reads;
        let style = prepared.style(self.options.placeholders);
        let is_stale = failure.cause == Cause::Stale;
        if is_stale {
            self.forget_stale(sql);
        }
        // Inside a transaction the error has spoiled it.
        if !is_stale || !failure.leaves_nothing(sql, reads) || self.in_transaction() {
            return Err(failure.of_statement(sql, style, reads));
        }
        self.options.logger.debug(format_args!(
            "{}: preparing a statement again: {}",
            self.address, failure.error
        ));
        let prepared = self.prepare_text(sql, prepared.kind, params, call)?;
        match self.start(&prepared, params, call) {
            Ok((answer, first)) => Ok((prepared, answer, first)),
            Err(failure) => Err(failure.of_statement(sql, style, reads)),
        }
    }

    /// Runs a text without parameters as it is, in one round trip.
    fn exec_text(&mut self, sql: &str, kind: Kind, call: &Call<'_>) -> Result<ExecResult> {
        let client = Arc::clone(&self.client);
        let number = self.driver.executed() + 1;
        let mut sending = pin!(client.simple_query_raw(sql));
        let stream = self
            .run(number, call, drive::poll(sending.as_mut()))
            .map_err(|failure| failure.of_statement(sql, Placeholders::Native, kind.reads))?;
        let mut stream = pin!(stream);
        let mut completed = None;
        let done = self.run(number, call, |context| {
            loop {
                match std::task::ready!(stream.as_mut().poll_next(context)) {
                    Some(Ok(SimpleQueryMessage::CommandComplete(count))) => completed = Some(count),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Ok(())),
                }
            }
        });
        match done {
            Ok(()) => {
                let Some(count) = completed else {
                    self.driver.set_broken();
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        "the server is ready, and has not said what it has done",
                    )
                    .with_outcome(Outcome::Unknown));
                };
                self.completed(kind, number)?;
                Ok(affected(kind, count))
            }
            // Several statements are one transaction, unless they begin or end one themselves.
            Err(Failure { error, .. }) if kind.several && kind.effect != Effect::None => {
                Err(error.with_outcome(Outcome::Unknown).context(
                    "one of several statements failed, and those before it may have been applied",
                ))
            }
            Err(failure) => Err(failure.of_statement(sql, Placeholders::Native, kind.reads)),
        }
    }

    fn end_reading(&mut self) {
        self.reading.end();
        self.driver.line_mut().release();
    }

    /// The error of rows that cannot be read on.
    #[cold]
    fn row_error(&mut self, failure: Failure) -> Error {
        match failure.cause {
            Cause::Broken => {
                self.driver.set_broken();
                failure.error.with_outcome(Outcome::Unknown)
            }
            Cause::CallEnded => failure.error.with_outcome(Outcome::Unknown),
            _ => failure.error,
        }
    }

    /// Reads an answer to its end, after asking the server to stop if there is more than a few rows.
    fn close(&mut self, mut answer: Answer, reads: bool, call: &Call<'_>) -> Result<(), Failure> {
        // A cancelled statement spoils its transaction, and one that is pipelined would be hit instead.
        let may_cancel =
            reads && self.key.is_some() && self.steps.is_empty() && !self.in_transaction;
        if may_cancel {
            self.driver.look().map_err(Failure::broken)?;
            if let Step::End(_) = answer.skip(&mut self.driver, FEW_ROWS)? {
                return Ok(());
            }
            // If it cannot be asked, the rows are read to their end.
            if let Err(error) = self.cancel(call)
                && error.outcome() == Outcome::Unknown
            {
                // It may be asked later, and would stop the next statement.
                self.driver.set_broken();
                return Ok(());
            }
        }
        answer.finish(&mut self.driver, call).map(|_| ())
    }

    /// Keeps an answer to be read, if it has rows.
    pub(super) fn begin_reading(
        &mut self,
        shape: RowShape,
        answer: Answer,
        first: Step,
        reads: bool,
    ) {
        match first {
            Step::End(_) => self.reading.begin_empty(shape),
            Step::Row | Step::Wait => self.reading.begin(shape, answer, reads),
        }
    }
}

/// What a statement that has run affected. A query's tag counts the rows that it answers.
pub(super) fn affected(kind: Kind, count: u64) -> ExecResult {
    ExecResult {
        rows_affected: if kind.reads { 0 } else { count },
        ..ExecResult::default()
    }
}

impl Session for PicodataSession {
    fn is_broken(&self) -> bool {
        self.driver.is_broken()
    }

    fn idle(&mut self) -> Idle {
        if self.reading.is_open() || !self.steps.is_empty() {
            return Idle::OutOfStep;
        }
        self.driver.idle()
    }

    fn in_transaction(&self) -> bool {
        let idle = !self.reading.is_open() && self.steps.is_empty();
        let status = self.driver.transaction_status().filter(|_| idle);
        status.map_or(self.in_transaction, |status| status != b'I')
    }

    fn endings(&self) -> u64 {
        self.driver.line().endings()
    }

    fn prepare(&mut self, sql: &str, call: &Call<'_>) -> Result<Description> {
        self.begin(call)?;
        let prepared = self.look_up(sql, ParamsRef::Positional(&[]), call)?;
        Ok(Description {
            parameters: prepared.statement.params().len(),
        })
    }

    fn exec(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<ExecResult> {
        self.begin(call)?;
        if self.statements.get(sql).is_none() {
            let kind = self.kind_of(sql)?;
            if kind.several && (!params.is_empty() || self.options.server == Server::Picodata) {
                kind.one(sql)?;
            }
            if params.is_empty() && !kind.preparable {
                return self.exec_text(sql, kind, call);
            }
        }
        let (prepared, mut answer, first) = self.start_text(sql, params, call)?;
        let number = self.driver.executed();
        let count = match first {
            Step::End(count) => count,
            Step::Row | Step::Wait => self
                .try_until(number, call, |driver, call| answer.finish(driver, call))
                .map_err(|failure| {
                    let style = prepared.style(self.options.placeholders);
                    failure.of_statement(sql, style, prepared.kind.reads)
                })?,
        };
        self.completed(prepared.kind, number)?;
        Ok(affected(prepared.kind, count))
    }

    fn query(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<()> {
        self.begin(call)?;
        let (prepared, answer, first) = self.start_text(sql, params, call)?;
        self.written = ExecResult::default();
        if let Step::End(count) = first {
            let number = self.driver.executed();
            self.completed(prepared.kind, number)?;
            self.written = affected(prepared.kind, count);
        }
        self.begin_reading(prepared.shape.clone(), answer, first, prepared.kind.reads);
        Ok(())
    }

    fn columns(&self) -> &Columns {
        self.reading.columns()
    }

    fn written(&self) -> ExecResult {
        self.written
    }

    fn rows_write(&self) -> bool {
        self.reading.is_open() && !self.reading.reads
    }

    fn next_row(&mut self) -> Result<NextRow> {
        match self.reading.next(&mut self.driver) {
            Ok(Step::Row) => Ok(NextRow::Row),
            Ok(Step::Wait) => Ok(NextRow::Wait),
            Ok(Step::End(_)) => {
                self.end_reading();
                Ok(NextRow::End)
            }
            Err(failure) => {
                self.end_reading();
                Err(self.row_error(failure))
            }
        }
    }

    fn receive_rows(&mut self, call: &Call<'_>) -> Result<()> {
        let Some(answer) = &mut self.reading.answer else {
            return Ok(());
        };
        // An error of the rows is the next row's; here it is the call that ends, and the rows are still under
        // way: closing them stops the server.
        let waited = call.check().map_err(Failure::waiting);
        let waited = waited.and_then(|()| answer.wait(&mut self.driver, call));
        waited.map_err(|failure| self.row_error(failure))
    }

    fn cells(&self) -> &[Cell] {
        self.reading.cells()
    }

    fn data(&self) -> &[u8] {
        self.reading.data(&self.driver)
    }

    fn try_close_rows(&mut self) -> bool {
        let closed = self.reading.skip(&mut self.driver);
        if closed {
            self.driver.line_mut().release();
        }
        closed
    }

    fn close_rows(&mut self, call: &Call<'_>) -> Result<()> {
        let reads = self.reading.reads;
        let Some(taken) = self.reading.take() else {
            return Ok(());
        };
        let closed = taken.and_then(|answer| self.close(answer, reads, call));
        self.driver.line_mut().release();
        match closed {
            Ok(()) => Ok(()),
            // What it was asked for, or an error of rows that nobody wanted.
            Err(failure) if reads && failure.cause == Cause::Answered => Ok(()),
            Err(failure) if failure.cause == Cause::Answered => Err(failure.error),
            Err(failure) => {
                self.driver.set_broken();
                Err(failure.error.with_outcome(Outcome::Unknown))
            }
        }
    }

    fn start_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()> {
        self.begin(call)?;
        self.send_batch(items, call)
    }

    fn next_step(&mut self, call: &Call<'_>) -> Option<Result<BatchStep>> {
        let statement = self.steps.pop_front()?;
        let answers = Answers::behind(self.steps.len());
        self.driver.line_mut().expect(answers);
        let taken = self.take_step(statement, call);
        self.written = match taken {
            Ok(BatchStep::Done(result)) => result,
            _ => ExecResult::default(),
        };
        Some(taken)
    }

    fn ping(&mut self, call: &Call<'_>) -> Result<()> {
        self.begin(call)?;
        let client = Arc::clone(&self.client);
        // Picodata takes no comment and no empty text.
        let mut pinging = pin!(client.batch_execute("SELECT 1"));
        let number = self.driver.executed() + 1;
        self.run(number, call, drive::poll(pinging.as_mut()))
            .map_err(|failure| match failure.error.outcome() {
                Outcome::Unknown => failure.error.with_outcome(Outcome::NotSent),
                _ => failure.error,
            })
    }
}
