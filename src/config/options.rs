//! The options by name: one table, which the connection string, the setter and the error messages share.

use std::str::FromStr;
use std::time::Duration;

use crate::config::duration::parse_duration;
use crate::config::{Config, LookupConfig, PoolConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::net::tls::TlsMode;

/// Reads a value into its place, or says what would have been one.
type Set = fn(&mut Config, &str) -> Result<(), &'static str>;

const DURATION: &str = "a duration such as 1h30m, 500ms or, in seconds, 5";
const POSITIVE: &str = "a duration above 0 such as 1h30m or 500ms";

fn duration(value: &str) -> Result<Duration, &'static str> {
    parse_duration(value).ok_or(DURATION)
}

fn positive(value: &str) -> Result<Duration, &'static str> {
    parse_duration(value)
        .filter(|duration| !duration.is_zero())
        .ok_or(POSITIVE)
}

/// A duration of which 0 means none.
fn limit(value: &str) -> Result<Option<Duration>, &'static str> {
    duration(value).map(|duration| (!duration.is_zero()).then_some(duration))
}

fn number<T: FromStr + PartialOrd>(
    value: &str,
    least: T,
    wanted: &'static str,
) -> Result<T, &'static str> {
    value
        .parse()
        .ok()
        .filter(|number| *number >= least)
        .ok_or(wanted)
}

fn pool(config: &mut Config) -> &mut PoolConfig {
    &mut config.pool
}

fn lookup(config: &mut Config) -> &mut LookupConfig {
    &mut config.lookup
}

const OPTIONS: &[(&str, Set)] = &[
    ("timeout", |c, v| limit(v).map(|v| c.timeout = v)),
    ("acquire_timeout", |c, v| {
        limit(v).map(|v| pool(c).acquire_timeout = v)
    }),
    ("pool_max_conns", |c, v| {
        number(v, 1, "a number of at least 1").map(|v| pool(c).max_conns = v)
    }),
    ("pool_min_conns", |c, v| {
        number(v, 0, "a number").map(|v| pool(c).min_conns = v)
    }),
    ("pool_max_conn_lifetime", |c, v| {
        limit(v).map(|v| pool(c).max_conn_lifetime = v)
    }),
    ("pool_max_conn_lifetime_jitter", |c, v| {
        duration(v).map(|v| pool(c).max_conn_lifetime_jitter = v)
    }),
    ("pool_max_conn_idle_time", |c, v| {
        limit(v).map(|v| pool(c).max_conn_idle_time = v)
    }),
    ("pool_health_check_period", |c, v| {
        positive(v).map(|v| pool(c).health_check_period = v)
    }),
    ("statement_cache", |c, v| {
        number(v, 0, "a number").map(|v| c.statement_cache = v)
    }),
    ("max_message", |c, v| {
        number(v, 4096, "a number of bytes of at least 4096").map(|v| c.max_message = v)
    }),
    ("refresh_interval", |c, v| {
        positive(v).map(|v| c.refresh_interval = v)
    }),
    ("sslmode", |c, v| {
        TlsMode::from_str(v)
            .map(|v| {
                c.tls.set_mode(v);
            })
            .map_err(|_| "disable, require, verify-ca or verify-full")
    }),
    ("sslrootcert", |c, v| {
        c.tls.ca_file(v);
        Ok(())
    }),
    ("sslcert", |c, v| {
        c.tls.client_cert_file(v);
        Ok(())
    }),
    ("sslkey", |c, v| {
        c.tls.client_key_file(v);
        Ok(())
    }),
    ("sslservername", |c, v| {
        c.tls.server_name(v);
        Ok(())
    }),
    ("dial_timeout", |c, v| {
        positive(v).map(|v| c.dial_timeout = v)
    }),
    ("store", |c, v| {
        c.store_path = Some(v.to_owned());
        Ok(())
    }),
    ("attempt_timeout", |c, v| {
        positive(v).map(|v| lookup(c).attempt_timeout = v)
    }),
    ("probe_limit", |c, v| {
        number(v, 1, "a number of at least 1").map(|v| lookup(c).probe_limit = v)
    }),
    ("probe_delay", |c, v| {
        duration(v).map(|v| lookup(c).probe_delay = v)
    }),
    ("backoff_factor", |c, v| {
        positive(v).map(|v| lookup(c).backoff_factor = v)
    }),
    ("backoff_cap", |c, v| {
        positive(v).map(|v| lookup(c).backoff_cap = v)
    }),
    ("retry_limit", |c, v| {
        number(v, 0, "a number").map(|v| lookup(c).retry_limit = v)
    }),
];

/// Sets the option called `name`.
pub(super) fn set(config: &mut Config, name: &str, value: &str) -> Result<()> {
    let Some((_, set)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown(name));
    };
    set(config, value).map_err(|wanted| {
        Error::new(
            ErrorKind::Config,
            format!("the option {name} is {value:?}, which is not {wanted}"),
        )
    })
}

fn unknown(name: &str) -> Error {
    let nearest = OPTIONS
        .iter()
        .map(|(known, _)| *known)
        .max_by(|a, b| {
            let likeness = |known| strsim::jaro_winkler(name, known);
            likeness(a).total_cmp(&likeness(b))
        })
        .unwrap_or_default();
    Error::new(
        ErrorKind::Config,
        format!("there is no option {name:?}; the nearest is {nearest:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Database;

    fn config() -> Config {
        Config::new(Database::Dqlite, Vec::new(), "app".into())
    }

    #[test]
    fn every_documented_option_exists_and_every_option_is_documented() {
        let text = include_str!("mod.rs");
        let documented: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// | `"))
            .flat_map(|line| {
                let names = line.split(" | ").next().unwrap_or_default();
                names
                    .split(", ")
                    .map(|name| name.trim_matches('`'))
                    .collect::<Vec<_>>()
            })
            .collect();
        let known: Vec<_> = OPTIONS.iter().map(|(name, _)| *name).collect();
        let mut sorted = (documented.clone(), known.clone());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1);
    }

    #[test]
    fn an_unknown_option_is_named_with_the_nearest_known_one() {
        let error = set(&mut config(), "pool_max_con", "1").unwrap_err();
        assert_eq!(
            error.message(),
            "there is no option \"pool_max_con\"; the nearest is \"pool_max_conns\""
        );
    }

    #[test]
    fn a_bad_value_is_named_with_what_would_be_good() {
        for (name, value) in [
            ("timeout", "soon"),
            ("pool_max_conns", "0"),
            ("pool_max_conns", "-1"),
            ("probe_limit", "many"),
            ("sslmode", "prefer"),
            ("refresh_interval", "0"),
            ("max_message", "1"),
        ] {
            let error = set(&mut config(), name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(
                error.message().contains(name) && error.message().contains(value),
                "{error}"
            );
        }
    }

    #[test]
    fn zero_turns_a_limit_off() {
        let mut config = config();
        set(&mut config, "timeout", "0").unwrap();
        set(&mut config, "pool_max_conn_lifetime", "0s").unwrap();
        assert_eq!(config.timeout, None);
        assert_eq!(config.pool.max_conn_lifetime, None);
    }
}
