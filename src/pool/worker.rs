//! The worker: the one thread of a pool, which reads the topology and keeps the least number of
//! connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use crate::cancel::CancelHandle;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use crate::net::wait::{Call, Waker};
use crate::pool::core::Core;

/// How long one reading of the topology may take.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon a reading that failed is repeated.
const REFRESH_RETRY: Duration = Duration::from_secs(1);
/// The shortest time between two readings, however many errors ask for one.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// How often it is seen whether an endpoint that is left out may be tried, while there are any.
const PROBE_PERIOD: Duration = Duration::from_millis(250);

/// Asks the worker to read the topology at once.
#[derive(Default)]
pub(crate) struct Signal {
    asked: AtomicBool,
    waker: Mutex<Option<Arc<Waker>>>,
}

impl Signal {
    /// Never blocks for longer than it takes another thread to do the same.
    pub(crate) fn poke(&self) {
        if !self.asked.swap(true, Ordering::AcqRel)
            && let Some(waker) = &*self.waker.lock()
        {
            waker.wake();
        }
    }

    fn take(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }
}

/// Tells those who wait that the worker has ended.
struct End(Arc<Done>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Release);
        for watcher in &*self.0.watchers.lock() {
            watcher.wake();
        }
    }
}

/// The running worker thread.
pub(crate) struct Worker {
    thread: Mutex<Option<JoinHandle<()>>>,
    id: ThreadId,
    done: Arc<Done>,
}

#[derive(Default)]
struct Done {
    done: AtomicBool,
    watchers: Mutex<Vec<Arc<Waker>>>,
}

impl Worker {
    /// Starts the worker. It ends when the pool closes.
    pub(crate) fn start(core: Arc<Core>) -> Result<Self> {
        let done = Arc::new(Done::default());
        // Here, where it can be said that there is no file descriptor for it.
        let waker = Waker::for_thread()?;
        let thread = std::thread::Builder::new()
            .name("quorate-worker".into())
            .spawn({
                let done = Arc::clone(&done);
                move || {
                    Arc::clone(&waker).adopt();
                    // Dropped last, also where a function of the user's panics.
                    let _end = End(done);
                    while catch_unwind(AssertUnwindSafe(|| run(&core, core.closing(), &waker)))
                        .is_err()
                    {
                        core.counters.refreshed(false);
                        // The panic hook has told of it; the pool goes on.
                        let stop = core.closing();
                        let Ok(_running) = stop.enter() else { break };
                        let pause = Call {
                            deadline: Deadline::after(REFRESH_RETRY),
                            cancel: Some(stop),
                            closing: None,
                        };
                        while pause.wait(&waker).is_ok() {}
                        if stop.is_cancelled() {
                            break;
                        }
                    }
                    *core.signal.waker.lock() = None;
                    drop(core);
                }
            })
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "the pool's thread cannot be started")
                    .with_source(error)
            })?;
        Ok(Worker {
            id: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
            done,
        })
    }

    /// Waits for the end of the worker of a pool that was closed, until `deadline`; false if it has not ended
    /// by then, which takes a dial function or a node store of the user's that does not return.
    ///
    /// Called on the worker itself, by a function of the user's that closes or drops the pool, it waits for
    /// nothing: the worker ends when that function has returned.
    pub(crate) fn wait(&self, deadline: Deadline) -> bool {
        if std::thread::current().id() == self.id {
            return false;
        }
        let Ok(waker) = Waker::current() else {
            return false;
        };
        self.done.watchers.lock().push(Arc::clone(&waker));
        let call = Call::until(deadline);
        let mut done = false;
        loop {
            done = done || self.done.done.load(Ordering::Acquire);
            if done || call.wait(&waker).is_err() {
                break;
            }
        }
        let mut watchers = self.done.watchers.lock();
        watchers.retain(|other| !Arc::ptr_eq(other, &waker));
        drop(watchers);
        if !done {
            return false;
        }
        // It has nothing left to do but to end; another one who waits does so behind this lock.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take() {
            // A panic of the worker has been reported by the panic hook.
            let _ = thread.join();
        }
        true
    }
}

fn run(core: &Core, stop: &CancelHandle, waker: &Arc<Waker>) {
    *core.signal.waker.lock() = Some(Arc::clone(waker));
    let Ok(_running) = stop.enter() else { return };
    let mut next_refresh = Deadline::after(Duration::ZERO);
    let mut next_check = Deadline::after(Duration::ZERO);
    let mut next_probe = Deadline::NONE;
    let mut failing = false;
    loop {
        if stop.is_cancelled() {
            return;
        }
        let asked = core.signal.take();
        let call = Call {
            deadline: Deadline::after(REFRESH_TIMEOUT),
            cancel: Some(stop),
            closing: None,
        };
        if asked || next_refresh.has_passed() {
            let refreshed = core.refresh(&call);
            if stop.is_cancelled() {
                return;
            }
            core.counters.refreshed(refreshed.is_ok());
            match &refreshed {
                Ok(()) if failing => {
                    core.config
                        .logger
                        .info(format_args!("the topology can be read again"));
                }
                Err(error) if !failing => {
                    core.config.logger.warn(format_args!(
                        "the topology cannot be read, the last one is kept: {error}"
                    ));
                }
                _ => {}
            }
            failing = refreshed.is_err();
            let interval = core.config.refresh_interval;
            next_refresh = Deadline::after(if failing {
                interval.min(REFRESH_RETRY)
            } else {
                interval
            });
            next_check = Deadline::after(Duration::ZERO);
        }
        if next_check.has_passed() {
            if let Err(error) = core.tidy(&call)
                && !stop.is_cancelled()
            {
                core.config.logger.debug(format_args!(
                    "the least number of connections cannot be kept: {error}"
                ));
            }
            next_check = Deadline::after(core.config.pool.health_check_period);
        }
        let is_due = next_probe.has_passed();
        if is_due {
            core.probe(&call);
        }
        if !core.backend.leaves_out() {
            next_probe = Deadline::NONE;
        } else if is_due || next_probe == Deadline::NONE {
            // Not anew in each turn: the topology may be read more often.
            next_probe = Deadline::after(PROBE_PERIOD);
        }
        if asked {
            // Many errors at once ask for one reading.
            let call = call.at_most(Deadline::after(REFRESH_PAUSE));
            while call.wait(waker).is_ok() {}
        }
        let call = Call {
            deadline: next_refresh.min(next_check).min(next_probe),
            cancel: Some(stop),
            closing: None,
        };
        while !core.signal.asked.load(Ordering::Acquire) {
            if call.wait(waker).is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_once() {
        let signal = Signal::default();
        signal.poke();
        signal.poke();
        assert!(signal.take());
        assert!(!signal.take());
    }
}
