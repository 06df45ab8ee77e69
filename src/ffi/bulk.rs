//! Rows in bulk
//!
//! Many rows in one call, into memory of the caller's: by column, each with one type
//! (`quorate_rows_fetch_columns`), or as values, each with a type of its own (`quorate_rows_fetch_values`).
//!
//! A call reads up to `max_rows` rows. It gives fewer where the rows end (`out_done`), where a buffer for bytes
//! is full, and before a row that cannot be given: that row is kept, and the next call begins with it. So no
//! row is lost, and rows before a failure are delivered before it. Where not even one row fits,
//! `QUORATE_STATUS_BUFFER_TOO_SMALL` says so, and `bytes_needed` how much that row needs. A row that was kept
//! can be passed over, or read by column, after `quorate_rows_next`. One timeout covers the whole call.

mod sink;

use std::ffi::{c_char, c_void};

use super::boundary::{Out, boundary};
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::connection::quorate_connection;
use super::error::quorate_error;
use super::handle::borrow;
use super::pool::quorate_pool;
use super::rows::quorate_rows;
use super::seat::{Place, Taken};
use super::status::{Answer, Failure, quorate_status};
use super::transaction::quorate_transaction;
use super::value::{quorate_value, with_params};
use super::view::{slice_mut, text};
use crate::backend::Aim;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::params::ParamsRef;
use crate::row::Row;
use crate::value::ValueRef;
use sink::{Put, Sink};

/// The caller's buffers for one column. All members but those marked as answers are set by the caller, and
/// buffers are aligned as their elements are.
#[derive(Debug)]
#[repr(C)]
pub struct quorate_column {
    /// The `quorate_type` that the column is read as; `QUORATE_TYPE_NULL` leaves the column out.
    pub kind: i32,
    /// `max_rows` elements: `uint8_t` for bool, `int64_t` for int64, for date (days from 1970-01-01) and for
    /// timestamp (microseconds from 1970-01-01T00:00:00Z, rounded down), `double` for double, 16 bytes for
    /// uuid. Not used for text, blob, decimal and json. The element of a NULL is 0.
    pub values: *mut c_void,
    /// For text, blob, decimal and json: `max_rows + 1` elements. Row `i` is the bytes from `offsets[i]` to
    /// `offsets[i + 1]`.
    pub offsets: *mut usize,
    /// For text, blob, decimal and json: room for `bytes_capacity` bytes, one row's after the other's.
    pub bytes: *mut u8,
    /// How many bytes fit.
    pub bytes_capacity: usize,
    /// An answer: with `QUORATE_STATUS_BUFFER_TOO_SMALL`, how many bytes the next row needs in this column.
    pub bytes_needed: usize,
    /// `(max_rows + 7) / 8` bytes: bit `i % 8` of byte `i / 8` is 1 where row `i` is not NULL. May be NULL; then
    /// a NULL is a failed conversion.
    pub validity: *mut u8,
    /// An answer: how many of the rows are NULL in this column.
    pub null_count: usize,
}

/// Why a call stopped before a row.
enum Stopped {
    Failed(Error),
    Full,
}

/// The answer of a call that filled `rows` rows.
fn answer_for(rows: usize, stopped: Option<Stopped>) -> Answer<usize> {
    match stopped {
        _ if rows > 0 => Ok(rows),
        None => Ok(0),
        Some(Stopped::Failed(error)) => Err(error.into()),
        Some(Stopped::Full) => Err(too_small()),
    }
}

#[cold]
fn too_small() -> Failure {
    Failure::new(
        quorate_status::BufferTooSmall,
        "the row needs more room for bytes; bytes_needed says how much",
    )
}

/// Reads up to `max_rows` rows into `columns`, of which there are `columns_len`, one for each column of the
/// rows. `out_rows` is how many were read, `out_done` whether they were the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_fetch_columns(
    rows: *const quorate_rows,
    max_rows: usize,
    columns: *mut quorate_column,
    columns_len: usize,
    out_rows: *mut usize,
    out_done: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_rows, "out_rows"), Out(out_done, "out_done")),
            || {
                let rows = borrow(rows, "rows")?;
                let mut inside = rows.enter()?;
                let columns = slice_mut(columns, columns_len, "columns")?;
                if columns.len() != rows.columns().len() || max_rows == usize::MAX {
                    return Err(Failure::misuse(format!(
                        "the rows have {} columns, and buffers for {} are given",
                        rows.columns().len(),
                        columns.len()
                    )));
                }
                let mut sinks = Vec::with_capacity(columns.len());
                for column in columns.iter_mut() {
                    (column.bytes_needed, column.null_count) = (0, 0);
                    sinks.push(Sink::new(column, max_rows)?);
                }
                let (mut count, mut stopped) = (0, None);
                if max_rows > 0 {
                    inside.take_rows(|row, number| {
                        let mut full = false;
                        for (column, sink) in sinks.iter_mut().enumerate() {
                            match sink.put(row, column, count) {
                                Ok(Put::Done | Put::Null) => {}
                                Ok(Put::Full(needed)) => {
                                    sink.needed = needed;
                                    full = true;
                                }
                                Err(error) => {
                                    let error = error.context(format_args!("row {number}"));
                                    stopped = Some(Stopped::Failed(error));
                                    return Taken::No;
                                }
                            }
                        }
                        if full {
                            stopped = Some(Stopped::Full);
                            return Taken::No;
                        }
                        count += 1;
                        if count == max_rows {
                            return Taken::YesAndEnough;
                        }
                        Taken::Yes
                    })?;
                }
                for (column, sink) in columns.iter_mut().zip(&sinks) {
                    column.null_count = sink.nulls(count);
                    column.bytes_needed = sink.needed;
                }
                let count = answer_for(count, stopped)?;
                let cursor = inside.cursor();
                Ok((
                    count,
                    cursor.place == Place::End && cursor.failure.is_none(),
                ))
            },
        )
    }
}

/// The caller's buffers for values.
#[derive(Debug)]
#[repr(C)]
pub struct quorate_value_buffer {
    /// Room for `max_rows` times as many values as there are columns: one row after the other.
    pub values: *mut quorate_value,
    /// Room for `bytes_capacity` bytes, which the texts and bytes among the values point into.
    pub bytes: *mut u8,
    /// How many bytes fit.
    pub bytes_capacity: usize,
    /// An answer: how many bytes are used.
    pub bytes_used: usize,
    /// An answer: with `QUORATE_STATUS_BUFFER_TOO_SMALL`, how many bytes the next row needs.
    pub bytes_needed: usize,
}

/// Reads up to `max_rows` rows as values, each with a type of its own, into `buffer`. A text that is not UTF-8
/// is given as a blob. `out_rows` is how many rows were read, `out_done` whether they were the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_fetch_values(
    rows: *const quorate_rows,
    max_rows: usize,
    buffer: *mut quorate_value_buffer,
    out_rows: *mut usize,
    out_done: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_rows, "out_rows"), Out(out_done, "out_done")),
            || {
                let rows = borrow(rows, "rows")?;
                let buffer = buffer.as_mut().ok_or_else(|| Failure::null("buffer"))?;
                (buffer.bytes_used, buffer.bytes_needed) = (0, 0);
                let mut inside = rows.enter()?;
                let width = rows.columns().len();
                let len = max_rows
                    .checked_mul(width)
                    .ok_or_else(|| Failure::misuse("max_rows is more than any memory holds"))?;
                let values = slice_mut(buffer.values, len, "values")?;
                let bytes = slice_mut(buffer.bytes, buffer.bytes_capacity, "bytes")?;
                let (mut count, mut used, mut needed, mut stopped) = (0, 0, 0, None);
                if max_rows > 0 && width > 0 {
                    inside.take_rows(|row, number| {
                        let mut end = used;
                        let places = &mut values[count * width..][..width];
                        if let Err(error) = put_row(*row, places, bytes, &mut end) {
                            let error = error.context(format_args!("row {number}"));
                            stopped = Some(Stopped::Failed(error));
                            return Taken::No;
                        }
                        if end > bytes.len() {
                            needed = end - used;
                            stopped = Some(Stopped::Full);
                            return Taken::No;
                        }
                        used = end;
                        count += 1;
                        if count == max_rows {
                            return Taken::YesAndEnough;
                        }
                        Taken::Yes
                    })?;
                }
                buffer.bytes_used = used;
                buffer.bytes_needed = needed;
                let count = answer_for(count, stopped)?;
                let cursor = inside.cursor();
                let done = cursor.place == Place::End && cursor.failure.is_none();
                Ok((count, done || width == 0))
            },
        )
    }
}

/// Copies the bytes of a value to `end` of the buffer, where they fit, and moves `end` behind them.
#[inline]
fn copy<'b>(from: &[u8], buffer: &'b mut [u8], end: &mut usize) -> &'b [u8] {
    let start = *end;
    *end = start.saturating_add(from.len());
    let room = buffer.get_mut(start..);
    match room.and_then(|room| room.get_mut(..from.len())) {
        Some(room) => {
            room.copy_from_slice(from);
            room
        }
        None => &[],
    }
}

/// Puts the values of a row to `places`, and its bytes to `end` of the buffer as far as there is room.
#[inline(always)]
fn put_row(
    row: Row<'_>,
    places: &mut [quorate_value],
    bytes: &mut [u8],
    end: &mut usize,
) -> Result<()> {
    for (column, place) in places.iter_mut().enumerate() {
        if !quorate_value::put_plain(row, column, place, |from| copy(from, bytes, end)) {
            *place = converted(row, column, bytes, end)?;
        }
    }
    Ok(())
}

/// The value of a column that needs a conversion.
#[inline(never)]
fn converted(
    row: Row<'_>,
    column: usize,
    bytes: &mut [u8],
    end: &mut usize,
) -> Result<quorate_value> {
    let value = match row.value(column) {
        Ok(value) => value,
        Err(error) => match row.get::<&[u8]>(column) {
            Ok(bytes) => ValueRef::Blob(bytes),
            Err(_) => return Err(error),
        },
    };
    Ok(quorate_value::of_bytes_at(value, |from| {
        copy(from, bytes, end)
    }))
}

/// Runs a query and puts its first row into `buffer`, which has room for `values_len` values.
///
/// # Safety
///
/// The buffers of `buffer` are as the header wants them.
#[inline(always)]
unsafe fn first_row(
    connection: &mut Connection,
    sql: &str,
    params: ParamsRef<'_>,
    buffer: &mut quorate_value_buffer,
    values_len: usize,
) -> Answer<usize> {
    (buffer.bytes_used, buffer.bytes_needed) = (0, 0);
    // SAFETY: the caller's.
    let (values, bytes) = unsafe {
        (
            slice_mut(buffer.values, values_len, "values")?,
            slice_mut(buffer.bytes, buffer.bytes_capacity, "bytes")?,
        )
    };
    let first = connection.query_first(sql, params)?;
    let mut end = 0;
    let filled = fill(first.row(), values, bytes, &mut end);
    let filled = first.end(filled, Failure::with_outcome);
    if filled.is_ok() {
        buffer.bytes_used = end;
    } else if end > buffer.bytes_capacity {
        buffer.bytes_needed = end;
    }
    filled
}

/// Puts a row into `values` and `bytes`, and says how many values it has.
#[inline(always)]
fn fill(
    row: Row<'_>,
    values: &mut [quorate_value],
    bytes: &mut [u8],
    end: &mut usize,
) -> Answer<usize> {
    let (width, room) = (row.columns().len(), values.len());
    let Some(places) = values.get_mut(..width) else {
        return Err(no_room(width, room));
    };
    put_row(row, places, bytes, end)?;
    if *end > bytes.len() {
        return Err(too_small());
    }
    Ok(width)
}

#[cold]
fn no_room(width: usize, room: usize) -> Failure {
    Failure::misuse(format!(
        "the row has {width} columns, and there is room for {room} values"
    ))
}

/// Runs one statement and puts its first row into `buffer`, which has room for `values_len` values: a query of one
/// row in one call. Further rows are dropped. `out_columns` is how many values were put. `params` may be NULL
/// where `params_len` is 0; `cancel` may be NULL.
///
/// `QUORATE_STATUS_NO_ROWS`: there is none. `QUORATE_STATUS_BUFFER_TOO_SMALL`: the statement was run, and
/// `bytes_needed` says how much room its row needs. `QUORATE_STATUS_MISUSE`: the statement was run, and its row has more
/// columns than `values_len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_query_row(
    pool: *const quorate_pool,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    buffer: *mut quorate_value_buffer,
    values_len: usize,
    out_columns: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_columns, "out_columns"), || {
            let pool = borrow(pool, "pool")?.pool();
            let sql = text(sql, sql_len, "sql")?;
            let buffer = buffer.as_mut().ok_or_else(|| Failure::null("buffer"))?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                let (deadline, cancel) = (bounds.deadline, bounds.cancel);
                let mut connection =
                    pool.acquire_for_call_within(Aim::Statement(sql, params), deadline, cancel)?;
                let row = first_row(&mut connection, sql, params, buffer, values_len);
                connection.give_back();
                row
            })
        })
    }
}

/// As `quorate_pool_query_row`, on a connection. Rows and results that are being read on it end.
/// `params` may be NULL where `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_connection_query_row(
    connection: *const quorate_connection,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    buffer: *mut quorate_value_buffer,
    values_len: usize,
    out_columns: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_columns, "out_columns"), || {
            let mut inside = borrow(connection, "connection")?.seat().enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let buffer = buffer.as_mut().ok_or_else(|| Failure::null("buffer"))?;
            let bounds = bounds(timeout_ms, cancel)?;
            let row = with_params(params, params_len, |params| {
                first_row(inside.begin(&bounds)?, sql, params, buffer, values_len)
            });
            inside.leave();
            row
        })
    }
}

/// As `quorate_pool_query_row`, in a transaction. Rows and results that are being read on its connection end.
/// `params` may be NULL where `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_transaction_query_row(
    transaction: *const quorate_transaction,
    sql: *const c_char,
    sql_len: usize,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    buffer: *mut quorate_value_buffer,
    values_len: usize,
    out_columns: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_columns, "out_columns"), || {
            let mut inside = borrow(transaction, "transaction")?.enter()?;
            let sql = text(sql, sql_len, "sql")?;
            let buffer = buffer.as_mut().ok_or_else(|| Failure::null("buffer"))?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                first_row(inside.begin(&bounds)?, sql, params, buffer, values_len)
            })
        })
    }
}
