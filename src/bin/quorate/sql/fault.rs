//! Why a statement or a command of the shell failed, and how that is written.

use std::error::Error as _;
use std::fmt::{self, Write};
use std::io;

use quorate::{Error, Outcome};

use super::output::text::escape;

/// Why a statement or a command failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The library's answer.
    Library(Error),
    /// A command was wrong, or a file could not be written.
    Command(String),
    /// Standard output takes no more.
    Output(io::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Library(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Output(error)
    }
}

impl Fault {
    /// Whether whoever reads the output has gone away, who wants to hear nothing of it.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Fault::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Fault {
    /// The message, and with an error of the library, what is known besides, each on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Library(error) => write_error(error, f),
            Fault::Command(text) => write!(f, "{}", escape(text)),
            Fault::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

fn write_error(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let message = match error.message() {
        "" => error.kind().as_str(),
        message => message,
    };
    write!(f, "{}", escape(message))?;
    write!(f, "\n  kind: {}", error.kind().as_str())?;
    write!(f, "\n  outcome: {}", outcome(error.outcome()))?;
    let mut part = |name: &str, text: &str| write!(f, "\n  {name}: {}", lines(text));
    if let Some(code) = error.code() {
        part("code", &code.to_string())?;
    }
    if let Some(sqlstate) = error.sqlstate() {
        part("sqlstate", sqlstate)?;
    }
    if let Some(node) = error.node() {
        part("node", node)?;
    }
    if let Some(detail) = error.detail() {
        part("detail", detail)?;
    }
    if let Some(hint) = error.hint() {
        part("hint", hint)?;
    }
    for cause in error.causes() {
        part("cause", &format!("{}: {}", cause.node, cause.error))?;
    }
    // What the causes or the message have said already is not said again.
    let source = error.source().map(ToString::to_string);
    if let Some(source) = source.filter(|text| !message.contains(text.as_str())) {
        part("source", &source)?;
    }
    Ok(())
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent => "not sent",
        Outcome::Rejected => "rejected: the server did not apply it",
        Outcome::Unknown => "unknown: it may have been applied",
    }
}

/// A text of several lines, the later ones set off.
fn lines(text: &str) -> String {
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        let gap = if index == 0 { "" } else { "\n    " };
        let _ = write!(out, "{gap}{}", escape(line));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::ErrorKind;

    #[test]
    fn all_that_is_known_of_an_error_is_written() {
        let error = Error::new(ErrorKind::Constraint, "duplicate \u{1b}[31mkey")
            .with_outcome(Outcome::Rejected)
            .with_sqlstate("23505")
            .with_code(7)
            .with_node("127.0.0.1:9001")
            .with_detail("one\ntwo")
            .with_hint("another");
        assert_eq!(
            Fault::Library(error).to_string(),
            "duplicate \\x1b[31mkey\n  kind: constraint failed\n  \
             outcome: rejected: the server did not apply it\n  code: 7\n  sqlstate: 23505\n  \
             node: 127.0.0.1:9001\n  detail: one\n    two\n  hint: another"
        );
    }
}
