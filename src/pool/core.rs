//! What the handles of a pool share: its backend, the pools of its endpoints, and its worker's signal.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::backend::Backend;
use crate::cancel::CancelHandle;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::backoff::Backoff;
use crate::net::wait::{Call, closed};
use crate::pool::endpoint::{Endpoint, Lease, Unavailable};
use crate::pool::stats::{Counters, Stats};
use crate::pool::worker::Signal;

pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) signal: Signal,
    endpoints: Mutex<Endpoints>,
    closed: AtomicBool,
    /// Ends the worker, and the calls that wait for a connection, when the pool closes.
    closing: CancelHandle,
    process: u32,
}

#[derive(Default)]
struct Endpoints {
    active: HashMap<Arc<str>, Arc<Endpoint>>,
    /// Endpoints that are no longer routed to but still have connections in use.
    draining: Vec<Arc<Endpoint>>,
}

impl Core {
    pub(crate) fn new(config: Config, backend: Box<dyn Backend>) -> Self {
        Core {
            config,
            backend,
            counters: Arc::default(),
            signal: Signal::default(),
            endpoints: Mutex::default(),
            closed: AtomicBool::new(false),
            closing: CancelHandle::for_pool(),
            process: std::process::id(),
        }
    }

    /// Fails if the pool was closed, or if this process is a fork of the one that opened it.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        Ok(())
    }

    /// Fails if this process is a fork of the one that opened the pool.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "the pool was opened before the process was forked; open a new one in the child",
            ));
        }
        Ok(())
    }

    pub(crate) fn closing(&self) -> &CancelHandle {
        &self.closing
    }

    pub(crate) fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    /// Takes a connection out, from the endpoint that the backend routes to.
    ///
    /// What fails for a passing reason is tried again, on another endpoint if there is one, until the call
    /// ends or the pool closes. The outcome of an error is always `NotSent`. The caller has checked that the
    /// pool is open, and has read the clock.
    pub(crate) fn lease(&self, call: &Call<'_>, now: Instant) -> Result<Lease> {
        let own = self.config.pool.acquire_timeout;
        let call = Call {
            closing: Some(&self.closing),
            ..call.at_most(own.map_or(Deadline::NONE, |timeout| Deadline::at(now, timeout)))
        };
        self.lease_within(call, now)
            .map_err(|error| error.with_outcome(Outcome::NotSent))
    }

    fn lease_within(&self, call: Call<'_>, now: Instant) -> Result<Lease> {
        let mut backoff = None;
        loop {
            let route = self.backend.route(&call)?;
            let endpoint = self.endpoint(&route.endpoint, route.exclusive)?;
            match endpoint.checkout(&*self.backend, route.session, &call, now) {
                Ok(lease) => {
                    self.counters.acquired();
                    return Ok(lease);
                }
                Err(Unavailable::Retired) => self.check_open()?,
                Err(Unavailable::Failed(error)) => {
                    if error.kind() == ErrorKind::PoolTimeout {
                        return Err(error);
                    }
                    self.report(endpoint.address(), &error);
                    if !is_passing(&error) || call.check().is_err() {
                        return Err(error.with_node(&**endpoint.address()));
                    }
                    backoff
                        .get_or_insert_with(retry_backoff)
                        .pause(&call)
                        .map_err(|_| error.with_node(&**endpoint.address()))?;
                    self.check_open()?;
                }
            }
        }
    }

    fn endpoint(&self, address: &Arc<str>, exclusive: bool) -> Result<Arc<Endpoint>> {
        let (endpoint, retired) = {
            let mut endpoints = self.endpoints.lock();
            if let Some(endpoint) = endpoints.active.get(address)
                && (!exclusive || endpoints.active.len() == 1)
            {
                return Ok(Arc::clone(endpoint));
            }
            // A close that has begun must find every endpoint there is.
            self.check_open()?;
            let endpoint = Arc::clone(endpoints.active.entry(Arc::clone(address)).or_insert_with(
                || {
                    Arc::new(Endpoint::new(
                        Arc::clone(address),
                        &self.config.pool,
                        Arc::clone(&self.counters),
                        self.process,
                    ))
                },
            ));
            (
                endpoint,
                if exclusive {
                    Self::take_others(&mut endpoints, address)
                } else {
                    Vec::new()
                },
            )
        };
        for other in retired {
            other.retire();
        }
        Ok(endpoint)
    }

    fn take_others(
        endpoints: &mut MutexGuard<'_, Endpoints>,
        address: &Arc<str>,
    ) -> Vec<Arc<Endpoint>> {
        let others: Vec<_> = endpoints
            .active
            .extract_if(|other, _| other != address)
            .map(|(_, endpoint)| endpoint)
            .collect();
        endpoints
            .draining
            .retain(|endpoint| endpoint.gate().inside() > 0);
        endpoints.draining.extend(others.iter().cloned());
        others
    }

    /// Tells the backend of a failure on `endpoint`, and wakes the worker if the topology is in doubt.
    pub(crate) fn report(&self, endpoint: &str, error: &Error) {
        if matches!(
            error.kind(),
            ErrorKind::NotLeader
                | ErrorKind::Disconnected
                | ErrorKind::Timeout
                | ErrorKind::Protocol
                | ErrorKind::Connect
        ) {
            self.counters.failed();
        }
        if self.backend.report(endpoint, error) {
            log::debug!(target: "quorate", "{endpoint}: {error}; reading the topology again");
            self.signal.poke();
        }
    }

    /// Keeps the least number of connections open.
    pub(crate) fn keep_min(&self, call: &Call<'_>) -> Result<()> {
        if self.config.pool.min_conns == 0 {
            return Ok(());
        }
        let route = self.backend.route(call)?;
        self.endpoint(&route.endpoint, route.exclusive)?.keep_min(
            &*self.backend,
            self.config.pool.min_conns,
            call,
        )
    }

    pub(crate) fn reset(&self) {
        let active: Vec<_> = self.endpoints.lock().active.values().cloned().collect();
        for endpoint in active {
            endpoint.reset();
        }
    }

    /// Lets nobody in any more and drops what is idle. True the first time.
    pub(crate) fn begin_close(&self) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.closing.cancel();
        for endpoint in self.all_endpoints() {
            endpoint.retire();
        }
        true
    }

    /// Waits until every connection has come back; fails with how many have not when `deadline` passes.
    pub(crate) fn wait_closed(&self, deadline: Deadline) -> Result<()> {
        let mut left = 0;
        for endpoint in self.all_endpoints() {
            if !endpoint.gate().wait_empty(deadline)? {
                left += endpoint.gate().inside();
            }
        }
        if left == 0 {
            // Nobody comes in any more; with the endpoints goes the thread that they share.
            let endpoints = std::mem::take(&mut *self.endpoints.lock());
            drop(endpoints);
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Timeout,
            format!(
                "{left} connections are still in use; the pool is closed, \
                 and they will be closed when they come back"
            ),
        ))
    }

    fn all_endpoints(&self) -> Vec<Arc<Endpoint>> {
        let endpoints = self.endpoints.lock();
        let active = endpoints.active.values();
        active.chain(&endpoints.draining).cloned().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.stats();
        stats.max_conns = self.config.pool.max_conns;
        stats.leader_changes = self.backend.leader_changes();
        for endpoint in self.all_endpoints() {
            let (connections, idle) = endpoint.connections();
            stats.connections += connections;
            stats.idle += idle;
            stats.in_use += endpoint.gate().inside();
            stats.waiting += endpoint.gate().waiting();
        }
        stats
    }
}

/// Whether a call that failed so may succeed a moment later, and has left nothing behind.
pub(crate) fn is_passing(error: &Error) -> bool {
    error.outcome() != Outcome::Unknown
        && matches!(
            error.kind(),
            ErrorKind::NotLeader | ErrorKind::Disconnected | ErrorKind::Connect
        )
}

/// The pauses between the repetitions of a call that failed for a passing reason.
pub(crate) fn retry_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(5), Duration::from_millis(200))
}
