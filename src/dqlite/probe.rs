//! Probing: asking one node who leads, and following it to the leader.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Session;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::dqlite::channel::{Channel, harmless};
use crate::dqlite::session::DqliteSession;
use crate::dqlite::wire::VERSION;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::Logger;
use crate::net::dial::Dialer;
use crate::net::tls::TlsMode;
use crate::net::wait::Call;

/// How nodes are reached, and which database is opened on the leader.
#[derive(Clone)]
pub(crate) struct Prober {
    dialer: Dialer,
    name: Arc<str>,
    statement_cache: usize,
    max_message: u32,
    attempt_timeout: Duration,
    logger: Logger,
}

/// The leader, and a session that was opened on it.
pub(crate) struct Found {
    pub(crate) leader: Arc<str>,
    pub(crate) session: Box<dyn Session>,
}

impl Prober {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let tls = match config.tls.mode() {
            TlsMode::Disable => None,
            mode if mode.is_up_to_server() => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "sslmode `{mode}` is not for dqlite, whose nodes do not say whether they have tls: use \
                         `require`, or `disable` for plain text"
                    ),
                ));
            }
            _ => Some(config.tls.build()?),
        };
        Ok(Prober {
            dialer: Dialer::new(tls, config.dial.clone(), config.dial_timeout),
            name: config.name.as_str().into(),
            statement_cache: config.statement_cache,
            max_message: config.dqlite.max_message,
            attempt_timeout: config.dqlite.lookup.attempt_timeout,
            logger: config.logger.clone(),
        })
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.logger
    }

    /// Asks the node at `address` who leads, and opens a session on the leader, which may be another node.
    ///
    /// | the node | the outcome |
    /// | --- | --- |
    /// | cannot be dialled, or does not answer | that error |
    /// | knows no leader | [`ErrorKind::NoLeader`] |
    /// | is the leader | a session on it |
    /// | names another node, which is the leader | a session on that node |
    /// | names another node, which is not | [`ErrorKind::NotLeader`] |
    /// | names another node, which does not answer within `patience` | [`ErrorKind::Connect`] |
    ///
    /// The whole takes no longer than the timeout of an attempt. The node that is named has less time than
    /// the one that is asked: followers go on naming a leader that hangs until they have elected another one.
    pub(crate) fn probe(
        &self,
        address: &str,
        patience: Duration,
        call: &Call<'_>,
    ) -> Result<Found> {
        self.within_attempt(call, |call| {
            let (channel, leader) = self.ask(address, call)?;
            if leader == address {
                return self.open(channel, address, call);
            }
            drop(channel);
            let follow = |call: &Call<'_>| {
                let (channel, own_leader) = self.ask(&leader, call)?;
                if own_leader == leader {
                    return self.open(channel, &leader, call);
                }
                Err(Error::new(
                    ErrorKind::NotLeader,
                    format!("names {} as the leader", shown(&own_leader)),
                ))
            };
            within(patience, call, follow).map_err(|error| match error.kind() {
                // It is the node that is wrong, and others may know better.
                ErrorKind::Config => Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "it names {} as the leader, which is no address",
                        shown(&leader)
                    ),
                ),
                _ => error.context(format_args!(
                    "it names {} as the leader, which fails",
                    shown(&leader)
                )),
            })
        })
    }

    /// Opens a session on the node at `address`, if it is the leader.
    pub(crate) fn connect(&self, address: &str, call: &Call<'_>) -> Result<Box<dyn Session>> {
        self.within_attempt(call, |call| {
            let channel = self.channel(address, call)?;
            self.open(channel, address, call)
        })
        .map(|found| found.session)
    }

    /// Opens a conversation with the node at `address`, if it is the leader.
    ///
    /// [`ErrorKind::NotLeader`] where it is not, also where it knows none: another node may lead meanwhile, and
    /// the caller looks the leader up again.
    pub(crate) fn channel(&self, address: &str, call: &Call<'_>) -> Result<Channel> {
        self.within_attempt(call, |call| {
            let (channel, leader) =
                self.ask(address, call)
                    .map_err(|error| match error.kind() {
                        ErrorKind::NoLeader => Error::new(ErrorKind::NotLeader, error.message()),
                        _ => error,
                    })?;
            if leader == address {
                return Ok(channel);
            }
            Err(Error::new(
                ErrorKind::NotLeader,
                format!("it names {} as the leader", shown(&leader)),
            ))
        })
    }

    /// Opens a conversation with the node at `address`, whatever its state.
    pub(crate) fn dial(&self, address: &str, call: &Call<'_>) -> Result<Channel> {
        let socket = self.dialer.dial(address, call)?;
        Ok(Channel::new(socket, VERSION, self.max_message))
    }

    /// Opens a conversation with the node at `address` and asks it who leads.
    fn ask(&self, address: &str, call: &Call<'_>) -> Result<(Channel, String)> {
        let mut channel = self.dial(address, call)?;
        channel.request(&Request::Leader, call).map_err(harmless)?;
        let leader = match channel.response().map_err(harmless)? {
            Response::Node { address, .. } | Response::NodeLegacy { address } => address.to_owned(),
            _ => return Err(harmless(channel.unexpected("NODE"))),
        };
        if leader.is_empty() {
            return Err(Error::new(ErrorKind::NoLeader, "it knows no leader"));
        }
        Ok((channel, leader))
    }

    fn open(&self, channel: Channel, address: &str, call: &Call<'_>) -> Result<Found> {
        let session =
            DqliteSession::open(channel, address, &self.name, self.statement_cache, call)?
                .with_logger(self.logger.clone());
        Ok(Found {
            leader: address.into(),
            session: Box::new(session),
        })
    }

    fn within_attempt<R>(
        &self,
        call: &Call<'_>,
        attempt: impl FnOnce(&Call<'_>) -> Result<R>,
    ) -> Result<R> {
        within(self.attempt_timeout, call, attempt)
    }
}

/// An address as a node gives it, such that it can be read in a message.
fn shown(address: &str) -> String {
    match address.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", address.get(..end).unwrap_or_default().escape_debug()),
        None => address.escape_debug().to_string(),
    }
}

/// Makes an attempt that takes no longer than `timeout`; when that is what ends it, the call may go on.
fn within<R>(
    timeout: Duration,
    call: &Call<'_>,
    attempt: impl FnOnce(&Call<'_>) -> Result<R>,
) -> Result<R> {
    let bounded = call.at_most(Deadline::after(timeout));
    attempt(&bounded).map_err(|error| {
        if error.kind() == ErrorKind::Timeout && call.check().is_ok() {
            return Error::new(ErrorKind::Connect, format!("no answer within {timeout:?}"));
        }
        error
    })
}
