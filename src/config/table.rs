//! The table of options: each with how it is read and written, by the database that it belongs to.

mod dqlite;
mod picodata;
mod shared;
mod value;

use crate::config::{Config, Database};
use crate::error::Error;

/// An option of the connection string.
pub(super) struct OptionEntry {
    pub(super) name: &'static str,
    /// Reads a value into its place.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Fault>,
    /// Writes the value as it would be read; `None` where there is none, or none to be shown.
    pub(super) get: fn(&Config) -> Option<String>,
}

const fn entry(
    name: &'static str,
    set: fn(&mut Config, &str) -> Result<(), Fault>,
    get: fn(&Config) -> Option<String>,
) -> OptionEntry {
    OptionEntry { name, set, get }
}

/// Why a value cannot be taken.
pub(super) enum Fault {
    /// What it should have been: "the option … is …, which is not …".
    Wanted(&'static str),
    /// The whole of the error, the value being one that is not repeated.
    Whole(Error),
}

/// The options of a database.
pub(super) fn options(database: Database) -> impl Iterator<Item = &'static OptionEntry> {
    let own = match database {
        Database::Dqlite => dqlite::OPTIONS,
        Database::Picodata => picodata::OPTIONS,
    };
    shared::OPTIONS.iter().chain(own)
}

/// The options of all databases.
pub(super) fn all() -> impl Iterator<Item = &'static OptionEntry> {
    options(Database::Dqlite).chain(picodata::OPTIONS)
}
