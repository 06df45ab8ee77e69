//! How late the machine wakes sleeping threads: what of a call's delay is not the call's.

use std::fs;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the threads sleep at a time.
const NAP: Duration = Duration::from_millis(2);
/// Delays below this are not kept.
const NOTABLE: Duration = Duration::from_millis(1);

/// A thread for each processor that does nothing but sleep there and note when it was woken late.
pub struct Sleeper {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(Instant, Instant)>>>,
}

/// When each sleeping thread should have been awake, and when it was.
pub struct Delays(Vec<Vec<(Instant, Instant)>>);

impl Sleeper {
    pub fn start() -> Sleeper {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().map_or(1, |count| count.get());
        let threads = (0..processors)
            .map(|processor| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    stay_on(processor);
                    let mut delays = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let due = Instant::now() + NAP;
                        thread::sleep(NAP);
                        let woken = Instant::now();
                        if woken - due >= NOTABLE {
                            delays.push((due, woken));
                        }
                    }
                    delays
                })
            })
            .collect();
        Sleeper { stop, threads }
    }

    pub fn stop(self) -> Delays {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        Delays(threads.map(|thread| thread.join().unwrap()).collect())
    }
}

impl Delays {
    /// For how long, between two moments, a thread was due and did not run, on the worst processor.
    pub fn within(&self, from: Instant, to: Instant) -> Duration {
        let sum = |delays: &Vec<(Instant, Instant)>| {
            delays
                .iter()
                .map(|(due, woken)| (*woken).min(to).saturating_duration_since((*due).max(from)))
                .sum()
        };
        self.0.iter().map(sum).max().unwrap_or_default()
    }
}

/// For how long the calling thread has been ready to run and had no processor, since it was made; nothing where the
/// kernel does not tell (Linux, Documentation/scheduler/sched-stats.rst: the second number, in nanoseconds).
pub fn waited_for_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text
        .split(' ')
        .nth(1)
        .and_then(|number| number.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}

/// Keeps the calling thread on one processor; where that is refused, it stays wherever it is.
#[allow(unsafe_code)]
fn stay_on(processor: usize) {
    // SAFETY: the set is plain memory that both calls are given with its true size, and the call has no
    // other effect than on the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}
