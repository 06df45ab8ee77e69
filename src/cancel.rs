//! Cancelling a call from another thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::lock::Mutex;
use crate::net::wait::Waker;

/// Cancels calls from any thread.
///
/// There are two ways to come by one. [`CancelHandle::new`] makes a handle that is given to calls
/// ([`Pool::cancel_with`](crate::Pool::cancel_with)); once it is cancelled it stays so, and every call that
/// carries it, running or yet to come, fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
/// [`Connection::cancel_handle`](crate::Connection::cancel_handle) gives the handle of a connection;
/// cancelling it ends the call that runs on the connection at that moment and does nothing when none does.
///
/// A call that is cancelled returns promptly, whatever the server does. Its error says what became of the
/// statement; after a cancelled call the connection is either good for the next one or replaced.
///
/// Cancelling never blocks. The handle may be cloned and outlive what it cancels.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    cancelled: AtomicBool,
    /// Whether a cancellation outlives the call that it ended.
    sticky: bool,
    /// Whether one copy is enough to cancel with: its owner lends it to the calls.
    lent: bool,
    /// The threads inside a call that carries this handle.
    running: Mutex<Vec<Arc<Waker>>>,
    ask: Option<Ask>,
}

/// Says whether the call that waits on this thread shall end.
struct Ask(Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}

impl Default for CancelHandle {
    fn default() -> Self {
        CancelHandle::new()
    }
}

impl CancelHandle {
    /// Makes a handle that, once cancelled, stays cancelled.
    pub fn new() -> Self {
        CancelHandle::with(true, false, None)
    }

    /// Makes a handle that asks `ask` whether to cancel, on the thread of each call that carries it: when a
    /// signal handler has interrupted its wait, and every half a second. Once the answer was yes, the handle
    /// is cancelled. Asking costs a call that is not kept waiting nothing.
    ///
    /// It is for a host whose signal handlers only leave a note, to be read outside of the handler.
    pub fn with_interrupt(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        CancelHandle::with(true, false, Some(Ask(Box::new(ask))))
    }

    /// Makes the handle with which a pool ends the calls that wait for a connection of it.
    pub(crate) fn for_pool() -> Self {
        CancelHandle::with(true, true, None)
    }

    /// Makes the handle of a connection: a cancellation ends the running call and is then forgotten.
    pub(crate) fn for_connection() -> Self {
        CancelHandle::with(false, false, None)
    }

    fn with(sticky: bool, lent: bool, ask: Option<Ask>) -> Self {
        CancelHandle {
            state: Arc::new(State {
                cancelled: AtomicBool::new(false),
                sticky,
                lent,
                running: Mutex::new(Vec::new()),
                ask,
            }),
        }
    }

    /// Cancels. Never blocks; may be called from any thread and any number of times.
    pub fn cancel(&self) {
        let running = self.state.running.lock();
        if self.state.sticky || !running.is_empty() {
            self.state.cancelled.store(true, Ordering::SeqCst);
        }
        for waker in running.iter() {
            waker.wake();
        }
    }

    /// Whether the handle was cancelled, or, for the handle of a connection, whether the running call was.
    pub fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::Relaxed)
    }

    /// Whether the handle has somebody to ask.
    pub(crate) fn asks(&self) -> bool {
        self.state.ask.is_some()
    }

    /// Asks, between two waits, and cancels if the answer is yes.
    pub(crate) fn ask(&self) {
        if self.state.ask.as_ref().is_some_and(|ask| (ask.0)()) {
            self.cancel();
        }
    }

    /// Whether somebody else could cancel.
    pub(crate) fn is_shared(&self) -> bool {
        self.state.lent || Arc::strong_count(&self.state) > 1
    }

    /// Marks the calling thread as inside a call until the guard is dropped. A handle that nobody else
    /// holds costs nothing.
    pub(crate) fn enter(&self) -> Result<Option<Running<'_>>> {
        if !self.is_shared() {
            return Ok(None);
        }
        let waker = Waker::current()?;
        self.state.running.lock().push(Arc::clone(&waker));
        Ok(Some(Running {
            handle: self,
            waker,
        }))
    }
}

/// A thread is inside a call that carries a cancel handle.
pub(crate) struct Running<'a> {
    handle: &'a CancelHandle,
    waker: Arc<Waker>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let state = &self.handle.state;
        let mut running = state.running.lock();
        if let Some(index) = running
            .iter()
            .position(|waker| Arc::ptr_eq(waker, &self.waker))
        {
            running.swap_remove(index);
        }
        if !state.sticky && running.is_empty() {
            state.cancelled.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_ones_own_stays_cancelled() {
        let handle = CancelHandle::new();
        assert!(!handle.is_cancelled());
        handle.cancel();
        drop(handle.clone().enter().unwrap());
        assert!(handle.is_cancelled());
    }

    #[test]
    fn a_connections_handle_cancels_the_running_call_alone() {
        let handle = CancelHandle::for_connection();
        let other = handle.clone();
        other.cancel();
        assert!(!handle.is_cancelled(), "no call was running");
        let running = handle.enter().unwrap();
        other.cancel();
        assert!(handle.is_cancelled());
        drop(running);
        assert!(!handle.is_cancelled(), "the next call is not cancelled");
    }
}
