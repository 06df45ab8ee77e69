//! Connection strings.

use percent_encoding::percent_decode_str;

use crate::config::{Config, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::net::address::Address;

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

fn decode(text: &str, what: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|error| bad(format!("the percent-encoded {what} is not UTF-8")).with_source(error))
}

/// Reads a connection string.
pub(super) fn parse(url: &str) -> Result<Config> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad(
            "the connection string is no url; it begins with dqlite://",
        ));
    };
    match scheme {
        "dqlite" => parse_dqlite(rest),
        "picodata" | "postgres" | "postgresql" => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{scheme}:// is not supported by this version; dqlite:// is"),
        )),
        other => Err(bad(format!(
            "the scheme {other:?} is not known; the connection string begins with dqlite://"
        ))),
    }
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
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((option, value)) = pair.split_once('=') else {
            return Err(bad(format!(
                "the option {pair:?} has no value; options are written name=value"
            )));
        };
        config.set(&decode(option, "option")?, &decode(value, "value")?)?;
    }
    if config.hosts.is_empty() && config.store_path.is_none() {
        return Err(bad(
            "the connection string names no host and no store; write dqlite://host:port/database",
        ));
    }
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
    }

    #[test]
    fn a_store_stands_for_the_hosts() {
        let config = parse("dqlite:///app?store=%2Fvar%2Fnodes.yaml").unwrap();
        assert!(config.hosts.is_empty());
        assert_eq!(config.store_path.as_deref(), Some("/var/nodes.yaml"));
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
            ("dqlite://a:9001/dir/app", "/"),
            ("dqlite://a:9001/app%00", "NUL"),
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
