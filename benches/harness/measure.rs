//! Measuring contenders against each other, and printing what came of it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What one run of a contender cost for each of its operations, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// User and system time of this process, with all its threads. The server is another process.
    cpu: f64,
    wall: f64,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    Cpu,
    /// From the beginning of an operation to its end.
    Time,
    Rate,
}

/// A goal: the most CPU, or the least rate, as a multiple of another contender's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// One way to do the work. `run` does the given number of operations.
pub(crate) struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) + 'a>,
    costs: Vec<Cost>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut(usize) + 'a) -> Self {
        Contender {
            name,
            run: Box::new(run),
            costs: Vec::new(),
        }
    }
}

/// Into how many turns the operations of a round are divided.
pub(crate) const TURNS: usize = 3;

/// Runs all contenders in turn, `rounds` times and each time [`TURNS`] times over, after one turn that is not
/// counted. `operations` are those of a round, a multiple of `TURNS`.
///
/// The machine's clock and caches change in seconds, so what is compared is what was run side by side: each
/// turn has one ratio, and the median of the ratios is what counts. The order changes from turn to turn.
pub(crate) fn interleave(contenders: &mut [Contender<'_>], rounds: usize, operations: usize) {
    let count = contenders.len();
    let operations = operations / TURNS;
    for round in 0..=rounds * TURNS {
        for turn in 0..count {
            let contender = &mut contenders[(round + turn) % count];
            let (cpu, wall) = (cpu_time(), Instant::now());
            (contender.run)(operations);
            let per_operation =
                |time: Duration| time.as_secs_f64() * 1e6 / f64::from(operations as u32);
            let cost = Cost {
                cpu: per_operation(cpu_time() - cpu),
                wall: per_operation(wall.elapsed()),
            };
            if round > 0 {
                contender.costs.push(cost);
            }
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The middle of some numbers, and the range in which the middle of all such numbers lies with 95 %.
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

fn spread(numbers: impl Iterator<Item = f64>) -> Spread {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    // How many of n numbers are below the true median is binomial: n / 2 with a deviation of √n / 2.
    let count = numbers.len();
    let reach = (1.96 * (count as f64).sqrt() / 2.0).ceil() as usize;
    Spread {
        median: numbers[count / 2],
        low: numbers[(count / 2).saturating_sub(reach)],
        high: numbers[(count / 2 + reach).min(count - 1)],
    }
}

/// A table of results.
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new() -> Self {
        Table {
            text: format!(
                "{:<46}{:>11}{:>11}{:>8}  {:<15}goal\n",
                "", "CPU µs", "wall µs", "ratio", "(95 %)"
            ),
        }
    }

    /// Adds a contender that others are compared with.
    pub(crate) fn base(&mut self, contender: &Contender<'_>) {
        self.costs(contender);
        self.text.push('\n');
    }

    /// Adds a contender beside the one that it is compared with.
    pub(crate) fn beside(
        &mut self,
        base: &Contender<'_>,
        contender: &Contender<'_>,
        measure: Measure,
        goal: Goal,
    ) {
        self.costs(contender);
        let pairs = base.costs.iter().zip(&contender.costs);
        let ratios = spread(pairs.map(|(base, cost)| match measure {
            Measure::Cpu => cost.cpu / base.cpu,
            Measure::Time => cost.wall / base.wall,
            Measure::Rate => base.wall / cost.wall,
        }));
        let range = format!("({:.2}–{:.2})", ratios.low, ratios.high);
        let _ = write!(self.text, "{:>8.2}  {range:<15}", ratios.median);
        let what = match measure {
            Measure::Cpu => "CPU",
            Measure::Time => "time",
            Measure::Rate => "rate",
        };
        let (word, limit, met) = match goal {
            Goal::AtMost(limit) => ("at most", limit, ratios.median <= limit),
            Goal::AtLeast(limit) => ("at least", limit, ratios.median >= limit),
            Goal::None => {
                self.text.push('\n');
                return;
            }
        };
        let verdict = if met { "met" } else { "NOT MET" };
        let _ = writeln!(self.text, "{what} {word} {limit}: {verdict}");
    }

    fn costs(&mut self, contender: &Contender<'_>) {
        let cpu = spread(contender.costs.iter().map(|cost| cost.cpu)).median;
        let wall = spread(contender.costs.iter().map(|cost| cost.wall)).median;
        let _ = write!(self.text, "{:<46}{cpu:>11.3}{wall:>11.3}", contender.name);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
