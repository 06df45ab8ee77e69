//! The options of both databases.

use std::str::FromStr;

use super::value::{duration, limit, number, path, positive, shown, time};
use super::{Fault, OptionEntry, entry};
use crate::config::Database;
use crate::net::tls::TlsMode;
use crate::sql::Placeholders;

pub(super) const OPTIONS: &[OptionEntry] = &[
    entry(
        "timeout",
        |c, v| limit(v).map(|v| c.timeout = v),
        |c| shown(c.timeout),
    ),
    entry(
        "acquire_timeout",
        |c, v| limit(v).map(|v| c.pool.acquire_timeout = v),
        |c| shown(c.pool.acquire_timeout),
    ),
    entry(
        "pool_max_conns",
        |c, v| number(v, 1, "a number of at least 1").map(|v| c.pool.max_conns = v),
        |c| Some(c.pool.max_conns.to_string()),
    ),
    entry(
        "pool_min_conns",
        |c, v| number(v, 0, "a number").map(|v| c.pool.min_conns = v),
        |c| Some(c.pool.min_conns.to_string()),
    ),
    entry(
        "pool_max_conn_lifetime",
        |c, v| limit(v).map(|v| c.pool.max_conn_lifetime = v),
        |c| shown(c.pool.max_conn_lifetime),
    ),
    entry(
        "pool_max_conn_lifetime_jitter",
        |c, v| duration(v).map(|v| c.pool.max_conn_lifetime_jitter = v),
        |c| time(c.pool.max_conn_lifetime_jitter),
    ),
    entry(
        "pool_max_conn_idle_time",
        |c, v| limit(v).map(|v| c.pool.max_conn_idle_time = v),
        |c| shown(c.pool.max_conn_idle_time),
    ),
    entry(
        "pool_health_check_period",
        |c, v| positive(v).map(|v| c.pool.health_check_period = v),
        |c| time(c.pool.health_check_period),
    ),
    entry(
        "statement_cache",
        |c, v| number(v, 0, "a number").map(|v| c.statement_cache = v),
        |c| Some(c.statement_cache.to_string()),
    ),
    entry(
        "placeholders",
        |c, v| {
            c.placeholders = match v {
                "native" => Placeholders::Native,
                "question" => Placeholders::Question,
                "named" => Placeholders::Named,
                _ => return Err(Fault::Wanted("native, question or named")),
            };
            Ok(())
        },
        |c| {
            let style = match c.placeholders {
                Placeholders::Native => "native",
                Placeholders::Question => "question",
                Placeholders::Named => "named",
            };
            Some(style.to_owned())
        },
    ),
    entry(
        "sslmode",
        |c, v| match TlsMode::from_str(v) {
            Ok(mode) if mode.is_up_to_server() && c.database == Database::Dqlite => {
                Err(Fault::Wanted(
                    "for dqlite, whose nodes do not say whether they have tls: use require, or disable for plain text",
                ))
            }
            Ok(mode) => {
                c.tls.set_mode(mode);
                Ok(())
            }
            Err(_) => Err(Fault::Wanted(
                "disable, allow, prefer, require, verify-ca or verify-full",
            )),
        },
        |c| Some(c.tls.mode().to_string()),
    ),
    entry(
        "sslrootcert",
        |c, v| {
            c.tls.ca_file(v);
            Ok(())
        },
        |c| path(c.tls.ca_path()),
    ),
    entry(
        "sslcert",
        |c, v| {
            c.tls.client_cert_file(v);
            Ok(())
        },
        |c| path(c.tls.client_cert_path()),
    ),
    entry(
        "sslkey",
        |c, v| {
            c.tls.client_key_file(v);
            Ok(())
        },
        |c| path(c.tls.client_key_path()),
    ),
    entry(
        "sslservername",
        |c, v| {
            c.tls.server_name(v);
            Ok(())
        },
        |c| c.tls.name().map(str::to_owned),
    ),
    entry(
        "dial_timeout",
        |c, v| positive(v).map(|v| c.dial_timeout = v),
        |c| time(c.dial_timeout),
    ),
];
