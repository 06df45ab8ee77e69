//! Reading on in an answer: its rows, and what ends them.

use std::sync::LazyLock;

use super::{Connection, begin, enter};
use crate::backend::{ExecResult, NextRow, Session};
use crate::error::Result;
use crate::net::wait::Call;
use crate::pool::lease::Lease;
use crate::row::{Columns, Row};

impl Connection {
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

    /// What the statement whose answer is being read has done, if it answers no rows.
    pub(crate) fn written(&self) -> ExecResult {
        let session = self.line.lease.as_ref().and_then(Lease::peek);
        session.map_or_else(ExecResult::default, |session| session.written())
    }

    #[inline]
    pub(crate) fn row(&self) -> Row<'_> {
        match self.line.lease.as_ref().and_then(Lease::peek) {
            Some(session) => Row::new(session.columns(), session.cells(), session.data()),
            None => Row::new(no_columns(), &[], &[]),
        }
    }

    #[inline(never)]
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
        let (core, cancel) = (&self.line.core, self.cancel.get());
        let (call, _) = begin(core, self.reading.or(self.deadline), self.timeout, cancel);
        self.line.read(|session| operation(session, &call))
    }
}

#[cold]
fn no_columns() -> &'static Columns {
    static NONE: LazyLock<Columns> = LazyLock::new(Columns::default);
    &NONE
}
