//! Endpoints
//!
//! How a pool does with each node or instance that it has had connections to: one reading, which does not change.

use super::boundary::{Out, answer, boundary, free};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::pool::quorate_pool;
use super::status::quorate_status;
use super::value::quorate_bytes;
use crate::pool::stats::EndpointStats;

/// The endpoints of a pool at one moment. Any thread may use them.
pub struct quorate_endpoints {
    stats: Vec<EndpointStats>,
    /// The same for C, with the texts where `stats` has them.
    endpoints: Vec<quorate_endpoint>,
}

/// The connections of a pool to one node or instance. Later versions add members at the end.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct quorate_endpoint {
    /// How many bytes the library that runs has filled.
    pub size: usize,
    /// The address, without a NUL behind it.
    pub address: quorate_bytes,
    /// Open connections, in use and idle.
    pub connections: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Connections in use.
    pub in_use: u32,
    /// Callers that wait for a connection at this moment.
    pub waiting: u32,
    /// How long it takes to answer, in microseconds: a moving average. -1 where it is not measured, which takes a
    /// choice of instances that looks at it.
    pub latency_us: i64,
    /// Whether calls are kept from it for now, because several have failed there.
    pub left_out: bool,
}

impl From<&EndpointStats> for quorate_endpoint {
    fn from(stats: &EndpointStats) -> Self {
        quorate_endpoint {
            size: size_of::<quorate_endpoint>(),
            address: quorate_bytes::of(&stats.address),
            connections: stats.connections,
            idle: stats.idle,
            in_use: stats.in_use,
            waiting: stats.waiting,
            latency_us: stats.latency.map_or(-1, |latency| {
                i64::try_from(latency.as_micros()).unwrap_or(i64::MAX)
            }),
            left_out: stats.left_out,
        }
    }
}

/// Reads how the pool does with each node or instance. Never blocks on the network. The reading has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_pool_endpoints(
    pool: *const quorate_pool,
    out_endpoints: *mut *mut quorate_endpoints,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_endpoints, "out_endpoints"), || {
            let pool = borrow(pool, "pool")?.pool();
            pool.check_process()?;
            let stats = pool.endpoint_stats();
            let endpoints = stats.iter().map(quorate_endpoint::from).collect();
            Ok(give(quorate_endpoints { stats, endpoints }))
        })
    }
}

/// How many endpoints there are. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_endpoints_len(endpoints: *const quorate_endpoints) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { endpoints.as_ref() }.map(|endpoints| endpoints.stats.len())
    })
}

/// The endpoint `index`, counted from 0 in the order of the addresses, or NULL where there is none such. It belongs to
/// `endpoints` and is valid as long as these are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_endpoints_get(
    endpoints: *const quorate_endpoints,
    index: usize,
) -> *const quorate_endpoint {
    answer(std::ptr::null(), || {
        // SAFETY: the header's rules.
        let endpoints = unsafe { endpoints.as_ref() }?;
        Some(std::ptr::from_ref(endpoints.endpoints.get(index)?))
    })
}

/// Frees a reading. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_endpoints_free(endpoints: *mut quorate_endpoints) {
    // SAFETY: the header's rules.
    unsafe { free(endpoints) }
}
