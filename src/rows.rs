//! Rows: the answer to a query, read one row at a time.

use std::marker::PhantomData;

use crate::backend::ExecResult;
use crate::connection::Connection;
use crate::convert::FromRow;
use crate::error::{Error, ErrorKind, Result};
use crate::row::{Columns, Row};

/// A connection that a guard has borrowed or owns.
pub(crate) enum Held<'c> {
    Owned(Box<Connection>),
    Borrowed(&'c mut Connection),
}

impl std::ops::Deref for Held<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Held::Owned(connection) => connection,
            Held::Borrowed(connection) => connection,
        }
    }
}

impl std::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        match self {
            Held::Owned(connection) => connection,
            Held::Borrowed(connection) => connection,
        }
    }
}

/// The rows of a query, as they arrive: never more than one message of the server is in memory.
///
/// ```no_run
/// # fn main() -> quorate::Result<()> {
/// # let pool = quorate::Pool::open("dqlite://127.0.0.1:9001/app")?;
/// let mut rows = pool.query("SELECT id, name FROM item", ())?;
/// while let Some(row) = rows.next()? {
///     println!("{} {}", row.get::<i64>("id")?, row.get::<&str>("name")?);
/// }
/// # Ok(()) }
/// ```
///
/// Dropping the rows early tells the server to stop. dqlite sends all of them nevertheless, so they are read to
/// their end where that is within a megabyte; where it is not, or the server does not answer within a second,
/// the connection is closed. In a transaction it is kept for as long as that second lasts.
///
/// After a fork, the rows that had been received can be read by both processes, each from memory of its own; the
/// child gets no further ones.
///
/// The rows of a statement that writes (`INSERT … RETURNING`) may come before the write is replicated: it
/// is acknowledged when [`next`](Rows::next) has answered `None`, or [`close`](Rows::close) `Ok`. Dropped
/// early, such rows are read to their end.
pub struct Rows<'c> {
    connection: Held<'c>,
    done: bool,
}

impl Rows<'static> {
    pub(crate) fn owned(connection: Connection) -> Self {
        Rows {
            connection: Held::Owned(Box::new(connection)),
            done: false,
        }
    }
}

impl<'c> Rows<'c> {
    pub(crate) fn borrowed(connection: &'c mut Connection) -> Self {
        Rows {
            connection: Held::Borrowed(connection),
            done: false,
        }
    }

    /// The columns; known before the first row is read.
    pub fn columns(&self) -> &Columns {
        self.connection.columns()
    }

    /// What a statement that answers no rows has done, as [`exec`](Connection::exec) would have answered; zeros for one that
    /// answers rows. Makes no round trip. So a caller need not know beforehand whether a statement answers rows.
    pub fn result(&self) -> ExecResult {
        self.connection.written()
    }

    /// The next row, valid until the next call; `None` after the last one.
    ///
    /// Blocks until the row is there, until the deadline of the query or, where it had none of its own, for
    /// one timeout.
    ///
    /// # Errors
    ///
    /// What the server answers or what broke the connection. After an error there are no more rows.
    #[expect(clippy::should_implement_trait, reason = "a row borrows from the rows")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        if self.done {
            return Ok(None);
        }
        match self.connection.advance() {
            Ok(true) => Ok(Some(self.connection.row())),
            Ok(false) => {
                self.done = true;
                Ok(None)
            }
            Err(error) => {
                self.done = true;
                Err(error)
            }
        }
    }

    /// The rows from here on as an iterator of `T`: `rows.typed::<(i64, String)>()`.
    pub fn typed<T>(self) -> TypedRows<'c, T>
    where
        T: for<'r> FromRow<'r>,
    {
        TypedRows {
            rows: self,
            failed: false,
            types: PhantomData,
        }
    }

    /// Ends the reading, whether all rows were read or not.
    ///
    /// # Errors
    ///
    /// What the server answers or what broke the connection, which matters for a statement that writes.
    pub fn close(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        self.connection.close_rows()
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.done, true) {
            self.connection
                .clean_up(|session, call| session.close_rows(call));
        }
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("columns", self.columns())
            .finish_non_exhaustive()
    }
}

/// An iterator over rows, each converted to `T`. It ends after the first error.
#[derive(Debug)]
pub struct TypedRows<'c, T> {
    rows: Rows<'c>,
    failed: bool,
    types: PhantomData<fn() -> T>,
}

/// A row as a `T`, or what has kept it from being one; `None` behind the last.
pub(crate) fn typed<T>(row: Result<Option<Row<'_>>>) -> Option<Result<T>>
where
    T: for<'r> FromRow<'r>,
{
    match row {
        Ok(row) => Some(row?.read()),
        Err(error) => Some(Err(error)),
    }
}

impl<T> Iterator for TypedRows<'_, T>
where
    T: for<'r> FromRow<'r>,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.failed {
            return None;
        }
        let row = typed(self.rows.next())?;
        self.failed = row.is_err();
        Some(row)
    }
}

/// Turns the error "no rows" into `None`: `pool.query_row::<(i64,)>(…).optional()?`.
pub trait OptionalRow<T> {
    /// `Ok(None)` where there was no row.
    ///
    /// # Errors
    ///
    /// Every other error, as it is.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalRow<T> for Result<T, Error> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.kind() == ErrorKind::NoRows => Ok(None),
            Err(error) => Err(error),
        }
    }
}
