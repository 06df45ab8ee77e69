//! Prepared statements
//!
//! A prepared statement is a text that a server has accepted, not a handle on the server: it may be run on any
//! connection of any pool, and freeing it costs nothing there. Any thread may use one.

use std::ffi::c_char;
use std::ptr::null;

use super::boundary::{Maybe, Out, answer, boundary, free};
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::connection::{quorate_connection, quorate_result};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::rows::quorate_rows;
use super::status::quorate_status;
use super::value::{quorate_value, with_params};
use super::view::{Text, put};
use crate::statement::Statement;

/// A prepared statement.
pub struct quorate_statement {
    statement: Statement,
    sql: Text,
}

impl quorate_statement {
    pub(super) fn of(statement: Statement) -> Self {
        let sql = Text::new(statement.sql());
        quorate_statement { statement, sql }
    }
}

/// The text, valid as long as the statement, with a NUL behind it. `out_len` may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_sql(
    statement: *const quorate_statement,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            put(out_len, 0);
            Some(statement.as_ref()?.sql.give(out_len))
        }
    })
}

/// How many parameters the server has counted. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_parameters(
    statement: *const quorate_statement,
) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { statement.as_ref() }.map(|statement| statement.statement.parameters())
    })
}

/// Runs the statement on a connection, without giving its rows, if any; see `quorate_connection_exec`.
/// `params` may be NULL where `params_len` is 0; `cancel` and `out_result` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_exec(
    statement: *const quorate_statement,
    connection: *const quorate_connection,
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
            let statement = &borrow(statement, "statement")?.statement;
            let mut inside = borrow(connection, "connection")?.seat().enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                Ok(inside.begin(&bounds)?.exec(statement, params)?.into())
            })
        })
    }
}

/// Runs the statement on a connection and gives its rows; see `quorate_connection_query`. `params` may be
/// NULL where `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_query(
    statement: *const quorate_statement,
    connection: *const quorate_connection,
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
            let statement = &borrow(statement, "statement")?.statement;
            let mut inside = borrow(connection, "connection")?.seat().enter()?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                inside
                    .begin(&bounds)?
                    .start_query(statement.sql(), params)?;
                quorate_rows::of(inside.seat(), &mut inside)
            })
        })
    }
}

/// Makes another handle on the same statement.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_clone(
    statement: *const quorate_statement,
    out_statement: *mut *mut quorate_statement,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_statement, "out_statement"), || {
            let statement = borrow(statement, "statement")?.statement.clone();
            Ok(give(quorate_statement::of(statement)))
        })
    }
}

/// Frees a statement. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_statement_free(statement: *mut quorate_statement) {
    // SAFETY: the header's rules.
    unsafe { free(statement) }
}
