//! What the subcommands share in reading their arguments.

use std::fmt::Display;
use std::str::FromStr;

use lexopt::{Arg, Parser};

/// Why a command ends before its work is done.
pub(crate) enum Stop {
    /// A text that was asked for, such as the help: exit status 0.
    Text(String),
    /// The arguments are wrong: exit status 2.
    Usage(String),
    /// The work failed: exit status 1.
    Failure(quorate::Error),
    /// The work failed, and all that is to be said of it has been said: exit status 1.
    Reported,
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Self {
        Stop::Usage(error.to_string())
    }
}

impl From<quorate::Error> for Stop {
    fn from(error: quorate::Error) -> Self {
        Stop::Failure(error)
    }
}

/// The value of `option`, or a message that names both.
pub(crate) fn value<T>(parser: &mut Parser, option: &str) -> Result<T, Stop>
where
    T: FromStr,
    T::Err: Display,
{
    let value = parser
        .value()
        .map_err(|_| Stop::Usage(format!("{option} needs a value")))?;
    let text = value
        .to_str()
        .ok_or_else(|| Stop::Usage(format!("bad value {value:?} for {option}: not UTF-8")))?;
    text.parse()
        .map_err(|error| Stop::Usage(format!("bad value {text:?} for {option}: {error}")))
}

/// The message for an argument that no option matched.
pub(crate) fn unexpected(argument: &Arg<'_>, known: &[&str]) -> Stop {
    let given = match argument {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => {
            return Stop::Usage(format!("unexpected argument {value:?}"));
        }
    };
    Stop::Usage(format!(
        "unknown option {given}{}",
        suggestion(&given, known)
    ))
}

/// `; did you mean …?` with the nearest of `known`, or nothing where none is near.
pub(crate) fn suggestion(given: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3 + 1)
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"))
}

/// The message for a missing option.
pub(crate) fn missing(option: &str) -> Stop {
    Stop::Usage(format!("{option} is missing; see --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let known = ["--address", "--dir", "--bind"];
        assert_eq!(suggestion("--adress", &known), "; did you mean --address?");
        assert_eq!(suggestion("--frobnicate", &known), "");
    }
}
