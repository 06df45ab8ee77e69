//! Whether an instance that failed is tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::lock::Mutex;

/// When a breaker opens and when it lets a call through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerConfig {
    /// So many failures within the window open it; at least 1.
    pub(crate) failures: u32,
    /// How long a failure counts.
    pub(crate) window: Duration,
    /// How long it stays open before a call is let through to try the instance, and how long that call has to
    /// come back before another one is.
    pub(crate) pause: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            failures: 3,
            window: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// What a breaker says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may go.
    Pass,
    /// It may go and is the only one: what becomes of it decides.
    Probe,
    /// It should go elsewhere.
    Refuse,
}

/// The breaker of one instance: it keeps calls from an instance to which no connection can be had.
///
/// | state | a call | a success | a failure | the topology's word |
/// | --- | --- | --- | --- | --- |
/// | closed | passes | stays closed, failures forgotten | opens at the n-th within the window | stays closed, failures forgotten |
/// | open | is refused until the pause is over, then the next is the probe | closes | the pause begins again | closes |
/// | half open | is refused until the probe comes back or its pause is over | closes | opens | closes |
///
/// Successes and failures are those of making a connection or of losing one; what a server answers to a
/// statement, errors included, is a success. The caller passes the time in, so that a test can have its own.
/// Any thread may use it; the lock inside is held for some nanoseconds.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The times of the last failures, at most as many as open it.
    Closed(VecDeque<Instant>),
    Open {
        since: Instant,
    },
    HalfOpen {
        since: Instant,
    },
}

impl State {
    fn closed() -> Self {
        State::Closed(VecDeque::new())
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker::new(BreakerConfig::default())
    }
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Breaker {
            config,
            state: Mutex::new(State::closed()),
        }
    }

    /// Asks whether a call may go, and takes the probe if it is to be one.
    pub(crate) fn admit(&self, now: Instant) -> Admission {
        let mut state = self.state.lock();
        match *state {
            State::Closed(_) => Admission::Pass,
            State::Open { since } | State::HalfOpen { since } => {
                if now.saturating_duration_since(since) < self.config.pause {
                    return Admission::Refuse;
                }
                *state = State::HalfOpen { since: now };
                Admission::Probe
            }
        }
    }

    /// Learns that the instance answered.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(failures) => failures.clear(),
            _ => *state = State::closed(),
        }
    }

    /// Learns that the instance failed; true if that opened the breaker.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let opened = match &mut *state {
            State::Closed(failures) => {
                while failures.front().is_some_and(|first| {
                    now.saturating_duration_since(*first) >= self.config.window
                }) {
                    failures.pop_front();
                }
                failures.push_back(now);
                if failures.len() < self.config.failures.max(1) as usize {
                    return false;
                }
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        };
        *state = State::Open { since: now };
        opened
    }

    /// Opens it, whatever was counted; true if it was closed.
    pub(crate) fn open(&self, now: Instant) -> bool {
        let opened = State::Open { since: now };
        matches!(
            std::mem::replace(&mut *self.state.lock(), opened),
            State::Closed(_)
        )
    }

    /// The topology vouches for the instance: what happened up to now counts no more.
    pub(crate) fn reset(&self) {
        *self.state.lock() = State::closed();
    }

    /// Whether calls are kept away.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.state.lock(), State::Closed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Asks at this second; the answer.
        Admit(u64, Admission),
        /// A failure at this second; whether it opened the breaker.
        Fail(u64, bool),
        Succeed,
        Reset,
    }

    use Admission::{Pass, Probe, Refuse};
    use Step::{Admit, Fail, Reset, Succeed};

    #[test]
    fn every_transition() {
        // Three failures within 10 s open it; the pause is 5 s.
        let table: &[(&str, &[Step])] = &[
            (
                "closed lets all through",
                &[Admit(0, Pass), Admit(0, Pass), Succeed, Admit(1, Pass)],
            ),
            (
                "the third failure opens",
                &[
                    Fail(0, false),
                    Fail(1, false),
                    Admit(1, Pass),
                    Fail(2, true),
                    Admit(2, Refuse),
                ],
            ),
            (
                "a failure counts for the window alone",
                &[
                    Fail(0, false),
                    Fail(9, false),
                    Fail(10, false),
                    Admit(10, Pass),
                    Fail(18, true),
                ],
            ),
            (
                "a success forgets the failures",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Succeed,
                    Fail(1, false),
                    Fail(1, false),
                    Fail(1, true),
                ],
            ),
            (
                "after the pause one call is let through",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Admit(4, Refuse),
                    Admit(5, Probe),
                    Admit(5, Refuse),
                    Admit(9, Refuse),
                ],
            ),
            (
                "a probe that succeeds closes",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Admit(5, Probe),
                    Succeed,
                    Admit(5, Pass),
                    Fail(6, false),
                    Fail(6, false),
                    Fail(6, true),
                ],
            ),
            (
                "a probe that fails opens for another pause",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Admit(5, Probe),
                    Fail(6, false),
                    Admit(10, Refuse),
                    Admit(11, Probe),
                ],
            ),
            (
                "a probe that never comes back does not block for good",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Admit(5, Probe),
                    Admit(9, Refuse),
                    Admit(10, Probe),
                ],
            ),
            (
                "a late failure of an old connection begins the pause again",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Fail(3, false),
                    Admit(5, Refuse),
                    Admit(8, Probe),
                ],
            ),
            (
                "a connection that still works closes",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Succeed,
                    Admit(1, Pass),
                ],
            ),
            (
                "the topology's word closes, from open and from half open",
                &[
                    Fail(0, false),
                    Fail(0, false),
                    Fail(0, true),
                    Reset,
                    Admit(0, Pass),
                    Fail(1, false),
                    Fail(1, false),
                    Fail(1, true),
                    Admit(6, Probe),
                    Reset,
                    Admit(6, Pass),
                ],
            ),
        ];
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for (name, steps) in table {
            let breaker = Breaker::new(BreakerConfig {
                failures: 3,
                window: Duration::from_secs(10),
                pause: Duration::from_secs(5),
            });
            for (index, step) in steps.iter().enumerate() {
                match *step {
                    Admit(second, expected) => {
                        assert_eq!(breaker.admit(at(second)), expected, "{name}: step {index}");
                        assert_eq!(breaker.is_open(), expected != Pass, "{name}: step {index}");
                    }
                    Fail(second, opened) => {
                        assert_eq!(breaker.failed(at(second)), opened, "{name}: step {index}");
                    }
                    Succeed => breaker.succeeded(),
                    Reset => breaker.reset(),
                }
            }
        }
    }

    #[test]
    fn of_many_threads_one_gets_the_probe() {
        let breaker = Breaker::new(BreakerConfig {
            failures: 0,
            ..BreakerConfig::default()
        });
        let start = Instant::now();
        assert!(breaker.failed(start), "a limit of 0 is one of 1");
        let later = start + Duration::from_secs(2);
        let probes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| breaker.admit(later) == Probe))
                .collect();
            let taken = threads.into_iter().map(|thread| thread.join().unwrap());
            taken.filter(|probe| *probe).count()
        });
        assert_eq!(probes, 1);
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let breaker = Breaker::new(BreakerConfig {
            failures: u32::MAX,
            ..BreakerConfig::default()
        });
        let start = Instant::now();
        for second in 0..1000 {
            breaker.failed(start + Duration::from_secs(second));
        }
        let state = breaker.state.lock();
        assert!(matches!(&*state, State::Closed(failures) if failures.len() <= 10));
    }
}
