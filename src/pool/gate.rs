//! The gate of an endpoint: how many connections there may be at once, who is next, and those that lie idle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use crate::net::wait::{Call, Waker};

/// Lets a limited number of callers in, the others in the order in which they came.
///
/// A caller that waits can be cancelled, has a deadline, and is sent away when the gate closes.
///
/// What one has in hand when it leaves, the next one to enter finds, the last that was left first: so a connection
/// changes hands under the one lock that is taken anyway. There are never more items than places: an item is made by one
/// who has entered and has found none, and one that is taken away keeps its place until it is gone.
pub(crate) struct Gate<T> {
    state: Mutex<State<T>>,
    size: u32,
}

struct State<T> {
    inside: u32,
    /// How many of those inside have been let in by another one, and have not taken yet what was left for them.
    granted: u32,
    waiting: VecDeque<Arc<Ticket>>,
    closed: bool,
    /// The last one is found first.
    left: Vec<Left<T>>,
    /// Who waits for the last caller to leave.
    watchers: Vec<Arc<Waker>>,
}

/// What was left at the gate.
struct Left<T> {
    item: T,
    /// When it was first seen lying there.
    seen: Option<Instant>,
}

struct Ticket {
    waker: Arc<Waker>,
    granted: AtomicBool,
    sent_away: AtomicBool,
}

/// Why a caller was not let in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The gate is closed for good.
    Closed,
    /// Those who waited were sent away.
    SentAway,
    /// The call ended first.
    Ended(Error),
}

/// The right to hold one connection, until it is dropped.
pub(crate) struct Permit<'g, T> {
    gate: &'g Gate<T>,
    /// What was found at the gate, or taken since. It is left there for the next one.
    pub(crate) item: Option<T>,
}

impl<T> Gate<T> {
    /// A gate for `size` callers at once.
    pub(crate) fn new(size: u32) -> Self {
        Gate {
            state: Mutex::new(State {
                inside: 0,
                granted: 0,
                waiting: VecDeque::new(),
                closed: false,
                left: Vec::new(),
                watchers: Vec::new(),
            }),
            size,
        }
    }

    /// Lets the caller in at once, if nobody waits and there is room.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_, T>> {
        let mut state = self.state.lock();
        if state.closed || state.inside >= self.size || !state.waiting.is_empty() {
            return None;
        }
        state.inside += 1;
        Some(self.permit(&mut state))
    }

    /// Lets the caller in at once if nobody waits and there are fewer than `most` items, those in use among them; it finds
    /// none, but is to make one.
    pub(crate) fn try_enter_below(&self, most: u32) -> Option<Permit<'_, T>> {
        let mut state = self.state.lock();
        if state.closed || state.count() >= most.min(self.size) || !state.waiting.is_empty() {
            return None;
        }
        state.inside += 1;
        Some(Permit {
            gate: self,
            item: None,
        })
    }

    /// Waits to be let in, until the call ends at the latest.
    pub(crate) fn enter(&self, call: &Call<'_>) -> Result<Permit<'_, T>, Refusal> {
        let waker = Waker::current().map_err(Refusal::Ended)?;
        let ticket = Arc::new(Ticket {
            waker: Arc::clone(&waker),
            granted: AtomicBool::new(false),
            sent_away: AtomicBool::new(false),
        });
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(Refusal::Closed);
            }
            if state.inside < self.size && state.waiting.is_empty() {
                state.inside += 1;
                return Ok(self.permit(&mut state));
            }
            state.waiting.push_back(Arc::clone(&ticket));
        }
        loop {
            let waited = call.wait(&waker);
            let mut state = self.state.lock();
            if ticket.granted.load(Ordering::Acquire) {
                state.granted -= 1;
                return Ok(self.permit(&mut state));
            }
            let refusal = match waited {
                _ if state.closed => Refusal::Closed,
                _ if ticket.sent_away.load(Ordering::Acquire) => Refusal::SentAway,
                Ok(()) => continue,
                Err(error) => Refusal::Ended(self.ended(error)),
            };
            state.waiting.retain(|other| !Arc::ptr_eq(other, &ticket));
            return Err(refusal);
        }
    }

    fn permit(&self, state: &mut State<T>) -> Permit<'_, T> {
        Permit {
            gate: self,
            item: state.left.pop().map(|left| left.item),
        }
    }

    /// What else was left at the gate, for one who is inside and cannot use what it has found.
    pub(crate) fn take_left(&self) -> Option<T> {
        self.state.lock().left.pop().map(|left| left.item)
    }

    /// One goes, whose permit was [kept](Permit::keep), and leaves `item` for the next.
    pub(crate) fn leave(&self, item: Option<T>) {
        let unwanted = self.take_back(item);
        // Not under the lock: it may be a connection that is closed.
        drop(unwanted);
    }

    /// One goes, and leaves `item` for the next, unless the gate is closed: then it answers it.
    fn take_back(&self, item: Option<T>) -> Option<T> {
        let mut state = self.state.lock();
        let unwanted = if state.closed {
            item
        } else {
            let item = item.map(|item| Left { item, seen: None });
            state.left.extend(item);
            None
        };
        if !state.closed
            && let Some(ticket) = state.waiting.pop_front()
        {
            // The place goes to the next in line without being free in between.
            state.granted += 1;
            ticket.granted.store(true, Ordering::Release);
            ticket.waker.wake();
            return unwanted;
        }
        state.inside -= 1;
        if state.inside == 0 {
            for watcher in &state.watchers {
                watcher.wake();
            }
        }
        unwanted
    }

    /// Takes away all that was left at the gate. Each keeps its place until it is dropped.
    pub(crate) fn clear(&self) -> Vec<Permit<'_, T>> {
        self.clear_if(Instant::now(), |_, _| true)
    }

    /// Takes away what was left at the gate and of which `is_over` says so, who is told since when at least it has lain
    /// there. Each keeps its place until it is dropped.
    pub(crate) fn clear_if(
        &self,
        now: Instant,
        is_over: impl Fn(&T, Instant) -> bool,
    ) -> Vec<Permit<'_, T>> {
        let mut state = self.state.lock();
        let spare = state.spare();
        let over: Vec<_> = state
            .left
            .extract_if(..spare, |left| {
                is_over(&left.item, *left.seen.get_or_insert(now))
            })
            .map(|left| Permit {
                gate: self,
                item: Some(left.item),
            })
            .collect();
        state.inside += count(over.len());
        over
    }

    /// How many items there are, and how many of them lie at the gate.
    pub(crate) fn items(&self) -> (u32, u32) {
        let state = self.state.lock();
        (state.count(), count(state.spare()))
    }

    fn ended(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Timeout {
            return error;
        }
        Error::new(
            ErrorKind::PoolTimeout,
            format!(
                "all {} connections of the pool are in use; return them sooner or raise pool_max_conns",
                self.size
            ),
        )
    }

    /// Sends all who wait away and lets nobody in any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for ticket in &state.waiting {
            ticket.waker.wake();
        }
    }

    /// Sends all who wait away, once.
    pub(crate) fn send_away(&self) {
        for ticket in self.state.lock().waiting.drain(..) {
            ticket.sent_away.store(true, Ordering::Release);
            ticket.waker.wake();
        }
    }

    /// Waits until nobody is inside; false if `deadline` passed first.
    pub(crate) fn wait_empty(&self, deadline: Deadline) -> Result<bool> {
        let waker = Waker::current()?;
        self.state.lock().watchers.push(Arc::clone(&waker));
        let call = Call::until(deadline);
        let mut empty = false;
        loop {
            empty = empty || self.state.lock().inside == 0;
            if empty || call.wait(&waker).is_err() {
                break;
            }
        }
        self.state
            .lock()
            .watchers
            .retain(|other| !Arc::ptr_eq(other, &waker));
        Ok(empty)
    }

    /// How many callers are inside.
    pub(crate) fn inside(&self) -> u32 {
        self.state.lock().inside
    }

    /// How many callers wait.
    pub(crate) fn waiting(&self) -> u32 {
        count(self.state.lock().waiting.len())
    }
}

impl<T> State<T> {
    /// How many were left for nobody in particular: those at the beginning.
    fn spare(&self) -> usize {
        self.left.len().saturating_sub(self.granted as usize)
    }

    /// How many items there are, or will be when all who are inside have one.
    fn count(&self) -> u32 {
        self.inside.saturating_add(count(self.spare()))
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl<T> Permit<'_, T> {
    /// Drops what it holds, and then frees the place.
    pub(crate) fn discard(mut self) {
        drop(self.item.take());
    }

    /// Hands over the duty to [leave](Gate::leave); what it still holds is dropped.
    pub(crate) fn keep(mut self) {
        drop(self.item.take());
        std::mem::forget(self);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.gate.leave(self.item.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelHandle;
    use std::thread;
    use std::time::Duration;

    fn soon() -> Call<'static> {
        Call::until(Deadline::after(Duration::from_millis(20)))
    }

    fn late() -> Call<'static> {
        Call::until(Deadline::after(Duration::from_secs(10)))
    }

    fn wait_for_waiters<T>(gate: &Gate<T>, count: u32) {
        while gate.waiting() != count {
            thread::yield_now();
        }
    }

    #[test]
    fn a_full_gate_ends_with_a_pool_timeout() {
        let gate = Arc::new(Gate::<()>::new(1));
        let permit = gate.enter(&soon()).unwrap();
        let Err(Refusal::Ended(error)) = gate.enter(&soon()) else {
            panic!("the gate let a second caller in");
        };
        assert_eq!(error.kind(), ErrorKind::PoolTimeout);
        assert_eq!(gate.waiting(), 0);
        drop(permit);
        gate.enter(&soon()).unwrap();
    }

    #[test]
    fn callers_are_let_in_in_the_order_they_came() {
        let gate = Arc::new(Gate::<()>::new(1));
        let mut permit = Some(gate.enter(&late()).unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..4 {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            threads.push(thread::spawn({
                let gate = Arc::clone(&gate);
                move || {
                    let permit = gate.enter(&late()).unwrap();
                    sender.send(number).unwrap();
                    drop(permit);
                }
            }));
            wait_for_waiters(&gate, number + 1);
        }
        permit.take();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn closing_sends_every_waiter_away_and_watchers_see_the_last_one_leave() {
        let gate = Arc::new(Gate::<()>::new(1));
        let permit = gate.enter(&late()).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || matches!(gate.enter(&late()), Err(Refusal::Closed)))
            })
            .collect();
        wait_for_waiters(&gate, 8);
        gate.close();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        assert!(
            !gate
                .wait_empty(Deadline::after(Duration::from_millis(10)))
                .unwrap()
        );
        let watcher = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.wait_empty(Deadline::after(Duration::from_secs(10))))
        };
        drop(permit);
        assert!(watcher.join().unwrap().unwrap());
    }

    #[test]
    fn a_waiter_can_be_cancelled() {
        let gate = Arc::new(Gate::<()>::new(1));
        let _permit = gate.enter(&late()).unwrap();
        let handle = CancelHandle::new();
        let canceller = {
            let (gate, handle) = (Arc::clone(&gate), handle.clone());
            thread::spawn(move || {
                wait_for_waiters(&gate, 1);
                handle.cancel();
            })
        };
        let _running = handle.enter().unwrap();
        let call = Call {
            cancel: Some(&handle),
            ..late()
        };
        let Err(Refusal::Ended(error)) = gate.enter(&call) else {
            panic!("the call was not cancelled");
        };
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        canceller.join().unwrap();
    }

    #[test]
    fn those_who_wait_are_sent_away_once() {
        let gate = Arc::new(Gate::<()>::new(1));
        let permit = gate.try_enter().unwrap();
        let refused = thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter(&late()));
            wait_for_waiters(&gate, 1);
            gate.send_away();
            waiter.join().unwrap()
        });
        assert!(matches!(refused, Err(Refusal::SentAway)));
        assert_eq!((gate.waiting(), gate.inside()), (0, 1));
        drop(permit);
        assert!(gate.enter(&soon()).is_ok());
    }

    #[test]
    fn what_the_last_one_leaves_the_next_one_finds() {
        let gate = Gate::new(2);
        let mut first = gate.try_enter().unwrap();
        let mut second = gate.try_enter().unwrap();
        assert_eq!((first.item, second.item), (None, None));
        (first.item, second.item) = (Some(1), Some(2));
        assert_eq!(gate.items(), (2, 0));
        drop(first);
        drop(second);
        assert_eq!(gate.items(), (2, 2));
        let found = gate.enter(&soon()).unwrap();
        assert_eq!(found.item, Some(2));
        assert_eq!(gate.try_enter().unwrap().item, Some(1));
        assert_eq!((gate.take_left(), gate.take_left()), (Some(1), None));
        drop(found);
        assert_eq!((gate.items(), gate.inside()), ((1, 1), 0));
    }

    #[test]
    fn what_is_taken_away_keeps_its_place_until_it_is_gone() {
        let gate = Gate::new(2);
        let mut permits = [(); 2].map(|()| gate.try_enter().unwrap());
        for (item, permit) in permits.iter_mut().enumerate() {
            permit.item = Some(item);
        }
        drop(permits);
        let mut cleared = gate.clear();
        assert_eq!((cleared.len(), gate.items(), gate.inside()), (2, (2, 0), 2));
        assert!(gate.try_enter().is_none() && gate.try_enter_below(2).is_none());
        cleared.pop().unwrap().discard();
        assert_eq!(gate.try_enter().unwrap().item, None);
        cleared.pop().unwrap().discard();
        assert_eq!((gate.items(), gate.inside()), ((0, 0), 0));
    }

    #[test]
    fn who_is_to_make_one_finds_none_and_enters_only_as_long_as_there_are_too_few() {
        let gate = Gate::new(3);
        gate.try_enter().unwrap().item = Some(1);
        let mut maker = gate.try_enter_below(2).unwrap();
        assert_eq!(maker.item, None);
        assert!(gate.try_enter_below(2).is_none());
        maker.item = Some(2);
        drop(maker);
        assert_eq!(gate.items(), (2, 2));
        assert!(gate.try_enter_below(2).is_none());
        gate.close();
        assert!(gate.try_enter_below(3).is_none());
    }

    #[test]
    fn one_that_waited_finds_what_the_one_before_it_left() {
        let gate = Gate::new(1);
        let mut permit = gate.try_enter().unwrap();
        permit.item = Some(7);
        let found = thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter(&late()).unwrap().item.take());
            wait_for_waiters(&gate, 1);
            drop(permit);
            waiter.join().unwrap()
        });
        assert_eq!(found, Some(7));
    }

    #[test]
    fn a_closed_gate_keeps_nothing() {
        let gate = Gate::new(1);
        let mut permit = gate.try_enter().unwrap();
        let item = Arc::new(());
        permit.item = Some(Arc::clone(&item));
        gate.close();
        drop(permit);
        assert_eq!(gate.items(), (0, 0));
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn what_lies_at_the_gate_is_taken_away_when_it_has_lain_there_for_long() {
        let gate = Gate::new(1);
        let start = Instant::now();
        let limit = Duration::from_secs(1);
        let is_over = |now: Instant| move |_: &i32, since: Instant| now - since >= limit;
        let at = |seconds| start + Duration::from_secs(seconds);
        let look = |seconds| {
            let mut over = gate.clear_if(at(seconds), is_over(at(seconds)));
            over.pop().and_then(|mut permit| permit.item.take())
        };
        gate.try_enter().unwrap().item = Some(1);
        assert_eq!((look(0), look(0)), (None, None));
        // Used meanwhile, so it counts anew.
        drop(gate.try_enter());
        assert_eq!((look(1), look(2), look(2)), (None, Some(1), None));
    }
}
