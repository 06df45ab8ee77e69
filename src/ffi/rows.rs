//! Rows
//!
//! The answer to a query, as it arrives: never more than one message of the server is in memory. Rows are read
//! one at a time (`quorate_rows_next` and `quorate_rows_get_…`), in bulk (`quorate_rows_fetch_columns`,
//! `quorate_rows_fetch_values`) or as an Arrow stream; the ways may be mixed.
//!
//! Columns count from 0. Texts and bytes of a row are pointers into the receive buffer, without a NUL behind
//! them: they are valid until the next call that uses the rows or their connection, reading another column of
//! the same row excepted. Reading a column as a type that does not fit, and reading NULL as anything, answers
//! `QUORATE_STATUS_CONVERSION`, and the row stays.
//!
//! Rows use their connection, so one thread at a time uses them. They end, and answer
//! `QUORATE_STATUS_MISUSE`, when the connection is used for something else. Freeing them early tells the
//! server to stop. dqlite sends all of them nevertheless, so what is left is read past, for a second at most, and
//! where that is not enough the connection is given up; a transaction on it is then lost. So ask for no more rows
//! in a transaction than you read.
//!
//! The rows of a statement that writes (`INSERT … RETURNING`) may come before the write is replicated: it is
//! acknowledged when `quorate_rows_next` has answered that there are no more, or `quorate_rows_close` success.

use std::ffi::c_char;
use std::ptr::null;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, FixedOffset, NaiveDate};
use uuid::Uuid;

use super::boundary::{Out, answer, boundary, free};
use super::connection::quorate_result;
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::seat::{Inside, Seat};
use super::status::{Answer, Failure, quorate_status};
use super::value::{days, quorate_timestamp, quorate_type, quorate_value};
use super::view::{Text, put, text};
use crate::backend::ExecResult;
use crate::convert::FromValue;
use crate::error::{Error, ErrorKind, Result};
use crate::row::{ColumnIndex, Columns};
use crate::value::ValueRef;

/// The rows of a query.
pub struct quorate_rows {
    seat: Arc<Seat>,
    /// 0 once the rows were given to an Arrow stream.
    token: AtomicU64,
    columns: Columns,
    /// The names of the columns, as C gets them; made when the first is asked for.
    names: OnceLock<Box<[Text]>>,
    result: ExecResult,
}

impl quorate_rows {
    /// The rows that were asked for on the connection of a new seat.
    pub(super) fn start(seat: &Arc<Seat>) -> Answer<*mut Self> {
        Self::of(seat, &mut seat.enter()?)
    }

    /// The rows that were asked for on the connection of `seat`.
    pub(super) fn of(seat: &Arc<Seat>, inside: &mut Inside<'_>) -> Answer<*mut Self> {
        let connection = inside.connection()?;
        let columns = connection.columns().clone();
        let result = connection.written();
        Ok(give(quorate_rows {
            seat: Arc::clone(seat),
            token: AtomicU64::new(inside.start_rows()),
            columns,
            names: OnceLock::new(),
            result,
        }))
    }

    #[inline]
    pub(super) fn enter(&self) -> Answer<Inside<'_>> {
        let inside = self.seat.enter()?;
        match self.token.load(Ordering::Relaxed) {
            0 => Err(Failure::misuse("the rows were given to an Arrow stream")),
            token => inside.check_rows(token).map(|()| inside),
        }
    }

    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Takes the rows out of the handle, which C still holds.
    pub(super) fn take(&self) -> Answer<quorate_rows> {
        let _inside = self.enter()?;
        Ok(quorate_rows {
            seat: Arc::clone(&self.seat),
            token: AtomicU64::new(self.token.swap(0, Ordering::Relaxed)),
            columns: self.columns.clone(),
            names: OnceLock::new(),
            result: self.result,
        })
    }
}

impl Drop for quorate_rows {
    fn drop(&mut self) {
        let token = self.token.load(Ordering::Relaxed);
        if token != 0 {
            self.seat.abandon(token);
        }
    }
}

/// How many columns there are. 0 for a statement that answers no rows, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_columns(rows: *const quorate_rows) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { rows.as_ref() }.map(|rows| rows.columns.len())
    })
}

/// What a statement that answers no rows has done; zeros for one that answers rows. Makes no round trip. So a
/// caller need not know beforehand whether a statement answers rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_result(
    rows: *const quorate_rows,
    out_result: *mut quorate_result,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_result, "out_result"), || {
            Ok(borrow(rows, "rows")?.result.into())
        })
    }
}

/// The name of a column, with a NUL behind it, valid as long as `rows`. `out_len` is its length and may be NULL.
/// NULL where there is no such column.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_column_name(
    rows: *const quorate_rows,
    column: usize,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            put(out_len, 0);
            let rows = rows.as_ref()?;
            let names = rows
                .names
                .get_or_init(|| rows.columns.names().map(Text::new).collect());
            Some(names.get(column)?.give(out_len))
        }
    })
}

/// Finds the first column called `name`; upper and lower case are the same if no name is equal to the letter.
/// `QUORATE_STATUS_CONVERSION`: there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_column_index(
    rows: *const quorate_rows,
    name: *const c_char,
    name_len: usize,
    out_column: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_column, "out_column"), || {
            let columns = &borrow(rows, "rows")?.columns;
            Ok(text(name, name_len, "name")?.index(columns)?)
        })
    }
}

/// The type of the values of a column, where the server says it before there are any: PostgreSQL and Picodata do, and
/// `QUORATE_TYPE_NULL` stands for what is not known, as with dqlite, where each value has a type of its own; see
/// `quorate_rows_get_type`. A timestamp or a date of PostgreSQL's that is infinite comes as text all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_column_type(
    rows: *const quorate_rows,
    column: usize,
    out_type: *mut quorate_type,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_type, "out_type"), || {
            let columns = &borrow(rows, "rows")?.columns;
            column.index(columns)?;
            Ok(quorate_type::of_column(columns.value_type(column)))
        })
    }
}

/// Goes to the next row, and says in `out_row` whether there is one. Blocks until it is there.
///
/// After an error there are no more rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_next(
    rows: *const quorate_rows,
    out_row: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_row, "out_row"), || {
            borrow(rows, "rows")?.enter()?.next_row()
        })
    }
}

/// The type that a column has in the current row. SQLite gives each value a type of its own, so it may differ
/// from row to row.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_type(
    rows: *const quorate_rows,
    column: usize,
    out_type: *mut quorate_type,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_type, "out_type"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            let row = inside.row()?;
            // A text that is not UTF-8 has no value, but a type.
            Ok(match row.value(column) {
                Ok(value) => quorate_type::of_value(&value),
                Err(error) => match row.type_name(column)? {
                    "TEXT" | "TIME" => quorate_type::Text,
                    _ => return Err(error.into()),
                },
            })
        })
    }
}

/// What the server calls the type that a column has in the current row: with dqlite `INTEGER`, `FLOAT`, `TEXT`,
/// `BLOB`, `NULL`, `TIME` or `BOOL`; with Picodata also `TIMESTAMP`, `DATE`, `UUID`, `DECIMAL` and `JSON`. The text stays
/// valid and ends with a NUL. `out_len` is its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_type_name(
    rows: *const quorate_rows,
    column: usize,
    out_text: *mut *const c_char,
    out_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_text, "out_text"), Out(out_len, "out_len")),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                let name = inside.row()?.type_text(column)?;
                Ok((name.as_ptr().cast(), name.len() - 1))
            },
        )
    }
}

/// Any column, with its type. Texts and bytes are pointers, valid as those of the other functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_value(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut quorate_value,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(quorate_value::of(inside.row()?.value(column)?))
        })
    }
}

/// Whether a column is NULL. With dqlite, NULL in a column declared BOOLEAN arrives as false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_is_null(
    rows: *const quorate_rows,
    column: usize,
    out_null: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_null, "out_null"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(inside.row()?.type_name(column)? == "NULL")
        })
    }
}

/// A truth value, or an integer that is 0 or 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_bool(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(inside.row()?.get::<bool>(column)?)
        })
    }
}

/// An integer, or a truth value as 0 or 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_int64(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut i64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(inside.row()?.get::<i64>(column)?)
        })
    }
}

/// A floating-point number, or an integer that one holds exactly.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_double(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut f64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(inside.row()?.get::<f64>(column)?)
        })
    }
}

/// A text. `QUORATE_STATUS_CONVERSION` where it is not UTF-8; `quorate_rows_get_blob` reads such a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_text(
    rows: *const quorate_rows,
    column: usize,
    out_text: *mut *const c_char,
    out_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_text, "out_text"), Out(out_len, "out_len")),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                let text: &str = inside.row()?.get(column)?;
                Ok((text.as_ptr().cast(), text.len()))
            },
        )
    }
}

/// The bytes of a blob, or of a text as they were sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_blob(
    rows: *const quorate_rows,
    column: usize,
    out_bytes: *mut *const c_char,
    out_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_bytes, "out_bytes"), Out(out_len, "out_len")),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                let bytes: &[u8] = inside.row()?.get(column)?;
                Ok((bytes.as_ptr().cast(), bytes.len()))
            },
        )
    }
}

/// A point in time, or a text that is one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_timestamp(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut quorate_timestamp,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(inside.row()?.get::<DateTime<FixedOffset>>(column)?.into())
        })
    }
}

/// A calendar day as days from 1970-01-01; also a point in time, or a text that is one, at midnight.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_date(
    rows: *const quorate_rows,
    column: usize,
    out_value: *mut i64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let inside = borrow(rows, "rows")?.enter()?;
            Ok(days(inside.row()?.get::<NaiveDate>(column)?))
        })
    }
}

/// A UUID, or a text or 16 bytes that are one. `out_bytes` has room for 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_uuid(
    rows: *const quorate_rows,
    column: usize,
    out_bytes: *mut u8,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            Out(out_bytes.cast::<[u8; 16]>(), "out_bytes"),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                Ok(inside.row()?.get::<Uuid>(column)?.into_bytes())
            },
        )
    }
}

/// A decimal number in its text form, or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_decimal(
    rows: *const quorate_rows,
    column: usize,
    out_text: *mut *const c_char,
    out_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_text, "out_text"), Out(out_len, "out_len")),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                let Decimal(text) = inside.row()?.get(column)?;
                Ok((text.as_ptr().cast(), text.len()))
            },
        )
    }
}

/// A JSON document in its text form, or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_get_json(
    rows: *const quorate_rows,
    column: usize,
    out_text: *mut *const c_char,
    out_len: *mut usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(
            out_error,
            (Out(out_text, "out_text"), Out(out_len, "out_len")),
            || {
                let inside = borrow(rows, "rows")?.enter()?;
                let Json(text) = inside.row()?.get(column)?;
                Ok((text.as_ptr().cast(), text.len()))
            },
        )
    }
}

/// Ends the reading, whether all rows were read or not, and says what the server says about it, which matters
/// for a statement that writes. The handle has to be freed. Closing a second time does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_close(
    rows: *const quorate_rows,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(rows, "rows")?.enter()?.close_rows()
        })
    }
}

/// Frees rows, and ends their reading. Blocks for a second at most. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_free(rows: *mut quorate_rows) {
    // SAFETY: the header's rules.
    unsafe { free(rows) }
}

struct Decimal<'a>(&'a str);

impl<'a> FromValue<'a> for Decimal<'a> {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Decimal(text) | ValueRef::Text(text) => Ok(Decimal(text)),
            other => Err(not(other, "decimal")),
        }
    }
}

struct Json<'a>(&'a str);

impl<'a> FromValue<'a> for Json<'a> {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Json(text) | ValueRef::Text(text) => Ok(Json(text)),
            other => Err(not(other, "json")),
        }
    }
}

fn not(value: ValueRef<'_>, wanted: &str) -> Error {
    Error::new(
        ErrorKind::Conversion,
        format!("the value is of type {}, not {wanted}", value.type_name()),
    )
}
