//! Which one of several instances a call goes to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::topology::Instance;

/// An instance that a call may go to, and how it does at the moment.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// How many connections of this pool to it are in use.
    pub in_use: u32,
    /// How many connections of this pool to it there may be.
    pub max_conns: u32,
    /// How long it takes to answer: a moving average that sinks while it is not asked; `None` if it never was.
    pub latency: Option<Duration>,
}

impl<'a> Candidate<'a> {
    /// A candidate of which no call is known yet.
    pub(crate) fn new(instance: &'a Instance) -> Self {
        Candidate {
            instance,
            in_use: 0,
            max_conns: u32::MAX,
            latency: None,
        }
    }
}

/// Chooses the instance that a call goes to.
///
/// A program may have its own: see [`Config::set_balance`](crate::Config::set_balance). It is asked for each
/// connection that is taken out of the pool, by many threads at once, on the caller's own thread and with no
/// lock of the pool held. It should answer in microseconds and must not call the pool.
///
/// ```
/// use quorate::{BalanceStrategy, Candidate};
///
/// /// Prefers the raft leader.
/// struct LeaderFirst;
///
/// impl BalanceStrategy for LeaderFirst {
///     fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
///         let leader = candidates.iter().position(|candidate| candidate.instance.is_leader);
///         leader.unwrap_or(0)
///     }
/// }
/// ```
pub trait BalanceStrategy: Send + Sync {
    /// The index of the candidate to go to.
    ///
    /// There is at least one candidate. All are online and admitted by the role, tier and failure domain of the
    /// configuration; instances that failed lately are left out where there are others. The order is that of
    /// the uuids, the same from call to call. An index beyond the end counts as 0.
    ///
    /// If no connection to the chosen instance can be had, [`choose_again`](BalanceStrategy::choose_again) is asked
    /// with the others.
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize;

    /// The same for a call that could not go where it was sent first: the index of one of the candidates that are
    /// left. It is [`choose`](BalanceStrategy::choose) unless it is written otherwise.
    fn choose_again(&self, candidates: &[Candidate<'_>]) -> usize {
        self.choose(candidates)
    }

    /// The same for a strategy that looks at nothing but the number of candidates: the index of one of so many,
    /// at least one. `None`, which is what it answers unless it is written otherwise, has
    /// [`choose`](BalanceStrategy::choose) asked, for which the candidates are gone through first.
    fn choose_by_count(&self, _count: usize) -> Option<usize> {
        None
    }
}

/// The candidate that `strategy` chooses, or `None` of none; with `is_again` the call has been elsewhere before.
pub(crate) fn choose<'c, 'a>(
    strategy: &dyn BalanceStrategy,
    candidates: &'c [Candidate<'a>],
    is_again: bool,
) -> Option<&'c Candidate<'a>> {
    match candidates {
        [] => None,
        [only] => Some(only),
        [first, ..] => {
            let index = match is_again {
                true => strategy.choose_again(candidates),
                false => strategy.choose(candidates),
            };
            candidates.get(index).or(Some(first))
        }
    }
}

/// Each instance in turn. The default.
///
/// A call that could not go where its turn was goes to one of the others at random, and takes no second turn: with
/// three instances of which one is busy, the next turn would be the same neighbour's each time.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicUsize,
}

impl RoundRobin {
    /// Begins at an instance at random, so that many processes started at once do not all begin with the same.
    pub fn new() -> Self {
        RoundRobin {
            next: AtomicUsize::new(fastrand::usize(..=usize::MAX / 2)),
        }
    }

    fn next(&self, count: usize) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(count).unwrap_or(0)
    }
}

impl BalanceStrategy for RoundRobin {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        self.next(candidates.len())
    }

    fn choose_by_count(&self, count: usize) -> Option<usize> {
        Some(self.next(count))
    }

    fn choose_again(&self, candidates: &[Candidate<'_>]) -> usize {
        RandomChoice.choose(candidates)
    }
}

/// An instance at random.
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomChoice;

impl BalanceStrategy for RandomChoice {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        fastrand::usize(..candidates.len().max(1))
    }

    fn choose_by_count(&self, count: usize) -> Option<usize> {
        Some(fastrand::usize(..count.max(1)))
    }
}

/// The instance with the fewest connections of this pool in use; at random among equals.
///
/// All instances are compared, not two at random: "the power of two choices" is for a chooser whose numbers are
/// old or dear to get, so that all choosers do not rush to the same place. Here the numbers are this pool's own
/// and exact, and the list of candidates was gone through already to make it.
#[derive(Debug, Default, Clone, Copy)]
pub struct LeastBusy;

impl BalanceStrategy for LeastBusy {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        least(candidates, |a, b| a.in_use < b.in_use)
    }
}

/// The instance that is likely to answer first: the moving average of its answers times the calls that would
/// then be under way there, so that not all threads rush to one instance before its average shows it. An
/// instance that was never asked comes first, and one that was slow is asked again after a while, because its
/// average sinks while it is not asked.
#[derive(Debug, Default, Clone, Copy)]
pub struct LowestLatency;

impl BalanceStrategy for LowestLatency {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        let cost = |candidate: &Candidate<'_>| {
            let latency = candidate.latency.unwrap_or_default().as_secs_f64();
            latency * (f64::from(candidate.in_use) + 1.0)
        };
        least(candidates, |a, b| {
            let (cost_a, cost_b) = (cost(a), cost(b));
            cost_a < cost_b || (cost_a == cost_b && a.in_use < b.in_use)
        })
    }
}

/// The index of the least candidate. The search begins at random, so that equals share the calls.
fn least(
    candidates: &[Candidate<'_>],
    is_less: impl Fn(&Candidate<'_>, &Candidate<'_>) -> bool,
) -> usize {
    let start = fastrand::usize(..candidates.len().max(1));
    let (before, from) = candidates.split_at(start.min(candidates.len()));
    let mut best: Option<(usize, &Candidate<'_>)> = None;
    for (offset, candidate) in from.iter().chain(before).enumerate() {
        if best.is_none_or(|(_, kept)| is_less(candidate, kept)) {
            best = Some((offset, candidate));
        }
    }
    best.map_or(0, |(offset, _)| {
        (start + offset).checked_rem(candidates.len()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::topology::Latency;
    use crate::topology::testing::instance;

    const MS: Duration = Duration::from_millis(1);

    fn instances(count: u64) -> Vec<Instance> {
        (0..count).map(instance).collect()
    }

    fn count(strategy: &dyn BalanceStrategy, candidates: &[Candidate<'_>], n: usize) -> Vec<usize> {
        let mut counts = vec![0; candidates.len()];
        for _ in 0..n {
            counts[strategy.choose(candidates)] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_takes_each_in_turn() {
        let instances = instances(3);
        let candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
        let strategy = RoundRobin::new();
        assert_eq!(count(&strategy, &candidates, 300), [100; 3]);
        let first = strategy.choose(&candidates);
        assert_eq!(strategy.choose(&candidates), (first + 1) % 3);
        // The counter wraps without a panic.
        strategy.next.store(usize::MAX, Ordering::Relaxed);
        strategy.choose(&candidates);
        strategy.choose(&candidates);
    }

    #[test]
    fn round_robin_spreads_what_it_is_asked_again_for() {
        fastrand::seed(4);
        for (count, missing) in [(3, &[1][..]), (4, &[0]), (7, &[0, 5]), (7, &[1, 2, 4])] {
            let instances = instances(count);
            let strategy = RoundRobin::new();
            let mut counts = vec![0_u32; instances.len()];
            let calls = 1000 * (instances.len() - missing.len());
            for _ in 0..calls {
                let mut left: Vec<_> = instances.iter().map(Candidate::new).collect();
                let mut is_again = false;
                let chosen = loop {
                    let instance = choose(&strategy, &left, is_again).unwrap().instance;
                    let place = instances.iter().position(|one| one == instance).unwrap();
                    if !missing.contains(&place) {
                        break place;
                    }
                    left.retain(|one| one.instance != instance);
                    is_again = true;
                };
                counts[chosen] += 1;
            }
            for (place, count) in counts.iter().enumerate() {
                let expected = if missing.contains(&place) { 0 } else { 1000 };
                assert!(count.abs_diff(expected) < 100, "{counts:?}");
            }
        }
    }

    #[test]
    fn round_robin_is_even_over_threads() {
        let instances = instances(4);
        let strategy = RoundRobin::new();
        let counts: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
                    for _ in 0..100 {
                        counts[strategy.choose(&candidates)].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let counts: Vec<_> = counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [200; 4]);
    }

    #[test]
    fn random_takes_each_about_as_often() {
        fastrand::seed(1);
        let instances = instances(4);
        let candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
        for taken in count(&RandomChoice, &candidates, 4000) {
            assert!((850..1150).contains(&taken), "{taken}");
        }
    }

    #[test]
    fn least_busy_takes_the_least_busy_and_shares_among_equals() {
        fastrand::seed(2);
        let instances = instances(4);
        let mut candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
        for (candidate, in_use) in candidates.iter_mut().zip([3, 1, 2, 1]) {
            candidate.in_use = in_use;
        }
        let counts = count(&LeastBusy, &candidates, 1000);
        assert_eq!((counts[0], counts[2]), (0, 0));
        assert!(counts[1] > 400 && counts[3] > 400, "{counts:?}");
    }

    #[test]
    fn lowest_latency_weighs_the_calls_under_way() {
        fastrand::seed(3);
        let instances = instances(3);
        // Latency in ms and calls under way.
        type State = (Option<u32>, u32);
        // The three instances; who is chosen.
        let table: [([State; 3], &[usize]); 6] = [
            ([(Some(5), 0), (Some(1), 0), (Some(9), 0)], &[1]),
            // 5 × 1 against 1 × 6
            ([(Some(5), 0), (Some(1), 5), (Some(9), 0)], &[0]),
            ([(Some(5), 0), (Some(1), 0), (None, 0)], &[2]),
            ([(Some(5), 0), (None, 2), (None, 1)], &[2]),
            ([(Some(1), 0), (Some(1), 0), (Some(2), 0)], &[0, 1]),
            ([(None, 0), (None, 0), (None, 0)], &[0, 1, 2]),
        ];
        for (states, expected) in table {
            let mut candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
            for (candidate, (latency, in_use)) in candidates.iter_mut().zip(states) {
                candidate.latency = latency.map(|latency| latency * MS);
                candidate.in_use = in_use;
            }
            let counts = count(&LowestLatency, &candidates, 200);
            let chosen: Vec<_> = (0..3).filter(|index| counts[*index] > 0).collect();
            assert_eq!(chosen, expected, "{states:?}");
        }
    }

    #[test]
    fn an_instance_that_was_slow_once_gets_its_calls_back() {
        let instances = instances(3);
        let latencies: Vec<_> = (0..3).map(|_| Latency::default()).collect();
        let mut now = Instant::now();
        let mut first_back = None;
        let mut slow = 0;
        for round in 0..40_000_u32 {
            now += MS;
            let candidates: Vec<_> = instances
                .iter()
                .zip(&latencies)
                .map(|(instance, latency)| Candidate {
                    latency: latency.value(now),
                    ..Candidate::new(instance)
                })
                .collect();
            let chosen = LowestLatency.choose(&candidates);
            // Instance 0 is slow for the first ten seconds, a thousand times slower than the others.
            let took = if chosen == 0 && round < 10_000 {
                slow += 1;
                1000 * MS
            } else {
                MS
            };
            if chosen == 0 && round >= 10_000 {
                first_back.get_or_insert(round);
            }
            latencies[chosen].record(took, now);
        }
        // It was hardly asked while it was slow, and was asked again within half a minute.
        assert!(slow <= 3, "{slow}");
        assert!(first_back.is_some_and(|at| at < 30_000), "{first_back:?}");
    }

    #[test]
    fn an_index_beyond_the_end_counts_as_the_first() {
        struct Beyond;
        impl BalanceStrategy for Beyond {
            fn choose(&self, _: &[Candidate<'_>]) -> usize {
                usize::MAX
            }
        }
        let instances = instances(2);
        let candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
        assert_eq!(
            choose(&Beyond, &candidates, false).unwrap().instance,
            &instances[0]
        );
        assert!(choose(&Beyond, &[], true).is_none());
    }

    #[test]
    fn no_strategy_panics_on_no_candidate() {
        let strategies: [&dyn BalanceStrategy; 4] = [
            &RoundRobin::new(),
            &RandomChoice,
            &LeastBusy,
            &LowestLatency,
        ];
        for strategy in strategies {
            assert_eq!(strategy.choose(&[]), 0);
        }
    }
}
