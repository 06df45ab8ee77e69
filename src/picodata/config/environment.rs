//! The environment, as a function, so that a test can have its own.

use std::path::PathBuf;

/// The variables that stand for a setting, as libpq names them.
pub(super) const VARIABLES: [(&str, &str); 17] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("dbname", "PGDATABASE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("application_name", "PGAPPNAME"),
    ("options", "PGOPTIONS"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
];

/// Where variables come from.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Environment { variable }
    }

    /// The value of a variable; an empty one counts as none.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A file in the user's home directory.
    pub(super) fn home_file(&self, name: &str) -> Option<PathBuf> {
        self.get("HOME").map(|home| PathBuf::from(home).join(name))
    }
}

/// The name of the user that the process runs as, from the system's user database.
pub(super) fn system_user() -> Option<String> {
    whoami::username().ok().filter(|user| !user.is_empty())
}
