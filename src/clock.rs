//! A clock that is cheap to read and right to within a tick of the kernel.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A moment of the monotonic clock, counted in nanoseconds: what is compared and added to several times in each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// One moment on both clocks.
static ORIGIN: LazyLock<(Instant, coarsetime::Instant)> =
    LazyLock::new(|| (Instant::now(), ticks()));

/// The number of [`ORIGIN`], in nanoseconds: 146 years lie before it, and three times as many behind.
const BASE: u64 = 1 << 62;

impl Moment {
    /// Later than any other moment.
    pub(crate) const NEVER: Moment = Moment(u64::MAX);

    /// The present moment, to the nanosecond.
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    /// About what [`now`](Moment::now) answers: up to 10 ms before or behind it, one tick of the kernel.
    ///
    /// Reading the exact clock asks the processor for its cycle counter, which took 30 to 90 ns on a virtual machine; a
    /// point query with three such readings costs 4 µs. The kernel's last tick is a load from memory.
    #[inline(never)]
    pub(crate) fn recent() -> Self {
        let (_, coarse) = *ORIGIN;
        Moment(BASE.saturating_add(ticks().duration_since(coarse).as_nanos()))
    }

    /// The moment `duration` later; never where that is too long to be counted.
    #[inline]
    pub(crate) fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }

    /// The time since `earlier`; zero where that is the later one.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The same moment as the standard library has it; `None` for never.
    pub(crate) fn instant(self) -> Option<Instant> {
        if self == Moment::NEVER {
            return None;
        }
        let (exact, _) = *ORIGIN;
        match self.0.checked_sub(BASE) {
            Some(nanos) => exact.checked_add(Duration::from_nanos(nanos)),
            None => exact.checked_sub(Duration::from_nanos(BASE - self.0)),
        }
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        let (exact, _) = *ORIGIN;
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(match instant.checked_duration_since(exact) {
            Some(since) => BASE.saturating_add(nanos(since)),
            None => BASE.saturating_sub(nanos(exact.duration_since(instant))),
        })
    }
}

#[inline(never)]
fn ticks() -> coarsetime::Instant {
    coarsetime::Instant::now_without_cache_update()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_a_tick_of_the_exact_clock() {
        let tick = Duration::from_millis(10);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            let before = Moment::now();
            let recent = Moment::recent();
            let after = Moment::now();
            assert!(
                recent.after(tick) >= before,
                "{:?} late",
                before.since(recent)
            );
            assert!(
                recent <= after.after(tick),
                "{:?} early",
                recent.since(after)
            );
        }
    }

    #[test]
    fn a_moment_is_an_instant() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        for instant in [now, now + hour, now - hour] {
            assert_eq!(Moment::from(instant).instant(), Some(instant));
        }
        let moment = Moment::from(now);
        assert_eq!(moment.after(hour), Moment::from(now + hour));
        assert_eq!(moment.after(hour).since(moment), hour);
        assert_eq!(moment.since(moment.after(hour)), Duration::ZERO);
        assert_eq!(moment.after(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment::NEVER.instant(), None);
    }
}
