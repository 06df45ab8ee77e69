//! A node's addresses: their form, the socket addresses behind them, and whether one is free to bind.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, ErrorKind, Result};

/// libdqlite keeps the name of an abstract socket, with a byte before it and one after, in the 108 bytes of a
/// `sockaddr_un`, and cuts a longer one short.
const NAME_LIMIT: usize = 100;

/// An address in text form, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`; the brackets of an IPv6 address are taken off.
    Tcp { host: String, port: u16 },
    /// `@name`, an abstract Unix socket; the name is empty where the kernel shall choose one.
    Abstract(String),
}

/// A socket address that a node can bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bindable {
    Tcp(SocketAddr),
    Abstract(String),
}

impl Address {
    /// Takes `host:port`, `[IPv6]:port` or `@name` apart.
    pub(super) fn parse(text: &str) -> Result<Address> {
        let bad = |why: &str| {
            Error::new(
                ErrorKind::Config,
                format!("bad node address {text:?}: {why}; give host:port or @name"),
            )
        };
        if text.contains('\0') {
            return Err(bad("it contains a NUL"));
        }
        if let Some(name) = text.strip_prefix('@') {
            if name.len() > NAME_LIMIT {
                return Err(bad("the name is longer than 100 bytes"));
            }
            return Ok(Address::Abstract(name.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let port = match port.parse::<u16>() {
            Ok(0) => return Err(bad("port 0 names no port that others could reach")),
            Ok(port) if !port_has_sign(text) => port,
            _ => return Err(bad("the port is not a number from 1 to 65535")),
        };
        let host = match host.strip_prefix('[') {
            Some(host) => host
                .strip_suffix(']')
                .ok_or_else(|| bad("the bracket of the IPv6 address is not closed"))?,
            None if host.contains(':') => return Err(bad("an IPv6 address goes in brackets")),
            None => host,
        };
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        Ok(Address::Tcp {
            host: host.into(),
            port,
        })
    }

    /// The socket address behind a host name; where there are several, the first of IPv4, which every
    /// version of libdqlite can bind. Blocks for as long as the system's resolver does.
    pub(super) fn resolve(&self) -> Result<Bindable> {
        match self {
            Address::Abstract(name) => Ok(Bindable::Abstract(name.clone())),
            Address::Tcp { host, port } => {
                let unknown = || {
                    Error::new(
                        ErrorKind::Node,
                        format!("cannot bind {self}: the host name has no address"),
                    )
                };
                let found: Vec<SocketAddr> = (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|error| unknown().with_source(error))?
                    .collect();
                found
                    .iter()
                    .find(|address| address.is_ipv4())
                    .or(found.first())
                    .map(|address| Bindable::Tcp(*address))
                    .ok_or_else(unknown)
            }
        }
    }
}

/// `u16::from_str` takes `+9000`, which other clients would not.
fn port_has_sign(text: &str) -> bool {
    text.rsplit(':')
        .next()
        .is_some_and(|port| port.starts_with('+'))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl Bindable {
    /// Binds the address for a moment, the way libdqlite will (without listening), since libdqlite does not
    /// say why it could not.
    pub(super) fn check_free(&self) -> Result<()> {
        self.bind().map_err(|error| {
            Error::new(ErrorKind::Node, format!("cannot bind {self}: {error}")).with_source(error)
        })
    }

    fn bind(&self) -> io::Result<()> {
        let socket = |family| {
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        };
        match self {
            Bindable::Tcp(address) => {
                let socket = socket(if address.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                })?;
                rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
                rustix::net::bind(&socket, address)?;
            }
            Bindable::Abstract(name) if name.is_empty() => {}
            Bindable::Abstract(name) => {
                let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
                rustix::net::bind(&socket(AddressFamily::UNIX)?, &address)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Bindable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bindable::Tcp(address) => write!(f, "{address}"),
            Bindable::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_taken_apart_and_put_together() {
        for text in [
            "127.0.0.1:9001",
            "[::1]:9001",
            "node-1.example:65535",
            "@name",
            "@",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Address::parse("[::1]:9001").unwrap(),
            Address::Tcp {
                host: "::1".into(),
                port: 9001
            }
        );
    }

    #[test]
    fn a_bad_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no port"),
            ("127.0.0.1", "no port"),
            (":9001", "no host"),
            ("a:0", "port 0"),
            ("a:65536", "not a number"),
            ("a:http", "not a number"),
            ("a:+9001", "not a number"),
            ("::1:9001", "in brackets"),
            ("[::1:9001", "not closed"),
            ("a\0b:9001", "NUL"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text:?}");
            assert!(error.message().contains(reason), "{text:?}: {error}");
        }
        assert!(Address::parse(&format!("@{}", "x".repeat(101))).is_err());
    }

    #[test]
    fn an_address_that_is_listened_on_is_not_free() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Bindable::Tcp(listener.local_addr().unwrap());
        let error = address.check_free().unwrap_err();
        assert!(error.message().contains("in use"), "{error}");
        drop(listener);
        address.check_free().unwrap();
    }
}
