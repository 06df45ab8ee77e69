//! URLs: `picodata://user:password@host:port,host:port/database?option=value`.

use crate::config::url::{decode, split_query};
use crate::config::{Config, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::picodata::config::resolve::resolve;
use crate::picodata::config::settings::{Origin, Settings};
use crate::picodata::config::{Environment, Scheme};

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Reads what stands behind `scheme://`.
pub(crate) fn from_url(
    scheme: Scheme,
    rest: &str,
    environment: &Environment<'_>,
) -> Result<Config> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    let misplaced = |error: Option<Error>| {
        // The error itself is dropped: it may repeat a part of the password.
        drop(error);
        bad(
            "the connection string has an `@` behind its first `/` or `?`: in the user and the password write \
             %2F for `/`, %3F for `?` and %40 for `@`; in what follows the hosts, %40 for `@`",
        )
    };
    let at_outside = behind.contains('@');
    if path.contains('@') {
        return Err(misplaced(None));
    }
    read(authority, path, query)
        .and_then(|settings| resolve(scheme, settings, environment))
        .map_err(|error| {
            if at_outside {
                misplaced(Some(error))
            } else {
                error
            }
        })
}

fn read(authority: &str, path: &str, query: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    let mut set = |name: &str, value: String| settings.set(name, value, Origin::Text);
    let hosts = match authority.split_once('@') {
        None => authority,
        Some((user, hosts)) => {
            if hosts.contains('@') {
                return Err(bad(
                    "the connection string has two `@` before its hosts: in the user and the password write \
                     %40 for `@`",
                ));
            }
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            if !user.is_empty() {
                set("user", decode(user, "user")?);
            }
            if !password.is_empty() {
                set("password", decode(password, "password")?);
            }
            hosts
        }
    };
    if !hosts.is_empty() {
        let (names, ports): (Vec<_>, Vec<_>) = hosts
            .split(',')
            .map(split_host)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        set("host", names.join(","));
        if ports.iter().any(|port| !port.is_empty()) {
            set("port", ports.join(","));
        }
    }
    let name = path.strip_prefix('/').unwrap_or(path);
    if !name.is_empty() {
        set("dbname", decode(name, "database name")?);
    }
    for (name, value) in split_query(query)? {
        // JDBC's way of asking for TLS, which libpq takes in a URL too.
        if (name.as_str(), value.as_str()) == ("ssl", "true") {
            set("sslmode", "require".into());
        } else {
            set(&name, value);
        }
    }
    Ok(settings)
}

/// Splits `host:port` or `[IPv6]:port`; either may be left out.
fn split_host(text: &str) -> Result<(String, String)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest
                .split_once(']')
                .ok_or_else(|| bad("a host begins with `[` and lacks the `]`"))?;
            let port = match behind.strip_prefix(':') {
                Some(port) => port,
                None if behind.is_empty() => "",
                None => {
                    return Err(bad(
                        "a host has something other than `:<port>` behind its `]`",
                    ));
                }
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(bad(
                    "a host has several colons: put an ipv6 address in brackets, as in [::1]:4327",
                ));
            }
            Some((host, port)) => (host, port),
            None => (text, ""),
        },
    };
    let host = decode(host, "host")?;
    if host.contains(',') {
        return Err(bad("a host has a percent-encoded comma"));
    }
    Ok((host, decode(port, "port")?))
}

/// Reads the value of the option `service_url`, with the environment of the process.
pub(crate) fn parse_service_url(url: &str) -> Result<Config> {
    check_service_url(Config::parse(url)?)
}

/// The same, with an environment of the caller's.
pub(super) fn parse_service_url_in(url: &str, environment: &Environment<'_>) -> Result<Config> {
    check_service_url(crate::config::url::parse(url, environment)?)
}

fn check_service_url(config: Config) -> Result<Config> {
    if config.database != Database::Picodata {
        return Err(bad("it is for dqlite, and not for Picodata"));
    }
    if config.picodata.service_url.is_some() {
        return Err(bad("it has a service_url itself"));
    }
    Ok(config)
}
