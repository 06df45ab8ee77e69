//! From an address to what a socket can connect to, within a deadline.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::address::{Address, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{Mutex, MutexGuard};
use crate::net::wait::{Call, Waker};

/// The lookups of one resolver that run at a time, and so its helper threads.
const MAX_LOOKUPS: usize = 16;

/// What a socket can connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SocketAddress {
    /// An IP address and a TCP port.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// The name of an abstract Unix socket, without the `@` or NUL before it.
    Abstract(String),
}

/// Looks up host names with the system's own resolver (getaddrinfo), which has no deadline, so that the calls
/// have one.
///
/// getaddrinfo runs on a helper thread, one for each name that is being looked up: callers who ask for the same
/// name meanwhile share its answer. At most 16 run at a time; a caller with a further name waits for one to end.
/// A lookup that was given up on runs on until the system's resolver ends it (resolv.conf's `timeout` and
/// `attempts`, 10 to 30 s as a rule), holding its thread; nothing waits for it, not even the drop of the
/// resolver. Answers are not kept.
///
/// A clone is cheap and shares the helpers. Any thread may use it. A process that forks makes a new one in the
/// child, where the helpers do not exist.
#[derive(Clone)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
}

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

struct Shared {
    lookup: Box<Lookup>,
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    lookups: HashMap<String, Arc<Flight>>,
    /// Who waits for a lookup to end.
    waiting: Vec<Arc<Waker>>,
}

/// One lookup under way.
#[derive(Default)]
struct Flight {
    outcome: OnceLock<Result<Vec<SocketAddr>, Arc<io::Error>>>,
}

impl Resolver {
    /// A resolver with no lookup under way. No thread is started before one is needed.
    pub(crate) fn new() -> Self {
        // The port is put in later: lookups of one host are shared whatever the port.
        Self::with_lookup(|host| (host, 0).to_socket_addrs().map(Iterator::collect))
    }

    fn with_lookup(
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Resolver {
            shared: Arc::new(Shared {
                lookup: Box::new(lookup),
                flights: Mutex::default(),
            }),
        }
    }

    /// What to connect to for `address`, in the order to try: at least one.
    ///
    /// An IP address or a Unix socket is answered at once, without a lookup and whatever the deadline. A name is
    /// looked up on a helper thread while the caller waits, until the call ends at most; without a deadline, until
    /// the system's resolver gives up. IPv6 and IPv4 take turns, beginning with the family that the system puts
    /// first (RFC 8305, section 4), so that a family which does not work costs one attempt before the other.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`]: the deadline passed. [`ErrorKind::Cancelled`]: the call was cancelled.
    /// [`ErrorKind::Connect`]: the name does not exist, has no address, or could not be looked up.
    pub(crate) fn resolve(&self, address: &Address, call: &Call<'_>) -> Result<Vec<SocketAddress>> {
        let (host, port) = match address.place() {
            Place::Unix(path) => return Ok(vec![SocketAddress::Unix(path.into())]),
            Place::Abstract(name) => return Ok(vec![SocketAddress::Abstract(name.clone())]),
            Place::Tcp { host, port } => (host, *port),
        };
        let mut found = match numeric(host) {
            Some(socket) => vec![socket],
            None => interleave(self.look_up(host, call)?),
        };
        for socket in &mut found {
            socket.set_port(port);
        }
        Ok(found.into_iter().map(SocketAddress::Ip).collect())
    }

    fn look_up(&self, host: &str, call: &Call<'_>) -> Result<Vec<SocketAddr>> {
        let mut flights = self.shared.flights.lock();
        let flight = loop {
            call.check().map_err(|error| late(host, error))?;
            if let Some(flight) = self.board(&mut flights.lookups, host)? {
                break flight;
            }
            flights = self.wait(flights, host, call)?;
        };
        loop {
            match flight.outcome.get() {
                Some(Ok(found)) if found.is_empty() => {
                    return Err(Error::new(
                        ErrorKind::Connect,
                        format!("the host name `{host}` has no address"),
                    ));
                }
                Some(Ok(found)) => return Ok(found.clone()),
                Some(Err(cause)) => {
                    return Err(Error::new(
                        ErrorKind::Connect,
                        format!("the host name `{host}` cannot be looked up: {cause}"),
                    )
                    .with_source(Arc::clone(cause)));
                }
                None => flights = self.wait(flights, host, call)?,
            }
        }
    }

    /// Waits until some lookup has ended, or the call does.
    fn wait<'f>(
        &'f self,
        mut flights: MutexGuard<'f, Flights>,
        host: &str,
        call: &Call<'_>,
    ) -> Result<MutexGuard<'f, Flights>> {
        let waker = Waker::current()?;
        flights.waiting.push(Arc::clone(&waker));
        drop(flights);
        let waited = call.wait(&waker);
        let mut flights = self.shared.flights.lock();
        flights.waiting.retain(|other| !Arc::ptr_eq(other, &waker));
        waited.map_err(|error| late(host, error))?;
        Ok(flights)
    }

    /// The lookup of `host` that is under way, or a new one; none if as many run as may.
    fn board(
        &self,
        flights: &mut HashMap<String, Arc<Flight>>,
        host: &str,
    ) -> Result<Option<Arc<Flight>>> {
        let full = flights.len() >= MAX_LOOKUPS;
        let vacant = match flights.entry(host.to_owned()) {
            Entry::Occupied(entry) => return Ok(Some(Arc::clone(entry.get()))),
            Entry::Vacant(_) if full => return Ok(None),
            Entry::Vacant(vacant) => vacant,
        };
        let flight = Arc::new(Flight::default());
        let helper = Helper {
            shared: Arc::clone(&self.shared),
            flight: Arc::clone(&flight),
            host: host.to_owned(),
            started: false,
        };
        thread::Builder::new()
            .name("quorate-resolve".to_owned())
            .spawn(move || helper.run())
            .map_err(|error| {
                Error::new(
                    ErrorKind::Connect,
                    format!("the host name `{host}` cannot be looked up: no thread: {error}"),
                )
                .with_source(error)
            })?;
        vacant.insert(Arc::clone(&flight));
        Ok(Some(flight))
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("lookups", &self.shared.flights.lock().lookups.len())
            .finish()
    }
}

/// The thread's part. Its drop ends the flight, even where the lookup panics.
struct Helper {
    shared: Arc<Shared>,
    flight: Arc<Flight>,
    host: String,
    started: bool,
}

impl Helper {
    fn run(mut self) {
        self.started = true;
        let outcome = (self.shared.lookup)(&self.host).map_err(Arc::new);
        let _ = self.flight.outcome.set(outcome);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // A helper whose thread could not be started is dropped by its maker, who holds the lock.
        if !self.started {
            return;
        }
        self.flight
            .outcome
            .get_or_init(|| Err(Arc::new(io::Error::other("the lookup panicked"))));
        let mut flights = self.shared.flights.lock();
        flights.lookups.remove(&self.host);
        for waker in flights.waiting.drain(..) {
            waker.wake();
        }
    }
}

/// The error of a call that ended before the lookup of `host`.
fn late(host: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    Error::new(
        ErrorKind::Timeout,
        format!("the host name `{host}` was not looked up in time"),
    )
}

/// An IP address, with its zone if that is a number; a named zone takes getaddrinfo, though no query.
fn numeric(host: &str) -> Option<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0));
    }
    host.contains('%')
        .then(|| format!("[{host}]:0").parse().ok())
        .flatten()
}

/// Takes turns between the families, each in its own order; duplicates are left out.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|socket| socket.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(first.len() + second.len());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        for socket in pair.into_iter().flatten() {
            if !order.contains(&socket) {
                order.push(socket);
            }
        }
    }
}

#[cfg(test)]
mod tests;
