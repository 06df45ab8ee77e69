//! What a connection leaves in order: rows that nobody reads on, and transactions that nobody has ended.

use std::time::Duration;

use super::Connection;
use super::line::Line;
use crate::backend::{BatchStep, Session};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::pool::lease::Lease;
use crate::transaction::undo_statements;

/// How long the clean-up in a drop (closing rows, rolling back) may take before the connection is closed
/// instead.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the clean-up after a cancelled call may take before the connection is closed instead.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(100);

/// How much time a clean-up has when the deadline of its call has passed: enough for a server that answers.
const CLEAN_UP_GRACE: Duration = Duration::from_millis(20);
impl Connection {
    /// Ends the reading of rows that a cancelled call has left under way.
    ///
    /// A session that breaks is kept: it knows what became of the other statements of a batch. The next call
    /// replaces it.
    pub(super) fn settle(&mut self) {
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
        if session.is_broken() && session.in_transaction() {
            self.line.lose_transaction();
        }
    }

    /// Does `clean_up` after reading within a short time, and closes the connection if that fails. A
    /// transaction that is open on it is then lost.
    pub(crate) fn clean_up(
        &mut self,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>) -> Result<()>,
    ) {
        let deadline = clean_up_deadline(DROP_TIMEOUT, self.reading.or(self.deadline));
        self.clean_up_until(deadline, |session, call, _| clean_up(session, call));
    }

    /// Reads past the answers that are left of a batch, as [`clean_up`](Connection::clean_up).
    pub(crate) fn abandon_batch(&mut self, in_rows: bool) {
        let deadline = clean_up_deadline(DROP_TIMEOUT, self.reading.or(self.deadline));
        self.clean_up_until(deadline, |session, call, line| {
            let mut answer = if in_rows {
                Some(session.close_rows(call))
            } else {
                next_answer(session, call)
            };
            while let Some(taken) = answer {
                let broken = session.is_broken();
                line.note_unasked(&taken, broken);
                if broken {
                    return taken;
                }
                // An error is the statement's own, which nobody asked for.
                answer = next_answer(session, call);
            }
            Ok(())
        });
    }

    fn clean_up_until(
        &mut self,
        deadline: Deadline,
        clean_up: impl FnOnce(&mut dyn Session, &Call<'_>, &mut Line) -> Result<()>,
    ) {
        if self.line.core.is_forked() {
            return;
        }
        let Some(mut lease) = self.line.lease.take() else {
            return;
        };
        let call = Call::until(deadline);
        let cleaned = lease
            .session()
            .and_then(|session| clean_up(session, &call, &mut self.line));
        match cleaned {
            Ok(()) => self.line.lease = Some(lease),
            Err(error) => {
                self.line.core.config.logger.debug(format_args!(
                    "{}: closing the connection: {error}",
                    lease.endpoint()
                ));
                if lease.peek().is_some_and(|session| session.in_transaction()) {
                    self.line.lose_transaction();
                }
                lease.discard();
            }
        }
    }

    /// Rolls an open transaction back, within a short time; closes the connection if that fails.
    pub(crate) fn roll_back(&mut self) {
        if self.is_open_on_server() {
            let deadline = clean_up_deadline(DROP_TIMEOUT, self.deadline);
            self.clean_up_until(deadline, |session, call, _| {
                session
                    .exec("ROLLBACK", ParamsRef::Positional(&[]), call)
                    .map(|_| ())
            });
        }
        self.line.lost = None;
        self.line.suspect = None;
        self.line.forget_begun();
    }

    /// Undoes the savepoint number `depth`, which was dropped, within a second; where that fails, the transaction
    /// cannot be brought back to where the savepoint was, and is lost with its connection.
    pub(crate) fn drop_savepoint(&mut self, depth: u32) {
        let deadline = clean_up_deadline(DROP_TIMEOUT, self.deadline);
        self.clean_up_until(deadline, |session, call, _| {
            for statement in undo_statements(depth) {
                session.exec(&statement, ParamsRef::Positional(&[]), call)?;
            }
            Ok(())
        });
    }
}

/// The answer to the next statement of a batch, past its rows; `None` after the last one.
fn next_answer(session: &mut dyn Session, call: &Call<'_>) -> Option<Result<()>> {
    let step = session.next_step(call)?;
    Some(step.and_then(|step| match step {
        BatchStep::Rows => session.close_rows(call),
        BatchStep::Done(_) => Ok(()),
    }))
}

/// The moment by which a clean-up ends that has `timeout` and belongs to a call that ends at `deadline`.
fn clean_up_deadline(timeout: Duration, deadline: Option<Deadline>) -> Deadline {
    let own = Deadline::after(timeout);
    match deadline.and_then(Deadline::remaining) {
        Some(left) => own.min(Deadline::after(left.max(CLEAN_UP_GRACE))),
        None => own,
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.roll_back();
    }
}
