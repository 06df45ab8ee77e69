//! What a session is opened with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::logging::Logger;
use crate::net::dial::Dialer;
use crate::picodata::encryption::Encryption;
use crate::picodata::sharding::StatementKeys;
use crate::sql::Placeholders;

/// Which server is at the other end. They speak the same protocol and differ in what they make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// Picodata: no transactions, one statement in a text, no way to cancel.
    Picodata,
    /// PostgreSQL.
    Postgres,
}

/// The options of a session, the same for every endpoint of a pool.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    /// What the configuration says of the server; nothing on the wire tells the two apart reliably.
    pub(crate) server: Server,
    /// Connects sockets. It has no TLS of its own: PostgreSQL's begins with a message in plain text.
    pub(crate) dialer: Dialer,
    /// Whether connections are encrypted; for a session, whether its own is.
    pub(crate) encryption: Encryption,
    /// How long dialling, TLS and authentication may take together.
    pub(crate) connect_timeout: Duration,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    /// The user's name where there is none.
    pub(crate) database: Option<String>,
    pub(crate) application_name: Option<String>,
    /// PostgreSQL: command-line options; Picodata: `key=value,key=value`.
    pub(crate) options: Option<String>,
    /// Further parameters of the start-up message, such as Picodata's `pico_stmt_invalidation`.
    pub(crate) startup: Vec<(String, String)>,
    /// Sends the password in clear text over a connection that is not encrypted, if the server asks for it.
    pub(crate) allow_cleartext: bool,
    /// Sends BEGIN, COMMIT and ROLLBACK to Picodata, which answers them and does nothing.
    pub(crate) allow_transactions: bool,
    /// How parameters are written in a text.
    pub(crate) placeholders: Placeholders,
    /// How many prepared statements a session keeps.
    pub(crate) statement_cache: usize,
    /// Where the session puts what the server says of the distribution keys of statements.
    pub(crate) statement_keys: Option<Arc<StatementKeys>>,
    /// Where the messages of the session go.
    pub(crate) logger: Logger,
}

impl ConnectOptions {
    /// Options with the defaults of this library.
    pub(crate) fn new(server: Server, user: impl Into<String>) -> Self {
        let connect_timeout = Duration::from_secs(5);
        ConnectOptions {
            server,
            dialer: Dialer::new(None, None, connect_timeout),
            encryption: Encryption::Never,
            connect_timeout,
            user: user.into(),
            password: None,
            database: None,
            application_name: None,
            options: None,
            startup: Vec::new(),
            allow_cleartext: false,
            allow_transactions: false,
            placeholders: Placeholders::Native,
            statement_cache: 128,
            statement_keys: None,
            logger: Logger::default(),
        }
    }

    /// Checks what the protocol cannot carry.
    pub(crate) fn check(&self) -> Result<()> {
        let named = [
            ("the user", Some(&self.user)),
            ("the database", self.database.as_ref()),
            ("the application name", self.application_name.as_ref()),
            ("the options", self.options.as_ref()),
            ("the password", self.password.as_ref()),
        ];
        let pairs = self.startup.iter().flat_map(|(name, value)| {
            [
                ("a start-up parameter", Some(name)),
                ("a start-up parameter", Some(value)),
            ]
        });
        for (what, text) in named.into_iter().chain(pairs) {
            if text.is_some_and(|text| text.contains('\0')) {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{what} holds a nul character"),
                ));
            }
        }
        if self.startup.iter().any(|(name, _)| name.is_empty()) {
            return Err(Error::new(
                ErrorKind::Config,
                "a start-up parameter has no name",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("server", &self.server)
            .field("encryption", &self.encryption)
            .field("connect_timeout", &self.connect_timeout)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("database", &self.database)
            .field("application_name", &self.application_name)
            .field("options", &self.options)
            .field("startup", &self.startup)
            .field("allow_cleartext", &self.allow_cleartext)
            .field("allow_transactions", &self.allow_transactions)
            .field("statement_cache", &self.statement_cache)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let mut options = ConnectOptions::new(Server::Postgres, "app");
        options.password = Some("secret".to_owned());
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("secret") && shown.contains("app"),
            "{shown}"
        );
    }

    #[test]
    fn what_would_end_a_string_early_is_refused() {
        let mut options = ConnectOptions::new(Server::Postgres, "app");
        options.check().unwrap();
        options.startup = vec![("a".into(), "b\0user\0root".into())];
        assert_eq!(options.check().unwrap_err().kind(), ErrorKind::Config);
        options.startup = vec![(String::new(), "b".into())];
        assert_eq!(options.check().unwrap_err().kind(), ErrorKind::Config);
    }
}
