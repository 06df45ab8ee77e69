//! Transactions, savepoints, and the helper that repeats a whole transaction.

use std::ops::{Deref, DerefMut};

use crate::connection::{BUSY_PAUSE, Connection};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::backoff::Backoff;
use crate::rows::Held;
use crate::sql::Dialect;

/// When a transaction takes its locks (SQLite, "BEGIN TRANSACTION"). PostgreSQL has nothing like it, and begins the
/// same for all three; Picodata has no transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransactionMode {
    /// At its first read or write. A transaction that reads first may find itself unable to write later
    /// (busy snapshot), and must then be repeated as a whole.
    #[default]
    Deferred,
    /// The write lock at once.
    Immediate,
    /// As `Immediate`; in SQLite's journal modes other than WAL it also keeps readers out.
    Exclusive,
}

impl TransactionMode {
    fn statement(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (TransactionMode::Deferred, _) | (_, Dialect::Postgres) => "BEGIN",
            (TransactionMode::Immediate, Dialect::Sqlite) => "BEGIN IMMEDIATE",
            (TransactionMode::Exclusive, Dialect::Sqlite) => "BEGIN EXCLUSIVE",
        }
    }
}

/// A transaction. It can do what a [`Connection`] can, and is rolled back when it is dropped without
/// [`commit`](Transaction::commit).
///
/// When the connection breaks or the leader changes, the transaction is lost: nothing of it was applied, its
/// statements fail, and a new one has to be begun ([`Pool::transaction`](crate::Pool::transaction) does).
#[derive(Debug)]
#[must_use = "a transaction is rolled back when it is dropped"]
pub struct Transaction<'c> {
    connection: Held<'c>,
    open: bool,
}

impl std::fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

pub(crate) fn begin(connection: &mut Connection, mode: TransactionMode) -> Result<()> {
    if connection.in_transaction() && !connection.has_lost_transaction() {
        return Err(Error::new(
            ErrorKind::Misuse,
            "a transaction is open already; use a savepoint",
        ));
    }
    if let Err(error) = connection.exec(mode.statement(connection.dialect()), ()) {
        // It may have run before the call ended; what the caller runs next is not to be a part of it.
        if !connection.has_lost_transaction() {
            connection.roll_back();
        }
        return Err(of_nothing_applied(error));
    }
    connection.note_begun();
    Ok(())
}

/// The error of a transaction whose commit was not sent: what became of the statement that failed in it says nothing.
fn of_nothing_applied(error: Error) -> Error {
    match error.outcome() {
        Outcome::Unknown => error.with_outcome(Outcome::NotSent),
        _ => error,
    }
}

impl Transaction<'static> {
    pub(crate) fn owned(connection: Connection) -> Self {
        Transaction {
            connection: Held::Owned(Box::new(connection)),
            open: true,
        }
    }
}

impl<'c> Transaction<'c> {
    pub(crate) fn borrowed(connection: &'c mut Connection) -> Self {
        Transaction {
            connection: Held::Borrowed(connection),
            open: true,
        }
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// With the outcome `Rejected` or `NotSent` nothing was applied: so it is where PostgreSQL rolls back instead,
    /// because of an earlier error in the transaction. With `Unknown` (the connection broke, the deadline passed,
    /// leadership was lost, a statement has ended the transaction before) everything may have been, or nothing.
    pub fn commit(mut self) -> Result<()> {
        self.open = false;
        commit(&mut self.connection)
    }

    /// Rolls back. What the transaction did is undone whatever this call answers: a connection that does
    /// not answer is closed, and the server then rolls back.
    ///
    /// # Errors
    ///
    /// What kept the server from answering.
    pub fn rollback(mut self) -> Result<()> {
        self.open = false;
        rollback(&mut self.connection)
    }

    /// Sets a savepoint: a part of the transaction that can be undone alone.
    ///
    /// # Errors
    ///
    /// As [`Connection::exec`].
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::set(&mut self.connection, 1)
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            self.connection.roll_back();
        }
    }
}

/// A savepoint within a transaction. It can do what a [`Connection`] can, and is undone when it is dropped
/// without [`release`](Savepoint::release).
#[derive(Debug)]
#[must_use = "what was done since a savepoint is undone when it is dropped"]
pub struct Savepoint<'t> {
    connection: &'t mut Connection,
    depth: u32,
    open: bool,
}

impl<'t> Savepoint<'t> {
    fn set(connection: &'t mut Connection, depth: u32) -> Result<Self> {
        set_savepoint(connection, depth)?;
        Ok(Savepoint {
            connection,
            depth,
            open: true,
        })
    }

    /// Sets a savepoint within this one.
    ///
    /// # Errors
    ///
    /// As [`Connection::exec`].
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::set(self.connection, self.depth + 1)
    }

    /// Keeps what was done since the savepoint, as part of the transaction.
    ///
    /// # Errors
    ///
    /// As [`Connection::exec`].
    pub fn release(mut self) -> Result<()> {
        self.open = false;
        release_savepoint(self.connection, self.depth)
    }

    /// Undoes what was done since the savepoint.
    ///
    /// # Errors
    ///
    /// As [`Connection::exec`].
    pub fn rollback(mut self) -> Result<()> {
        self.undo()
    }

    fn undo(&mut self) -> Result<()> {
        self.open = false;
        undo_savepoint(self.connection, self.depth)
    }
}

impl Deref for Savepoint<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Savepoint<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        if self.open && !self.connection.has_lost_transaction() {
            self.connection.drop_savepoint(self.depth);
        }
    }
}

/// SQLite's code where no transaction is open (vdbe.c, `OP_AutoCommit`); a commit that is refused for another
/// reason has another code.
const NO_TRANSACTION: i32 = 1;

/// Commits; a transaction that could not be committed is rolled back.
pub(crate) fn commit(connection: &mut Connection) -> Result<()> {
    if connection.has_ended_transaction() {
        return Err(Error::new(
            ErrorKind::Database,
            "the transaction has ended before, by a statement in it, and statements since then were applied",
        )
        .with_outcome(Outcome::Unknown));
    }
    let error = match connection.exec("COMMIT", ()) {
        Ok(_) => {
            connection.forget_begun();
            return Ok(());
        }
        Err(error) => error,
    };
    connection.roll_back();
    if error.code() == Some(NO_TRANSACTION) {
        // SQLite has rolled back by itself (INSERT OR ROLLBACK, RAISE, a full disk), and what was run after
        // that was applied at once.
        return Err(error.with_outcome(Outcome::Unknown).context(
            "an earlier error has ended the transaction, and statements since then were applied",
        ));
    }
    Err(error)
}

/// Rolls back, and closes a connection that does not answer.
pub(crate) fn rollback(connection: &mut Connection) -> Result<()> {
    let rolled_back = connection.exec("ROLLBACK", ()).map(|_| ());
    match rolled_back {
        Ok(()) => connection.forget_begun(),
        Err(_) => connection.roll_back(),
    }
    rolled_back
}

/// Sets the savepoint number `depth`.
pub(crate) fn set_savepoint(connection: &mut Connection, depth: u32) -> Result<()> {
    connection
        .exec(format!("SAVEPOINT quorate_{depth}"), ())
        .map(|_| ())
}

/// Keeps what was done since the savepoint number `depth`.
pub(crate) fn release_savepoint(connection: &mut Connection, depth: u32) -> Result<()> {
    connection
        .exec(format!("RELEASE quorate_{depth}"), ())
        .map(|_| ())
}

/// Undoes what was done since the savepoint number `depth`, and forgets it.
pub(crate) fn undo_savepoint(connection: &mut Connection, depth: u32) -> Result<()> {
    for statement in undo_statements(depth) {
        connection.exec(statement, ())?;
    }
    Ok(())
}

/// What undoes the savepoint number `depth`, and forgets it.
pub(crate) fn undo_statements(depth: u32) -> [String; 2] {
    [
        format!("ROLLBACK TO quorate_{depth}"),
        format!("RELEASE quorate_{depth}"),
    ]
}

pub(crate) fn run<T>(
    connection: &mut Connection,
    mode: TransactionMode,
    mut body: impl FnMut(&mut Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let deadline = connection.call_deadline();
    let outer = connection.explicit_deadline();
    connection.set_deadline(Some(deadline));
    let mut backoff = Backoff::new(BUSY_PAUSE.0, BUSY_PAUSE.1);
    let mut before = None;
    let result = loop {
        let error = match attempt(connection, mode, &mut body) {
            Ok(value) => break Ok(value),
            Err(Attempt::Final(error)) => break Err(error),
            // What kept the attempts before from their end is the reason, if there were any.
            Err(Attempt::Late(error)) => break Err(before.unwrap_or(error)),
            Err(Attempt::Again(error)) => error,
        };
        if connection.pause(&mut backoff, deadline).is_err() {
            break Err(error);
        }
        connection
            .logger()
            .debug(format_args!("repeating the transaction: {error}"));
        before = Some(error);
    };
    connection.set_deadline(outer);
    result
}

enum Attempt {
    /// Nothing was applied, and the next attempt may succeed.
    Again(Error),
    /// Nothing was applied, and the deadline has passed meanwhile.
    Late(Error),
    Final(Error),
}

fn attempt<T>(
    connection: &mut Connection,
    mode: TransactionMode,
    body: &mut impl FnMut(&mut Transaction<'_>) -> Result<T>,
) -> Result<T, Attempt> {
    begin(connection, mode).map_err(|error| match error.kind() {
        _ if passes(&error) => Attempt::Again(error),
        ErrorKind::Timeout | ErrorKind::PoolTimeout => Attempt::Late(error),
        _ => Attempt::Final(error),
    })?;
    let mut transaction = Transaction::borrowed(connection);
    match body(&mut transaction) {
        Ok(value) => match transaction.commit() {
            Ok(()) => Ok(value),
            Err(error) if error.outcome() != Outcome::Unknown && passes(&error) => {
                Err(Attempt::Again(error))
            }
            Err(error) => Err(Attempt::Final(error)),
        },
        Err(error) => {
            // The body may have ended the transaction itself; what it did after that is not undone.
            let undone = transaction.can_be_undone();
            drop(transaction);
            let error = match undone {
                true => of_nothing_applied(error),
                false => error,
            };
            match error.kind() {
                _ if !undone => Err(Attempt::Final(error.with_outcome(Outcome::Unknown))),
                _ if passes(&error) => Err(Attempt::Again(error)),
                ErrorKind::Timeout => Err(Attempt::Late(error)),
                _ => Err(Attempt::Final(error)),
            }
        }
    }
}

/// Whether the reason is one that passes. In a transaction that was not committed it does not matter that
/// the outcome of one statement is unknown.
fn passes(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Busy | ErrorKind::NotLeader | ErrorKind::Disconnected
    )
}
