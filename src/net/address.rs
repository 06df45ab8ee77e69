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
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn parse(text: &str) -> Result<Address> {
        Address::parse(text, None)
    }

    #[test]
    fn each_form_is_read_and_written_back() {
        // text, what it is written as, host, port
        let table = [
            (
                "10.0.0.1:9001",
                "10.0.0.1:9001",
                Some("10.0.0.1"),
                Some(9001),
            ),
            ("[::1]:9001", "[::1]:9001", Some("::1"), Some(9001)),
            ("[0:0::0001]:1", "[::1]:1", Some("::1"), Some(1)),
            (
                "[fe80::1%eth0]:5",
                "[fe80::1%eth0]:5",
                Some("fe80::1%eth0"),
                Some(5),
            ),
            (
                "[::ffff:1.2.3.4]:5",
                "[::ffff:1.2.3.4]:5",
                Some("::ffff:1.2.3.4"),
                Some(5),
            ),
            (
                "Db_1.Example:65535",
                "db_1.example:65535",
                Some("db_1.example"),
                Some(65535),
            ),
            (
                "db1.example.:080",
                "db1.example.:80",
                Some("db1.example."),
                Some(80),
            ),
            ("unix:80", "unix:80", Some("unix"), Some(80)),
            ("/run/a b:c@d.sock", "/run/a b:c@d.sock", None, None),
            ("unix:/run/db.sock", "/run/db.sock", None, None),
            ("@dqlite-1", "@dqlite-1", None, None),
            ("@/a@b:c", "@/a@b:c", None, None),
        ];
        for (text, written, host, port) in table {
            let address = parse(text).unwrap();
            assert_eq!(address.to_string(), written, "{text}");
            assert_eq!(parse(written).unwrap(), address, "{text}");
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn the_default_port_stands_in_where_none_is_written() {
        for (text, written) in [
            ("db1", "db1:5432"),
            ("[::1]", "[::1]:5432"),
            ("db1:6432", "db1:6432"),
            ("@db1", "@db1"),
        ] {
            let address = Address::parse(text, Some(5432)).unwrap();
            assert_eq!(address.to_string(), written);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let long = format!("/{}", "x".repeat(107));
        let table = [
            ("", "is empty"),
            ("db1", "no port: write `db1:<port>`"),
            ("db1:", "the port ``"),
            ("db1:0", "the port `0`"),
            ("db1:65536", "1 to 65535"),
            ("db1:+80", "the port `+80`"),
            ("db1:80 ", "the port `80 `"),
            (":9001", "no host"),
            ("::1:9001", "as in `[::1]:9001`"),
            ("::1", "as in `[::1]:<port>`"),
            ("a:b:c", "several colons"),
            ("[::1", "lacks the `]`"),
            ("[::1]9001", "behind the `]`"),
            ("[db1]:9001", "not an ipv6 address"),
            ("[]:9001", "not an ipv6 address"),
            ("[::1%]:9001", "zone"),
            ("[::1%a b]:9001", "zone"),
            ("db 1:9001", "the character ' '"),
            ("bücher:9001", "punycode"),
            ("a..b:9001", "between dots"),
            (".:9001", "between dots"),
            ("256.0.0.1:9001", "not an ipv4 address"),
            ("127.1:9001", "not an ipv4 address"),
            ("a\0b:1", "nul"),
            ("/run/a\0b", "nul"),
            ("@", "no name"),
            (&long, "108 bytes long, and the system allows 107"),
            ("unix:db.sock", "the port `db.sock`"),
        ];
        for (text, part) in table {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(part), "{text:?}: {error}");
        }
        let error = Address::tcp("db1", 0).unwrap_err();
        assert!(error.message().contains("port 0"), "{error}");
        let label = format!("{}:1", "x".repeat(64));
        assert!(parse(&label).is_err());
        let name = format!("{}:1", ["x".repeat(50).as_str(); 5].join("."));
        assert!(parse(&name).unwrap_err().message().contains("253"));
    }

    #[test]
    fn the_longest_unix_addresses_are_accepted() {
        for first in ["/", "@"] {
            let limit = if first == "/" { 106 } else { 107 };
            let text = |length| format!("{first}{}", "x".repeat(length));
            assert!(parse(&text(limit)).is_ok());
            assert!(parse(&text(limit + 1)).is_err());
        }
    }

    #[test]
    fn errors_do_not_repeat_what_may_be_a_password() {
        for text in [
            "dqlite://app:s3cret@db1:9001",
            "app:s3cret@db1:9001",
            "s3cret@db1",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn equality_follows_the_written_form() {
        let set: HashSet<_> = [
            "DB1:1",
            "db1:1",
            "[::0]:1",
            "[::]:1",
            "127.0.0.1:1",
            "localhost:1",
        ]
        .map(|text| parse(text).unwrap())
        .into();
        assert_eq!(set.len(), 4);
    }

    #[test]
    fn socket_addresses_become_addresses() {
        for text in ["10.0.0.1:9001", "[::1]:9001", "[fe80::1%3]:9001"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::try_from(socket).unwrap().to_string(), text);
        }
        let unbound: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(Address::try_from(unbound).is_err());
    }

    #[test]
    fn any_text_is_refused_or_round_trips() {
        const PIECES: [&str; 18] = [
            "a", "B", "1", "::", ":", ".", "[", "]", "%", "@", "/", "unix:", "-", "_", " ", "é",
            "\0", "9001",
        ];
        let mut random = fastrand::Rng::with_seed(1);
        let mut read = 0;
        for _ in 0..20_000 {
            let text: String = (0..random.usize(0..8))
                .map(|_| PIECES[random.usize(..PIECES.len())])
                .collect();
            let default_port = random.bool().then_some(1);
            if let Ok(address) = Address::parse(&text, default_port) {
                read += 1;
                assert_eq!(parse(&address.to_string()).unwrap(), address, "{text:?}");
            }
        }
        assert!(read > 100, "{read}");
    }
}
