//! The options of dqlite alone.

use super::value::{duration, number, positive, time};
use super::{OptionEntry, entry};

pub(super) const OPTIONS: &[OptionEntry] = &[
    entry(
        "busy_timeout",
        |c, v| duration(v).map(|v| c.dqlite.busy_timeout = v),
        |c| time(c.dqlite.busy_timeout),
    ),
    entry(
        "max_message",
        |c, v| {
            number(v, 4096, "a number of bytes of at least 4096").map(|v| c.dqlite.max_message = v)
        },
        |c| Some(c.dqlite.max_message.to_string()),
    ),
    entry(
        "refresh_interval",
        |c, v| positive(v).map(|v| c.refresh_interval = v),
        |c| time(c.refresh_interval),
    ),
    entry(
        "store",
        |c, v| {
            c.dqlite.store_path = Some(v.to_owned());
            Ok(())
        },
        |c| c.dqlite.store_path.clone(),
    ),
    entry(
        "attempt_timeout",
        |c, v| positive(v).map(|v| c.dqlite.lookup.attempt_timeout = v),
        |c| time(c.dqlite.lookup.attempt_timeout),
    ),
    entry(
        "probe_limit",
        |c, v| number(v, 1, "a number of at least 1").map(|v| c.dqlite.lookup.probe_limit = v),
        |c| Some(c.dqlite.lookup.probe_limit.to_string()),
    ),
    entry(
        "probe_delay",
        |c, v| duration(v).map(|v| c.dqlite.lookup.probe_delay = v),
        |c| time(c.dqlite.lookup.probe_delay),
    ),
    entry(
        "backoff_factor",
        |c, v| positive(v).map(|v| c.dqlite.lookup.backoff_factor = v),
        |c| time(c.dqlite.lookup.backoff_factor),
    ),
    entry(
        "backoff_cap",
        |c, v| positive(v).map(|v| c.dqlite.lookup.backoff_cap = v),
        |c| time(c.dqlite.lookup.backoff_cap),
    ),
    entry(
        "retry_limit",
        |c, v| number(v, 0, "a number").map(|v| c.dqlite.lookup.retry_limit = v),
        |c| Some(c.dqlite.lookup.retry_limit.to_string()),
    ),
];
