//! The connections of one endpoint: an r2d2 pool of slots behind a gate, at which the last one that was used lies ready.
//!
//! r2d2 keeps the idle connections, counts them, reaps them by age and idleness, and drops broken ones
//! when they come back. It dials on threads of its own, though, flattens every cause to a timeout and
//! repeats a dial that failed for good; so the slots it makes are empty, and the caller that takes an empty
//! slot fills it on its own thread, within its own deadline, and gets the cause of a failure at once.
//!
//! The slot that was given back last stays at the gate, out of r2d2's sight, so that a call on a pool that nobody else
//! uses at the moment takes one lock and reads no clock. The pool's worker sees to its age.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use r2d2::ManageConnection;
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use crate::backend::{Backend, Session};
use crate::clock::Moment;
use crate::config::PoolConfig;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::socket::Idle;
use crate::net::wait::Call;
use crate::pool::gate::{self, Gate, Refusal};
use crate::pool::stats::Counters;
use crate::process;

/// How long r2d2 is waited for at once.
const SLOT_WAIT: Duration = Duration::from_millis(1);
/// How often a slot that has been made is looked for before it counts as another caller's.
const SLOT_LOOKS: u32 = 5;

/// A place for a connection.
pub(crate) struct Slot {
    pub(super) session: Option<Box<dyn Session>>,
    expires: Option<Moment>,
    generation: u64,
    turnover: Arc<Turnover>,
}

/// How many slots r2d2 has made and dropped, neither of which it tells.
#[derive(Default)]
struct Turnover {
    made: AtomicU64,
    dropped: AtomicU64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.part();
        self.turnover.dropped.fetch_add(1, Ordering::Release);
    }
}

/// A slot that is taken out of r2d2. In a box, because it passes through many hands.
pub(super) type Taken = Box<r2d2::PooledConnection<Manager>>;

/// The right to hold one connection of an endpoint, and the slot that goes with it.
pub(crate) type Permit<'g> = gate::Permit<'g, Taken>;

pub(crate) struct Manager {
    /// Connections of an earlier generation are dropped when they come back.
    generation: Arc<AtomicU64>,
    turnover: Arc<Turnover>,
}

impl Slot {
    /// Closes its connection.
    pub(super) fn part(&mut self) {
        if let Some(session) = self.session.take() {
            session.part();
        }
    }

    /// Whether it has a connection that others may use.
    fn is_current(&self, generation: &AtomicU64) -> bool {
        self.generation == generation.load(Ordering::Acquire)
            && self
                .session
                .as_ref()
                .is_some_and(|session| !session.is_broken() && !session.in_transaction())
    }
}

impl ManageConnection for Manager {
    type Connection = Slot;
    type Error = Infallible;

    fn connect(&self) -> Result<Slot, Infallible> {
        self.turnover.made.fetch_add(1, Ordering::Release);
        Ok(Slot {
            session: None,
            expires: None,
            generation: self.generation.load(Ordering::Acquire),
            turnover: Arc::clone(&self.turnover),
        })
    }

    fn is_valid(&self, _slot: &mut Slot) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        !slot.is_current(&self.generation)
    }
}

/// The pool of one endpoint.
pub(crate) struct Endpoint {
    address: Arc<str>,
    gate: Gate<Taken>,
    slots: r2d2::Pool<Manager>,
    generation: Arc<AtomicU64>,
    turnover: Arc<Turnover>,
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
        let generation = Arc::new(AtomicU64::new(0));
        let turnover = Arc::<Turnover>::default();
        let manager = Manager {
            generation: Arc::clone(&generation),
            turnover: Arc::clone(&turnover),
        };
        let size = config.max_conns.max(1);
        let slots = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .idle_timeout(config.max_conn_idle_time)
            .max_lifetime(
                config
                    .max_conn_lifetime
                    .map(|lifetime| lifetime + config.max_conn_lifetime_jitter),
            )
            .thread_pool(scheduler())
            .build_unchecked(manager);
        Endpoint {
            address,
            gate: Gate::new(size),
            slots,
            generation,
            turnover,
            config: config.clone(),
            counters,
            process,
        }
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Takes a slot back whose permit was kept. An expired connection may go back: the next caller, or who sees to the
    /// age of those that are idle, drops it.
    pub(super) fn take_back(&self, slot: Taken) {
        let generation = self.generation();
        if slot.is_current(&self.generation) {
            self.gate.leave(Some(slot));
        } else {
            // Through r2d2, which drops it; and before the place is free, so that there is room for who enters next.
            drop(slot);
            self.gate.leave(None);
        }
        self.settle(generation);
    }

    /// The right to take a connection out, if it can be had at once.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_>> {
        self.gate.try_enter()
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
        let is_usable = found.as_mut().is_some_and(|slot| self.is_usable(slot, now));
        let slot = match found {
            Some(slot) if is_usable => slot,
            vacant => self
                .take_other(vacant, backend, ready, patience, call, now)
                .map_err(Unavailable::Failed)?,
        };
        permit.keep();
        Ok(slot)
    }

    /// Takes a usable connection where `vacant` is none, or one that is not usable.
    fn take_other(
        &self,
        mut vacant: Option<Taken>,
        backend: &dyn Backend,
        ready: Option<Box<dyn Session>>,
        patience: &dyn Fn() -> Option<Duration>,
        call: &Call<'_>,
        now: Moment,
    ) -> Result<Taken> {
        if let Some(slot) = &mut vacant {
            slot.part();
        }
        while let Some(mut slot) = self.slots.try_get() {
            if self.is_usable(&mut slot, now) {
                return Ok(Box::new(slot));
            }
            slot.part();
            vacant = Some(Box::new(slot));
        }
        let mut slot = match vacant {
            Some(slot) => slot,
            None => Box::new(self.wait_for_slot(call)?),
        };
        // The slot may be one that somebody has just given back.
        if !self.is_usable(&mut slot, now) {
            self.fill(&mut slot, backend, ready, patience(), call)?;
        }
        Ok(slot)
    }

    /// Takes any slot. The caller's permit says that there is room; r2d2's thread makes one in microseconds, or one
    /// comes back whose connection is being closed: of that r2d2 tells nobody, so it is looked for again and again.
    fn wait_for_slot(&self, call: &Call<'_>) -> Result<r2d2::PooledConnection<Manager>> {
        let slot = self.wait_for_slot_below(u32::MAX, call)?;
        slot.ok_or_else(|| Error::new(ErrorKind::Internal, "there are too many slots"))
    }

    /// Takes any slot; none where there are `most` already, which their users may never give to r2d2.
    fn wait_for_slot_below(
        &self,
        most: u32,
        call: &Call<'_>,
    ) -> Result<Option<r2d2::PooledConnection<Manager>>> {
        let (mut asked, mut looks) = (None, 0);
        loop {
            let made = self.turnover.made.load(Ordering::Acquire);
            let dropped = self.turnover.dropped.load(Ordering::Acquire);
            // Once, however long r2d2's thread takes; and again when one was dropped, since there may have been no room,
            // or made, and was taken by another caller.
            let is_to_ask = asked.is_none_or(|(then_made, then_dropped)| {
                then_dropped != dropped || then_made != made && looks >= SLOT_LOOKS
            });
            let slot = if is_to_ask {
                (asked, looks) = (Some((made, dropped)), 0);
                // This has one made, if there is room.
                let left = call.deadline.remaining().unwrap_or(SLOT_WAIT);
                self.slots.get_timeout(left.min(SLOT_WAIT)).ok()
            } else {
                looks += 1;
                std::thread::sleep(SLOT_WAIT);
                self.slots.try_get()
            };
            if slot.is_some() {
                return Ok(slot);
            }
            if self.slots.state().connections >= most {
                return Ok(None);
            }
            call.check().map_err(|error| match error.kind() {
                // It says nothing against the endpoint.
                ErrorKind::Timeout => {
                    Error::new(ErrorKind::PoolTimeout, "no slot for the connection")
                }
                _ => error,
            })?;
        }
    }

    fn is_usable(&self, slot: &mut Slot, now: Moment) -> bool {
        let fresh = slot.generation == self.generation.load(Ordering::Acquire)
            && slot.expires.is_none_or(|expires| now < expires);
        let Some(session) = &mut slot.session else {
            return false;
        };
        fresh && !session.is_broken() && session.idle() == Idle::Ready
    }

    /// Puts a new connection into a slot.
    fn fill(
        &self,
        slot: &mut Slot,
        backend: &dyn Backend,
        ready: Option<Box<dyn Session>>,
        patience: Option<Duration>,
        call: &Call<'_>,
    ) -> Result<()> {
        slot.part();
        let generation = self.generation.load(Ordering::Acquire);
        let session = match ready {
            Some(session) => session,
            None => match backend.connect(&self.address, patience, call) {
                Ok(session) => session,
                Err(error) => {
                    self.counters.connect_failed();
                    return Err(error);
                }
            },
        };
        self.counters.connected();
        slot.session = Some(session);
        slot.generation = generation;
        slot.expires = self.config.max_conn_lifetime.map(|lifetime| {
            let jitter = self
                .config
                .max_conn_lifetime_jitter
                .mul_f64(fastrand::f64());
            Moment::now().after(lifetime + jitter)
        });
        Ok(())
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
        while self.slots.state().connections < min {
            let Some(mut permit) = self.gate.try_enter() else {
                return Ok(());
            };
            let generation = self.generation();
            let mut filled: Vec<_> = permit.item.take().into_iter().collect();
            let mut vacant = None;
            while let Some(slot) = self.slots.try_get() {
                if slot.session.is_some() {
                    filled.push(Box::new(slot));
                } else {
                    vacant = Some(slot);
                    break;
                }
            }
            let slot = match vacant {
                Some(slot) => Some(slot),
                None => self.wait_for_slot_below(min, call)?,
            };
            // Callers find them while the new one is made.
            drop(filled);
            let Some(mut slot) = slot else {
                self.settle(generation);
                return Ok(());
            };
            if slot.session.is_none() {
                self.fill(&mut slot, backend, None, patience, call)?;
            }
            drop(slot);
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
        let left = self.gate.clear().map(|slot| *slot);
        let others = std::iter::from_fn(|| self.slots.try_get());
        // All are taken before one goes back, and r2d2 drops an empty slot outside its lock.
        let mut idle: Vec<_> = left.into_iter().chain(others).collect();
        for slot in &mut idle {
            slot.part();
        }
    }

    /// Closes the connection that lies at the gate, if it has lain there for longer than connections may be idle,
    /// or is too old. r2d2 sees to the others.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        let over = self.gate.clear_if(now, |slot, since| {
            let is_idle_for_long = self
                .config
                .max_conn_idle_time
                .is_some_and(|limit| now - since >= limit);
            is_idle_for_long || slot.expires.is_some_and(|expires| expires <= now.into())
        });
        if let Some(mut slot) = over {
            slot.part();
        }
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

    /// How many connections there are, and how many of them are idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let state = self.slots.state();
        let left = u32::from(self.gate.has_left());
        // One that has changed its place between the two looks is counted once.
        let idle = (state.idle_connections + left).min(state.connections);
        (state.connections, idle)
    }
}

/// The one thread that makes slots and reaps connections, for all pools of the process. It ends with the
/// last pool.
fn scheduler() -> Arc<ScheduledThreadPool> {
    static SHARED: Mutex<(u32, Weak<ScheduledThreadPool>)> = Mutex::new((0, Weak::new()));
    let mut shared = SHARED.lock();
    let process = process::id();
    // A fork leaves the scheduler behind without its thread.
    if shared.0 == process
        && let Some(scheduler) = shared.1.upgrade()
    {
        return scheduler;
    }
    let scheduler = Arc::new(
        ScheduledThreadPool::builder()
            .num_threads(1)
            .thread_name_pattern("quorate-pool")
            .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled)
            .build(),
    );
    *shared = (process, Arc::downgrade(&scheduler));
    scheduler
}

#[cfg(test)]
mod tests;
