//! Sharding keys
//!
//! The columns of a Picodata table by which its rows are spread over the instances: a key tells the bucket of a row,
//! and gives a connection to the instance that has it. A statement that runs there needs no hop inside of the
//! cluster; any other instance runs it as well. So a key that is out of date costs time and is never an error.
//!
//! A key describes the table as it was when the key was asked for. It keeps its pool open, and any thread may use it.

use std::ffi::c_char;
use std::ptr::null;

use super::boundary::{Out, answer, boundary, free};
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::connection::quorate_connection;
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::pool::quorate_pool;
use super::seat::Seat;
use super::status::quorate_status;
use super::value::{quorate_value, with_params};
use super::view::{Text, put, text};
use crate::pool::Pool;
use crate::sharding::ShardingKey;

/// The sharding key of a table. Any thread may use it.
pub struct quorate_sharding_key {
    key: ShardingKey,
    table: Text,
    tier: Text,
    columns: Box<[Text]>,
    pool: Pool,
}

impl quorate_sharding_key {
    fn new(key: ShardingKey, pool: Pool) -> Self {
        quorate_sharding_key {
            table: Text::new(key.table()),
            tier: Text::new(key.tier()),
            columns: key.columns().iter().map(|name| Text::new(name)).collect(),
            key,
            pool,
        }
    }
}

/// Gives the sharding key of a table of Picodata, whose name is as the table `_pico_table` has it. `cancel` may be
/// NULL.
///
/// What is known of the table is given at once; otherwise it is read, over a connection of the pool.
///
/// `QUORATE_STATUS_UNSUPPORTED`: the table is global; the database is dqlite or plain PostgreSQL; the server is older
/// than 25.5.1 and the user may not read `_pico_tier` either. `QUORATE_STATUS_DATABASE`: there is no such table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_sharding_key(
    pool: *const quorate_pool,
    table: *const c_char,
    table_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_key: *mut *mut quorate_sharding_key,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_key, "out_key"), || {
            let pool = borrow(pool, "pool")?.pool();
            let table = text(table, table_len, "table")?;
            let bounds = bounds(timeout_ms, cancel)?;
            let bounded = pool.bounded(bounds.deadline, bounds.cancel.cloned());
            let key = bounded.sharding_key(table)?;
            Ok(give(quorate_sharding_key::new(key, pool.clone())))
        })
    }
}

/// The name of the table, with a NUL behind it, valid as long as `key`. `out_len` is its length and may be NULL.
/// NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_table(
    key: *const quorate_sharding_key,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe { give_text(key, out_len, |key| Some(&key.table)) }
    })
}

/// The tier that the table's buckets are in, as `quorate_sharding_key_table` gives the table. `out_len` may be NULL.
/// NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_tier(
    key: *const quorate_sharding_key,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe { give_text(key, out_len, |key| Some(&key.tier)) }
    })
}

/// How many columns the key has. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_columns(key: *const quorate_sharding_key) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { key.as_ref() }.map(|key| key.columns.len())
    })
}

/// The name of a column, counted from 0 in the order in which values are given by position, with a NUL behind it,
/// valid as long as `key`. `out_len` is its length and may be NULL. NULL where there is no such column.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_column_name(
    key: *const quorate_sharding_key,
    column: usize,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe { give_text(key, out_len, |key| key.columns.get(column)) }
    })
}

/// Gives the bucket, from 1 to the number of buckets of the tier, of a row with these values in the columns of the
/// key, by position or by name. Never blocks. `params` may be NULL where `params_len` is 0.
///
/// A value has to be of the column's type, except that an integer may stand for a double or a decimal.
/// `QUORATE_STATUS_MISUSE`: a column was given no value, or two, or there is no such column.
/// `QUORATE_STATUS_CONVERSION`: a value is of another type than its column. Both name the column.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_bucket(
    key: *const quorate_sharding_key,
    params: *const quorate_value,
    params_len: usize,
    out_bucket: *mut u64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_bucket, "out_bucket"), || {
            let key = borrow(key, "key")?;
            with_params(params, params_len, |params| Ok(key.key.bucket(params)?))
        })
    }
}

/// Takes a connection out of the pool, to the master of the bucket of a row with these values in the columns of the
/// key; where that is not known or cannot be had, to any instance. As `quorate_pool_acquire` otherwise. `params` may
/// be NULL where `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_acquire(
    key: *const quorate_sharding_key,
    params: *const quorate_value,
    params_len: usize,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_connection: *mut *mut quorate_connection,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_connection, "out_connection"), || {
            let key = borrow(key, "key")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                let (deadline, cancel) = (bounds.deadline, bounds.cancel);
                let connection = key.key.connection_within(params, deadline, cancel)?;
                Ok(give(quorate_connection::of(Seat::new(
                    &key.pool, connection,
                ))))
            })
        })
    }
}

/// Makes another handle on the same key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_clone(
    key: *const quorate_sharding_key,
    out_key: *mut *mut quorate_sharding_key,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_key, "out_key"), || {
            let key = borrow(key, "key")?;
            let (key, pool) = (key.key.clone(), key.pool.clone());
            Ok(give(quorate_sharding_key::new(key, pool)))
        })
    }
}

/// Frees a key. Connections that were taken out by it go on. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_sharding_key_free(key: *mut quorate_sharding_key) {
    // SAFETY: the header's rules.
    unsafe { free(key) }
}

/// A text of a key, and its length. The lifetime is the caller's to keep.
///
/// # Safety
///
/// `key` is NULL or a key that stays, `out_len` is NULL or may be written.
unsafe fn give_text(
    key: *const quorate_sharding_key,
    out_len: *mut usize,
    get: impl FnOnce(&'static quorate_sharding_key) -> Option<&'static Text>,
) -> Option<*const c_char> {
    // SAFETY: the caller's.
    unsafe {
        put(out_len, 0);
        Some(get(key.as_ref()?)?.give(out_len))
    }
}
