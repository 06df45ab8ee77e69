//! The rows that a session is reading: where in which part, and what is known of them.

use crate::dqlite::wire::error::WireError;
use crate::dqlite::wire::rows::{RowCursor, RowStep, RowsPart};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::row::{Cell, Columns};

/// The last word of the last part of a result (dqlite, `DQLITE_RESPONSE_ROWS_DONE`).
const DONE: [u8; 8] = [0xff; 8];

/// The state of reading rows; the bytes themselves stay in the channel's buffer.
#[derive(Default)]
pub(crate) struct Reading {
    cursor: Option<RowCursor>,
    columns: Columns,
    cells: Vec<Cell>,
    /// The number of rows in the parts before this one.
    rows_before: u64,
    writes: bool,
    statement: Option<u32>,
}

impl Reading {
    /// Begins with the first part of a result.
    pub(crate) fn begin(
        &mut self,
        part: &RowsPart<'_>,
        writes: bool,
        statement: Option<u32>,
    ) -> Result<(), WireError> {
        // The same statement, most often.
        if !part.has_columns(self.columns.names()) {
            let names = part.columns()?;
            self.columns = Columns::new(names.into_iter().map(str::to_owned).collect());
        }
        self.cells.clear();
        let cursor = part.cursor();
        self.rows_before = cursor.row;
        self.cursor = Some(cursor);
        self.writes = writes;
        self.statement = statement;
        Ok(())
    }

    /// Goes on with the next part.
    pub(crate) fn next_part(&mut self, cursor: RowCursor) -> Result<()> {
        if cursor.columns != self.columns.len() {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "a part of the rows has {} columns where the first had {}",
                    cursor.columns,
                    self.columns.len()
                ),
            )
            .with_outcome(Outcome::Unknown));
        }
        // Rows are counted through all parts.
        let row = self.cursor.as_ref().map_or(0, |cursor| cursor.row);
        self.cursor = Some(RowCursor { row, ..cursor });
        self.rows_before = row;
        Ok(())
    }

    /// Whether this part had no row.
    pub(crate) fn part_is_empty(&self) -> bool {
        self.cursor
            .as_ref()
            .is_some_and(|cursor| cursor.row == self.rows_before)
    }

    /// Decodes the next row of the part in `body`.
    pub(crate) fn step(&mut self, body: &[u8]) -> Result<RowStep, WireError> {
        match &mut self.cursor {
            Some(cursor) => cursor.next(body, &mut self.cells),
            None => Ok(RowStep::Done),
        }
    }

    /// Ends the reading; the columns stay known.
    pub(crate) fn end(&mut self) {
        self.cursor = None;
        self.cells.clear();
    }

    /// Stands for a statement that answers no rows.
    pub(crate) fn clear(&mut self) {
        self.end();
        self.columns = Columns::default();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.cursor.is_some()
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Whether the statement writes as well.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// The prepared statement that answers the rows.
    pub(crate) fn statement(&self) -> Option<u32> {
        self.statement
    }
}

/// Whether a part of rows is the last one of its result.
pub(crate) fn is_last_part(body: &[u8]) -> bool {
    body.ends_with(&DONE)
}
