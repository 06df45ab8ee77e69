//! The session of a connection: made when it is needed, replaced when it breaks, and the one place where a statement
//! is repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Aim, NextRow, Session};
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::backoff::Backoff;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::pool::core::{Core, is_passing, retry_backoff};
use crate::pool::lease::Lease;
use crate::sql::Dialect;

/// The first pause before a statement that met a lock is repeated, and the longest.
pub(crate) const BUSY_PAUSE: (Duration, Duration) =
    (Duration::from_millis(2), Duration::from_millis(100));
/// The session of a connection, and what became of it.
pub(super) struct Line {
    pub(super) core: Arc<Core>,
    /// None after a failure; the next call takes a new one.
    pub(super) lease: Option<Lease>,
    /// The transaction that was open went away with its connection.
    pub(super) lost: Option<Lost>,
    /// Whether the server may have ended the open transaction by itself.
    pub(super) suspect: Option<Suspect>,
    /// The batch whose answers are being read, in a transaction.
    pub(super) batch: Option<BatchInTransaction>,
    /// The session's count of [endings](Session::endings) when the transaction was begun, for as long as it stays so.
    begun: Option<u64>,
    /// Whether a statement has ended the transaction since; another one may have been begun.
    pub(super) has_ended: bool,
}

/// A batch within a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchInTransaction {
    /// One of its statements may end the transaction.
    pub(super) may_end: bool,
}

/// How a transaction went that its caller has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// With its connection, and nothing of it was applied.
    Undone,
    /// The server has ended it after an error, and nothing of it was applied.
    Ended,
    /// Something of it may have been applied: a COMMIT was not answered, or the server ended it within a batch.
    InDoubt,
}

/// What failed in a transaction in such a way that SQLite may have rolled it back by itself (INSERT OR ROLLBACK,
/// RAISE, a full disk). The next statement would be applied at once, so the server is asked before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    /// A statement behind which nothing was applied: it was the last, or all behind it were refused.
    Statement,
    /// A statement of a batch, of which one behind it may have been applied.
    Batch,
}

/// SQLite's code for a BEGIN within a transaction, and for a COMMIT or ROLLBACK outside of one (vdbe.c,
/// `OP_AutoCommit`).
const SQLITE_ERROR: i32 = 1;

impl Line {
    pub(super) fn new(core: &Arc<Core>, lease: Lease) -> Self {
        Line {
            core: Arc::clone(core),
            lease: Some(lease),
            lost: None,
            suspect: None,
            batch: None,
            begun: None,
            has_ended: false,
        }
    }

    /// Notes that a transaction was begun. Picodata says of none that it is open.
    pub(super) fn note_begun(&mut self) {
        let session = self.lease.as_ref().and_then(Lease::peek);
        let open = session.filter(|session| session.in_transaction());
        self.begun = open.map(|session| session.endings());
        self.has_ended = false;
    }

    /// Notes whether a statement has ended the transaction since it was begun.
    pub(super) fn note_ended(&mut self) {
        let session = self.lease.as_ref().and_then(Lease::peek);
        if let (Some(begun), Some(session)) = (self.begun, session)
            && session.endings() != begun
        {
            self.note_over();
        }
    }

    /// Notes that the transaction which was begun, if one was, is over, and its caller goes on.
    pub(super) fn note_over(&mut self) {
        self.has_ended |= self.begun.take().is_some();
    }

    /// Lets go of a transaction that has ended as it should.
    pub(super) fn forget_begun(&mut self) {
        self.begun = None;
        self.has_ended = false;
    }

    /// Makes a call, on new sessions again until the call ends if it cannot have been applied.
    pub(super) fn attempt<R>(
        &mut self,
        call: &Call<'_>,
        mut operation: impl FnMut(&mut dyn Session, &Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut repetition = Repetition::default();
        self.note_ended();
        loop {
            self.let_broken_go();
            let lease = match &mut self.lease {
                Some(lease) => lease,
                none => none.insert(self.core.lease(Aim::Any, call, Moment::recent())?),
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
                Err(error) => error,
            };
            self.failed(error, was_in_transaction, call, &mut repetition)?;
        }
    }

    /// Takes in that a call has failed, and pauses if it is to be repeated.
    ///
    /// # Errors
    ///
    /// It is not: the error of the call.
    #[cold]
    fn failed<'c>(
        &mut self,
        error: Error,
        was_in_transaction: bool,
        call: &Call<'c>,
        repetition: &mut Repetition<'c>,
    ) -> Result<()> {
        let Some(lease) = &mut self.lease else {
            return Err(error);
        };
        let error = error.with_node(&**lease.endpoint());
        self.core.report(lease.endpoint(), &error);
        let gone = lease.session()?.is_broken() || error.kind() == ErrorKind::NotLeader;
        if gone && let Some(lease) = self.lease.take() {
            lease.discard();
        }
        if was_in_transaction {
            self.failed_in_transaction(&error, gone);
            return Err(error);
        }
        if error.kind() == ErrorKind::Busy && error.outcome() == Outcome::Rejected && !gone {
            let busy = &mut repetition.busy;
            let busy = busy.get_or_insert_with(|| Busy::new(&self.core, call));
            return if busy.pause() { Ok(()) } else { Err(error) };
        }
        let backoff = repetition.backoff.get_or_insert_with(retry_backoff);
        if !gone || !is_passing(&error) || backoff.pause(call).is_err() {
            return Err(error);
        }
        self.core.config.logger.debug(format_args!(
            "{error}; repeating the statement, which was not applied"
        ));
        Ok(())
    }

    /// Gives the session up if it is broken. It has been kept for as long as it could tell something.
    pub(super) fn let_broken_go(&mut self) {
        let session = self.lease.as_ref().and_then(Lease::peek);
        if session.is_some_and(|session| session.is_broken()) {
            self.lease = None;
        }
    }

    /// Reads on in an answer.
    pub(super) fn read<R>(
        &mut self,
        operation: impl FnOnce(&mut dyn Session) -> Result<R>,
    ) -> Result<R> {
        let Some(lease) = &mut self.lease else {
            return Err(closed_by_error());
        };
        let was_in_transaction = lease.session()?.in_transaction();
        operation(lease.session()?).map_err(|error| self.reading_failed(error, was_in_transaction))
    }

    pub(super) fn next_row(&mut self) -> Result<NextRow> {
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
        if was_in_transaction {
            self.failed_in_transaction(&error, broken);
        }
        error
    }

    /// Notes what an error of a statement has done to the transaction; `gone` says that the connection is.
    fn failed_in_transaction(&mut self, error: &Error, gone: bool) {
        if error.outcome() == Outcome::Unknown {
            self.note_applied();
        }
        if gone {
            self.lose_transaction();
        } else if self.suspect.is_none() && self.may_have_rolled_back(error) {
            self.suspect = Some(Suspect::Statement);
        }
    }

    /// Whether SQLite may have rolled the transaction back with an error. A statement that was refused for want of
    /// the leadership was not begun: the transaction is as it was, or has gone with the database of the connection.
    fn may_have_rolled_back(&self, error: &Error) -> bool {
        let not_begun =
            error.kind() == ErrorKind::NotLeader && error.outcome() == Outcome::Rejected;
        error.code().is_some() && !not_begun && self.core.config.dialect() == Dialect::Sqlite
    }

    /// Notes that a statement of a batch was applied, or may have been: at once, if one before it has ended the
    /// transaction.
    pub(super) fn note_applied(&mut self) {
        if self.suspect.is_some() {
            self.suspect = Some(Suspect::Batch);
        }
    }

    /// Notes the answer to a statement of a batch that nobody asks for.
    pub(super) fn note_unasked(&mut self, answer: &Result<()>, broken: bool) {
        if self.batch.is_none() {
            return;
        }
        match answer {
            Ok(()) => self.note_applied(),
            Err(error) => self.failed_in_transaction(error, broken),
        }
    }

    /// Notes that the transaction has gone with its connection.
    pub(super) fn lose_transaction(&mut self) {
        let applied = self.has_ended
            || self.suspect == Some(Suspect::Batch)
            || self.batch.is_some_and(|batch| batch.may_end);
        self.suspect = None;
        self.lost
            .get_or_insert(if applied { Lost::InDoubt } else { Lost::Undone });
    }

    /// Asks the server whether the transaction is still open, where an error may have ended it.
    ///
    /// If it is not, it counts as lost from here on.
    pub(super) fn settle_suspicion(&mut self, call: &Call<'_>) -> Result<()> {
        let (Some(suspect), Some(lease)) = (self.suspect, &mut self.lease) else {
            return Ok(());
        };
        let session = lease.session()?;
        let Err(error) = session.exec("BEGIN", ParamsRef::Positional(&[]), call) else {
            // What has begun now ends with the connection.
            self.suspect = None;
            self.lost = Some(match suspect {
                Suspect::Statement => Lost::Ended,
                Suspect::Batch => Lost::InDoubt,
            });
            if let Some(lease) = self.lease.take() {
                lease.discard();
            }
            return Ok(());
        };
        let gone = session.is_broken() || error.kind() == ErrorKind::NotLeader;
        if error.code() == Some(SQLITE_ERROR) && !gone {
            self.suspect = None;
            return Ok(());
        }
        let error = error
            .with_node(&**lease.endpoint())
            .with_outcome(Outcome::NotSent);
        self.core.report(lease.endpoint(), &error);
        if gone {
            self.lose_transaction();
            if let Some(lease) = self.lease.take() {
                lease.discard();
            }
        }
        Err(error)
    }
}

/// The pauses of a statement that is repeated: on a new session, and after it has met a lock.
#[derive(Default)]
struct Repetition<'a> {
    backoff: Option<Backoff>,
    busy: Option<Busy<'a>>,
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

impl Lost {
    /// The error of a statement that comes after the transaction and before its rollback.
    pub(super) fn error(self) -> Error {
        let (kind, text) = match self {
            Lost::Undone => (
                ErrorKind::Disconnected,
                "the transaction was lost with its connection, and nothing of it was applied",
            ),
            Lost::Ended => (
                ErrorKind::Database,
                "the server has ended the transaction after an earlier error, and nothing of it was applied",
            ),
            Lost::InDoubt => (
                ErrorKind::Database,
                "the transaction has ended by an earlier error, and something of it may have been applied",
            ),
        };
        Error::new(kind, format!("{text}; roll it back before anything else"))
    }
}

fn closed_by_error() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the connection was closed after an earlier error",
    )
    // What is read on is the answer to something that was sent.
    .with_outcome(Outcome::Unknown)
}
