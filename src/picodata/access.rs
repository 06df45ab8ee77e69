//! How sessions are opened for a user: with which options and password, and not again where the server refuses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Session;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use crate::net::dial::Dialer;
use crate::net::flight::Flight;
use crate::net::wait::Call;
use crate::picodata::config::{Passwords, Scheme};
use crate::picodata::connect::connect;
use crate::picodata::encryption::Encryption;
use crate::picodata::options::{ConnectOptions, Server};
use crate::picodata::sharding::StatementKeys;

/// How long calls are answered as the server did when it refused the user, without asking it again: Picodata blocks
/// a user after five wrong passwords.
const REFUSAL_MEMORY: Duration = Duration::from_secs(60);
/// The SQLSTATE with which PostgreSQL refuses a start-up parameter that it does not know.
const UNKNOWN_PARAMETER: &str = "42704";
/// What has taken longer than this was a wait.
const A_WAIT: Duration = Duration::from_millis(1);

/// How sessions are opened: the options, the password of each instance, and whether the server takes it.
pub(crate) struct Access {
    options: ConnectOptions,
    passwords: Passwords,
    /// Whether a session has found the server to be Picodata.
    is_picodata: AtomicBool,
    /// Whether a server has refused Picodata's start-up parameters: it is PostgreSQL, whatever the scheme says.
    is_plain: AtomicBool,
    /// Whether the user was let in. Until then one thread at a time tries.
    is_admitted: AtomicBool,
    trying: Flight,
    /// When the user was refused, and how.
    refused: Mutex<Option<(Instant, Error)>>,
}

impl Access {
    pub(crate) fn new(config: &Config, statement_keys: Option<Arc<StatementKeys>>) -> Result<Self> {
        let own = &config.picodata;
        let server = match own.scheme {
            Scheme::Picodata => Server::Picodata,
            Scheme::Postgres => Server::Postgres,
        };
        Ok(Access {
            passwords: own.passwords(config.name(), &config.hosts, &config.logger),
            options: ConnectOptions {
                dialer: Dialer::new(None, config.dial.clone(), config.dial_timeout),
                encryption: Encryption::new(&config.tls)?,
                connect_timeout: config.dial_timeout,
                database: Some(config.name().to_owned()),
                application_name: own.application_name.clone(),
                options: own.options.clone(),
                allow_cleartext: own.allow_cleartext_password,
                allow_transactions: !own.transaction_guard,
                placeholders: config.placeholders,
                statement_cache: config.statement_cache,
                statement_keys,
                logger: config.logger.clone(),
                ..ConnectOptions::new(server, own.user.clone())
            },
            is_picodata: AtomicBool::new(server == Server::Picodata),
            is_plain: AtomicBool::new(false),
            is_admitted: AtomicBool::new(false),
            trying: Flight::default(),
            refused: Mutex::new(None),
        })
    }

    /// Opens a session. A password is tried once: as long as none was taken, the other threads wait.
    ///
    /// Who has waited goes on only if the address is still one to go to.
    pub(crate) fn connect(
        &self,
        address: &str,
        call: &Call<'_>,
        patience: Option<Duration>,
        is_left_out: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Session>> {
        let admitted = || self.is_admitted.load(Ordering::Acquire).then_some(());
        // That it has to wait is no fault of the server at `address`.
        let waited_for = || {
            let text = "other threads still try whether a server takes the user";
            Error::new(ErrorKind::PoolTimeout, text)
        };
        let begin = Instant::now();
        let boarded = self.trying.board(admitted, call);
        let boarded = boarded.map_err(|error| match error.kind() {
            ErrorKind::Timeout => waited_for().with_source(error),
            _ => error,
        })?;
        self.check_refused()?;
        if begin.elapsed() > A_WAIT && is_left_out() {
            return Err(waited_for());
        }
        let own = patience.map_or(Deadline::NONE, Deadline::after);
        let opened = self.open(address, &call.at_most(own));
        match &opened {
            Ok(_) => {
                self.is_admitted.store(true, Ordering::Release);
                self.forget_refusal();
            }
            Err(error) if error.kind() == ErrorKind::Authentication => {
                *self.refused.lock() = Some((Instant::now(), error.copy()));
                self.is_admitted.store(false, Ordering::Release);
            }
            Err(_) => {}
        }
        drop(boarded);
        opened
    }

    fn open(&self, address: &str, call: &Call<'_>) -> Result<Box<dyn Session>> {
        let startup = self.startup();
        let asked = !startup.is_empty();
        match self.open_with(address, startup, call) {
            Err(error) if asked && error.sqlstate() == Some(UNKNOWN_PARAMETER) => {
                self.is_plain.store(true, Ordering::Relaxed);
                self.open_with(address, Vec::new(), call)
            }
            opened => opened,
        }
    }

    fn open_with(
        &self,
        address: &str,
        startup: Vec<(String, String)>,
        call: &Call<'_>,
    ) -> Result<Box<dyn Session>> {
        let password = self.passwords.of(address);
        let options = ConnectOptions {
            password: password.map(|password| password.expose().to_owned()),
            startup,
            ..self.options.clone()
        };
        let session = connect(address, &Arc::new(options), call)?;
        if session.server() == Server::Picodata {
            self.is_picodata.store(true, Ordering::Relaxed);
        }
        Ok(Box::new(session))
    }

    /// What 26.1 and later are asked for: an error of its own for a statement that is out of date, and what the
    /// distribution key of a statement is. Older ones pass it over; plain PostgreSQL would refuse the connection.
    fn startup(&self) -> Vec<(String, String)> {
        if !self.is_picodata.load(Ordering::Relaxed) || self.is_plain.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let metadata = self
            .options
            .statement_keys
            .as_ref()
            .map(|_| "pico_query_metadata");
        let names = ["pico_stmt_invalidation"].into_iter().chain(metadata);
        names
            .map(|name| (name.to_owned(), "true".to_owned()))
            .collect()
    }

    /// Fails as the server did when it refused the user a short while ago.
    pub(crate) fn check_refused(&self) -> Result<()> {
        if self.is_admitted.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.refused.lock() {
            Some((when, error)) if when.elapsed() < REFUSAL_MEMORY => Err(error.copy()),
            _ => Ok(()),
        }
    }

    /// The same without an end, for what nobody has asked for: only a call tries again.
    pub(crate) fn check_ever_refused(&self) -> Result<()> {
        match &*self.refused.lock() {
            Some((_, error)) => Err(error.copy()),
            None => Ok(()),
        }
    }

    pub(crate) fn forget_refusal(&self) {
        *self.refused.lock() = None;
    }
}
