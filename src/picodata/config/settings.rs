//! Settings by name, each with where it came from.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The connection string.
    Text,
    /// A section of a service file.
    Service(PathBuf),
    /// A variable of the environment.
    Variable(&'static str),
}

impl Origin {
    /// Names the origin in an error, unless it is the connection string itself.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self {
            Origin::Text => error,
            Origin::Service(path) => {
                error.context(format_args!("the service file {}", path.display()))
            }
            Origin::Variable(name) => error.context(name),
        }
    }
}

/// One setting. It has no `Debug`, since its value may be a password.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Settings in the order in which they were given; a name is there once.
#[derive(Default)]
pub(super) struct Settings {
    all: Vec<Setting>,
}

impl Settings {
    /// Adds a setting in the place of an earlier one of this name.
    pub(super) fn set(&mut self, name: &str, value: String, origin: Origin) {
        self.all.retain(|setting| setting.name != name);
        self.all.push(Setting {
            name: name.to_owned(),
            value,
            origin,
        });
    }

    /// Adds a setting unless there is one of this name.
    pub(super) fn fill(&mut self, name: &str, value: String, origin: Origin) {
        if self.get(name).is_none() {
            self.set(name, value, origin);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.all.iter().find(|setting| setting.name == name)
    }

    /// The value of a setting that is not empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(|setting| setting.value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.all.iter()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.all.iter().map(|setting| &setting.name))
            .finish()
    }
}
