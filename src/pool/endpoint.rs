//! The connections of one endpoint, behind a gate at which those that are idle lie ready.
//!
//! The caller that finds none makes one on its own thread, within its own deadline, and gets the cause of a failure at once.
//! No clock is read when a connection is given back: the pool's worker sees to the age of those that lie idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Backend, Session};
use crate::clock::Moment;
use crate::config::PoolConfig;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::net::socket::Idle;
use crate::net::wait::Call;
use crate::pool::gate::{self, Gate, Refusal};
use crate::pool::stats::Counters;

/// A connection, and what decides whether it may be used again. Dropping it closes it.
pub(crate) struct Slot {
    pub(super) session: Option<Box<dyn Session>>,
    expires: Option<Moment>,
    generation: u64,
}

/// In a box, because it passes through many hands.
pub(super) type Taken = Box<Slot>;

/// The right to hold one connection of an endpoint, and one that was found there.
pub(crate) type Permit<'g> = gate::Permit<'g, Taken>;

impl Slot {
    /// Closes its connection.
    pub(super) fn part(&mut self) {
        if let Some(session) = self.session.take() {
            session.part();
        }
    }

    /// Whether it has a connection that others may use.
    fn is_current(&self, generation: u64) -> bool {
        self.generation == generation
            && self
                .session
                .as_ref()
                .is_some_and(|session| !session.is_broken() && !session.in_transaction())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.part();
    }
}

/// The pool of one endpoint.
pub(crate) struct Endpoint {
    address: Arc<str>,
    gate: Gate<Taken>,
    /// Connections of an earlier generation are closed when they come back.
    generation: AtomicU64,
    config: PoolConfig,
    counters: Arc<Counters>,
    /// The process that opened the pool, and so the only one that can take a connection out.
    pub(super) process: u32,
}

/// Why no connection could be had.
pub(crate) enum Unavailable {
    /// The endpoint is no longer in use; another one may be.
    Retired,
    /// The endpoint is left out for now; who waited for a connection to it should choose again.
    LeftOut,
    /// The call failed.
    Failed(Error),
}

impl Endpoint {
    pub(crate) fn new(
        address: Arc<str>,
        config: &PoolConfig,
        counters: Arc<Counters>,
        process: u32,
    ) -> Self {
        Endpoint {
            address,
            gate: Gate::new(config.max_conns.max(1)),
            generation: AtomicU64::new(0),
            config: config.clone(),
            counters,
            process,
        }
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Takes a slot back whose permit was kept. An expired connection may go back: the next caller, or who sees to the
    /// age of those that are idle, closes it.
    pub(super) fn take_back(&self, slot: Taken) {
        let generation = self.generation();
        if slot.is_current(generation) {
            self.gate.leave(Some(slot));
        } else {
            // Before its place is free for who enters next.
            drop(slot);
            self.gate.leave(None);
        }
        self.settle(generation);
    }

    /// The right to take a connection out, if it can be had at once.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_>> {
        self.gate.try_enter()
    }

    /// Takes an idle connection out, if one lies ready that can be used; one that cannot is closed.
    pub(crate) fn take_idle(&self, now: Moment) -> Option<Taken> {
        let mut permit = self.try_enter()?;
        let mut slot = permit.item.take()?;
        if !self.is_usable(&mut slot, now) {
            return None;
        }
        permit.keep();
        Some(slot)
    }

    /// Takes a connection out: an idle one, or `ready`, or a new one, which goes back through a
    /// [`Lease`](crate::pool::lease::Lease). `now` is when the call began to ask for one, which is near enough to tell a
    /// connection's age.
    ///
    /// Without a permit it waits for one. `patience` is asked how long a new connection may take, and only where
    /// one is made.
    pub(crate) fn checkout<'e>(
        &'e self,
        backend: &dyn Backend,
        ready: Option<Box<dyn Session>>,
        permit: Option<Permit<'e>>,
        call: &Call<'_>,
        patience: &dyn Fn() -> Option<Duration>,
        now: Moment,
    ) -> Result<Taken, Unavailable> {
        let mut permit = match permit {
            Some(permit) => permit,
            None => {
                let start = Instant::now();
                let entered = self.gate.enter(call);
                self.counters.waited(start.elapsed());
                entered.map_err(|refusal| match refusal {
                    Refusal::Closed => Unavailable::Retired,
                    Refusal::SentAway => Unavailable::LeftOut,
                    Refusal::Ended(error) => Unavailable::Failed(error),
                })?
            }
        };
        let mut found = permit.item.take();
        let slot = loop {
            let Some(mut slot) = found else {
                break self
                    .connect(backend, ready, patience, call)
                    .map_err(Unavailable::Failed)?;
            };
            if self.is_usable(&mut slot, now) {
                break slot;
            }
            drop(slot);
            found = self.gate.take_left();
        };
        permit.keep();
        Ok(slot)
    }

    fn is_usable(&self, slot: &mut Slot, now: Moment) -> bool {
        let fresh = slot.generation == self.generation.load(Ordering::Acquire)
            && slot.expires.is_none_or(|expires| now < expires);
        let Some(session) = &mut slot.session else {
            return false;
        };
        fresh && !session.is_broken() && session.idle() == Idle::Ready
    }

    /// Makes a connection, or takes `ready` for it. The caller is inside of the gate.
    fn connect(
        &self,
        backend: &dyn Backend,
        ready: Option<Box<dyn Session>>,
        patience: &dyn Fn() -> Option<Duration>,
        call: &Call<'_>,
    ) -> Result<Taken> {
        let generation = self.generation();
        let session = match ready {
            Some(session) => session,
            None => backend
                .connect(&self.address, patience(), call)
                .inspect_err(|_| self.counters.connect_failed())?,
        };
        self.counters.connected();
        let jitter = self.config.max_conn_lifetime_jitter;
        let lifetime = self.config.max_conn_lifetime;
        Ok(Box::new(Slot {
            session: Some(session),
            expires: lifetime
                .map(|lifetime| Moment::now().after(lifetime + jitter.mul_f64(fastrand::f64()))),
            generation,
        }))
    }

    /// Opens idle connections until there are `min`, as far as there is room; each may take as long as `patience`
    /// says.
    pub(crate) fn keep_min(
        &self,
        backend: &dyn Backend,
        min: u32,
        patience: Option<Duration>,
        call: &Call<'_>,
    ) -> Result<()> {
        while let Some(mut permit) = self.gate.try_enter_below(min) {
            let slot = self.connect(backend, None, &|| patience, call)?;
            let generation = slot.generation;
            permit.item = Some(slot);
            drop(permit);
            self.settle(generation);
        }
        Ok(())
    }

    /// Drops the idle connections, and those in use when they come back.
    pub(crate) fn reset(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.drop_idle();
    }

    /// Sends waiters away, drops the idle connections, and those in use when they come back.
    pub(crate) fn retire(&self) {
        self.gate.close();
        self.reset();
    }

    /// Sends waiters away and closes the idle connections, whose server is not to be trusted. Those in use, on
    /// which it may yet answer, stay.
    pub(crate) fn leave_out(&self) {
        self.gate.send_away();
        self.drop_idle();
    }

    /// The generation of the connections that are good; [`settle`](Endpoint::settle) takes it.
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Called after a connection was given back that was found to be of this generation: a reset that came between may
    /// have looked for idle ones before it was there.
    fn settle(&self, generation: u64) {
        if self.generation() != generation {
            self.drop_idle();
        }
    }

    fn drop_idle(&self) {
        self.gate.clear().into_iter().for_each(Permit::discard);
    }

    /// Closes the connections that have lain idle for longer than they may, or are too old.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        let over = self.gate.clear_if(now, |slot, since| {
            let is_idle_for_long = self
                .config
                .max_conn_idle_time
                .is_some_and(|limit| now - since >= limit);
            is_idle_for_long || slot.expires.is_some_and(|expires| expires <= now.into())
        });
        over.into_iter().for_each(Permit::discard);
    }

    /// How many connections are in use.
    pub(crate) fn in_use(&self) -> u32 {
        self.gate.inside()
    }

    /// How many callers wait for one.
    pub(crate) fn waiting(&self) -> u32 {
        self.gate.waiting()
    }

    /// Waits until every connection has been given back; false if `deadline` passed first.
    pub(crate) fn wait_unused(&self, deadline: Deadline) -> Result<bool> {
        self.gate.wait_empty(deadline)
    }

    /// How many connections there are, with those that are being made or closed, and how many of them are idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        self.gate.items()
    }
}

#[cfg(test)]
mod tests;
