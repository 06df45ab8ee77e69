//! What a pool knows of one address from its own calls: whether to go there, and how long an answer takes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::topology::{Admission, Breaker, Latency};

/// So many calls in a row that ran out of time, with no sign of life between, open the breaker.
const SILENCES: u32 = 3;

/// The breaker of an address, with the rule of what counts against it, and its latency.
///
/// | what a call met | what it means |
/// | --- | --- |
/// | no connection, a connection that broke, nonsense | one failure; the breaker opens at the third within its window |
/// | its deadline passed, be it while connecting or while a statement ran | one silence; the breaker opens at the third in a row |
/// | a connection that was made, an answer, an error that the server answered | a sign of life: silences and failures are forgotten, the breaker closes |
///
/// A statement that takes longer than its caller waits says nothing against an instance that answers others, and
/// its connection is abandoned, so that the next call there has to connect, which an instance that is well does.
/// One that hangs gives no sign between. While the breaker is open, whatever fails keeps it so.
#[derive(Debug, Default)]
pub(crate) struct Health {
    breaker: Breaker,
    latency: Latency,
    silences: AtomicU32,
}

impl Health {
    /// Learns that no connection could be had, or that one broke; true if that opened the breaker.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        self.breaker.failed(now)
    }

    /// Learns that a call ran out of time; true if that opened the breaker.
    pub(crate) fn timed_out(&self, now: Instant) -> bool {
        let silences = self
            .silences
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if self.breaker.is_open() {
            return self.breaker.failed(now);
        }
        silences >= SILENCES && self.breaker.open(now)
    }

    /// Learns of a sign of life.
    pub(crate) fn heard(&self) {
        self.silences.store(0, Ordering::Relaxed);
        self.breaker.succeeded();
    }

    /// Learns how long an answer took.
    pub(crate) fn answered(&self, time: Duration, now: Instant) {
        self.latency.record(time, now);
    }

    /// The topology vouches for the instance anew: what was learned up to now counts no more.
    pub(crate) fn reset(&self) {
        self.silences.store(0, Ordering::Relaxed);
        self.breaker.reset();
        self.latency.forget();
    }

    /// Whether a sign of life would change anything.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.silences.load(Ordering::Relaxed) > 0 || self.breaker.is_open()
    }

    /// Whether calls are kept away.
    pub(crate) fn is_left_out(&self) -> bool {
        self.breaker.is_open()
    }

    /// Asks whether a call may go, and takes the probe if it is to be one.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        self.breaker.admit(now) != Admission::Refuse
    }

    /// The moving average of its answers, where they are measured.
    pub(crate) fn latency(&self, now: Instant) -> Option<Duration> {
        self.latency.value(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn slow_calls_with_a_sign_of_life_between_leave_nobody_out() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..10 {
            assert!(!health.timed_out(now) && !health.timed_out(now));
            assert!(health.is_doubtful() && !health.is_left_out());
            health.heard();
            assert!(!health.is_doubtful());
        }
    }

    #[test]
    fn three_silences_in_a_row_do_however_far_apart() {
        let (health, now) = (Health::default(), Instant::now());
        assert!(!health.timed_out(now));
        assert!(!health.timed_out(now + 30_000 * MS));
        assert!(health.timed_out(now + 60_000 * MS));
        assert!(health.is_left_out() && !health.admits(now + 60_500 * MS));
        // The probe runs out of time as well.
        let later = now + 61_000 * MS;
        assert!(health.admits(later) && !health.admits(later));
        assert!(!health.timed_out(later));
        assert!(!health.admits(later + 500 * MS) && health.admits(later + 1000 * MS));
        health.heard();
        assert!(!health.is_left_out() && !health.is_doubtful());
    }

    #[test]
    fn refusals_are_counted_by_themselves() {
        let (health, now) = (Health::default(), Instant::now());
        assert!(!health.failed(now) && !health.timed_out(now) && !health.failed(now));
        assert!(!health.timed_out(now));
        assert!(health.failed(now));
        health.reset();
        assert!(!health.is_doubtful());
        assert!(!health.timed_out(now) && !health.timed_out(now));
    }
}
