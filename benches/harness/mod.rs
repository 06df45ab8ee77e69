//! What the benchmarks share that set the driver beside a peer.

mod arguments;
pub(crate) mod driver;
pub(crate) mod items;
pub(crate) mod measure;

pub(crate) use arguments::Arguments;
use measure::{Contender, TURNS, Table, interleave};

/// How many scans a turn has.
const SCANS: usize = 4;

/// A part of a benchmark: the name by which it is asked for, and what measures it.
pub(crate) type Part<B> = (&'static str, fn(&B, &mut Table));

impl Arguments {
    /// Runs the parts that are asked for, and prints what came of them.
    pub(crate) fn run<B>(&self, bench: &B, parts: &[Part<B>]) {
        let mut table = Table::new();
        for (name, part) in parts {
            if self.wants(name) {
                part(bench, &mut table);
            }
        }
        print!("{table}");
    }

    /// Runs all contenders in turn; `operations` are those of a full round.
    pub(crate) fn interleave(&self, contenders: &mut [Contender<'_>], operations: usize) {
        interleave(contenders, self.rounds(), self.operations(operations));
    }

    /// The same for scans of a table with so many rows, several for each turn.
    ///
    /// On a connection that was idle for a while the kernel acknowledges each packet at once, and each wakes the
    /// reader; on one that was not, it lets them gather. So a first scan costs several times as much as those right
    /// behind it, and with one scan for each turn a contender would be set beside another's first one half of the time.
    pub(crate) fn interleave_scans(&self, contenders: &mut [Contender<'_>], rows: i64) {
        let rounds = self.rounds().div_ceil(2);
        interleave(contenders, rounds, TURNS * SCANS * rows as usize);
    }
}
