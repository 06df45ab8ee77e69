//! A connected, non-blocking socket, plain or with TLS.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use crate::error::{Error, ErrorKind, Result};
use crate::net::tls::{TlsConnector, TlsRead, TlsSession};
use crate::net::wait::Call;

/// How an idle connection looks from here, without asking the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Open, and nothing unread: as it was left.
    Ready,
    /// The peer has closed it or it is broken.
    Closed,
    /// The peer has sent something that nobody asked for.
    OutOfStep,
}

/// How long one [`wait_read`](Socket::wait_read) sleeps at most. The kernel's timers for that are coarse:
/// it may be late by an eighth.
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// The time that a call must have left for its thread to sleep in a read: twice the timeout, so that it is
/// back in good time to keep its deadline to the millisecond.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// A connected socket. Every operation is non-blocking, and waiting is the business of [`Call`], with one
/// exception that spares a system call for each answer: [`wait_read`](Socket::wait_read).
///
/// A write never raises SIGPIPE.
pub(crate) struct Socket {
    raw: Raw,
    /// A blocking read ends after [`READ_TIMEOUT`].
    timed: bool,
    tls: Option<Box<TlsSession>>,
    process: u32,
}

/// The file descriptor, as TLS reads and writes it.
struct Raw(OwnedFd);

impl Read for Raw {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, buf, RecvFlags::DONTWAIT)?.0)
    }
}

impl Write for Raw {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(send(&self.0, buf, flags)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Takes a connected socket over.
    ///
    /// Delayed sending is turned off and keep-alive on where the socket knows of them.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self> {
        // Whether an operation blocks is said by its flags.
        rustix::io::ioctl_fionbio(&fd, false).map_err(|errno| {
            Error::new(
                ErrorKind::Connect,
                "the dialled file descriptor cannot be used as a socket",
            )
            .with_source(io::Error::from(errno))
        })?;
        let timed = sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(READ_TIMEOUT));
        // Both fail on a Unix socket, which needs neither.
        let _ = sockopt::set_tcp_nodelay(&fd, true);
        let _ = sockopt::set_socket_keepalive(&fd, true);
        Ok(Socket {
            raw: Raw(fd),
            timed: timed.is_ok(),
            tls: None,
            process: std::process::id(),
        })
    }

    /// Runs the TLS handshake as the client of `host`.
    pub(crate) fn start_tls(
        mut self,
        connector: &TlsConnector,
        host: &str,
        call: &Call<'_>,
    ) -> Result<Socket> {
        let mut session = connector.session(host)?;
        loop {
            // A peer may always have something more to say.
            call.check()?;
            while session.wants_write() {
                match session.write_tls(&mut self.raw) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        call.wait_fd(self.as_fd(), PollFlags::OUT)?;
                    }
                    Err(error) => return Err(disconnected(&error)),
                }
            }
            if !session.is_handshaking() {
                self.tls = Some(Box::new(session));
                return Ok(self);
            }
            match session.read_tls(&mut self.raw) {
                // At the end the session itself says that the handshake was cut off.
                Ok(TlsRead::Progress | TlsRead::Eof) => {}
                Ok(TlsRead::WouldBlock) => {
                    call.wait_fd(self.as_fd(), PollFlags::IN)?;
                }
                Err(failure) => {
                    // The alert tells the server why; if it cannot be sent, nothing is lost.
                    let _ = session.write_tls(&mut self.raw);
                    return Err(failure);
                }
            }
        }
    }

    /// Reads what has arrived. 0 is the end of the stream; `WouldBlock` says that nothing has.
    pub(crate) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.raw.read(buf);
        };
        loop {
            match tls.read_plain(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            match tls.read_tls(&mut self.raw) {
                // At the end, read_plain says whether it was a clean one.
                Ok(TlsRead::Progress | TlsRead::Eof) => {}
                Ok(TlsRead::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => {
                    let _ = tls.write_tls(&mut self.raw);
                    return Err(io::Error::other(error));
                }
            }
        }
    }

    /// Whether [`wait_read`](Socket::wait_read) can be used.
    pub(crate) fn can_wait(&self) -> bool {
        self.timed && self.tls.is_none()
    }

    /// As [`try_read`](Socket::try_read), but sleeps for up to half a second until something arrives.
    ///
    /// For a call that nobody can cancel and that ends no earlier than in [`PATIENCE`]. A point query costs a
    /// fifth less so than with `poll` before the read.
    pub(crate) fn wait_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.raw.0, buf, RecvFlags::empty())?.0)
    }

    /// Writes as much as the socket takes. `WouldBlock` says that it takes nothing.
    pub(crate) fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.raw.write(buf);
        };
        while tls.wants_write() {
            tls.write_tls(&mut self.raw)?;
        }
        let taken = tls.write_plain(buf).map_err(io::Error::other)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.raw) {
                Ok(_) => {}
                // What was taken counts as sent whatever the error, since a part of it may have been; the error
                // comes again with the next write or read.
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Whether TLS runs on it.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether bytes that [`try_write`](Socket::try_write) has taken still wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Hands bytes that wait to the socket, as many as it takes.
    pub(crate) fn try_flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.raw)?;
            }
        }
        Ok(())
    }

    /// Tells the kernel to acknowledge what has arrived, and from here on whatever is read.
    ///
    /// A peer that answers pipelined requests with one write each otherwise waits for our delayed
    /// acknowledgement (40 ms) before it sends the second answer. The kernel (`net/ipv4/tcp.c`,
    /// `tcp_cleanup_rbuf`) goes back to delaying when something is sent, so it is told again after each write.
    /// To tell it before each read brings every answer in a packet of its own.
    pub(crate) fn acknowledge_at_once(&self) {
        // Unix sockets have no such option and no such delay.
        let _ = sockopt::set_tcp_quickack(&self.raw.0, true);
    }

    /// Tells the kernel to acknowledge what has arrived, and to delay that of what is still to come; false where
    /// nothing is acknowledged, as on a Unix socket.
    pub(crate) fn acknowledge_once(&self) -> bool {
        self.acknowledge_at_once();
        sockopt::set_tcp_quickack(&self.raw.0, false).is_ok()
    }

    /// Looks at an idle connection without waiting and without asking the server.
    pub(crate) fn idle(&mut self) -> Idle {
        if self.tls.is_some() {
            // Records that carry no data (tickets, key updates) may come at any time.
            return match self.try_read(&mut [0u8; 1]) {
                Ok(0) => Idle::Closed,
                Ok(_) => Idle::OutOfStep,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Idle::Ready,
                Err(_) => Idle::Closed,
            };
        }
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(&self.raw.0, &mut [0u8; 1], flags) {
            Ok((_, 0)) => Idle::Closed,
            Ok(_) => Idle::OutOfStep,
            Err(rustix::io::Errno::AGAIN) => Idle::Ready,
            Err(_) => Idle::Closed,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.0.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A forked child must not end the parent's session.
        if let Some(tls) = &mut self.tls
            && self.process == std::process::id()
        {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.raw);
        }
    }
}

/// The error of a connection that broke while it was in use.
pub(crate) fn disconnected(error: &io::Error) -> Error {
    if let Some(inner) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        return Error::new(inner.kind(), inner.message());
    }
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::ConnectionReset => "the server reset the connection".to_owned(),
        io::ErrorKind::BrokenPipe => "the server has closed the connection".to_owned(),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Disconnected, text)
        .with_source(io::Error::new(error.kind(), error.to_string()))
}
