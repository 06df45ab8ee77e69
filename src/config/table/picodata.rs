//! The options of Picodata alone, and those of libpq that it takes.

use std::collections::BTreeMap;

use super::value::{
    ENDLESS, harmless, on_off, optional, pairs, path, positive, switch, text, time,
};
use super::{Fault, OptionEntry, entry};
use crate::config::duration::parse_duration;
use crate::config::secret::Secret;
use crate::picodata::config::{Balance, Scheme, parse_service_url};
use crate::topology::RoleFilter;

pub(super) const OPTIONS: &[OptionEntry] = &[
    entry(
        "user",
        |c, v| {
            if v.is_empty() {
                return Err(Fault::Wanted("a name"));
            }
            text(v).map(|v| c.picodata.user = v)
        },
        |c| named(&c.picodata.user),
    ),
    entry(
        "password",
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
        |c, v| {
            c.picodata.passfile = (!v.is_empty()).then(|| v.into());
            Ok(())
        },
        |c| path(c.picodata.passfile.as_deref()),
    ),
    entry(
        "dbname",
        |c, v| text(v).map(|v| c.name = v),
        |c| named(&c.name),
    ),
    entry(
        "application_name",
        |c, v| optional(v).map(|v| c.picodata.application_name = v),
        |c| c.picodata.application_name.clone(),
    ),
    entry(
        "fallback_application_name",
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
        |c, v| switch(v).map(|v| c.picodata.allow_cleartext_password = v),
        |c| on_off(c.picodata.allow_cleartext_password),
    ),
    entry(
        "transaction_guard",
        |c, v| switch(v).map(|v| c.picodata.transaction_guard = v),
        |c| on_off(c.picodata.transaction_guard),
    ),
    entry(
        "balance",
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
        |c, v| switch(v).map(|v| c.picodata.topology = v),
        |c| on_off(c.picodata.topology),
    ),
    entry(
        "topology_interval",
        |c, v| positive(v).map(|v| c.refresh_interval = v),
        |c| time(c.refresh_interval),
    ),
    entry(
        "service_url",
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
        |_, v| harmless(v, &["disable", "prefer"], "offered; disable and prefer are"),
        |_| None,
    ),
    entry(
        "client_encoding",
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
        |_, v| harmless(v, &["disable", "prefer"], "offered; disable is"),
        |_| None,
    ),
    entry(
        "sslnegotiation",
        |_, v| harmless(v, &["postgres"], "offered; postgres is"),
        |_| None,
    ),
    entry(
        "sslcompression",
        |_, v| harmless(v, &["0"], "offered; 0 is"),
        |_| None,
    ),
    entry(
        "sslsni",
        |_, v| harmless(v, &["1"], "offered; 1 is"),
        |_| None,
    ),
    entry(
        "load_balance_hosts",
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

/// A name, unless it is empty.
fn named(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}
