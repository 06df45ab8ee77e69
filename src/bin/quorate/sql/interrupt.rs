//! Ctrl-C, which cancels what runs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use quorate::CancelHandle;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// The pause between two cancellations of one piece of work: the first may come between two of its calls.
const PAUSE: Duration = Duration::from_millis(50);

/// Cancels the work of the moment when SIGINT comes. Until [`install`](Interrupt::install), SIGINT ends the process.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    was_pressed: AtomicBool,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// Tells one piece of work from the next.
    number: u64,
    handle: Option<CancelHandle>,
}

impl Interrupt {
    /// Answers SIGINT from now on.
    pub(crate) fn install(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT])?;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name("interrupt".into())
            .spawn(move || {
                for _ in signals.forever() {
                    shared.interrupt();
                }
            })?;
        Ok(())
    }

    /// Does `work`, whose calls `handle` cancels.
    pub(crate) fn during<R>(&self, handle: CancelHandle, work: impl FnOnce() -> R) -> R {
        {
            let mut current = self.shared.work();
            current.number += 1;
            current.handle = Some(handle);
            self.shared.was_pressed.store(false, Ordering::SeqCst);
        }
        let result = work();
        self.shared.work().handle = None;
        result
    }

    /// Whether SIGINT has come since the work of the moment began.
    pub(crate) fn was_pressed(&self) -> bool {
        self.shared.was_pressed.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels until the work that runs at this moment has ended.
    fn interrupt(&self) {
        let number = {
            let work = self.work();
            self.was_pressed.store(true, Ordering::SeqCst);
            work.number
        };
        loop {
            match &*self.work() {
                Work {
                    number: current,
                    handle: Some(handle),
                } if *current == number => handle.cancel(),
                _ => return,
            }
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_the_moment_is_cancelled_and_the_next_one_is_not() {
        let interrupt = Interrupt::default();
        let shared = Arc::clone(&interrupt.shared);
        let (first, second) = (CancelHandle::new(), CancelHandle::new());
        let thread = interrupt.during(first.clone(), || {
            let thread = thread::spawn(move || shared.interrupt());
            while !first.is_cancelled() {
                thread::yield_now();
            }
            assert!(interrupt.was_pressed());
            thread
        });
        interrupt.during(second.clone(), || {
            assert!(!interrupt.was_pressed());
            thread.join().unwrap();
        });
        assert!(!second.is_cancelled());
        interrupt.shared.interrupt();
    }
}
