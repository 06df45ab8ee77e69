//! Pools
//!
//! A pool is opened once, from a connection string or a configuration, and used from every thread. It finds
//! the leader, follows it when it changes, and keeps its connections. Nothing is dialled when it is opened: a
//! cluster that cannot be reached shows in the first call.

use std::ffi::c_char;

use super::batch::{quorate_batch, quorate_results};
use super::boundary::{Maybe, Out, boundary, free};
use super::call::bounds;
use super::cancel::quorate_cancel;
use super::config::quorate_config;
use super::connection::{quorate_connection, quorate_result};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::rows::quorate_rows;
use super::seat::Seat;
use super::status::{Answer, Failure, quorate_status};
use super::transaction::{mode_of, quorate_transaction};
use super::value::{quorate_value, with_params};
use super::view::text;
use crate::backend::Aim;
use crate::pool::Pool;
use crate::transaction;

/// A pool of connections to a cluster. Any thread may use it, and several at once.
pub struct quorate_pool {
    pool: Pool,
}

impl quorate_pool {
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }
}

/// Opens a pool from a connection string such as `dqlite://10.0.0.1:9001,10.0.0.2:9001/app?timeout=5s`.
/// Does not block on the network.
///
/// `QUORATE_STATUS_CONFIG`: the error names what is wrong with the string and, for an unknown option, the
/// nearest known one. See `quorate_config_set` for the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_open(
    url: *const c_char,
    url_len: usize,
    out_pool: *mut *mut quorate_pool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_pool, "out_pool"), || {
            let pool = Pool::open(text(url, url_len, "url")?)?;
            Ok(give(quorate_pool { pool }))
        })
    }
}

/// Opens a pool from a configuration, which is copied: changing it later changes nothing here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_open_config(
    config: *const quorate_config,
    out_pool: *mut *mut quorate_pool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_pool, "out_pool"), || {
            let pool = Pool::with_config(borrow(config, "config")?.copy())?;
            Ok(give(quorate_pool { pool }))
        })
    }
}

/// Makes another handle on the same pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_clone(
    pool: *const quorate_pool,
    out_pool: *mut *mut quorate_pool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_pool, "out_pool"), || {
            let pool = borrow(pool, "pool")?.pool.clone();
            Ok(give(quorate_pool { pool }))
        })
    }
}

/// Runs statements that answer no rows, on a connection of the pool.
///
/// Several statements in one text run one after the other, without parameters, up to the first that fails;
/// the result is the last one's. Rows that a statement answers are dropped. `params` may be NULL where
/// `params_len` is 0; `cancel` and `out_result` may be NULL.
///
/// A statement that a server refused because it is not the leader, and one that never left this process, is
/// repeated until the timeout; one whose outcome is unknown is not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_exec(
    pool: *const quorate_pool,
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
            let pool = &borrow(pool, "pool")?.pool;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                let (deadline, cancel) = (bounds.deadline, bounds.cancel);
                let mut connection =
                    pool.acquire_for_call_within(Aim::Statement(sql, params), deadline, cancel)?;
                let result = connection.exec(sql, params);
                connection.give_back();
                Ok(result?.into())
            })
        })
    }
}

/// Runs one statement and gives its rows, which hold a connection of the pool until they are freed.
///
/// The timeout and the cancel handle hold for the reading of the rows as well; with
/// `QUORATE_TIMEOUT_DEFAULT` the configured timeout applies to each reading call. `params` may be NULL where
/// `params_len` is 0; `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_query(
    pool: *const quorate_pool,
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
            let pool = &borrow(pool, "pool")?.pool;
            let sql = text(sql, sql_len, "sql")?;
            let bounds = bounds(timeout_ms, cancel)?;
            with_params(params, params_len, |params| {
                let (deadline, cancel) = (bounds.deadline, bounds.cancel);
                let mut connection =
                    pool.acquire_for_call_within(Aim::Statement(sql, params), deadline, cancel)?;
                connection.start_query(sql, params)?;
                quorate_rows::start(&Seat::new(pool, connection))
            })
        })
    }
}

/// Sends all statements of a batch at once. The results hold a connection of the pool until they are freed.
///
/// A batch is no transaction: each statement has its own result or error, and one that fails does not stop
/// those behind it. Bounds as for `quorate_pool_query`. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_send_batch(
    pool: *const quorate_pool,
    batch: *const quorate_batch,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_results: *mut *mut quorate_results,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_results, "out_results"), || {
            let pool = &borrow(pool, "pool")?.pool;
            let batch = borrow(batch, "batch")?.lock();
            let bounds = bounds(timeout_ms, cancel)?;
            let aim = Aim::Batch(batch.items());
            let mut connection =
                pool.acquire_for_call_within(aim, bounds.deadline, bounds.cancel)?;
            connection.start_batch(&batch)?;
            quorate_results::start(&Seat::new(pool, connection), batch.len())
        })
    }
}

/// Begins a transaction on a connection of its own, which goes back to the pool when the transaction is freed.
/// `mode` is a `quorate_transaction_mode`. `cancel` may be NULL. The outcome of an error is never
/// `QUORATE_OUTCOME_UNKNOWN`: what begins a transaction applies nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_begin(
    pool: *const quorate_pool,
    mode: i32,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_transaction: *mut *mut quorate_transaction,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_transaction, "out_transaction"), || {
            let pool = &borrow(pool, "pool")?.pool;
            let mode = mode_of(mode)?;
            let bounds = bounds(timeout_ms, cancel)?;
            let mut connection =
                pool.acquire_for_call_within(Aim::Any, bounds.deadline, bounds.cancel)?;
            transaction::begin(&mut connection, mode)?;
            connection.release_bounds();
            quorate_transaction::start(&Seat::new(pool, connection))
        })
    }
}

/// Takes a connection out of the pool, until it is closed or freed.
///
/// Makes no round trip where an idle connection is at hand. `QUORATE_STATUS_POOL_TIMEOUT`: all stay in use.
/// `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_acquire(
    pool: *const quorate_pool,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_connection: *mut *mut quorate_connection,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_connection, "out_connection"), || {
            let pool = &borrow(pool, "pool")?.pool;
            let bounds = bounds(timeout_ms, cancel)?;
            let connection = pool.acquire_within(bounds.deadline, bounds.cancel)?;
            Ok(give(quorate_connection::of(Seat::new(pool, connection))))
        })
    }
}

/// Asks for an answer, over a connection of the pool: with dqlite the leader, with Picodata every instance.
/// `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_ping(
    pool: *const quorate_pool,
    timeout_ms: i64,
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let pool = &borrow(pool, "pool")?.pool;
            let bounds = bounds(timeout_ms, cancel)?;
            Ok(pool
                .bounded(bounds.deadline, bounds.cancel.cloned())
                .ping()?)
        })
    }
}

/// Closes all idle connections at once and those in use when they come back. The pool stays open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_reset(
    pool: *const quorate_pool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let pool = &borrow(pool, "pool")?.pool;
            pool.check_process()?;
            pool.reset();
            Ok(())
        })
    }
}

/// A figure of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(dead_code, reason = "names the numbers for C")]
pub enum quorate_stat {
    /// The most connections there may be to one node.
    MaxConns = 0,
    /// Open connections, in use and idle.
    Connections = 1,
    /// Open connections that nobody uses.
    Idle = 2,
    /// Connections in use.
    InUse = 3,
    /// Callers that wait for a connection at this moment.
    Waiting = 4,
    /// How often a connection was taken out.
    Acquires = 5,
    /// How often a caller had to wait because all connections were in use.
    Waits = 6,
    /// How long callers have waited, all in all, in nanoseconds.
    WaitNanoseconds = 7,
    /// Connections that were opened.
    Connects = 8,
    /// Attempts to open a connection that failed.
    ConnectFailures = 9,
    /// Calls that failed because a connection broke, ran past its deadline, or met a node that does not lead.
    Failures = 10,
    /// How often another node became the leader.
    LeaderChanges = 11,
    /// How often the topology was read.
    Refreshes = 12,
    /// How often the topology could not be read; the last good one was kept.
    RefreshFailures = 13,
    /// How long ago the topology was read last, in milliseconds; `UINT64_MAX` if it never was.
    TopologyAgeMilliseconds = 14,
    /// 1 if the topology could not be read the last time, so that an older one is in use; else 0.
    TopologyFailing = 15,
    /// With Picodata: how many instances the cluster has, those that are offline included.
    Instances = 16,
    /// With Picodata: how many instances calls may go to at this moment.
    UsableInstances = 17,
}

/// Reads a figure of the pool; `stat` is a `quorate_stat`. Never blocks on the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_stat(
    pool: *const quorate_pool,
    stat: i32,
    out_value: *mut u64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let pool = &borrow(pool, "pool")?.pool;
            pool.check_process()?;
            figure(pool, stat)
        })
    }
}

fn figure(pool: &Pool, stat: i32) -> Answer<u64> {
    let stats = pool.stats();
    Ok(match stat {
        0 => stats.max_conns.into(),
        1 => stats.connections.into(),
        2 => stats.idle.into(),
        3 => stats.in_use.into(),
        4 => stats.waiting.into(),
        5 => stats.acquires,
        6 => stats.waits,
        7 => u64::try_from(stats.wait_time.as_nanos()).unwrap_or(u64::MAX),
        8 => stats.connects,
        9 => stats.connect_failures,
        10 => stats.failures,
        11 => stats.leader_changes,
        12 => stats.refreshes,
        13 => stats.refresh_failures,
        14 => stats
            .topology_age
            .and_then(|age| u64::try_from(age.as_millis()).ok())
            .unwrap_or(u64::MAX),
        15 => stats.topology_failing.into(),
        16 => stats.instances.into(),
        17 => stats.usable_instances.into(),
        _ => return Err(Failure::misuse(format!("{stat} is no quorate_stat"))),
    })
}

/// Closes the pool: calls that wait for a connection fail with `QUORATE_STATUS_CLOSED`, later calls too, and
/// this call waits until the connections in use have come back.
///
/// May be called more than once and from any thread; the handle stays valid and has to be freed.
/// `QUORATE_STATUS_TIMEOUT` says how many connections are still in use; the pool is closed nevertheless.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_close(
    pool: *const quorate_pool,
    timeout_ms: i64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let pool = &borrow(pool, "pool")?.pool;
            match bounds(timeout_ms, std::ptr::null())?.deadline {
                Some(deadline) => Ok(pool.within(deadline).close()?),
                None => Ok(pool.close()?),
            }
        })
    }
}

/// Frees a handle. The pool closes when its last handle is freed and its last connection has come back; that
/// may take up to a second where its thread is in the middle of something. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_free(pool: *mut quorate_pool) {
    // SAFETY: the header's rules.
    unsafe { free(pool) }
}
