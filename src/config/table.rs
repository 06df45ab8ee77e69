//! The table of options: each with the database that it belongs to, and how it is read and written.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::config::Config;
use crate::config::duration::{format_duration, parse_duration};
use crate::config::secret::Secret;
use crate::error::Error;
use crate::net::tls::TlsMode;
use crate::picodata::config::{Balance, Scheme, parse_service_url};
use crate::sql::Placeholders;
use crate::topology::RoleFilter;

/// An option of the connection string.
pub(super) struct OptionEntry {
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    /// Reads a value into its place.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Fault>,
    /// Writes the value as it would be read; `None` where there is none, or none to be shown.
    pub(super) get: fn(&Config) -> Option<String>,
}

/// Which database an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Both,
    Dqlite,
    Picodata,
}

/// Why a value cannot be taken.
pub(super) enum Fault {
    /// What it should have been: "the option … is …, which is not …".
    Wanted(&'static str),
    /// The whole of the error, the value being one that is not repeated.
    Whole(Error),
}

impl From<&'static str> for Fault {
    fn from(wanted: &'static str) -> Self {
        Fault::Wanted(wanted)
    }
}

const DURATION: &str = "a duration such as 1h30m, 500ms or, in seconds, 5";
const POSITIVE: &str = "a duration above 0 such as 1h30m or 500ms";

/// What stands for no limit where a duration is needed: longer than any call.
const ENDLESS: Duration = Duration::from_secs(24 * 3600);

fn duration(value: &str) -> Result<Duration, Fault> {
    parse_duration(value).ok_or(Fault::Wanted(DURATION))
}

fn positive(value: &str) -> Result<Duration, Fault> {
    parse_duration(value)
        .filter(|duration| !duration.is_zero())
        .ok_or(Fault::Wanted(POSITIVE))
}

/// A duration of which 0 means none.
fn limit(value: &str) -> Result<Option<Duration>, Fault> {
    duration(value).map(|duration| (!duration.is_zero()).then_some(duration))
}

fn number<T: FromStr + PartialOrd>(
    value: &str,
    least: T,
    wanted: &'static str,
) -> Result<T, Fault> {
    value
        .parse()
        .ok()
        .filter(|number| *number >= least)
        .ok_or(Fault::Wanted(wanted))
}

fn switch(value: &str) -> Result<bool, Fault> {
    match value {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(Fault::Wanted("on or off")),
    }
}

/// Text that goes to the server, whose protocol ends it with a NUL.
fn text(value: &str) -> Result<String, Fault> {
    if value.contains('\0') {
        return Err(Fault::Wanted("text without a NUL"));
    }
    Ok(value.to_owned())
}

fn optional(value: &str) -> Result<Option<String>, Fault> {
    text(value).map(|value| (!value.is_empty()).then_some(value))
}

/// An option of libpq whose offered values ask for nothing.
fn harmless(value: &str, accepted: &[&str], wanted: &'static str) -> Result<(), Fault> {
    if accepted
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value))
    {
        return Ok(());
    }
    Err(Fault::Wanted(wanted))
}

/// `name=value,name=value`.
fn pairs(value: &str) -> Option<Vec<(&str, &str)>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    value
        .split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            (!name.is_empty() && !value.is_empty()).then_some((name, value))
        })
        .collect()
}

fn shown(duration: Option<Duration>) -> Option<String> {
    Some(format_duration(duration.unwrap_or_default()))
}

fn time(duration: Duration) -> Option<String> {
    Some(format_duration(duration))
}

fn path(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

fn on_off(on: bool) -> Option<String> {
    Some(if on { "on" } else { "off" }.to_owned())
}

const fn entry(
    name: &'static str,
    scope: Scope,
    set: fn(&mut Config, &str) -> Result<(), Fault>,
    get: fn(&Config) -> Option<String>,
) -> OptionEntry {
    OptionEntry {
        name,
        scope,
        set,
        get,
    }
}

use Scope::{Both, Dqlite, Picodata};

pub(super) const OPTIONS: &[OptionEntry] = &[
    entry(
        "timeout",
        Both,
        |c, v| limit(v).map(|v| c.timeout = v),
        |c| shown(c.timeout),
    ),
    entry(
        "acquire_timeout",
        Both,
        |c, v| limit(v).map(|v| c.pool.acquire_timeout = v),
        |c| shown(c.pool.acquire_timeout),
    ),
    entry(
        "pool_max_conns",
        Both,
        |c, v| number(v, 1, "a number of at least 1").map(|v| c.pool.max_conns = v),
        |c| Some(c.pool.max_conns.to_string()),
    ),
    entry(
        "pool_min_conns",
        Both,
        |c, v| number(v, 0, "a number").map(|v| c.pool.min_conns = v),
        |c| Some(c.pool.min_conns.to_string()),
    ),
    entry(
        "pool_max_conn_lifetime",
        Both,
        |c, v| limit(v).map(|v| c.pool.max_conn_lifetime = v),
        |c| shown(c.pool.max_conn_lifetime),
    ),
    entry(
        "pool_max_conn_lifetime_jitter",
        Both,
        |c, v| duration(v).map(|v| c.pool.max_conn_lifetime_jitter = v),
        |c| time(c.pool.max_conn_lifetime_jitter),
    ),
    entry(
        "pool_max_conn_idle_time",
        Both,
        |c, v| limit(v).map(|v| c.pool.max_conn_idle_time = v),
        |c| shown(c.pool.max_conn_idle_time),
    ),
    entry(
        "pool_health_check_period",
        Both,
        |c, v| positive(v).map(|v| c.pool.health_check_period = v),
        |c| time(c.pool.health_check_period),
    ),
    entry(
        "statement_cache",
        Both,
        |c, v| number(v, 0, "a number").map(|v| c.statement_cache = v),
        |c| Some(c.statement_cache.to_string()),
    ),
    entry(
        "placeholders",
        Both,
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
        Both,
        |c, v| match TlsMode::from_str(v) {
            Ok(mode) => {
                c.tls.set_mode(mode);
                Ok(())
            }
            Err(_) if matches!(v, "allow" | "prefer") => Err(Fault::Wanted(
                "offered, because it falls back to plain text silently: use require, or disable for plain text",
            )),
            Err(_) => Err(Fault::Wanted("disable, require, verify-ca or verify-full")),
        },
        |c| Some(c.tls.mode().to_string()),
    ),
    entry(
        "sslrootcert",
        Both,
        |c, v| {
            c.tls.ca_file(v);
            Ok(())
        },
        |c| path(c.tls.ca_path()),
    ),
    entry(
        "sslcert",
        Both,
        |c, v| {
            c.tls.client_cert_file(v);
            Ok(())
        },
        |c| path(c.tls.client_cert_path()),
    ),
    entry(
        "sslkey",
        Both,
        |c, v| {
            c.tls.client_key_file(v);
            Ok(())
        },
        |c| path(c.tls.client_key_path()),
    ),
    entry(
        "sslservername",
        Both,
        |c, v| {
            c.tls.server_name(v);
            Ok(())
        },
        |c| c.tls.name().map(str::to_owned),
    ),
    entry(
        "dial_timeout",
        Both,
        |c, v| positive(v).map(|v| c.dial_timeout = v),
        |c| time(c.dial_timeout),
    ),
    entry(
        "busy_timeout",
        Dqlite,
        |c, v| duration(v).map(|v| c.dqlite.busy_timeout = v),
        |c| time(c.dqlite.busy_timeout),
    ),
    entry(
        "max_message",
        Dqlite,
        |c, v| {
            number(v, 4096, "a number of bytes of at least 4096").map(|v| c.dqlite.max_message = v)
        },
        |c| Some(c.dqlite.max_message.to_string()),
    ),
    entry(
        "refresh_interval",
        Dqlite,
        |c, v| positive(v).map(|v| c.refresh_interval = v),
        |c| time(c.refresh_interval),
    ),
    entry(
        "store",
        Dqlite,
        |c, v| {
            c.dqlite.store_path = Some(v.to_owned());
            Ok(())
        },
        |c| c.dqlite.store_path.clone(),
    ),
    entry(
        "attempt_timeout",
        Dqlite,
        |c, v| positive(v).map(|v| c.dqlite.lookup.attempt_timeout = v),
        |c| time(c.dqlite.lookup.attempt_timeout),
    ),
    entry(
        "probe_limit",
        Dqlite,
        |c, v| number(v, 1, "a number of at least 1").map(|v| c.dqlite.lookup.probe_limit = v),
        |c| Some(c.dqlite.lookup.probe_limit.to_string()),
    ),
    entry(
        "probe_delay",
        Dqlite,
        |c, v| duration(v).map(|v| c.dqlite.lookup.probe_delay = v),
        |c| time(c.dqlite.lookup.probe_delay),
    ),
    entry(
        "backoff_factor",
        Dqlite,
        |c, v| positive(v).map(|v| c.dqlite.lookup.backoff_factor = v),
        |c| time(c.dqlite.lookup.backoff_factor),
    ),
    entry(
        "backoff_cap",
        Dqlite,
        |c, v| positive(v).map(|v| c.dqlite.lookup.backoff_cap = v),
        |c| time(c.dqlite.lookup.backoff_cap),
    ),
    entry(
        "retry_limit",
        Dqlite,
        |c, v| number(v, 0, "a number").map(|v| c.dqlite.lookup.retry_limit = v),
        |c| Some(c.dqlite.lookup.retry_limit.to_string()),
    ),
    // The connection string itself shows the user and the name of the database.
    entry(
        "user",
        Picodata,
        |c, v| {
            if v.is_empty() {
                return Err(Fault::Wanted("a name"));
            }
            text(v).map(|v| c.picodata.user = v)
        },
        |_| None,
    ),
    entry(
        "password",
        Picodata,
        |c, v| {
            if v == "***" {
                return Err(Fault::Wanted(
                    "a password: it is what stands for one where a connection string is shown",
                ));
            }
            optional(v).map(|v| c.picodata.password = v.map(Secret::new))
        },
        |_| None,
    ),
    entry(
        "passfile",
        Picodata,
        |c, v| {
            c.picodata.passfile = (!v.is_empty()).then(|| v.into());
            Ok(())
        },
        |c| path(c.picodata.passfile.as_deref()),
    ),
    entry(
        "dbname",
        Picodata,
        |c, v| text(v).map(|v| c.name = v),
        |_| None,
    ),
    entry(
        "application_name",
        Picodata,
        |c, v| optional(v).map(|v| c.picodata.application_name = v),
        |c| c.picodata.application_name.clone(),
    ),
    entry(
        "fallback_application_name",
        Picodata,
        |c, v| {
            let fallback = optional(v)?;
            let name = &mut c.picodata.application_name;
            *name = name.take().or(fallback);
            Ok(())
        },
        |_| None,
    ),
    entry(
        "options",
        Picodata,
        |c, v| {
            // A malformed text makes Picodata close the connection without a word.
            let is_word = |name: &str| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let fits = pairs(v).is_some_and(|pairs| pairs.iter().all(|(name, _)| is_word(name)));
            if c.picodata.scheme == Scheme::Picodata && !fits {
                return Err(Fault::Wanted(
                    "of the form name=value,name=value that Picodata takes",
                ));
            }
            optional(v).map(|v| c.picodata.options = v)
        },
        |c| c.picodata.options.clone(),
    ),
    entry(
        "connect_timeout",
        Picodata,
        |c, v| {
            let wanted = Fault::Wanted("a number of seconds, of which 0 is no limit");
            if v.trim_start().starts_with('-') {
                return v
                    .trim()
                    .parse::<i64>()
                    .map(|_| c.dial_timeout = ENDLESS)
                    .map_err(|_| wanted);
            }
            let timeout = parse_duration(v.trim()).ok_or(wanted)?;
            c.dial_timeout = if timeout.is_zero() { ENDLESS } else { timeout };
            Ok(())
        },
        |_| None,
    ),
    entry(
        "allow_cleartext_password",
        Picodata,
        |c, v| switch(v).map(|v| c.picodata.allow_cleartext_password = v),
        |c| on_off(c.picodata.allow_cleartext_password),
    ),
    entry(
        "transaction_guard",
        Picodata,
        |c, v| switch(v).map(|v| c.picodata.transaction_guard = v),
        |c| on_off(c.picodata.transaction_guard),
    ),
    entry(
        "balance",
        Picodata,
        |c, v| {
            c.picodata.balance = Balance::from_name(v).ok_or(Fault::Wanted(
                "round_robin, random, least_busy or lowest_latency",
            ))?;
            Ok(())
        },
        |c| c.picodata.balance.name().map(str::to_owned),
    ),
    entry(
        "role",
        Picodata,
        |c, v| {
            c.picodata.filter.role = match v {
                "any" => RoleFilter::Any,
                "master" => RoleFilter::Master,
                "replica" => RoleFilter::Replica,
                _ => return Err(Fault::Wanted("any, master or replica")),
            };
            Ok(())
        },
        |c| {
            let role = match c.picodata.filter.role {
                RoleFilter::Any => "any",
                RoleFilter::Master => "master",
                RoleFilter::Replica => "replica",
            };
            Some(role.to_owned())
        },
    ),
    entry(
        "tier",
        Picodata,
        |c, v| {
            let tiers: Vec<_> = v.split(',').map(|tier| tier.trim().to_owned()).collect();
            if tiers.iter().any(String::is_empty) && tiers.len() > 1 {
                return Err(Fault::Wanted("a tier, or several with commas between"));
            }
            c.picodata.filter.tiers = tiers.into_iter().filter(|t| !t.is_empty()).collect();
            Ok(())
        },
        |c| Some(c.picodata.filter.tiers.join(",")),
    ),
    entry(
        "failure_domain",
        Picodata,
        |c, v| {
            let parts = pairs(v).ok_or(Fault::Wanted("of the form name=value,name=value"))?;
            let parts = parts.iter().map(|(n, v)| ((*n).into(), (*v).into()));
            c.picodata.filter.failure_domain = parts.collect::<BTreeMap<_, _>>();
            Ok(())
        },
        |c| {
            let parts = c.picodata.filter.failure_domain.iter();
            let parts: Vec<_> = parts.map(|(n, v)| format!("{n}={v}")).collect();
            Some(parts.join(","))
        },
    ),
    entry(
        "sharding",
        Picodata,
        |c, v| {
            c.picodata.sharding = match v {
                "auto" => true,
                "off" => false,
                _ => return Err(Fault::Wanted("auto or off")),
            };
            Ok(())
        },
        |c| {
            let sharding = if c.picodata.sharding { "auto" } else { "off" };
            Some(sharding.to_owned())
        },
    ),
    entry(
        "topology",
        Picodata,
        |c, v| switch(v).map(|v| c.picodata.topology = v),
        |c| on_off(c.picodata.topology),
    ),
    entry(
        "topology_interval",
        Picodata,
        |c, v| positive(v).map(|v| c.refresh_interval = v),
        |c| time(c.refresh_interval),
    ),
    entry(
        "service_url",
        Picodata,
        |c, v| {
            c.picodata.service_url = match v {
                "" => None,
                url => Some(Box::new(parse_service_url(url).map_err(Fault::Whole)?)),
            };
            Ok(())
        },
        |c| c.picodata.service_url.as_ref().map(ToString::to_string),
    ),
    entry(
        "target_session_attrs",
        Picodata,
        |_, v| {
            harmless(
                v,
                &["any"],
                "offered: any instance of Picodata runs any statement; use role=master or role=replica",
            )
        },
        |_| None,
    ),
    entry(
        "channel_binding",
        Picodata,
        |_, v| harmless(v, &["disable", "prefer"], "offered; disable and prefer are"),
        |_| None,
    ),
    entry(
        "client_encoding",
        Picodata,
        |_, v| {
            harmless(
                v,
                &["utf8", "utf-8", "auto"],
                "UTF8, in which all text is sent",
            )
        },
        |_| None,
    ),
    entry(
        "gssencmode",
        Picodata,
        |_, v| harmless(v, &["disable", "prefer"], "offered; disable is"),
        |_| None,
    ),
    entry(
        "sslnegotiation",
        Picodata,
        |_, v| harmless(v, &["postgres"], "offered; postgres is"),
        |_| None,
    ),
    entry(
        "sslcompression",
        Picodata,
        |_, v| harmless(v, &["0"], "offered; 0 is"),
        |_| None,
    ),
    entry(
        "sslsni",
        Picodata,
        |_, v| harmless(v, &["1"], "offered; 1 is"),
        |_| None,
    ),
    entry(
        "load_balance_hosts",
        Picodata,
        |_, v| {
            harmless(
                v,
                &["disable"],
                "offered: calls are spread over the instances as the option balance says",
            )
        },
        |_| None,
    ),
];
