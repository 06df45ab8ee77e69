//! How long an instance takes to answer: a moving average that forgets.

use std::time::{Duration, Instant};

use crate::lock::Mutex;

/// The moving average of an instance's answers, weighted by time: what was measured [`MEMORY`](Latency::MEMORY)
/// ago counts 1/e of what is measured now, however many measurements lie between.
///
/// While nothing is measured the average sinks at the same rate. So an instance that was slow once, and is
/// avoided for it, looks better with each second that it is not asked, until it is asked again: that is how it
/// is found to be quick again, at the price of one slow call in a while if it is not. One that takes a
/// thousand times as long as the others is asked again after seven times the memory.
///
/// Any thread may use it; the lock inside is held for some nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    average: Mutex<Option<Average>>,
}

#[derive(Debug, Clone, Copy)]
struct Average {
    seconds: f64,
    at: Instant,
}

impl Average {
    /// The part of the average that is left at `now`.
    fn remains(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        (-age / Latency::MEMORY.as_secs_f64()).exp()
    }
}

impl Latency {
    /// The time in which a measurement loses all but 1/e of its weight.
    pub(crate) const MEMORY: Duration = Duration::from_secs(2);

    /// Takes in that an answer took `sample`, measured at `now`.
    pub(crate) fn record(&self, sample: Duration, now: Instant) {
        let sample = sample.as_secs_f64();
        let mut average = self.average.lock();
        *average = Some(match *average {
            None => Average {
                seconds: sample,
                at: now,
            },
            Some(old) => {
                let remains = old.remains(now);
                Average {
                    seconds: old.seconds * remains + sample * (1.0 - remains),
                    at: old.at.max(now),
                }
            }
        });
    }

    /// The average as it is at `now`; `None` if nothing was ever measured.
    pub(crate) fn value(&self, now: Instant) -> Option<Duration> {
        let average = (*self.average.lock())?;
        Duration::try_from_secs_f64(average.seconds * average.remains(now)).ok()
    }

    /// Forgets all measurements, as for an instance that was started anew.
    pub(crate) fn forget(&self) {
        *self.average.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn close(value: Option<Duration>, expected: Duration) {
        let value = value.unwrap().as_secs_f64();
        let expected = expected.as_secs_f64();
        assert!(
            (value - expected).abs() <= expected * 0.02,
            "{value} {expected}"
        );
    }

    #[test]
    fn the_first_measurement_is_the_average() {
        let (latency, now) = (Latency::default(), Instant::now());
        assert_eq!(latency.value(now), None);
        latency.record(5 * MS, now);
        close(latency.value(now), 5 * MS);
        latency.forget();
        assert_eq!(latency.value(now), None);
    }

    #[test]
    fn a_change_is_followed_at_the_pace_of_the_memory() {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.record(MS, start);
        let mut now = start;
        // 63 % of the way after one memory, whether it was measured 20 or 2000 times.
        for _ in 0..200 {
            now += Latency::MEMORY / 200;
            latency.record(101 * MS, now);
        }
        close(latency.value(now), 64 * MS);
    }

    #[test]
    fn an_instance_that_is_not_asked_looks_better_with_time() {
        let (latency, now) = (Latency::default(), Instant::now());
        latency.record(Duration::from_secs(1), now);
        close(
            latency.value(now + Latency::MEMORY),
            Duration::from_millis(368),
        );
        assert!(latency.value(now + 8 * Latency::MEMORY) < Some(MS));
        assert!(latency.value(now + Duration::from_secs(86_400 * 365)) < Some(MS));
    }

    #[test]
    fn a_clock_that_was_read_earlier_does_no_harm() {
        let (latency, now) = (Latency::default(), Instant::now());
        latency.record(5 * MS, now + Duration::from_secs(1));
        latency.record(500 * MS, now);
        close(latency.value(now), 5 * MS);
    }
}
