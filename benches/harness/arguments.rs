//! What a benchmark is asked for on its command line.

/// `--quick` for a rough look, and the names of the parts to be run; all without one.
pub(crate) struct Arguments {
    quick: bool,
    parts: Vec<String>,
}

impl Arguments {
    pub(crate) fn read() -> Arguments {
        let mut arguments = Arguments {
            quick: false,
            parts: Vec::new(),
        };
        for argument in std::env::args().skip(1) {
            match &*argument {
                "--quick" => arguments.quick = true,
                // What cargo itself adds.
                "--bench" => {}
                _ => arguments.parts.push(argument),
            }
        }
        arguments
    }

    /// Whether a part is to be run.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 3 } else { 15 }
    }

    /// How many operations a run has, of the number that a full one has.
    pub(crate) fn operations(&self, full: usize) -> usize {
        if self.quick { full / 5 } else { full }
    }
}
