//! Transactions
//!
//! A transaction is begun on a connection (`quorate_connection_begin`) or on a pool (`quorate_pool_begin`),
//! and rolled back when it is freed without a commit. When its connection breaks or the leader changes, the
//! transaction is lost: nothing of it was applied, its statements fail with `QUORATE_STATUS_DISCONNECTED`, and
//! a new one has to be begun.
//!
//! Nothing of a transaction is applied before its commit, whatever the outcome of a statement in it. So after an error
//! of a reason that passes (`QUORATE_STATUS_BUSY`, `_NOT_LEADER`, `_DISCONNECTED`, `_TIMEOUT`) a transaction can be
//! freed and run again from its begin, unless it is the commit that failed with `QUORATE_OUTCOME_UNKNOWN`. (SQL that
//! ends a transaction by itself, such as dqlite's `INSERT OR ROLLBACK`, is the exception: the commit then answers an
//! error with that outcome.)

use std::ffi::c_char;
use std::sync::Arc;

use super::batch::{quorate_batch, quorate_results};
use super::boundary::{Maybe, Out, boundary, free};
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::connection::{quorate_connection, quorate_result};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::rows::quorate_rows;
use super::seat::{Inside, Seat, Token};
use super::status::{Answer, Failure, quorate_status};
use super::value::{quorate_value, with_params};
use super::view::text;
use crate::transaction::{self, TransactionMode};

/// When a transaction takes its locks (SQLite, "BEGIN TRANSACTION").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(dead_code, reason = "names the numbers for C")]
pub enum quorate_transaction_mode {
    /// At its first read or write. A transaction that reads first may find itself unable to write later, and
    /// must then be repeated as a whole.
    Deferred = 0,
    /// The write lock at once.
    Immediate = 1,
    /// As immediate; in SQLite's journal modes other than WAL it also keeps readers out.
    Exclusive = 2,
}

pub(super) fn mode_of(mode: i32) -> Answer<TransactionMode> {
    match mode {
        0 => Ok(TransactionMode::Deferred),
        1 => Ok(TransactionMode::Immediate),
        2 => Ok(TransactionMode::Exclusive),
        _ => Err(Failure::misuse(format!(
            "{mode} is no quorate_transaction_mode"
        ))),
    }
}

/// A transaction. It uses its connection, so one thread at a time uses it.
pub struct quorate_transaction {
    seat: Arc<Seat>,
    token: Token,
}

impl quorate_transaction {
    /// The transaction that was begun on the connection of a new seat.
    pub(super) fn start(seat: &Arc<Seat>) -> Answer<*mut Self> {
        Self::of(seat, &mut seat.enter()?)
    }

    /// The transaction that was begun on the connection of `seat`.
    pub(super) fn of(seat: &Arc<Seat>, inside: &mut Inside<'_>) -> Answer<*mut Self> {
        Ok(give(quorate_transaction {
            seat: Arc::clone(seat),
            token: inside.start_transaction(),
        }))
    }

    pub(super) fn enter(&self) -> Answer<Inside<'_>> {
        let inside = self.seat.enter()?;
        inside.check_transaction(self.token)?;
        Ok(inside)
    }
}

impl Drop for quorate_transaction {
    fn drop(&mut self) {
        self.seat.abandon(self.token);
    }
}

/// Runs statements that answer no rows in the transaction; see `quorate_pool_exec`.
///
/// Rows and results that are being read on the connection end. `params` may be NULL where `params_len` is 0;
/// `cancel` and `out_result` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_exec(
    transaction: *const quorate_transaction,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_result: *mut quorate_result,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Maybe(out_result), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                Ok(inside.begin(&bounds)?.exec(sql, params)?.into())
            })
        })
    }
}

/// Runs one statement and gives its rows in the transaction; see `quorate_pool_query`.
///
/// The rows are valid until the connection is used for something else. `params` may be NULL where
/// `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_query(
    transaction: *const quorate_transaction,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_rows: *mut *mut quorate_rows,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_rows, "out_rows"), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                inside.begin(&bounds)?.start_query(sql, params)?;
                quorate_rows::of(inside.seat(), &mut inside)
            })
        })
    }
}

/// Sends all statements of a batch at once in the transaction; see `quorate_pool_send_batch`.
///
/// The results are valid until the connection is used for something else. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_send_batch(
    transaction: *const quorate_transaction,
    batch: *const quorate_batch,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_results: *mut *mut quorate_results,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_results, "out_results"), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let batch = borrow(batch, "batch")?.lock();
            let bounds = bounds(timeout_ms, cancel)?;
            inside.begin(&bounds)?.start_batch(&batch)?;
            quorate_results::of(inside.seat(), &mut inside, batch.len())
        })
    }
}

/// Commits. The transaction ends, whatever the answer; it has to be freed. `cancel` may be NULL.
///
/// With the outcome not sent or rejected nothing was applied. With `QUORATE_OUTCOME_UNKNOWN` (the connection
/// broke, the timeout passed, leadership was lost) everything may have been, or nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_commit(
    transaction: *const quorate_transaction,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            inside.end_transaction();
            Ok(transaction::commit(inside.begin(&bounds)?)?)
        })
    }
}

/// Rolls back. The transaction ends, and what it did is undone, whatever the answer: a connection that does
/// not answer is closed, and the server then rolls back. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_rollback(
    transaction: *const quorate_transaction,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            inside.end_transaction();
            Ok(transaction::rollback(inside.begin(&bounds)?)?)
        })
    }
}

/// Sets a savepoint: a part of the transaction that can be undone alone. Savepoints nest. `cancel` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_savepoint(
    transaction: *const quorate_transaction,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            let depth = *inside.savepoints() + 1;
            transaction::set_savepoint(inside.begin(&bounds)?, depth)?;
            *inside.savepoints() = depth;
            Ok(())
        })
    }
}

/// Keeps what was done since the last savepoint, as part of what is around it, and forgets the savepoint.
/// `cancel` may be NULL. `QUORATE_STATUS_MISUSE`: none is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_release(
    transaction: *const quorate_transaction,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            let depth = last_savepoint(&mut inside)?;
            transaction::release_savepoint(inside.begin(&bounds)?, depth)?;
            *inside.savepoints() = depth - 1;
            Ok(())
        })
    }
}

/// Undoes what was done since the last savepoint, and forgets the savepoint. Where that fails the whole
/// transaction is lost. `cancel` may be NULL. `QUORATE_STATUS_MISUSE`: none is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_undo(
    transaction: *const quorate_transaction,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            let depth = last_savepoint(&mut inside)?;
            let connection = inside.begin(&bounds)?;
            let undone = transaction::undo_savepoint(connection, depth);
            if undone.is_err() {
                // It cannot be brought back to where the savepoint was: it must not be committed.
                connection.lose_transaction();
            }
            *inside.savepoints() = depth - 1;
            Ok(undone?)
        })
    }
}

fn last_savepoint(inside: &mut Inside<'_>) -> Answer<u32> {
    match *inside.savepoints() {
        0 => Err(Failure::misuse("no savepoint is set")),
        depth => Ok(depth),
    }
}

/// Gives a handle on the connection of the transaction, for what only a connection can do. It is the same
/// connection: statements on it run in the transaction. The handle has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_connection(
    transaction: *const quorate_transaction,
    out_connection: *mut *mut quorate_connection,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_connection, "out_connection"), || {
            let seat = Arc::clone(&borrow(transaction, "transaction")?.seat);
            Ok(give(quorate_connection::of(seat)))
        })
    }
}

/// Frees a transaction, and rolls it back if it was not committed. Blocks for a second at most. NULL is
/// allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_free(transaction: *mut quorate_transaction) {
    // SAFETY: the header's rules.
    unsafe { free(transaction) }
}
