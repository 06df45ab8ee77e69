//! Batches: many statements in one round trip.

use crate::backend::{BatchStep, ExecResult};
use crate::connection::Connection;
use crate::convert::FromRow;
use crate::error::{Error, ErrorKind, Result};
use crate::params::{OwnedParams, Params};
use crate::row::{Columns, Row};
use crate::rows::{self, Held};

/// Statements that are sent together.
///
/// ```no_run
/// # fn main() -> quorate::Result<()> {
/// # let pool = quorate::Pool::open("dqlite://127.0.0.1:9001/app")?;
/// let mut batch = quorate::Batch::new();
/// batch.queue("INSERT INTO item VALUES (?, ?)", (1, "brick"))?;
/// batch.queue("SELECT count(*) FROM item", ())?;
/// let mut results = pool.send_batch(&batch)?;
/// results.exec()?;
/// let (count,): (i64,) = results.query_row()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    items: Vec<BatchItem>,
}

/// One statement of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchItem {
    pub(crate) sql: String,
    pub(crate) params: OwnedParams,
}

impl Batch {
    /// Makes an empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Puts a statement at the end. The parameters are copied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] where a parameter cannot be bound. A fault in the text shows when the batch is
    /// sent.
    pub fn queue(&mut self, sql: impl Into<String>, params: impl Params) -> Result<()> {
        let params = params.with_values(|values| Ok(OwnedParams::from(values)))?;
        self.items.push(BatchItem {
            sql: sql.into(),
            params,
        });
        Ok(())
    }

    /// How many statements are queued.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn items(&self) -> &[BatchItem] {
        &self.items
    }
}

/// The results of a batch, in the order of its statements.
///
/// Each is asked for with the method that fits it: [`exec`](BatchResults::exec) for its counts,
/// [`query`](BatchResults::query) for its rows, [`query_row`](BatchResults::query_row) for its first row. An
/// error is that statement's own, and the next result is the next statement's. If the connection breaks, all
/// results that are left fail, each with its own outcome. Dropping the results reads those that are left.
pub struct BatchResults<'c> {
    connection: Held<'c>,
    progress: Progress,
}

/// How far the results of a batch have been read, apart from the connection that they are read from.
#[derive(Debug)]
pub(crate) struct Progress {
    left: usize,
    in_rows: bool,
}

impl Progress {
    pub(crate) fn new(left: usize) -> Self {
        Progress {
            left,
            in_rows: false,
        }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Goes to the next result.
    pub(crate) fn step(&mut self, connection: &mut Connection) -> Result<BatchStep> {
        self.end_rows(connection)?;
        if self.left == 0 {
            return Err(Error::new(
                ErrorKind::Misuse,
                "all results of the batch have been read",
            ));
        }
        self.left -= 1;
        let step = connection.read(|session, call| {
            session.next_step(call).unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Internal,
                    "the session has lost count of its batch",
                ))
            })
        })?;
        connection.note_applied();
        self.in_rows = matches!(step, BatchStep::Rows);
        Ok(step)
    }

    /// Goes to the next result and reads past its rows.
    pub(crate) fn exec(&mut self, connection: &mut Connection) -> Result<ExecResult> {
        match self.step(connection)? {
            BatchStep::Done(result) => Ok(result),
            BatchStep::Rows => {
                self.end_rows(connection)?;
                Ok(ExecResult::default())
            }
        }
    }

    /// Goes to the next row of the result whose rows are being read.
    pub(crate) fn advance(&mut self, connection: &mut Connection) -> Result<bool> {
        if !self.in_rows {
            return Ok(false);
        }
        let advanced = connection.advance();
        self.in_rows = matches!(advanced, Ok(true));
        advanced
    }

    /// As [`Connection::advance_while`].
    pub(crate) fn advance_while(
        &mut self,
        connection: &mut Connection,
        take: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<bool> {
        if !self.in_rows {
            return Ok(false);
        }
        let advanced = connection.advance_while(take);
        self.in_rows = matches!(advanced, Ok(true));
        advanced
    }

    /// Reads past the rows that are left of the current result.
    pub(crate) fn end_rows(&mut self, connection: &mut Connection) -> Result<()> {
        if !std::mem::take(&mut self.in_rows) {
            return Ok(());
        }
        connection.close_rows()
    }

    /// Reads the results that are left, and answers the first error among them.
    pub(crate) fn close(&mut self, connection: &mut Connection) -> Result<()> {
        let mut result = Ok(());
        while self.left > 0 {
            result = result.and(self.exec(connection).map(|_| ()));
        }
        result.and(self.end_rows(connection))
    }

    /// Reads the results that are left within a short time, or gives the connection up.
    pub(crate) fn abandon(&mut self, connection: &mut Connection) {
        if self.left == 0 && !self.in_rows {
            return;
        }
        self.left = 0;
        let in_rows = std::mem::take(&mut self.in_rows);
        connection.abandon_batch(in_rows);
    }
}

impl BatchResults<'static> {
    pub(crate) fn owned(connection: Connection, left: usize) -> Self {
        BatchResults {
            connection: Held::Owned(Box::new(connection)),
            progress: Progress::new(left),
        }
    }
}

impl<'c> BatchResults<'c> {
    pub(crate) fn borrowed(connection: &'c mut Connection, left: usize) -> Self {
        BatchResults {
            connection: Held::Borrowed(connection),
            progress: Progress::new(left),
        }
    }

    /// How many results have not been asked for.
    pub fn left(&self) -> usize {
        self.progress.left()
    }

    /// The counts of the next statement; its rows, if it has any, are dropped.
    ///
    /// # Errors
    ///
    /// That of the statement; [`ErrorKind::Misuse`] where no result is left.
    pub fn exec(&mut self) -> Result<ExecResult> {
        self.progress.exec(&mut self.connection)
    }

    /// The rows of the next statement; they are valid until the next result is asked for.
    ///
    /// # Errors
    ///
    /// As [`exec`](BatchResults::exec). A statement without rows gives none.
    pub fn query(&mut self) -> Result<BatchRows<'_, 'c>> {
        self.progress.step(&mut self.connection)?;
        Ok(BatchRows { results: self })
    }

    /// The first row of the next statement, converted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRows`] where there is none; otherwise as [`exec`](BatchResults::exec).
    pub fn query_row<T>(&mut self) -> Result<T>
    where
        T: for<'r> FromRow<'r>,
    {
        let mut rows = self.query()?;
        let row = match rows.next()? {
            Some(row) => row.read::<T>(),
            None => return Err(self.connection.no_row()),
        };
        // Before the rows are closed: what they were is forgotten then.
        let row = row.map_err(|error| error.after_run(self.connection.outcome_after_run()));
        self.progress.end_rows(&mut self.connection)?;
        row
    }

    /// Reads the results that are left.
    ///
    /// # Errors
    ///
    /// The first error among them.
    pub fn close(mut self) -> Result<()> {
        self.progress.close(&mut self.connection)
    }
}

impl Drop for BatchResults<'_> {
    fn drop(&mut self) {
        self.progress.abandon(&mut self.connection);
    }
}

impl std::fmt::Debug for BatchResults<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchResults")
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

/// The rows of one statement of a batch.
#[derive(Debug)]
pub struct BatchRows<'r, 'c> {
    results: &'r mut BatchResults<'c>,
}

impl<'r, 'c> BatchRows<'r, 'c> {
    /// The rows from here on as an iterator of `T`: `rows.typed::<(i64, String)>()`. It ends with the first error.
    pub fn typed<T>(mut self) -> impl Iterator<Item = Result<T>> + use<'r, 'c, T>
    where
        T: for<'a> FromRow<'a>,
    {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let row = rows::typed(self.next())?;
            failed = row.is_err();
            Some(row)
        })
    }

    /// The columns.
    pub fn columns(&self) -> &Columns {
        self.results.connection.columns()
    }

    /// What a statement that answers no rows has done; zeros for one that answers rows.
    pub fn result(&self) -> ExecResult {
        self.results.connection.written()
    }

    /// The next row, valid until the next call; `None` after the last one.
    ///
    /// # Errors
    ///
    /// What the server answers or what broke the connection.
    #[expect(clippy::should_implement_trait, reason = "a row borrows from the rows")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        let BatchResults {
            connection,
            progress,
        } = &mut *self.results;
        let advanced = progress.advance(connection)?;
        Ok(advanced.then(|| connection.row()))
    }
}
