//! Dialling: from an address to a connected socket, within a deadline.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, getsockname,
    socket_with, sockopt,
};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::address::Address;
use crate::net::resolve::{Resolver, SocketAddress};
use crate::net::socket::Socket;
use crate::net::tls::TlsConnector;
use crate::net::wait::Call;

/// A dial function of the user's: it is given the address of a node and the deadline of the dial, and
/// answers a connected stream socket, which the library then owns.
///
/// It is called on the thread that needs the connection, or on a short-lived thread of a leader lookup, and
/// by several threads at once. It must not call back into the same pool. What it does is bounded by nothing
/// but itself, so it should keep the deadline.
pub type DialFn = dyn Fn(&str, Deadline) -> io::Result<OwnedFd> + Send + Sync;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    resolver: Resolver,
    tls: Option<TlsConnector>,
    dial: Option<Arc<DialFn>>,
    /// How long one dial may take, TLS included.
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(
        tls: Option<TlsConnector>,
        dial: Option<Arc<DialFn>>,
        timeout: Duration,
    ) -> Self {
        Dialer {
            resolver: Resolver::new(),
            tls,
            dial,
            timeout,
        }
    }

    /// Connects to `address`, with TLS if it is configured.
    ///
    /// All addresses that a name stands for are tried in turn.
    pub(crate) fn dial(&self, address: &str, call: &Call<'_>) -> Result<Socket> {
        let own = Deadline::after(self.timeout);
        let bounded = call.at_most(own);
        self.dial_within(address, &bounded).map_err(|error| {
            // The timeout of the dial, not the end of the caller's call: somebody else may be dialled.
            if error.kind() == ErrorKind::Timeout && call.check().is_ok() {
                return Error::new(
                    ErrorKind::Connect,
                    format!("no answer within {:?}", self.timeout),
                );
            }
            error
        })
    }

    fn dial_within(&self, address: &str, call: &Call<'_>) -> Result<Socket> {
        call.check()?;
        if let Some(dial) = &self.dial {
            // It runs on threads of the library as well, where nobody else would notice a panic.
            let dialled = catch_unwind(AssertUnwindSafe(|| dial(address, call.deadline)));
            let fd = match dialled {
                Ok(Ok(fd)) => fd,
                Ok(Err(error)) => {
                    let text = format!("the dial function failed: {error}");
                    return Err(Error::new(ErrorKind::Connect, text).with_source(error));
                }
                Err(_) => return Err(Error::new(ErrorKind::Connect, "the dial function panicked")),
            };
            let socket = Socket::new(fd)?;
            let host = Address::parse(address, None).ok();
            let host = host.as_ref().and_then(Address::host).unwrap_or_default();
            return self.secure(socket, host, call);
        }
        let address = Address::parse(address, None)?;
        let targets = self.resolver.resolve(&address, call)?;
        let mut failure = None;
        for target in &targets {
            let connected = connect_to(target, call)
                .and_then(|socket| self.secure(socket, address.host().unwrap_or_default(), call));
            match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    call.check()?;
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| {
            Error::new(ErrorKind::Connect, "the name of the host has no address")
        }))
    }

    fn secure(&self, socket: Socket, host: &str, call: &Call<'_>) -> Result<Socket> {
        match &self.tls {
            Some(tls) => socket.start_tls(tls, host, call),
            None => Ok(socket),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls)
            .field("dial", &self.dial.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn connect_to(target: &SocketAddress, call: &Call<'_>) -> Result<Socket> {
    let open = |family| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(family, SocketType::STREAM, flags, None)
    };
    let begun = match target {
        SocketAddress::Ip(address) => {
            let family = if address.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            open(family).map(|fd| (connect(&fd, address), fd))
        }
        SocketAddress::Unix(path) => SocketAddrUnix::new(path.as_path())
            .and_then(|address| open(AddressFamily::UNIX).map(|fd| (connect(&fd, &address), fd))),
        SocketAddress::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())
            .and_then(|address| open(AddressFamily::UNIX).map(|fd| (connect(&fd, &address), fd))),
    };
    let (connected, fd) = begun.map_err(refused)?;
    match connected {
        Ok(()) => {}
        Err(Errno::INPROGRESS | Errno::INTR) => {
            call.wait_fd(fd.as_fd(), PollFlags::OUT)?;
            sockopt::socket_error(&fd)
                .and_then(|result| result)
                .map_err(refused)?;
        }
        Err(errno) => return Err(refused(errno)),
    }
    if is_connected_to_itself(&fd) {
        return Err(refused(Errno::CONNREFUSED));
    }
    Socket::new(fd)
}

/// A dial to a local port that nobody listens on can meet itself, if the kernel picks that very port as its
/// own (tcp's simultaneous open). Such a connection would keep the server from coming back.
fn is_connected_to_itself(fd: &OwnedFd) -> bool {
    let (Ok(own), Ok(Some(peer))) = (getsockname(fd), getpeername(fd)) else {
        return false;
    };
    let (Ok(own), Ok(peer)) = (SocketAddr::try_from(own), SocketAddr::try_from(peer)) else {
        return false;
    };
    own == peer
}

fn refused(errno: Errno) -> Error {
    let error = io::Error::from(errno);
    let text = match errno {
        Errno::CONNREFUSED => "connection refused; is the server running?".to_owned(),
        Errno::AGAIN => "the queue of the unix socket is full".to_owned(),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Connect, text).with_source(error)
}
