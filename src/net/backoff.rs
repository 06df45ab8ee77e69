//! How long to wait before trying again.

use std::time::Duration;

use fastrand::Rng;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wait::{Call, Waker};

/// Capped exponential delays with jitter, for one caller's series of attempts.
///
/// The delay before the n-th repetition is drawn evenly from between `(1 - jitter) × d` and `d`, where `d` is
/// `factor × 2^(n-1)`, `cap` at most. Jitter only shortens, so a delay is never longer than the cap. By default
/// it is half: clients that lost the same leader at the same time do not come back at the same time.
///
/// [`pause`](Backoff::pause) sleeps for the next delay within the bounds of a call.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    factor: Duration,
    cap: Duration,
    jitter: f64,
    retry_limit: Option<u32>,
    retries: u32,
    random: Rng,
}

impl Backoff {
    #[cfg(test)]
    /// The first delay unless set: 100 ms, as in go-dqlite.
    pub(crate) const DEFAULT_FACTOR: Duration = Duration::from_millis(100);

    #[cfg(test)]
    /// The longest delay unless set: 1 s, as in go-dqlite.
    pub(crate) const DEFAULT_CAP: Duration = Duration::from_secs(1);

    /// The jitter unless set.
    pub(crate) const DEFAULT_JITTER: f64 = 0.5;

    /// Delays that begin at `factor`, double, and stay at `cap`. A cap below the factor holds from the first
    /// delay. A factor of zero means no delay at all; it is for tests and with a retry limit.
    #[cold]
    pub(crate) fn new(factor: Duration, cap: Duration) -> Self {
        Backoff {
            factor,
            cap,
            jitter: Self::DEFAULT_JITTER,
            retry_limit: None,
            retries: 0,
            random: Rng::new(),
        }
    }

    #[cfg(test)]
    /// Sets the part of a delay that is left to chance: 0 for none, 1 for all of it. A value outside is taken
    /// as the nearer end, and one that is not a number as the default.
    pub(crate) fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_nan() {
            Self::DEFAULT_JITTER
        } else {
            jitter.clamp(0.0, 1.0)
        };
        self
    }

    /// Sets how many delays there are before [`next_delay`](Backoff::next_delay) answers `None`; unless it is
    /// set, there is no limit. 0 means that nothing is repeated.
    pub(crate) fn with_retry_limit(mut self, limit: u32) -> Self {
        self.retry_limit = Some(limit);
        self
    }

    #[cfg(test)]
    /// Makes the delays repeatable: the same seed gives the same series.
    pub(crate) fn with_seed(mut self, seed: u64) -> Self {
        self.random = Rng::with_seed(seed);
        self
    }

    /// The delay before the next repetition; `None` when the retry limit is reached.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        if self.retry_limit.is_some_and(|limit| self.retries >= limit) {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.retries).unwrap_or(u32::MAX);
        let longest = self.factor.saturating_mul(doubled).min(self.cap);
        self.retries = self.retries.saturating_add(1);
        let part = 1.0 - self.jitter * self.random.f64();
        // A float of seconds cannot hold the longest durations; those stay whole.
        let delay = Duration::try_from_secs_f64(longest.as_secs_f64() * part).unwrap_or(longest);
        Some(delay.min(longest))
    }

    /// Sleeps for the next delay.
    ///
    /// # Errors
    ///
    /// The call ends first, or no repetition is left.
    pub(crate) fn pause(&mut self, call: &Call<'_>) -> Result<()> {
        let Some(delay) = self.next_delay() else {
            return Err(Error::new(ErrorKind::Timeout, "no repetition is left"));
        };
        let until = Deadline::after(delay);
        let waker = Waker::current()?;
        loop {
            match call.at_most(until).wait(&waker) {
                Err(error) if error.kind() == ErrorKind::Timeout => return call.check(),
                Err(error) => return Err(error),
                // Somebody woke this thread for another reason.
                Ok(()) => {}
            }
        }
    }

    #[cfg(test)]
    /// How many delays were given since the beginning or the last [`reset`](Backoff::reset).
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    #[cfg(test)]
    /// Begins again at the factor, with the whole retry limit: an attempt has succeeded.
    pub(crate) fn reset(&mut self) {
        self.retries = 0;
    }
}

#[cfg(test)]
impl Default for Backoff {
    /// 100 ms doubling to 1 s, half of it left to chance, no retry limit.
    fn default() -> Self {
        Backoff::new(Self::DEFAULT_FACTOR, Self::DEFAULT_CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn series(backoff: &mut Backoff, count: usize) -> Vec<Duration> {
        (0..count).map_while(|_| backoff.next_delay()).collect()
    }

    #[test]
    fn delays_double_to_the_cap() {
        let mut backoff = Backoff::default().with_jitter(0.0);
        let expected = [100, 200, 400, 800, 1000, 1000].map(ms);
        assert_eq!(series(&mut backoff, 6), expected);
        assert_eq!(backoff.retries(), 6);
        backoff.reset();
        assert_eq!(series(&mut backoff, 2), expected[..2]);
    }

    #[test]
    fn jitter_shortens_within_its_bounds() {
        for jitter in [0.0, 0.1, 0.5, 1.0] {
            let (mut lowest, mut highest) = (f64::MAX, f64::MIN);
            for seed in 0..500 {
                let mut backoff = Backoff::default().with_jitter(jitter).with_seed(seed);
                for whole in [100, 200, 400, 800, 1000, 1000].map(ms) {
                    let delay = backoff.next_delay().unwrap();
                    assert!(delay <= whole, "{delay:?} > {whole:?}");
                    let part = delay.as_secs_f64() / whole.as_secs_f64();
                    assert!(part >= 1.0 - jitter - 1e-6, "{part} with jitter {jitter}");
                    (lowest, highest) = (lowest.min(part), highest.max(part));
                }
            }
            assert!(lowest < 1.0 - 0.98 * jitter + 1e-6, "{lowest}");
            assert!(highest > 1.0 - 0.02 * jitter - 1e-6, "{highest}");
        }
    }

    #[test]
    fn no_setting_overflows_or_passes_the_cap() {
        let durations = [
            Duration::ZERO,
            Duration::from_nanos(1),
            ms(100),
            // as a float of seconds it is rounded up
            Duration::new(u64::MAX / 2, 999_999_999),
            Duration::MAX,
        ];
        for factor in durations {
            for cap in durations {
                for jitter in [0.0, 0.5, 1.0, -1.0, 2.0, f64::INFINITY, f64::NAN] {
                    let mut backoff = Backoff::new(factor, cap).with_jitter(jitter).with_seed(1);
                    for delay in series(&mut backoff, 100) {
                        assert!(delay <= cap);
                    }
                    backoff.retries = u32::MAX;
                    assert!(backoff.next_delay().unwrap() <= cap);
                    assert_eq!(backoff.retries(), u32::MAX);
                }
            }
        }
        let mut unjittered = Backoff::new(ms(1), Duration::MAX).with_jitter(0.0);
        let delays = series(&mut unjittered, 64);
        assert!(delays.is_sorted());
        assert_eq!(delays[31], ms(1 << 31));
    }

    #[test]
    fn the_retry_limit_ends_the_series_until_the_reset() {
        let mut backoff = Backoff::default().with_retry_limit(3);
        assert_eq!(series(&mut backoff, 10).len(), 3);
        assert_eq!(backoff.next_delay(), None);
        backoff.reset();
        assert_eq!(series(&mut backoff, 10).len(), 3);
        assert_eq!(Backoff::default().with_retry_limit(0).next_delay(), None);
    }

    #[test]
    fn a_seed_repeats_its_series_and_others_differ() {
        let of = |seed| series(&mut Backoff::default().with_seed(seed), 8);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }
}
