//! The verdict: every write that was made, held against the rows that are in the table.

use std::collections::BTreeMap;
use std::fmt;

use quorate::Outcome;

use super::copies::Table;
use super::writers::{Fate, Write};

/// What became of the writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    acknowledged: Tally,
    unknown: Tally,
    rejected: Tally,
    not_sent: Tally,
    /// Rows beyond the first of a write.
    duplicates: usize,
    /// Rows that nobody has written.
    strange: usize,
    /// How often the writers were told what.
    failures: BTreeMap<String, usize>,
}

/// The writes of one outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    made: usize,
    found: usize,
}

impl Report {
    /// Compares the writes with the numbers in the table, given with how often each is there.
    pub(super) fn new(writes: &[Write], table: &Table) -> Report {
        let mut report = Report {
            acknowledged: Tally::default(),
            unknown: Tally::default(),
            rejected: Tally::default(),
            not_sent: Tally::default(),
            duplicates: table.values().map(|rows| rows - 1).sum(),
            strange: 0,
            failures: BTreeMap::new(),
        };
        for write in writes {
            let tally = match write.fate {
                Fate::Acknowledged => &mut report.acknowledged,
                Fate::Failed(Outcome::Unknown, _) => &mut report.unknown,
                Fate::Failed(Outcome::Rejected, _) => &mut report.rejected,
                Fate::Failed(Outcome::NotSent, _) => &mut report.not_sent,
            };
            tally.made += 1;
            tally.found += usize::from(table.contains_key(&write.id));
            if let Fate::Failed(outcome, kind) = write.fate {
                let text = format!("{} ({})", kind.as_str(), outcome.as_str());
                *report.failures.entry(text).or_default() += 1;
            }
        }
        report.strange = table.len()
            - report
                .tallies()
                .map(|(_, tally, _)| tally.found)
                .sum::<usize>();
        report
    }

    fn tallies(&self) -> impl Iterator<Item = (&'static str, Tally, &'static str)> {
        [
            (
                "acknowledged",
                self.acknowledged,
                "each has to be there, once",
            ),
            ("unknown", self.unknown, "each may be there or not"),
            ("rejected", self.rejected, "none may be there"),
            ("not sent", self.not_sent, "none may be there"),
        ]
        .into_iter()
    }

    fn found(&self) -> usize {
        self.acknowledged.found + self.unknown.found + self.impossible()
    }

    fn lost(&self) -> usize {
        self.acknowledged.made - self.acknowledged.found
    }

    /// Rows of writes that were not made, by what the driver has said.
    fn impossible(&self) -> usize {
        self.rejected.found + self.not_sent.found + self.strange
    }

    /// What is wrong, or `None` if every write became what the driver had said.
    pub(super) fn fault(&self) -> Option<String> {
        let (lost, duplicates, impossible) = (self.lost(), self.duplicates, self.impossible());
        (lost + duplicates + impossible > 0).then(|| {
            format!(
                "the table is not what the driver has reported: {lost} acknowledged writes are lost, \
                 {duplicates} rows are duplicates, {impossible} should not be there"
            )
        })
    }

    /// The last line.
    pub(super) fn summary(&self) -> String {
        format!(
            "acknowledged={} unknown={} found={} lost={} duplicates={}",
            self.acknowledged.made,
            self.unknown.made,
            self.found(),
            self.lost(),
            self.duplicates
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>8}{:>8}", "what became of", "writes", "found")?;
        for (name, tally, rule) in self.tallies() {
            writeln!(
                f,
                "  {name:<22}{:>8}{:>8}   {rule}",
                tally.made, tally.found
            )?;
        }
        for (failure, count) in &self.failures {
            writeln!(f, "  {count} writes failed with: {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::ErrorKind;

    const UNKNOWN: Fate = Fate::Failed(Outcome::Unknown, ErrorKind::Disconnected);
    const REJECTED: Fate = Fate::Failed(Outcome::Rejected, ErrorKind::Busy);
    const NOT_SENT: Fate = Fate::Failed(Outcome::NotSent, ErrorKind::NoLeader);

    fn report(fates: &[Fate], rows: &[i64]) -> Report {
        let writes: Vec<Write> = (1..)
            .zip(fates)
            .map(|(id, &fate)| Write { id, fate })
            .collect();
        let mut table = Table::new();
        for row in rows {
            *table.entry(*row).or_default() += 1;
        }
        Report::new(&writes, &table)
    }

    #[test]
    fn what_the_driver_said_and_the_table_are_compared() {
        let fates = [Fate::Acknowledged, UNKNOWN, REJECTED, NOT_SENT];
        let cases: &[(&[i64], &str, bool)] = &[
            (&[1], "found=1 lost=0 duplicates=0", true),
            (&[1, 2], "found=2 lost=0 duplicates=0", true),
            (&[], "found=0 lost=1 duplicates=0", false),
            (&[2], "found=1 lost=1 duplicates=0", false),
            (&[1, 1], "found=1 lost=0 duplicates=1", false),
            (&[1, 2, 2, 2], "found=2 lost=0 duplicates=2", false),
            (&[1, 3], "found=2 lost=0 duplicates=0", false),
            (&[1, 4], "found=2 lost=0 duplicates=0", false),
            (&[1, 5], "found=2 lost=0 duplicates=0", false),
        ];
        for (rows, summary, good) in cases {
            let report = report(&fates, rows);
            assert_eq!(
                report.summary(),
                format!("acknowledged=1 unknown=1 {summary}"),
                "{rows:?}"
            );
            assert_eq!(report.fault().is_none(), *good, "{rows:?}");
        }
    }

    #[test]
    fn the_table_names_every_outcome_and_what_the_driver_said() {
        let text = report(&[Fate::Acknowledged, UNKNOWN, UNKNOWN], &[1, 3]).to_string();
        for part in [
            "acknowledged",
            "unknown",
            "rejected",
            "not sent",
            "2 writes failed with: disconnected",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
