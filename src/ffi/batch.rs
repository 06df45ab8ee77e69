//! Batches
//!
//! Statements that are sent together, in one round trip, and their results in the same order.

use std::ffi::c_char;
use std::sync::Arc;

use super::boundary::{Maybe, Out, answer, boundary, free};
use super::connection::quorate_result;
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::rows::quorate_rows;
use super::seat::{Inside, Seat, Token};
use super::status::{Answer, quorate_status};
use super::value::{quorate_value, with_params};
use super::view::text;
use crate::batch::Batch;
use crate::lock::{Mutex, MutexGuard};

/// Statements that are sent together. Any thread may use a batch.
pub struct quorate_batch {
    batch: Mutex<Batch>,
}

impl quorate_batch {
    pub(super) fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock()
    }
}

/// Makes an empty batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_batch_new(
    out_batch: *mut *mut quorate_batch,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_batch, "out_batch"), || {
            Ok(give(quorate_batch {
                batch: Mutex::default(),
            }))
        })
    }
}

/// Puts a statement at the end. Its text and parameters are copied. `params` may be NULL where `params_len` is
/// 0. A fault in the text shows when the batch is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_batch_queue(
    batch: *const quorate_batch,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let batch = borrow(batch, "batch")?;
            let sql = text(sql, sql_len, "sql")?;
            with_params(params, params_len, |params| {
                Ok(batch.lock().queue(sql, params)?)
            })
        })
    }
}

/// How many statements are queued. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_batch_len(batch: *const quorate_batch) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { batch.as_ref() }.map(|batch| batch.lock().len())
    })
}

/// Takes all statements out, so that the batch can be filled again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_batch_clear(
    batch: *const quorate_batch,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            *borrow(batch, "batch")?.lock() = Batch::new();
            Ok(())
        })
    }
}

/// Frees a batch; results of it go on. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_batch_free(batch: *mut quorate_batch) {
    // SAFETY: the header's rules.
    unsafe { free(batch) }
}

/// The results of a batch, in the order of its statements. They use their connection, so one thread at a time
/// uses them; they end when the connection is used for something else.
///
/// An error is that statement's own, and the next result is the next statement's. If the connection breaks,
/// all results that are left fail, each with its own outcome.
pub struct quorate_results {
    seat: Arc<Seat>,
    token: Token,
}

impl quorate_results {
    /// The results of the batch that was sent on the connection of a new seat.
    pub(super) fn start(seat: &Arc<Seat>, len: usize) -> Answer<*mut Self> {
        Self::of(seat, &mut seat.enter()?, len)
    }

    /// The results of the batch that was sent on the connection of `seat`.
    pub(super) fn of(seat: &Arc<Seat>, inside: &mut Inside<'_>, len: usize) -> Answer<*mut Self> {
        Ok(give(quorate_results {
            seat: Arc::clone(seat),
            token: inside.start_batch(len),
        }))
    }
}

impl Drop for quorate_results {
    fn drop(&mut self) {
        self.seat.abandon(self.token);
    }
}

/// How many results have not been asked for. 0 for NULL, and once the results have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_results_left(results: *const quorate_results) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        let results = unsafe { results.as_ref() }?;
        Some(results.seat.enter().ok()?.results_left(results.token))
    })
}

/// Gives the counts of the next statement; its rows, if it has any, are dropped. `out_result` may be NULL.
/// `QUORATE_STATUS_MISUSE`: no result is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_results_exec(
    results: *const quorate_results,
    out_result: *mut quorate_result,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Maybe(out_result), || {
            let results = borrow(results, "results")?;
            let mut inside = results.seat.enter()?;
            let (progress, connection) = inside.batch(results.token)?;
            Ok(progress.exec(connection)?.into())
        })
    }
}

/// Gives the rows of the next statement; they are valid until the next result is asked for. A statement
/// without rows gives none. `QUORATE_STATUS_MISUSE`: no result is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_results_query(
    results: *const quorate_results,
    out_rows: *mut *mut quorate_rows,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_rows, "out_rows"), || {
            let results = borrow(results, "results")?;
            let mut inside = results.seat.enter()?;
            let (progress, connection) = inside.batch(results.token)?;
            progress.step(connection)?;
            quorate_rows::of(&results.seat, &mut inside)
        })
    }
}

/// Reads the results that are left, and answers the first error among them. The handle has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_results_close(
    results: *const quorate_results,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let results = borrow(results, "results")?;
            let mut inside = results.seat.enter()?;
            let (progress, connection) = inside.batch(results.token)?;
            Ok(progress.close(connection)?)
        })
    }
}

/// Frees results, and reads past those that are left. Blocks for a second at most. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_results_free(results: *mut quorate_results) {
    // SAFETY: the header's rules.
    unsafe { free(results) }
}
