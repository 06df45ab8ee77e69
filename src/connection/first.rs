//! The first row of a query, which is all that many a caller wants: run, read and closed within one deadline.

use std::mem::ManuallyDrop;

use super::Connection;
use crate::error::{Error, Outcome, Result};
use crate::params::ParamsRef;
use crate::row::Row;

impl Connection {
    /// Runs one statement and gives its first row, all within one deadline; further rows are dropped.
    #[inline(always)]
    pub(crate) fn query_first(&mut self, sql: &str, params: ParamsRef<'_>) -> Result<First<'_>> {
        self.start_first(sql, params)?;
        Ok(First(self))
    }

    /// Runs one statement and goes to its first row.
    ///
    /// It takes no type of a caller's, so that it is compiled once: all ways to a row of one run the same code.
    #[inline(never)]
    fn start_first(&mut self, sql: &str, params: ParamsRef<'_>) -> Result<()> {
        let (deadline, now) = self.begin_run()?;
        // One call, whatever it takes: the row and the rest of the answer have no timeouts of their own.
        self.reading = Some(deadline);
        self.run_until(deadline, now, |session, call| {
            session.query(sql, params, call)
        })
        .map_err(|error| self.may_have_ended(sql, error))?;
        if self.advance()? {
            return Ok(());
        }
        Err(self.no_row())
    }
}

/// The first row of a query. Dropping it, as a conversion of the caller's that panics does, closes the rows.
pub(crate) struct First<'c>(&'c mut Connection);

impl First<'_> {
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        self.0.row()
    }

    /// Closes the rows, and gives what was made of the first one. If that is an error, it goes through `ran` with the
    /// outcome of the statement, which has run.
    #[inline(always)]
    pub(crate) fn end<R, E: From<Error>>(
        self,
        taken: Result<R, E>,
        ran: impl FnOnce(E, Outcome) -> E,
    ) -> Result<R, E> {
        let mut first = ManuallyDrop::new(self);
        let connection = &mut *first.0;
        // Before the rows are closed: what they were is forgotten then.
        let taken = taken.map_err(|error| ran(error, connection.outcome_after_run()));
        connection.close_rows()?;
        taken
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.0.clean_up(|session, call| session.close_rows(call));
    }
}
