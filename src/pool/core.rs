//! What the handles of a pool share: its backend, the pools of its endpoints, and its worker's signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::{Aim, Backend, Target};
use crate::cancel::CancelHandle;
use crate::clock::Moment;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, NodeCause, Outcome, Result};
use crate::lock::{Mutex, MutexGuard};
use crate::net::backoff::Backoff;
use crate::net::wait::{Call, closed};
use crate::pool::endpoint::{Endpoint, Unavailable};
use crate::pool::lease::Lease;
use crate::pool::stats::{Counters, EndpointStats, Stats};
use crate::pool::worker::Signal;
use crate::process;
use crate::topology::Instance;

/// How long the worker gives one of several endpoints, while it waits for it, to be connected to and to answer.
const OWN_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// Ordered, because comparing an address with the few there are is quicker than hashing it.
    active: BTreeMap<Arc<str>, Arc<Endpoint>>,
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
            process: process::id(),
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
        process::id() != self.process
    }

    /// The pool of an endpoint, made if there is none; with `exclusive`, those of all others are drained.
    pub(super) fn endpoint(&self, address: &Arc<str>, exclusive: bool) -> Result<Arc<Endpoint>> {
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
                    Self::take_others(&mut endpoints, |other| other == address)
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

    /// Takes out of use all endpoints but those that are kept.
    fn take_others(
        endpoints: &mut MutexGuard<'_, Endpoints>,
        is_kept: impl Fn(&Arc<str>) -> bool,
    ) -> Vec<Arc<Endpoint>> {
        let mut others = Vec::new();
        endpoints.active.retain(|address, endpoint| {
            let kept = is_kept(address);
            if !kept {
                others.push(Arc::clone(endpoint));
            }
            kept
        });
        endpoints.draining.retain(|endpoint| endpoint.in_use() > 0);
        endpoints.draining.extend(others.iter().cloned());
        others
    }

    /// How many connections to an endpoint are in use.
    pub(super) fn in_use(&self, endpoint: &str) -> u32 {
        let endpoints = self.endpoints.lock();
        endpoints
            .active
            .get(endpoint)
            .map_or(0, |endpoint| endpoint.in_use())
    }

    /// Reads the topology again, and drains the endpoints that are no longer a part of it.
    pub(crate) fn refresh(&self, call: &Call<'_>) -> Result<()> {
        if let Some(keep) = self.backend.refresh(call)?.keep {
            let others =
                Self::take_others(&mut self.endpoints.lock(), |address| keep.contains(address));
            for other in others {
                other.retire();
            }
        }
        Ok(())
    }

    /// Asks every endpoint for an answer, and fails with the errors of those that give none; false if calls go to
    /// one endpoint alone, which was not asked.
    ///
    /// Each has an equal share of the time that is left, so that one that hangs does not take it all.
    pub(crate) fn ping_all(&self, call: &Call<'_>) -> Result<bool> {
        let call = Call {
            closing: Some(&self.closing),
            ..*call
        };
        let endpoints = self.backend.endpoints(&call)?;
        let mut causes = Vec::new();
        for (index, address) in endpoints.iter().enumerate() {
            let left = u32::try_from(endpoints.len() - index).unwrap_or(u32::MAX);
            let share = call.deadline.remaining().map(|remaining| remaining / left);
            let call = call.at_most(share.map_or(Deadline::NONE, Deadline::after));
            match self.ping_one(address, &call) {
                Ok(()) => {}
                // That says nothing of an instance.
                Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Closed) => {
                    return Err(error);
                }
                Err(error) => {
                    self.report(address, &error);
                    causes.push(cause(address, error));
                }
            }
        }
        if causes.is_empty() {
            return Ok(!endpoints.is_empty());
        }
        let text = format!(
            "{} of {} instances do not answer",
            causes.len(),
            endpoints.len()
        );
        Err(Error::new(ErrorKind::Connect, text).with_causes(causes))
    }

    fn ping_one(&self, address: &Arc<str>, call: &Call<'_>) -> Result<()> {
        let endpoint = self.endpoint(address, false)?;
        let permit = endpoint.try_enter();
        let now = Moment::recent();
        match endpoint.checkout(&*self.backend, None, permit, call, &|| None, now) {
            Ok(slot) => Lease::new(endpoint, slot).session()?.ping(call),
            Err(Unavailable::Failed(error)) => Err(error),
            Err(Unavailable::LeftOut) => Err(Error::new(
                ErrorKind::Connect,
                "the instance has failed several times and is left out for now",
            )),
            // It has just left the cluster.
            Err(Unavailable::Retired) => self.check_open(),
        }
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
            let logger = &self.config.logger;
            // An error that names its node says so itself.
            match error.node() {
                Some(_) => logger.debug(format_args!("{error}; reading the topology again")),
                None => logger.debug(format_args!(
                    "{endpoint}: {error}; reading the topology again"
                )),
            }
            self.signal.poke();
        }
        if self.backend.standing(endpoint).is_left_out {
            let active = self.endpoints.lock().active.get(endpoint).cloned();
            if let Some(endpoint) = active {
                endpoint.leave_out();
            }
            // The worker tries it from now on.
            self.signal.poke();
        }
    }

    /// Tries one of the endpoints that are left out, if it is time to.
    pub(crate) fn probe(&self, call: &Call<'_>) {
        let Some(address) = self.backend.probe() else {
            return;
        };
        let call = call.at_most(Deadline::after(OWN_TIMEOUT));
        if let Err(error) = self.ping_one(&address, &call) {
            self.report(&address, &error);
        }
    }

    /// Closes connections that have been idle for too long, and keeps the least number open.
    pub(crate) fn tidy(&self, call: &Call<'_>) -> Result<()> {
        for endpoint in self.all_endpoints() {
            endpoint.tidy();
        }
        self.keep_min(call)
    }

    fn keep_min(&self, call: &Call<'_>) -> Result<()> {
        if self.config.pool.min_conns == 0 {
            return Ok(());
        }
        let endpoints = self.backend.endpoints(call)?;
        if endpoints.is_empty() {
            let target = Target {
                avoid: &[],
                load: &|_| 0,
                aim: Aim::Any,
                refresh: &|| {},
            };
            return match self.backend.route(&target, call)? {
                Some(route) => self.keep_min_of(&route.endpoint, route.exclusive, call),
                None => Ok(()),
            };
        }
        let mut kept = Ok(());
        let is_sound = |address: &&Arc<str>| !self.backend.standing(address).is_left_out;
        for address in endpoints.iter().filter(is_sound) {
            if let Err(error) = self.keep_min_of(address, false, call) {
                self.report(address, &error);
                kept = Err(error.with_node(&**address));
            }
        }
        kept
    }

    fn keep_min_of(&self, address: &Arc<str>, exclusive: bool, call: &Call<'_>) -> Result<()> {
        let min = self.config.pool.min_conns;
        let patience = (!exclusive).then_some(OWN_TIMEOUT);
        self.endpoint(address, exclusive)?
            .keep_min(&*self.backend, min, patience, call)
    }

    pub(crate) fn reset(&self) {
        self.backend.reset();
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
            if !endpoint.wait_unused(deadline)? {
                left += endpoint.in_use();
            }
        }
        if left == 0 {
            // Nobody comes in any more; with the endpoints goes the thread that they share.
            let endpoints = std::mem::take(&mut *self.endpoints.lock());
            drop(endpoints);
            self.backend.reset();
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

    /// The endpoints that calls go to, whether there are connections to them or not, sorted by address.
    pub(crate) fn endpoint_stats(&self) -> Vec<EndpointStats> {
        let active = self.endpoints.lock().active.clone();
        let known = self.backend.known_endpoints();
        let mut addresses: Vec<_> = known.into_iter().chain(active.keys().cloned()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
            .into_iter()
            .map(|address| {
                let endpoint = active.get(&address).map(|endpoint| &**endpoint);
                endpoint_stats(address, endpoint, &*self.backend)
            })
            .collect()
    }

    pub(crate) fn instances(&self) -> Vec<Instance> {
        let instances = self.backend.known_instances();
        instances.iter().map(|one| Instance::clone(one)).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.stats();
        stats.max_conns = self.config.pool.max_conns;
        stats.leader_changes = self.backend.leader_changes();
        let (instances, usable) = self.backend.instances();
        stats.instances = u32::try_from(instances).unwrap_or(u32::MAX);
        stats.usable_instances = u32::try_from(usable).unwrap_or(u32::MAX);
        for endpoint in self.all_endpoints() {
            let (connections, idle) = endpoint.connections();
            stats.connections += connections;
            stats.idle += idle;
            stats.in_use += endpoint.in_use();
            stats.waiting += endpoint.waiting();
        }
        stats
    }
}

fn endpoint_stats(
    address: Arc<str>,
    endpoint: Option<&Endpoint>,
    backend: &dyn Backend,
) -> EndpointStats {
    let (connections, idle) = endpoint.map_or((0, 0), Endpoint::connections);
    let standing = backend.standing(&address);
    EndpointStats {
        address,
        connections,
        idle,
        in_use: endpoint.map_or(0, Endpoint::in_use),
        waiting: endpoint.map_or(0, Endpoint::waiting),
        left_out: standing.is_left_out,
        latency: standing.latency,
    }
}

pub(super) fn cause(address: &str, error: Error) -> NodeCause {
    NodeCause {
        node: address.to_owned(),
        error,
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
