//! Where a peer listens, as a user writes it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The bytes of a Unix socket's path, or of an abstract socket's name, that fit `sun_path` (unix(7)): 108,
/// less the NUL that ends the one and begins the other.
const MAX_UNIX: usize = 107;

/// The characters of a DNS name and of one of its labels (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The address of a peer: a host and a TCP port, a Unix socket's path, or an abstract Unix socket (Linux).
///
/// | written | meaning |
/// | --- | --- |
/// | `10.0.0.1:9001` | IPv4 |
/// | `[::1]:9001`, `[fe80::1%eth0]:9001` | IPv6, with a zone where one is needed |
/// | `db1.example:9001` | a DNS name |
/// | `/run/db.sock`, `unix:/run/db.sock` | a Unix socket |
/// | `@name` | an abstract Unix socket |
///
/// Two addresses are equal if they are written the same after names are in lower case and IP addresses in
/// their shortest form; a name is never equal to the IP address it stands for. `Display` writes that form, and
/// [`parse`](Address::parse) reads it back.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The host has no brackets; it is in the form that [`Address`] compares.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(String),
    Abstract(String),
}

impl Address {
    /// Reads an address; `default_port` is the port where none is written.
    ///
    /// It does no I/O: a name is not looked up.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with a message that names the cause. Text that may hold a password (a URL, or
    /// something before an `@`) is not repeated in it.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Result<Self> {
        if text.is_empty() {
            return Err(bad("the address is empty"));
        }
        if text.contains('\0') {
            return Err(bad("the address holds a nul character"));
        }
        if text.starts_with('/') {
            return unix(text);
        }
        if let Some(path) = text
            .strip_prefix("unix:")
            .filter(|path| path.starts_with('/'))
        {
            return unix(path);
        }
        if let Some(name) = text.strip_prefix('@') {
            return abstract_unix(name);
        }
        if text.contains("://") {
            return Err(bad("the address is a url: give its `host:port` alone"));
        }
        if text.contains('@') {
            return Err(bad(
                "the address holds an `@`: give `host:port` alone, without a user",
            ));
        }
        let (host, port) = split(text)?;
        let port = match (port, default_port) {
            (Some(port), _) => parse_port(port, text)?,
            (None, Some(port)) => port,
            (None, None) => {
                return Err(bad(format!(
                    "the address `{text}` has no port: write `{text}:<port>`"
                )));
            }
        };
        Address::tcp(host, port)
    }

    /// Makes the address of `host`, a DNS name or an IP address with or without brackets, and `port`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the host is neither, or the port is 0.
    pub(crate) fn tcp(host: &str, port: u16) -> Result<Self> {
        if port == 0 {
            return Err(bad("port 0 cannot be connected to: use 1 to 65535"));
        }
        let host = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(inner) => ipv6(inner)?,
            None if host.contains(':') => ipv6(host)?,
            None => match host.parse::<IpAddr>() {
                Ok(ip) => ip.to_string(),
                Err(_) => name(host)?,
            },
        };
        Ok(Address(Place::Tcp { host, port }))
    }

    /// The host that TLS verifies, without brackets; `None` for a Unix socket, which has none.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.0 {
            Place::Tcp { host, .. } => Some(host),
            Place::Unix(_) | Place::Abstract(_) => None,
        }
    }

    #[cfg(test)]
    /// The TCP port; `None` for a Unix socket.
    pub(crate) fn port(&self) -> Option<u16> {
        match &self.0 {
            Place::Tcp { port, .. } => Some(*port),
            Place::Unix(_) | Place::Abstract(_) => None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => f.write_str(path),
            Place::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.to_string().escape_debug())
    }
}

impl FromStr for Address {
    type Err = Error;

    /// As [`Address::parse`] without a default port.
    fn from_str(text: &str) -> Result<Self> {
        Address::parse(text, None)
    }
}

impl TryFrom<SocketAddr> for Address {
    type Error = Error;

    /// An error of kind [`ErrorKind::Config`] if the port is 0.
    fn try_from(address: SocketAddr) -> Result<Self> {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Address::tcp(&format!("{}%{}", v6.ip(), v6.scope_id()), v6.port())
            }
            _ => Address::tcp(&address.ip().to_string(), address.port()),
        }
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn unix(path: &str) -> Result<Address> {
    check_unix_length(path, "unix socket's path")?;
    Ok(Address(Place::Unix(path.to_owned())))
}

fn abstract_unix(name: &str) -> Result<Address> {
    if name.is_empty() {
        return Err(bad("the abstract unix socket `@` has no name"));
    }
    check_unix_length(name, "abstract unix socket's name")?;
    Ok(Address(Place::Abstract(name.to_owned())))
}

fn check_unix_length(text: &str, what: &str) -> Result<()> {
    if text.len() > MAX_UNIX {
        return Err(bad(format!(
            "the {what} is {} bytes long, and the system allows {MAX_UNIX}: use a shorter one",
            text.len()
        )));
    }
    Ok(())
}

/// Splits host, with its brackets, and port.
fn split(text: &str) -> Result<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text
            .find(']')
            .ok_or_else(|| bad(format!("the address `{text}` lacks the `]` of its host")))?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad(format!(
                "the address `{text}` has something other than `:<port>` behind the `]`"
            ))),
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((text, None));
    };
    if host.contains(':') {
        let example = if host.parse::<Ipv6Addr>().is_ok() {
            format!("`[{host}]:{port}`")
        } else if text.parse::<Ipv6Addr>().is_ok() {
            format!("`[{text}]:<port>`")
        } else {
            "`[::1]:9001`".to_owned()
        };
        return Err(bad(format!(
            "the address `{text}` has several colons and is ambiguous: put an ipv6 address in brackets, as \
             in {example}"
        )));
    }
    Ok((host, Some(port)))
}

fn parse_port(port: &str, text: &str) -> Result<u16> {
    // `u16::from_str` would take a sign.
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(number),
        _ => Err(bad(format!(
            "the address `{text}` has the port `{port}`, which is not a number from 1 to 65535"
        ))),
    }
}

fn ipv6(text: &str) -> Result<String> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| bad(format!("`{text}` is not an ipv6 address")))?;
    match zone {
        None => Ok(address.to_string()),
        Some(zone)
            if !zone.is_empty()
                && zone
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) =>
        {
            Ok(format!("{address}%{zone}"))
        }
        Some(_) => Err(bad(format!(
            "`{text}` has a zone that is no interface: write `%eth0` or `%2`"
        ))),
    }
}

fn name(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(bad("the address has no host: write `<host>:<port>`"));
    }
    let refuse = |reason: &str| {
        Err(bad(format!(
            "the host name `{}` {reason}",
            text.escape_debug()
        )))
    };
    if !text.is_ascii() {
        return refuse("is not ascii: write an international name in punycode (`xn--…`)");
    }
    if let Some(wrong) = text
        .chars()
        .find(|&char| !char.is_ascii_alphanumeric() && !"-_.".contains(char))
    {
        return refuse(&format!("holds the character {wrong:?}"));
    }
    let relative = text.strip_suffix('.').unwrap_or(text);
    if relative.len() > MAX_NAME {
        return refuse("is longer than 253 characters");
    }
    for label in relative.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return refuse("has a part between dots that is empty or longer than 63 characters");
        }
    }
    let last = relative.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse("ends in a number, but is not an ipv4 address");
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
