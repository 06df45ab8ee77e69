//! Connections
//!
//! A connection out of a pool, in the hands of one thread at a time: a call while another thread is inside
//! answers `QUORATE_STATUS_MISUSE`. It is not tied to one socket for life: outside of a transaction, a
//! statement that cannot have been applied is repeated on a new one. Rows, results and a transaction of a
//! connection use it too, and keep it alive: it goes back to its pool when it is closed, or when the last of
//! these handles is freed.

use std::ffi::c_char;
use std::sync::Arc;

use super::batch::{quorate_batch, quorate_results};
use super::boundary::{Maybe, Out, answer, boundary, free};
use super::buffer::quorate_buffer;
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::rows::quorate_rows;
use super::seat::Seat;
use super::statement::quorate_statement;
use super::status::quorate_status;
use super::transaction::{mode_of, quorate_transaction};
use super::value::{quorate_value, with_params};
use super::view::text;
use crate::backend::ExecResult;
use crate::transaction;

/// A connection out of a pool. One thread at a time uses it.
pub struct quorate_connection {
    seat: Arc<Seat>,
}

impl quorate_connection {
    pub(super) fn of(seat: Arc<Seat>) -> Self {
        quorate_connection { seat }
    }

    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

/// What a statement without rows has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct quorate_result {
    /// The row id of the last row that this connection inserted into a table with row ids (dqlite); 0 where
    /// there is none.
    pub last_insert_id: i64,
    /// How many rows the statement inserted, changed or deleted.
    pub rows_affected: u64,
}

impl From<ExecResult> for quorate_result {
    fn from(result: ExecResult) -> Self {
        quorate_result {
            last_insert_id: result.last_insert_id,
            rows_affected: result.rows_affected,
        }
    }
}

/// Runs statements that answer no rows on the connection; see `quorate_pool_exec`.
///
/// Rows and results that are being read on the connection end. `params` may be NULL where `params_len` is 0;
/// `cancel` and `out_result` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_exec(
    connection: *const quorate_connection,
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
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                Ok(inside.begin(&bounds)?.exec(sql, params)?.into())
            })
        })
    }
}

/// Runs one statement and gives its rows on the connection; see `quorate_pool_query`.
///
/// The rows are valid until the connection is used for something else. `params` may be NULL where
/// `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_query(
    connection: *const quorate_connection,
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
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                inside.begin(&bounds)?.start_query(sql, params)?;
                quorate_rows::of(inside.seat(), &mut inside)
            })
        })
    }
}

/// Sends all statements of a batch at once on the connection; see `quorate_pool_send_batch`.
///
/// The results are valid until the connection is used for something else. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_send_batch(
    connection: *const quorate_connection,
    batch: *const quorate_batch,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_results: *mut *mut quorate_results,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_results, "out_results"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let batch = borrow(batch, "batch")?.lock();
            let bounds = bounds(timeout_ms, cancel)?;
            inside.begin(&bounds)?.start_batch(&batch)?;
            quorate_results::of(inside.seat(), &mut inside, batch.len())
        })
    }
}

/// Prepares a statement, so that a fault in it shows now and its first run is quicker. `cancel` may be NULL.
///
/// A prepared statement is not tied to the connection: it may be run on any. Each connection keeps the
/// statements it has prepared by their text (the option `statement_cache`), so running the same text again
/// costs no second preparation, with or without this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_prepare(
    connection: *const quorate_connection,
    sql: *const c_char,
    sql_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_statement: *mut *mut quorate_statement,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_statement, "out_statement"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            let statement = inside.begin(&bounds)?.prepare(sql)?;
            Ok(give(quorate_statement::of(statement)))
        })
    }
}

/// Begins a transaction on the connection; `mode` is a `quorate_transaction_mode`. `cancel` may be NULL.
///
/// The functions of the connection run in the transaction as well, until it is committed or rolled back.
/// `QUORATE_STATUS_MISUSE`: one is open already. The outcome of an error is as with `quorate_pool_begin`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_begin(
    connection: *const quorate_connection,
    mode: i32,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_transaction: *mut *mut quorate_transaction,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_transaction, "out_transaction"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let mode = mode_of(mode)?;
            let bounds = bounds(timeout_ms, cancel)?;
            transaction::begin(inside.begin(&bounds)?, mode)?;
            quorate_transaction::of(inside.seat(), &mut inside)
        })
    }
}

/// Asks the server for an answer. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_ping(
    connection: *const quorate_connection,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            Ok(inside.begin(&bounds)?.ping()?)
        })
    }
}

/// Gives the handle that cancels, from any thread, the call that runs on the connection at that moment, if
/// that call was given no handle of its own. Firing it while no call runs does nothing, and the next call is
/// not cancelled. The handle may outlive the connection; it has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_cancel_handle(
    connection: *const quorate_connection,
    out_cancel: *mut *mut quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_cancel, "out_cancel"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let handle = inside.connection()?.cancel_handle();
            Ok(give(quorate_cancel { handle }))
        })
    }
}

/// Gives the address of the node that the connection goes to; empty while it goes to none, after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_node(
    connection: *const quorate_connection,
    out_address: *mut *mut quorate_buffer,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_address, "out_address"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            let node = inside.connection()?.node().to_owned();
            Ok(give(quorate_buffer::of(node.into_bytes())))
        })
    }
}

/// Whether a transaction is open on the connection, or was lost and waits to be rolled back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_in_transaction(
    connection: *const quorate_connection,
    out_open: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_open, "out_open"), || {
            let mut inside = borrow(connection, "connection")?.seat.enter()?;
            Ok(inside.connection()?.in_transaction())
        })
    }
}

/// Gives the connection back to its pool, a transaction on it rolled back. Rows, results and a transaction of
/// it end. The handle stays valid, answers `QUORATE_STATUS_CLOSED` from now on, and has to be freed. Closing a
/// second time does nothing. Blocks for a second at most.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_close(
    connection: *const quorate_connection,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let seat = &borrow(connection, "connection")?.seat;
            seat.check_process()?;
            seat.enter()?.close();
            Ok(())
        })
    }
}

/// Whether the connection is still open. False for NULL, and while another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_is_open(connection: *const quorate_connection) -> bool {
    answer(false, || {
        // SAFETY: the header's rules.
        let mut inside = unsafe { connection.as_ref() }?.seat.enter().ok()?;
        Some(inside.connection().is_ok())
    })
}

/// Frees a handle. Rows, results and a transaction of the connection go on, and keep it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_free(connection: *mut quorate_connection) {
    // SAFETY: the header's rules.
    unsafe { free(connection) }
}
