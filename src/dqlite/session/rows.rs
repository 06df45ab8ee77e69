//! The rows of a statement: read part by part, to their end or given up.

use super::{DB, DqliteSession, SQLITE_ERROR};
use crate::backend::NextRow;
use crate::dqlite::channel::violation;
use crate::dqlite::reading::is_last_part;
use crate::dqlite::statements::Kind;
use crate::dqlite::wire::RESPONSE_EMPTY;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::rows::RowStep;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::stream::Answers;
use crate::net::wait::Call;

/// How much of a result that nobody wants is read at most, in bytes: about what comes in the time in which a
/// new connection is made.
const DROP_LIMIT: usize = 1024 * 1024;

/// The server's text for several statements where one is expected, and for more than that.
const NONEMPTY_TAIL: &str = "nonempty statement tail";

impl DqliteSession {
    /// Begins to read the rows whose first part has been received.
    pub(super) fn begin_rows(&mut self, kind: Kind, statement: Option<u32>) -> Result<()> {
        if self.channel.is_rows()
            && let Some(cursor) = self.reading.known_part(self.channel.body())
        {
            // The same statement as before, most often.
            self.reading
                .begin_known(cursor, kind.writes_and_answers, statement);
            return Ok(());
        }
        match self.channel.response()? {
            Response::Rows(part) => self
                .reading
                .begin(&part, kind.writes_and_answers, statement)
                .map_err(violation),
            _ => {
                let error = self.statement_failure("ROWS", kind);
                Err(match statement {
                    None => not_begun(error, kind),
                    Some(_) => error,
                })
            }
        }
    }

    /// Reads the rows that are left and counts them. An error leaves none under way.
    pub(super) fn drain(&mut self, call: &Call<'_>) -> Result<u64> {
        let mut rows = 0;
        loop {
            // Where the wait for a part was cancelled, the one before it has been read, and may be gone.
            let next = if self.reading.is_over() {
                Ok(NextRow::Wait)
            } else {
                self.step_row()
            };
            let step = match next {
                Ok(NextRow::Wait) => self.receive_part(call).map(|()| NextRow::Wait),
                step => step,
            };
            match step {
                Ok(NextRow::Row) => rows += 1,
                Ok(NextRow::End) => return Ok(rows),
                Ok(NextRow::Wait) => {}
                Err(error) => {
                    if self.reading.is_open() {
                        self.channel.set_broken();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Says how the answers to the rest of a batch come in.
    pub(super) fn expect_steps(&mut self) {
        self.channel.expect(Answers::behind(self.steps.len()));
    }

    pub(super) fn end_rows(&mut self) {
        self.reading.end();
        self.expect_steps();
    }

    /// Tells the server to stop sending rows, and reads what is under way, or gives the connection up where
    /// that is a lot.
    ///
    /// No release up to 1.18.6 reads the request before its last row is sent (dqlite, `gateway__handle` in
    /// `src/gateway.c`), so all rows come. A connection in a transaction is kept nevertheless.
    fn interrupt(&mut self, call: &Call<'_>) -> Result<()> {
        let stopped = self
            .channel
            .queue(&Request::Interrupt { db: u64::from(DB) })
            .and_then(|_| self.channel.flush(call));
        let mut answered = stopped;
        let mut dropped = 0;
        // The rest and the answer to the interrupt are writes of their own.
        self.channel.expect(Answers::Many);
        while answered.is_ok() {
            answered = self.receive_next(call);
            if answered.is_ok() && self.channel.kind() == RESPONSE_EMPTY {
                break;
            }
            dropped += self.channel.body().len();
            if dropped > DROP_LIMIT && !self.in_transaction {
                self.channel.set_broken();
                return Ok(());
            }
        }
        if let Err(error) = answered {
            self.channel.set_broken();
            return Err(error.with_outcome(Outcome::Unknown));
        }
        if self.since_1_15 != Some(true)
            && let Some(statement) = self.reading.statement()
        {
            // 1.11 leaves an interrupted statement in the middle of its run, where it holds a read
            // transaction and takes no parameters.
            self.statements
                .remove_where(|prepared| prepared.id == statement);
        }
        Ok(())
    }

    pub(super) fn step_row(&mut self) -> Result<NextRow> {
        match self.reading.step(self.channel.body()) {
            Ok(RowStep::Row) => Ok(NextRow::Row),
            Ok(RowStep::PartEnd) if self.reading.part_is_empty() => {
                // The server sends on through an interrupt: only closing the connection stops it.
                self.channel.set_broken();
                Err(no_room())
            }
            Ok(RowStep::PartEnd) => Ok(NextRow::Wait),
            Ok(RowStep::Done) => {
                if self.reading.is_open() {
                    self.end_rows();
                }
                Ok(NextRow::End)
            }
            Err(error) => {
                self.channel.set_broken();
                Err(violation(error))
            }
        }
    }

    /// Receives a part of rows. Where they come more quickly than they are read, nothing is ever waited for that the
    /// call could end.
    fn receive_next(&mut self, call: &Call<'_>) -> Result<()> {
        call.check()?;
        self.channel.receive(call)
    }

    pub(super) fn receive_part(&mut self, call: &Call<'_>) -> Result<()> {
        if self.steps.is_empty() {
            self.channel.expect(Answers::Parts);
        }
        self.receive_next(call).map_err(|error| {
            if error.kind() != ErrorKind::Cancelled {
                self.channel.set_broken();
            }
            error.with_outcome(Outcome::Unknown)
        })?;
        let known = self.reading.known_part(self.channel.body());
        let cursor = match known.filter(|_| self.channel.is_rows()) {
            Some(cursor) => cursor,
            None => match self.channel.response()? {
                Response::Rows(part) => part.cursor(),
                _ => {
                    self.end_rows();
                    return Err(self.channel.unexpected("ROWS"));
                }
            },
        };
        self.reading
            .next_part(cursor)
            .inspect_err(|_| self.channel.set_broken())
    }

    pub(super) fn try_end_rows(&mut self) -> bool {
        if self.reading.is_open() && is_last_part(self.channel.body()) {
            self.end_rows();
        }
        !self.reading.is_open()
    }

    pub(super) fn abandon_rows(&mut self, call: &Call<'_>) -> Result<()> {
        if self.try_end_rows() {
            return Ok(());
        }
        // A statement that writes is done when its last row is there, and a request that is pipelined behind
        // this one would be answered before the interrupt.
        if self.reading.writes() || !self.steps.is_empty() {
            return self.drain(call).map(drop);
        }
        let closed = self.interrupt(call);
        self.end_rows();
        closed
    }
}

/// The error of a query that was sent as a text, as it should be called.
///
/// From 1.18.3 on the server says "nonempty statement tail" of any such query that fails between its preparation
/// and its first step, where it waits for the lock or for the log (dqlite, `handle_query_sql_done_cb` in
/// `src/gateway.c`). No text that is sent so has another statement behind the first one.
fn not_begun(error: Error, kind: Kind) -> Error {
    let mistaken = error.kind() == ErrorKind::Database
        && error.code() == Some(SQLITE_ERROR)
        && error.message() == NONEMPTY_TAIL
        && !kind.pragma;
    if !mistaken {
        return error;
    }
    // Of a connection that has lost its leader, the next statement says so.
    let (kind, reason) = if kind.writes_and_answers {
        (ErrorKind::Busy, "another connection holds the lock")
    } else {
        (ErrorKind::NotLeader, "the leadership was lost")
    };
    Error::new(
        kind,
        format!(
            "{reason} before the statement began, of which the server says \"{NONEMPTY_TAIL}\""
        ),
    )
    .with_outcome(Outcome::Rejected)
    .with_code(SQLITE_ERROR)
}

/// The error of a part of rows that has no row and is not the last one.
///
/// Each part begins with the names of the columns. Where they fill its 4 KiB the server steps to no row, and
/// sends such parts for ever (dqlite, `src/query.c`; seen in 1.11.1 and 1.18.6).
fn no_room() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the names of the columns fill a whole message, in which the server then has no room for a row; \
         select fewer columns, or give them shorter names",
    )
    .with_outcome(Outcome::Rejected)
}
