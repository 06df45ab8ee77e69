//! What the benchmarks share that set the driver beside a peer.

mod arguments;
pub(crate) mod driver;
pub(crate) mod items;
pub(crate) mod measure;

pub(crate) use arguments::Arguments;
use measure::{Contender, TURNS, Table, interleave};

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

    /// The same for scans of a table with so many rows, one scan for each turn.
    pub(crate) fn interleave_scans(&self, contenders: &mut [Contender<'_>], rows: i64) {
        interleave(contenders, self.rounds(), TURNS * rows as usize);
    }
}
