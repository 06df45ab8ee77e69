//! Single flight: of many threads that need the same thing, one fetches it and the others wait.

use std::sync::Arc;

use crate::error::Result;
use crate::lock::Mutex;
use crate::net::wait::{Call, Waker};

/// What one thread fetches for all.
#[derive(Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flying: bool,
    waiting: Vec<Arc<Waker>>,
}

/// What a thread is to do.
pub(crate) enum Boarded<'f, T> {
    /// Nothing: it is there.
    Ready(T),
    /// Fetch it, and drop this when it is there or cannot be had.
    Pilot(Landing<'f>),
}

/// Lets those who wait go on when it is dropped.
pub(crate) struct Landing<'f> {
    flight: &'f Flight,
}

impl Flight {
    /// Waits until `ready` answers, or until nobody is fetching it and this thread has to.
    ///
    /// # Errors
    ///
    /// The call ends first.
    pub(crate) fn board<T>(
        &self,
        ready: impl Fn() -> Option<T>,
        call: &Call<'_>,
    ) -> Result<Boarded<'_, T>> {
        if let Some(value) = ready() {
            return Ok(Boarded::Ready(value));
        }
        loop {
            let waker;
            {
                let mut state = self.state.lock();
                if let Some(value) = ready() {
                    return Ok(Boarded::Ready(value));
                }
                if !state.flying {
                    state.flying = true;
                    return Ok(Boarded::Pilot(Landing { flight: self }));
                }
                waker = Waker::current()?;
                state.waiting.push(Arc::clone(&waker));
            }
            let waited = call.wait(&waker);
            let mut state = self.state.lock();
            state.waiting.retain(|other| !Arc::ptr_eq(other, &waker));
            drop(state);
            waited?;
        }
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock();
        state.flying = false;
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[test]
    fn one_thread_fetches_for_all() {
        let flight = Flight::default();
        let value = OnceLock::new();
        let fetched = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let call = Call::until(Deadline::after(Duration::from_secs(10)));
                    match flight.board(|| value.get().copied(), &call).unwrap() {
                        Boarded::Ready(got) => assert_eq!(got, 7),
                        Boarded::Pilot(_landing) => {
                            fetched.fetch_add(1, Ordering::Relaxed);
                            value.set(7).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(fetched.into_inner(), 1);
    }

    #[test]
    fn after_a_failure_another_thread_takes_over() {
        let flight = Flight::default();
        let call = Call::until(Deadline::after(Duration::from_secs(10)));
        for _ in 0..2 {
            let boarded = flight.board(|| None::<u8>, &call).unwrap();
            assert!(matches!(boarded, Boarded::Pilot(_)));
        }
    }
}
