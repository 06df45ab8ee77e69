//! Connection strings: which database they are for, dqlite's, and how a configuration is shown as one.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::{Config, Database, options};
use crate::error::{Error, ErrorKind, Result};
use crate::net::address::Address;
use crate::picodata::config::{Environment, Scheme, from_keywords, from_url};

/// What is percent-encoded in a part of a connection string: all but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Decodes the part of a connection string that is called `what`.
pub(crate) fn decode(text: &str, what: &str) -> Result<String> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let broken = text.bytes().enumerate().any(|(at, byte)| {
        let behind = text.as_bytes().get(at + 1..).unwrap_or_default();
        byte == b'%' && !(is_hex(behind.first()) && is_hex(behind.get(1)))
    });
    if broken {
        return Err(bad(format!(
            "the {what} has a `%` that is not followed by two hexadecimal digits; write %25 for a `%`"
        )));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|error| bad(format!("the percent-encoded {what} is not UTF-8")).with_source(error))
}

/// Encodes a part of a connection string.
fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, RESERVED)
}

/// Splits `name=value&name=value`, decoded.
pub(crate) fn split_query(query: &str) -> Result<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let Some((option, value)) = pair.split_once('=') else {
                return Err(bad(format!(
                    "the option {pair:?} has no value; options are written name=value"
                )));
            };
            Ok((decode(option, "option")?, decode(value, "value")?))
        })
        .collect()
}

/// Reads a connection string.
pub(crate) fn parse(text: &str, environment: &Environment<'_>) -> Result<Config> {
    let is_word = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let config = match text.split_once("://") {
        Some(("dqlite", rest)) => parse_dqlite(rest)?,
        Some(("picodata", rest)) => from_url(Scheme::Picodata, rest, environment)?,
        Some(("postgres" | "postgresql", rest)) => from_url(Scheme::Postgres, rest, environment)?,
        Some((other, _)) if is_word(other) => {
            return Err(bad(format!(
                "the scheme {other:?} is not known; a connection string begins with dqlite://, picodata:// \
                 or postgres://"
            )));
        }
        _ if text.contains('=') => from_keywords(text, environment)?,
        _ => {
            return Err(bad(
                "the connection string is no url, which begins with dqlite://, picodata:// or postgres://, \
                 and has no keyword=value",
            ));
        }
    };
    config.validate()?;
    Ok(config)
}

fn parse_dqlite(rest: &str) -> Result<Config> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, name) = place.split_once('/').unwrap_or((place, ""));
    let hosts = hosts
        .split(',')
        .filter(|host| !hosts.is_empty() || !host.is_empty())
        .map(|host| {
            let host = decode(host, "host")?;
            Address::parse(&host, None).map(|address| address.to_string())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut config = Config::new(Database::Dqlite, hosts, decode(name, "database name")?);
    for (option, value) in split_query(query)? {
        config.set(&option, &value)?;
    }
    if config.hosts.is_empty() && config.dqlite.store_path.is_none() {
        return Err(bad(
            "the connection string names no host and no store; write dqlite://host:port/database",
        ));
    }
    Ok(config)
}

impl fmt::Display for Config {
    /// The configuration as a connection string, for logs: all options that are not as they are by default,
    /// and `***` in the place of a password. Read back it gives the same configuration without its password,
    /// certificates and keys given as text, strategies and functions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut default = Config::new(self.database, Vec::new(), String::new());
        match self.database {
            Database::Dqlite => f.write_str("dqlite://")?,
            Database::Picodata => {
                default.picodata.scheme = self.picodata.scheme;
                write!(f, "{}://", self.picodata.scheme.as_str())?;
                write!(f, "{}", encode(&self.picodata.user))?;
                if self.picodata.password.is_some() {
                    f.write_str(":***")?;
                }
                f.write_str("@")?;
            }
        }
        for (index, host) in self.hosts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host.rsplit_once("/.s.PGSQL.") {
                Some((directory, port)) if self.database == Database::Picodata => {
                    let directory = if directory.is_empty() { "/" } else { directory };
                    write!(f, "{}:{port}", encode(directory))?;
                }
                _ if host.starts_with('/') => write!(f, "{}", encode(host))?,
                // A zone begins with a `%`.
                _ => f.write_str(&host.replace('%', "%25"))?,
            }
        }
        if !self.name().is_empty() {
            write!(f, "/{}", encode(self.name()))?;
        }
        for (index, (name, value)) in options::changed(self, &default).iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            write!(f, "{separator}{name}={}", encode(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse(text: &str) -> Result<Config> {
        Config::parse_in(text, &|_| None)
    }

    #[test]
    fn hosts_name_and_options_are_read() {
        let config = parse(
            "dqlite://a.example:9001,[::1]:9002,@node3,%2Frun%2Fn.sock/my%20app?timeout=1.5s&pool_max_conns=3",
        )
        .unwrap();
        assert_eq!(
            config.hosts,
            ["a.example:9001", "[::1]:9002", "@node3", "/run/n.sock"]
        );
        assert_eq!(config.name, "my app");
        assert_eq!(config.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(config.pool.max_conns, 3);
        assert_eq!(
            config.to_string(),
            "dqlite://a.example:9001,[::1]:9002,@node3,%2Frun%2Fn.sock/my%20app\
             ?timeout=1500ms&pool_max_conns=3&sslmode=disable"
        );
    }

    #[test]
    fn a_store_stands_for_the_hosts() {
        let config = parse("dqlite:///app?store=%2Fvar%2Fnodes.yaml").unwrap();
        assert!(config.hosts.is_empty());
        assert_eq!(config.dqlite.store_path.as_deref(), Some("/var/nodes.yaml"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, part) in [
            ("", "is no url"),
            ("127.0.0.1:9001", "is no url"),
            ("mysql://a:1/app", "mysql"),
            ("dqlite://a:9001", "no database"),
            ("dqlite://a:9001/", "no database"),
            ("dqlite:///app", "no host"),
            ("dqlite://a/app", "no port"),
            ("dqlite://a:9001,/app", "empty"),
            ("dqlite://a:9001/app?timeout", "no value"),
            ("dqlite://a:9001/app?timeot=1", "timeout"),
            ("dqlite://a:9001/app?user=x", "for dqlite"),
            ("dqlite://a:9001/dir/app", "/"),
            ("dqlite://a:9001/app%00", "NUL"),
            ("dqlite://a:9001/app%zz", "hexadecimal"),
            ("dqlite://a:9001/app%4", "hexadecimal"),
            ("dqlite://a:9001/app%", "hexadecimal"),
            ("dqlite://a:9001/app%ff", "UTF-8"),
            ("dqlite://a:9001/:memory:", "memory"),
            ("dqlite://a:9001/app%3Fmode=memory", "mode=memory"),
            ("dqlite://a:9001/app?pool_min_conns=11", "pool_min_conns"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.message().contains(part), "{url}: {error}");
        }
    }
}
