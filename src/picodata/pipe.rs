//! Our socket as the stream that tokio-postgres reads and writes, and what is seen of the conversation there.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustix::event::PollFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::net::socket::Socket;
use crate::net::wait::Call;
use crate::picodata::frames::Frames;
use crate::picodata::options::ConnectOptions;

// Tags of messages, and the codes of an authentication request (PostgreSQL's manual, "Message Formats").
const EXECUTE: u8 = b'E';
const QUERY: u8 = b'Q';
const AUTHENTICATION: u8 = b'R';
const BACKEND_KEY_DATA: u8 = b'K';
const READY_FOR_QUERY: [u8; 5] = *b"Z\0\0\0\x05";
const AUTH_OK: u32 = 0;
const AUTH_CLEARTEXT: u32 = 3;
const AUTH_MD5: u32 = 5;
const AUTH_SASL: [u32; 3] = [10, 11, 12];

/// The longest message that is waited for while a conversation begins, in bytes. What is no server of this
/// protocol declares more: in `HTTP/1.1` the length is 1.4 GB.
const MAX_FIRST_MESSAGE: usize = 1 << 20;

/// What a server wants to see before it cancels a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) process: [u8; 4],
    pub(crate) secret: [u8; 4],
}

/// A socket, and what has passed over it.
///
/// It is shared by the driver, which waits for it, and by tokio-postgres, which owns the stream. One thread
/// at a time uses a session, so its lock is never waited for.
pub(crate) struct Line {
    socket: Socket,
    /// Whether a read may find something: false spares a read that would not.
    readable: bool,
    /// What has been found missing since the last wait.
    interest: PollFlags,
    sending: Frames,
    /// How many statements have left this process whole, to be run.
    executed: u64,
    /// The last bytes received: a ReadyForQuery, while nothing is under way.
    tail: [u8; 6],
    /// Until the server is ready for the first time.
    starting: Option<Starting>,
    /// Bytes to be sent before all others.
    first: Vec<u8>,
}

/// What is looked after while a conversation begins.
struct Starting {
    received: Frames,
    /// Parameters to be added to the start-up message, which tokio-postgres has no way to set.
    parameters: Vec<(String, String)>,
    has_password: bool,
    allow_cleartext: bool,
    /// The start-up message, the only one without a tag, has been taken.
    begun: bool,
    key: Option<Key>,
}

impl Line {
    pub(crate) fn new(socket: Socket, options: &ConnectOptions) -> Self {
        let starting = Starting {
            received: Frames::default(),
            parameters: options.startup.clone(),
            has_password: options.password.is_some(),
            allow_cleartext: options.allow_cleartext || socket.is_encrypted(),
            begun: false,
            key: None,
        };
        Line {
            socket,
            readable: false,
            interest: PollFlags::empty(),
            sending: Frames::default(),
            executed: 0,
            tail: [0; 6],
            starting: Some(starting),
            first: Vec::new(),
        }
    }

    /// Ends the start-up; the key is the server's, if it has sent one.
    pub(crate) fn started(&mut self) -> Option<Key> {
        self.starting.take().and_then(|starting| starting.key)
    }

    /// How many statements have left this process whole. One that has not cannot have been run.
    pub(crate) fn executed(&self) -> u64 {
        self.executed
    }

    /// What the server said of the transaction when it was last ready: `I` for none. It is known only while
    /// no request is under way.
    pub(crate) fn transaction_status(&self) -> Option<u8> {
        let [header @ .., status] = self.tail;
        (header == READY_FOR_QUERY).then_some(status)
    }

    /// Makes the next read look at the socket, whatever is known of it.
    pub(crate) fn look(&mut self) {
        self.readable = true;
    }

    /// Waits for what has been found missing since the last wait.
    pub(crate) fn wait(&mut self, call: &Call<'_>) -> Result<()> {
        let interest = std::mem::replace(&mut self.interest, PollFlags::empty());
        if interest.is_empty() {
            return Err(Error::new(
                ErrorKind::Internal,
                "a request is pending and waits for nothing",
            ));
        }
        let ready = call.wait_fd(self.socket.as_fd(), interest)?;
        // Anything but "writable" is told by a read: data, the end, an error.
        self.readable |= ready != PollFlags::OUT;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.readable || buffer.is_empty() {
            self.interest |= PollFlags::IN;
            return Ok(None);
        }
        loop {
            match self.socket.try_read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    // A plain socket that gives less than it is asked for is empty.
                    self.readable = count == buffer.len() || self.socket.is_encrypted();
                    self.received(buffer.get(..count).unwrap_or_default())?;
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    self.interest |= PollFlags::IN;
                    return Ok(None);
                }
                // As the end of a plain connection is told, so that it is told from an answer that is cut.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last_chunk() {
            self.tail = *last;
        } else {
            self.tail.rotate_left(bytes.len());
            let kept = self.tail.len() - bytes.len();
            self.tail[kept..].copy_from_slice(bytes);
        }
        match &mut self.starting {
            Some(starting) => starting.received(bytes).map_err(io::Error::other),
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if let Some(starting) = &mut self.starting
            && !starting.begun
        {
            starting.begun = true;
            self.first = with_parameters(bytes, &starting.parameters)?;
            return Ok(Some(bytes.len()));
        }
        if !self.write_first()? {
            return Ok(None);
        }
        let written = self.try_write(bytes)?;
        if let Some(count) = written {
            let executed = &mut self.executed;
            let sent = bytes.get(..count).unwrap_or_default();
            self.sending.feed(sent, |tag, _| {
                *executed += u64::from(matches!(tag, EXECUTE | QUERY));
            });
        }
        Ok(written)
    }

    /// Sends what goes before all else; true when nothing is left of it.
    fn write_first(&mut self) -> io::Result<bool> {
        while !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            let written = self.try_write(&first);
            self.first = first;
            match written? {
                Some(count) => drop(self.first.drain(..count)),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let written = self.socket.try_write(bytes);
        self.unless_full(written)
    }

    /// Hands on what TLS has kept; true when nothing is left.
    fn flush(&mut self) -> io::Result<bool> {
        if !self.write_first()? {
            return Ok(false);
        }
        if !self.socket.wants_write() {
            return Ok(true);
        }
        let flushed = self.socket.try_flush();
        self.unless_full(flushed).map(|flushed| flushed.is_some())
    }

    /// `None` where the socket takes nothing now.
    fn unless_full<T>(&mut self, result: io::Result<T>) -> io::Result<Option<T>> {
        match result {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                self.interest |= PollFlags::OUT;
                Ok(None)
            }
            result => result.map(Some),
        }
    }
}

impl Starting {
    /// Looks at what the server asks for, before tokio-postgres answers it.
    fn received(&mut self, bytes: &[u8]) -> Result<()> {
        let mut verdict = Ok(());
        let (has_password, allow_cleartext) = (self.has_password, self.allow_cleartext);
        let key = &mut self.key;
        self.received.feed(bytes, |tag, body| match (tag, body) {
            (AUTHENTICATION, [a, b, c, d, ..]) => {
                let code = u32::from_be_bytes([*a, *b, *c, *d]);
                let allowed = check_authentication(code, has_password, allow_cleartext);
                verdict = std::mem::replace(&mut verdict, Ok(())).and(allowed);
            }
            (BACKEND_KEY_DATA, [a, b, c, d, e, f, g, h]) => {
                *key = Some(Key {
                    process: [*a, *b, *c, *d],
                    secret: [*e, *f, *g, *h],
                });
            }
            _ => {}
        });
        verdict?;
        match self.received.to_come() {
            0..=MAX_FIRST_MESSAGE => Ok(()),
            length => Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the server begins with a message of {length} bytes; is it one of PostgreSQL's protocol?"
                ),
            )),
        }
    }
}

/// Whether a request for authentication is one that may be answered.
fn check_authentication(code: u32, has_password: bool, allow_cleartext: bool) -> Result<()> {
    let fault = match code {
        AUTH_OK => return Ok(()),
        AUTH_CLEARTEXT if has_password && !allow_cleartext => {
            "the server asks for the password in clear text, and the connection is not encrypted: turn \
             tls on, or allow clear text explicitly"
        }
        code if code == AUTH_CLEARTEXT || code == AUTH_MD5 || AUTH_SASL.contains(&code) => {
            if has_password {
                return Ok(());
            }
            "the server asks for a password, and none is configured"
        }
        _ => {
            "the server asks for a way of authentication that is not offered (kerberos, gssapi or sspi); \
             md5, scram-sha-256 and clear text over tls are"
        }
    };
    Err(Error::new(ErrorKind::Authentication, fault))
}

/// The start-up message with further parameters.
fn with_parameters(message: &[u8], parameters: &[(String, String)]) -> io::Result<Vec<u8>> {
    let broken = || io::Error::other("the start-up message is cut");
    // Its length, then a version and pairs of strings, ended by a NUL.
    let (length, rest) = message.split_first_chunk::<4>().ok_or_else(broken)?;
    if u32::from_be_bytes(*length) as usize != message.len() || !rest.ends_with(&[0]) {
        return Err(broken());
    }
    let mut out = message.to_vec();
    out.pop();
    for text in parameters
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
    {
        out.extend_from_slice(text);
        out.push(0);
    }
    out.push(0);
    let length = u32::try_from(out.len()).map_err(io::Error::other)?;
    if let Some(place) = out.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    Ok(out)
}

/// The end of a [`Line`] that tokio-postgres holds.
pub(crate) struct Pipe(pub(crate) Arc<Mutex<Line>>);

fn ready<T>(result: io::Result<Option<T>>) -> Poll<io::Result<T>> {
    // Nobody is woken later: the driver polls again after it has waited.
    result.transpose().map_or(Poll::Pending, Poll::Ready)
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.lock().read(buffer.initialize_unfilled());
        ready(read.map(|read| read.map(|count| buffer.advance(count))))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready(self.0.lock().write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready(self.0.lock().flush().map(|done| done.then_some(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_the_start_up_message() {
        let message = b"\0\0\0\x0e\0\x03\0\0user\0\0";
        let message = [message.as_slice()].concat();
        assert_eq!(message.len(), 14);
        let more = [("a".to_owned(), "bc".to_owned())];
        assert_eq!(
            with_parameters(&message, &more).unwrap(),
            b"\0\0\0\x13\0\x03\0\0user\0a\0bc\0\0"
        );
        assert_eq!(with_parameters(&message, &[]).unwrap(), message);
        for cut in 0..message.len() {
            assert!(with_parameters(&message[..cut], &more).is_err(), "{cut}");
        }
    }

    #[test]
    fn only_a_password_that_is_safe_is_given() {
        for (code, has_password, allow_cleartext, allowed) in [
            (AUTH_OK, false, false, true),
            (AUTH_CLEARTEXT, true, false, false),
            (AUTH_CLEARTEXT, true, true, true),
            (AUTH_CLEARTEXT, false, true, false),
            (AUTH_MD5, true, false, true),
            (AUTH_MD5, false, false, false),
            (10, true, false, true),
            (10, false, false, false),
            (7, true, true, false),
            (2, true, true, false),
        ] {
            let verdict = check_authentication(code, has_password, allow_cleartext);
            assert_eq!(verdict.is_ok(), allowed, "{code} {has_password}");
            if let Err(error) = verdict {
                assert_eq!(error.kind(), ErrorKind::Authentication);
            }
        }
    }
}
