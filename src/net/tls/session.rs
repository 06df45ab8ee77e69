//! One TLS connection, without its socket.

use std::fmt;
use std::io::{self, Read, Write};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::failure::failure;
use crate::error::{Error, ErrorKind, Result};

/// What came of a [`TlsSession::read_tls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsRead {
    /// Something was received, or is still to be taken with [`TlsSession::read_plain`]: look at the session
    /// again before waiting.
    Progress,
    /// The socket has nothing now: wait until it is readable.
    WouldBlock,
    /// The peer has closed; nothing more will come. [`TlsSession::read_plain`] tells a clean end from a
    /// truncation.
    Eof,
}

/// The client's end of one TLS connection, for a socket that somebody else owns.
///
/// No method waits, unless the `Read` or `Write` given to it does: a caller with a non-blocking socket loops
/// over this, and waits in `poll(2)` within its deadline.
///
/// ```text
/// while session.is_handshaking() || session.wants_write():
///     if session.wants_write():  session.write_tls(socket), or wait until writable
///     else:                      session.read_tls(socket),  or wait until readable
/// ```
///
/// - After the handshake, read with `read_plain`; when it says `WouldBlock`, first write what
///   [`wants_write`](TlsSession::wants_write) has (a peer may ask for new keys while it sends), then `read_tls`.
/// - In TLS 1.3 the handshake ends before the peer has looked at the client's certificate: its refusal comes
///   from a later `read_tls`.
/// - **After an error from `read_tls`, call [`write_tls`](TlsSession::write_tls) until `wants_write` is false**,
///   as far as the deadline allows, and then close the socket: an alert that tells the peer the reason is
///   waiting to be sent. The same error comes back from each further `read_tls`.
/// - Errors carry the outcome `NotSent`, which holds for the handshake; later, the caller that knows what it
///   had sent sets the outcome.
///
/// A session may move between threads; it is used by one at a time.
pub struct TlsSession {
    connection: ClientConnection,
    name: ServerName<'static>,
    has_client_cert: bool,
    closing: bool,
    /// Bytes of plain text that were received and not yet taken.
    unread: usize,
}

impl TlsSession {
    pub(super) fn new(
        connection: ClientConnection,
        name: ServerName<'static>,
        has_client_cert: bool,
    ) -> Self {
        TlsSession {
            connection,
            name,
            has_client_cert,
            closing: false,
            unread: 0,
        }
    }

    /// Whether [`read_tls`](TlsSession::read_tls) could make progress: false while plain text waits to be
    /// taken, and after the peer's `close_notify`.
    pub fn wants_read(&self) -> bool {
        self.connection.wants_read()
    }

    /// Whether [`write_tls`](TlsSession::write_tls) has something to write.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Whether the handshake still goes on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes as much of `plain` to be encrypted as fits the session's buffer of 64 KiB, and says how many bytes
    /// that was. 0 means that the buffer is full: call [`write_tls`](TlsSession::write_tls) first. During the
    /// handshake the text is kept, and goes out when it is done.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after [`send_close_notify`](TlsSession::send_close_notify).
    pub fn write_plain(&mut self, plain: &[u8]) -> Result<usize> {
        if self.closing {
            return Err(Error::new(
                ErrorKind::Closed,
                "the tls session was closed by this side",
            ));
        }
        self.connection.writer().write(plain).map_err(|error| {
            Error::new(ErrorKind::Tls, format!("cannot encrypt: {error}")).with_source(error)
        })
    }

    /// Copies received plain text into `buffer` and says how many bytes.
    ///
    /// 0 is the clean end: the peer has sent `close_notify` (or `buffer` is empty).
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`]: there is none now. [`io::ErrorKind::UnexpectedEof`]: the connection ended
    /// without `close_notify`, so that what was received may be a part only.
    pub fn read_plain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self
            .connection
            .reader()
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the peer ended the connection without tls close_notify",
                ),
                _ => error,
            })?;
        self.unread = self.unread.saturating_sub(count);
        Ok(count)
    }

    /// Reads once from the socket and processes what came; an interrupted read is repeated. While plain text
    /// waits to be taken, it reads nothing and answers [`TlsRead::Progress`].
    ///
    /// # Errors
    /// [`ErrorKind::Tls`]: the peer is refused, refuses, or breaks the protocol; the type's documentation says
    /// what to do then. [`ErrorKind::Disconnected`]: the socket failed, or the peer closed it during the
    /// handshake, which a server that goes down does as well as one that does not speak TLS.
    pub fn read_tls(&mut self, from: &mut dyn Read) -> Result<TlsRead> {
        self.process()?;
        if self.unread > 0 {
            return Ok(TlsRead::Progress);
        }
        let count = loop {
            match self.connection.read_tls(from) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(TlsRead::WouldBlock);
                }
                Err(error) => return Err(self.broken(error)),
            }
        };
        self.process()?;
        if count > 0 {
            Ok(TlsRead::Progress)
        } else if self.connection.is_handshaking() {
            Err(self.ended_in_handshake())
        } else {
            Ok(TlsRead::Eof)
        }
    }

    /// Writes once to the socket, and says how many bytes; an interrupted write is repeated. Its errors are the
    /// socket's own, [`io::ErrorKind::WouldBlock`] among them.
    pub fn write_tls(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        loop {
            match self.connection.write_tls(to) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Queues the clean end of what this side sends; [`write_tls`](TlsSession::write_tls) sends it. Reading
    /// goes on until the peer ends too. A second call does nothing.
    pub fn send_close_notify(&mut self) {
        if !self.closing {
            self.closing = true;
            self.connection.send_close_notify();
        }
    }

    /// Processes what was read; once it has failed, it fails again.
    fn process(&mut self) -> Result<()> {
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.unread = state.plaintext_bytes_to_read();
                Ok(())
            }
            Err(error) => Err(failure(
                error,
                &self.name,
                self.has_client_cert,
                self.connection.is_handshaking(),
            )),
        }
    }

    fn broken(&self, error: io::Error) -> Error {
        let phase = if self.connection.is_handshaking() {
            "the connection broke during the tls handshake"
        } else {
            "the connection broke"
        };
        Error::new(ErrorKind::Disconnected, format!("{phase}: {error}")).with_source(error)
    }

    fn ended_in_handshake(&self) -> Error {
        let demand = if self.has_client_cert {
            ""
        } else {
            ", or demands a client certificate (set sslcert and sslkey)"
        };
        Error::new(
            ErrorKind::Disconnected,
            format!(
                "the peer closed the connection during the tls handshake: it goes down, does not speak tls on \
                 this port{demand}"
            ),
        )
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("name", &self.name)
            .field("handshaking", &self.connection.is_handshaking())
            .field("version", &self.connection.protocol_version())
            .field("closing", &self.closing)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}
