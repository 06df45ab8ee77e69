//! Deadlines: one monotonic point in time that bounds every phase of a call.

use std::time::{Duration, Instant};

use crate::clock::Moment;

/// A timeout of at least this is counted from the kernel's last tick: half a percent of it at most.
const LONG: Duration = Duration::from_secs(2);

/// The moment by which a call has to be over, or none.
///
/// A deadline covers all phases of the call it is given to: waiting for a connection, looking up the
/// leader, dialling, TLS, writing, every read. It is monotonic: a change of the system's clock does not
/// move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Moment);

impl Default for Deadline {
    fn default() -> Self {
        Deadline::NONE
    }
}

impl Deadline {
    /// No deadline: the call may take as long as it takes.
    pub const NONE: Deadline = Deadline(Moment::NEVER);

    /// The deadline `duration` from now. A duration too long to be represented is no deadline.
    pub fn after(duration: Duration) -> Self {
        Deadline::at(Moment::now(), duration)
    }

    /// The deadline `duration` after `start`.
    #[inline]
    pub(crate) fn at(start: Moment, duration: Duration) -> Self {
        Deadline(start.after(duration))
    }

    /// The deadline of a call that begins now and may take `timeout`, and the moment at which it begins.
    #[inline]
    pub(crate) fn begin(timeout: Option<Duration>) -> (Self, Moment) {
        let now = match timeout {
            Some(timeout) if timeout < LONG => Moment::now(),
            _ => Moment::recent(),
        };
        let deadline = timeout.map_or(Deadline::NONE, |timeout| Deadline::at(now, timeout));
        (deadline, now)
    }

    /// The deadline of a part of a call that begins at `now`, to within a tick of the kernel, and may take `timeout`.
    pub(crate) fn begin_at(now: Moment, timeout: Option<Duration>) -> Self {
        match timeout {
            Some(timeout) if timeout < LONG => Deadline::after(timeout),
            Some(timeout) => Deadline::at(now, timeout),
            None => Deadline::NONE,
        }
    }

    /// Whether `time` or more is left, to within a tick of the kernel (10 ms).
    #[inline]
    pub(crate) fn leaves(self, time: Duration) -> bool {
        self.0 >= Moment::recent().after(time)
    }

    /// Whether it has passed at `now`.
    #[inline]
    pub(crate) fn has_passed_at(self, now: Moment) -> bool {
        self != Deadline::NONE && now >= self.0
    }

    /// The moment itself; `None` where there is no deadline.
    pub fn instant(self) -> Option<Instant> {
        self.0.instant()
    }

    /// The time that is left: zero once the deadline has passed, `None` where there is no deadline.
    pub fn remaining(self) -> Option<Duration> {
        (self != Deadline::NONE).then(|| self.0.since(Moment::now()))
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self) -> bool {
        self != Deadline::NONE && self.has_passed_at(Moment::now())
    }

    /// The earlier of two deadlines.
    #[inline]
    pub fn min(self, other: Deadline) -> Deadline {
        Deadline(self.0.min(other.0))
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Deadline(instant.into())
    }
}

impl From<Duration> for Deadline {
    fn from(duration: Duration) -> Self {
        Deadline::after(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_deadline_wins_and_none_never_does() {
        let now = Instant::now();
        let early = Deadline::from(now);
        let late = Deadline::from(now + Duration::from_secs(1));
        assert_eq!(early.min(late), early);
        assert_eq!(late.min(early), early);
        assert_eq!(Deadline::NONE.min(late), late);
        assert_eq!(late.min(Deadline::NONE), late);
        assert_eq!(Deadline::NONE.min(Deadline::NONE), Deadline::NONE);
    }

    #[test]
    fn a_passed_deadline_has_nothing_left() {
        let deadline = Deadline::from(Instant::now());
        assert!(deadline.has_passed());
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
        assert!(!Deadline::NONE.has_passed());
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NONE);
    }
}
