//! The rows that a session is reading: where in which part, and what is known of them.

use crate::dqlite::wire::error::WireError;
use crate::dqlite::wire::rows::{DecodedRows, RowCursor, RowStep, RowsPart};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::row::{Cell, Columns};

/// The last word of the last part of a result (dqlite, `DQLITE_RESPONSE_ROWS_DONE`).
const DONE: [u8; 8] = [0xff; 8];

/// The state of reading rows; the bytes themselves stay in the channel's buffer.
#[derive(Default)]
pub(crate) struct Reading {
    cursor: Option<RowCursor>,
    columns: Columns,
    /// How the parts of the last result began: the number of the columns and their names, as they were sent.
    head: Vec<u8>,
    /// The rows that have been decoded, and what was found behind them.
    rows: DecodedRows,
    behind: Option<Result<RowStep, WireError>>,
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
        let (names, cursor) = (part.columns()?, part.cursor());
        self.columns = Columns::new(names.into_iter().map(|name| (name.to_owned(), None)));
        self.head.clear();
        let head = part.body().get(..cursor.offset).unwrap_or_default();
        self.head.extend_from_slice(head);
        self.begin_known(cursor, writes, statement);
        Ok(())
    }

    /// Begins with a part whose columns are those of the last result.
    pub(crate) fn begin_known(&mut self, cursor: RowCursor, writes: bool, statement: Option<u32>) {
        self.go_on(cursor);
        self.rows_before = cursor.row;
        self.writes = writes;
        self.statement = statement;
    }

    /// Where the rows begin in the body of a part that begins as those of the last result did: nothing of that needs to
    /// be decoded again.
    pub(crate) fn known_part(&self, body: &[u8]) -> Option<RowCursor> {
        let known = !self.head.is_empty() && body.starts_with(&self.head);
        known.then(|| RowCursor {
            offset: self.head.len(),
            columns: self.columns.len(),
            row: 0,
        })
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
        self.go_on(RowCursor { row, ..cursor });
        self.rows_before = row;
        Ok(())
    }

    fn go_on(&mut self, cursor: RowCursor) {
        self.rows.clear();
        self.behind = None;
        self.cursor = Some(cursor);
    }

    /// Whether this part had no row.
    pub(crate) fn part_is_empty(&self) -> bool {
        self.cursor
            .as_ref()
            .is_some_and(|cursor| cursor.row == self.rows_before)
    }

    /// Whether the part has been read to its end, and another one follows.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.behind, Some(Ok(RowStep::PartEnd))) && !self.rows.has_more()
    }

    /// Goes to the next row of the part in `body`.
    #[inline]
    pub(crate) fn step(&mut self, body: &[u8]) -> Result<RowStep, WireError> {
        if self.rows.advance() {
            return Ok(RowStep::Row);
        }
        self.decode(body)
    }

    /// Goes to the next row, where all that were decoded have been read.
    #[inline(never)]
    fn decode(&mut self, body: &[u8]) -> Result<RowStep, WireError> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(RowStep::Done);
        };
        let behind = match self.behind.take() {
            Some(Ok(RowStep::Row)) | None => cursor.decode(body, &mut self.rows),
            Some(end) => end,
        };
        self.behind = Some(behind.clone());
        if self.rows.advance() {
            return Ok(RowStep::Row);
        }
        self.rows.clear();
        behind
    }

    /// Ends the reading; the columns stay known.
    pub(crate) fn end(&mut self) {
        self.cursor = None;
        self.rows.clear();
        self.behind = None;
    }

    /// Stands for a statement that answers no rows.
    pub(crate) fn clear(&mut self) {
        self.end();
        self.columns = Columns::default();
        self.head.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.cursor.is_some()
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The current row.
    #[inline]
    pub(crate) fn cells(&self) -> &[Cell] {
        self.rows.current()
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
