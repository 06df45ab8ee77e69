//! From an address to a session, and the request to cancel what a session runs.

use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;

use rustix::event::PollFlags;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Config, NoTls};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::address::Address;
use crate::net::socket::{Socket, disconnected};
use crate::net::wait::Call;
use crate::picodata::drive::Driver;
use crate::picodata::encryption::Encryption;
use crate::picodata::failure::{connect_error, start_up_error};
use crate::picodata::line::Line;
use crate::picodata::options::{ConnectOptions, Server};
use crate::picodata::session::PicodataSession;
use crate::picodata::startup::Key;

// Codes that stand in the place of a protocol version (PostgreSQL's manual, "Message Formats").
const SSL_REQUEST: u32 = 80_877_103;
const CANCEL_REQUEST: u32 = 80_877_102;

/// The SQLSTATE with which PostgreSQL and Picodata refuse a connection that is not encrypted, or that is.
const NOT_ADMITTED: &str = "28000";

/// A connection that no session came of.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    /// It may be for whether the connection is encrypted, and the server has not asked who the user is.
    is_for_encryption: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused {
            error,
            is_for_encryption: false,
        }
    }
}

/// Opens a session with the server at `address`. A password is tried once.
///
/// Blocks until `call` ends or the connect timeout of the options has passed.
///
/// # Errors
///
/// [`ErrorKind::Authentication`] and the other permanent ones as the server answers them;
/// [`ErrorKind::Connect`] where it cannot be reached, does not answer in time, or takes no connection now.
pub(crate) fn connect(
    address: &str,
    options: &Arc<ConnectOptions>,
    call: &Call<'_>,
) -> Result<PicodataSession> {
    options.check()?;
    let bounded = call.at_most(Deadline::after(options.connect_timeout));
    open(address, options, &bounded).map_err(|error| {
        if error.kind() == ErrorKind::Timeout && call.check().is_ok() {
            return Error::new(
                ErrorKind::Connect,
                format!("no answer within {:?}", options.connect_timeout),
            );
        }
        error
    })
}

/// Opens a session as the options want it encrypted first, and once more where they leave another way.
///
/// | the server | `allow` | `prefer` |
/// | --- | --- | --- |
/// | takes the first way | plain text | TLS |
/// | has no TLS (`N`) | – | plain text, over the same connection |
/// | fails in the handshake | – | plain text |
/// | refuses with 28000 before it asks who the user is | TLS | plain text |
/// | refuses after that | its error | its error |
fn open(address: &str, options: &Arc<ConnectOptions>, call: &Call<'_>) -> Result<PicodataSession> {
    let (first, second) = options.encryption.ways(is_unix(address));
    let refused = match open_as(first, address, options, call) {
        Ok(session) => return Ok(session),
        Err(refused) => refused,
    };
    let Some(second) = second.filter(|_| refused.is_for_encryption) else {
        return Err(refused.error);
    };
    let (tried, next) = match second {
        Encryption::Never => ("over tls", "in plain text"),
        _ => ("in plain text", "over tls"),
    };
    let first = refused.error;
    let text = first.message();
    let logger = &options.logger;
    match second {
        Encryption::Never => logger.info(format_args!("{address}: {tried}: {text}; trying {next}")),
        // With `allow` it is no more than usual.
        _ => logger.debug(format_args!("{address}: {tried}: {text}; trying {next}")),
    }
    open_as(second, address, options, call).map_err(|again| {
        // One that takes neither says the more where it was first asked.
        let (error, how, other, how_other) = match again.is_for_encryption {
            true => (first, tried, again.error, next),
            false => (again.error, next, first, tried),
        };
        error.context(format_args!("{how_other}: {}; {how}", other.message()))
    })
}

/// Opens a session over one connection.
fn open_as(
    encryption: Encryption,
    address: &str,
    options: &Arc<ConnectOptions>,
    call: &Call<'_>,
) -> Result<PicodataSession, Refused> {
    let socket = dial(address, options, &encryption, call)?;
    let is_encrypted = socket.is_encrypted();
    let wants_other = !matches!(encryption, Encryption::WhereOffered(_)) || is_encrypted;
    let options = Arc::new(ConnectOptions {
        encryption: encryption.settled(is_encrypted),
        ..(**options).clone()
    });
    start(socket, address, &options, call).map_err(|refused| Refused {
        // Where the server has no TLS, plain text is all there is.
        is_for_encryption: refused.is_for_encryption && wants_other,
        ..refused
    })
}

fn is_unix(address: &str) -> bool {
    Address::parse(address, None).is_ok_and(|address| address.host().is_none())
}

/// Begins the conversation over a socket.
pub(crate) fn start(
    socket: Socket,
    address: &str,
    options: &Arc<ConnectOptions>,
    call: &Call<'_>,
) -> Result<PicodataSession, Refused> {
    let mut driver = Driver::new(Line::new(socket, options), options.logger.clone());
    let config = config(options);
    let started = {
        let mut starting = pin!(config.connect_raw(driver.pipe(), NoTls));
        let run = driver.run(call, |context| starting.as_mut().poll(context).map(Ok));
        run.map_err(|failure| start_up_error(failure.error))
    };
    let started = started.and_then(|started| started.map_err(connect_error));
    let (client, connection) = started.map_err(|error| Refused {
        is_for_encryption: driver.line().is_unasked()
            // With TLS 1.3 the server looks at the certificate of the client when that has begun to talk.
            && (error.sqlstate() == Some(NOT_ADMITTED) || error.kind() == ErrorKind::Tls),
        error,
    })?;
    let key = driver.start(connection);
    // PostgreSQL always sends a key, Picodata never does, and its programs write `postgres://` as well.
    let options = match (key, options.server) {
        (None, Server::Postgres) => Arc::new(ConnectOptions {
            server: Server::Picodata,
            ..(**options).clone()
        }),
        _ => Arc::clone(options),
    };
    Ok(PicodataSession::new(driver, client, address, options, key))
}

fn config(options: &ConnectOptions) -> Config {
    let mut config = Config::new();
    config
        .user(&options.user)
        // The stream is encrypted below, or not at all.
        .ssl_mode(SslMode::Disable)
        .channel_binding(ChannelBinding::Disable);
    if let Some(password) = &options.password {
        config.password(password);
    }
    if let Some(database) = &options.database {
        config.dbname(database);
    }
    if let Some(name) = &options.application_name {
        config.application_name(name);
    }
    if let Some(text) = &options.options {
        config.options(text);
    }
    config
}

/// Connects a socket, and encrypts it if that is wanted.
fn dial(
    address: &str,
    options: &ConnectOptions,
    encryption: &Encryption,
    call: &Call<'_>,
) -> Result<Socket, Refused> {
    let mut socket = options.dialer.dial(address, call)?;
    let (Encryption::Always(tls) | Encryption::WhereOffered(tls)) = encryption else {
        return Ok(socket);
    };
    if !request_tls(&mut socket, call)? {
        if let Encryption::WhereOffered(_) = encryption {
            return Ok(socket);
        }
        return Err(Refused {
            error: Error::new(
                ErrorKind::Tls,
                "the server offers no tls: turn it on there, or set sslmode to `disable`",
            ),
            is_for_encryption: true,
        });
    }
    let host = Address::parse(address, None).ok();
    let host = host.as_ref().and_then(Address::host).unwrap_or_default();
    socket.start_tls(tls, host, call).map_err(|error| Refused {
        is_for_encryption: matches!(error.kind(), ErrorKind::Tls | ErrorKind::Disconnected),
        error,
    })
}

/// Asks the server for TLS (manual, "SSL Session Encryption"); false if it has none. One byte answers; what follows it is
/// TLS's.
fn request_tls(socket: &mut Socket, call: &Call<'_>) -> Result<bool> {
    write(socket, &[8, SSL_REQUEST], &[], call)?;
    let mut answer = [0];
    match read(socket, &mut answer, call)? {
        0 => Err(Error::new(
            ErrorKind::Connect,
            "the server closed the connection when it was asked for tls",
        )),
        _ if answer == *b"S" => Ok(true),
        _ if answer == *b"N" => Ok(false),
        _ => Err(Error::new(
            ErrorKind::Tls,
            "the server does not know tls: set sslmode to `disable`",
        )),
    }
}

/// Asks the server to cancel what the session with `key` runs, and waits until it has passed that on.
///
/// When it returns, a statement that comes later is safe from it: the server closes the connection after it
/// has sent the signal.
///
/// The outcome of the error is what became of the request: with `Unknown` it may yet hit a statement that comes
/// later.
pub(crate) fn cancel(
    address: &str,
    options: &ConnectOptions,
    key: Key,
    call: &Call<'_>,
) -> Result<()> {
    // As the session is whose statement it is.
    let dialled = dial(address, options, &options.encryption, call);
    let mut socket = dialled.map_err(|refused| refused.error)?;
    let key = [key.process, key.secret].concat();
    let ask = |socket: &mut Socket| {
        write(socket, &[16, CANCEL_REQUEST], &key, call)?;
        // It has nothing to say, and might say it without end.
        while read(socket, &mut [0; 64], call)? > 0 {
            call.check()?;
        }
        Ok(())
    };
    ask(&mut socket).map_err(|error: Error| error.with_outcome(Outcome::Unknown))
}

fn write(socket: &mut Socket, numbers: &[u32], rest: &[u8], call: &Call<'_>) -> Result<()> {
    let mut message: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    message.extend_from_slice(rest);
    let mut left = message.as_slice();
    while !left.is_empty() || socket.wants_write() {
        let written = if left.is_empty() {
            socket.try_flush().map(|()| 0)
        } else {
            socket.try_write(left)
        };
        match written {
            Ok(count) => left = left.get(count..).unwrap_or_default(),
            Err(error) if is_pause(&error) => {
                call.wait_fd(socket.as_fd(), PollFlags::OUT)?;
            }
            Err(error) => return Err(disconnected(&error)),
        }
    }
    Ok(())
}

/// 0 is the end.
fn read(socket: &mut Socket, buffer: &mut [u8], call: &Call<'_>) -> Result<usize> {
    loop {
        match socket.try_read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) if is_pause(&error) => {
                call.wait_fd(socket.as_fd(), PollFlags::IN)?;
            }
            // A server may close without the farewell of TLS.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(error) => return Err(disconnected(&error)),
        }
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
    )
}
