//! The options by name: what the connection string, the setter, the error messages and the display share.

use crate::config::table::{Fault, OptionEntry, all, options};
use crate::config::{Config, Database};
use crate::error::{Error, ErrorKind, Result};

/// The options whose values are not repeated in an error.
const SECRET: [&str; 2] = ["password", "service_url"];

/// The words of a PostgreSQL connection string that say where to connect; they are no options that could be set
/// later on.
pub(crate) const PLACES: [&str; 5] = ["host", "hostaddr", "port", "service", "servicefile"];

/// The options that a connection string shows before its other options.
const IN_FRONT: [&str; 2] = ["user", "dbname"];

/// Whether a connection string of any database has a word `name`.
pub(crate) fn is_known(name: &str) -> bool {
    PLACES.contains(&name) || all().any(|entry| entry.name == name)
}

/// The option called `name`, if the database has it.
fn find(database: Database, name: &str) -> Result<&'static OptionEntry> {
    options(database)
        .find(|entry| entry.name == name)
        .ok_or_else(|| unknown(name, database))
}

/// The value of the option called `name`, as [`set`] takes it.
pub(crate) fn get(config: &Config, name: &str) -> Result<Option<String>> {
    Ok((find(config.database, name)?.get)(config))
}

/// Sets the option called `name`.
pub(crate) fn set(config: &mut Config, name: &str, value: &str) -> Result<()> {
    let entry = find(config.database, name)?;
    (entry.set)(config, value).map_err(|fault| match fault {
        Fault::Whole(error) => error.context(format_args!("the option {name}")),
        Fault::Wanted(wanted) => {
            let value = if SECRET.contains(&name) {
                "a text".to_owned()
            } else {
                format!("{value:?}")
            };
            Error::new(
                ErrorKind::Config,
                format!("the option {name} is {value}, which is not {wanted}"),
            )
        }
    })
}

/// The options of `config` that are not as they are in `default`, in the order of the table. The values are
/// those that [`set`] takes; secrets are left out, and what the connection string itself shows.
pub(super) fn changed(config: &Config, default: &Config) -> Vec<(&'static str, String)> {
    options(config.database)
        .filter(|entry| !IN_FRONT.contains(&entry.name))
        .filter_map(|entry| {
            let value = (entry.get)(config)?;
            // What an absent mode means depends on the other options of TLS.
            let written = entry.name == "sslmode" || (entry.get)(default) != Some(value.clone());
            written.then_some((entry.name, value))
        })
        .collect()
}

fn unknown(name: &str, database: Database) -> Error {
    let places: &[&str] = match database {
        Database::Dqlite => &[],
        Database::Picodata => &PLACES,
    };
    if places.contains(&name) {
        return Error::new(
            ErrorKind::Config,
            format!("{name} is no option: it can be given in the connection string alone"),
        );
    }
    let nearest = options(database)
        .map(|entry| entry.name)
        .chain(places.iter().copied())
        .max_by(|a, b| {
            let likeness = |known| strsim::jaro_winkler(name, known);
            likeness(a).total_cmp(&likeness(b))
        })
        .unwrap_or_default();
    let of = match (database, all().any(|entry| entry.name == name)) {
        (_, false) => "",
        (Database::Dqlite, true) => " for dqlite",
        (Database::Picodata, true) => " for Picodata",
    };
    Error::new(
        ErrorKind::Config,
        format!("there is no option {name:?}{of}; the nearest is {nearest:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(Database::Dqlite, Vec::new(), "app".into())
    }

    fn picodata() -> Config {
        Config::parse_in("picodata://app@localhost", &|_| None).unwrap()
    }

    #[test]
    fn every_documented_option_exists_and_every_option_is_documented() {
        let text = include_str!("mod.rs");
        let mut documented: Vec<_> = text
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
        let mut known: Vec<_> = all().map(|entry| entry.name).collect();
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(documented, known);
        known.dedup();
        assert_eq!(known.len(), all().count());
    }

    #[test]
    fn the_c_header_says_of_every_option_what_is_said_here() {
        let header = include_str!("../ffi/config.rs");
        let rows = include_str!("mod.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("/// | `")?.strip_suffix(" |"));
        let mut count = 0;
        for row in rows {
            let (names, rest) = row.split_once(" |").expect("a row has three cells");
            let (default, meaning) = rest.split_once("| ").expect("a row has three cells");
            let line = match default.trim() {
                "" => format!("/// - `{names}: {meaning}\n"),
                default => format!("/// - `{names} (default {default}): {meaning}\n"),
            };
            assert!(header.contains(&line), "src/ffi/config.rs lacks {line:?}");
            count += 1;
        }
        assert!(count > 40, "{count} rows only");
    }

    #[test]
    fn an_unknown_option_is_named_with_the_nearest_known_one_of_its_database() {
        for (mut config, name, message) in [
            (
                config(),
                "pool_max_con",
                "there is no option \"pool_max_con\"; the nearest is \"pool_max_conns\"",
            ),
            (
                config(),
                "topology_interval",
                "there is no option \"topology_interval\" for dqlite; the nearest is \"",
            ),
            (
                picodata(),
                "retry_limit",
                "there is no option \"retry_limit\" for Picodata; the nearest is \"",
            ),
            (
                picodata(),
                "balanse",
                "there is no option \"balanse\"; the nearest is \"balance\"",
            ),
            (
                picodata(),
                "hosts",
                "there is no option \"hosts\"; the nearest is \"host\"",
            ),
            (picodata(), "host", "host is no option"),
        ] {
            let error = set(&mut config, name, "1").unwrap_err();
            assert!(error.message().starts_with(message), "{error}");
            let nearest = error.message().rsplit('"').nth(1).unwrap_or("host");
            assert!(
                PLACES.contains(&nearest)
                    || options(config.database).any(|entry| entry.name == nearest),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bad_value_is_named_with_what_would_be_good() {
        for (name, value) in [
            ("timeout", "soon"),
            ("pool_max_conns", "0"),
            ("pool_max_conns", "-1"),
            ("probe_limit", "many"),
            ("sslmode", "prefer"),
            ("sslmode", "allow"),
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
        for (name, value, part) in [
            ("sslmode", "on", "verify-full"),
            ("balance", "fair", "least_busy"),
            ("role", "leader", "master"),
            ("tier", "a,,b", "commas"),
            ("failure_domain", "dc", "name=value"),
            ("failure_domain", "=1", "name=value"),
            ("topology", "maybe", "on or off"),
            ("topology_interval", "0", "above 0"),
            ("placeholders", "?", "question"),
            ("options", "-c geqo=off", "name=value"),
            ("user", "", "a name"),
            ("application_name", "a\0b", "NUL"),
            ("target_session_attrs", "read-write", "role=master"),
            ("channel_binding", "require", "prefer"),
            ("client_encoding", "LATIN1", "UTF8"),
            ("connect_timeout", "-soon", "seconds"),
            ("service_url", "dqlite://a:1/app", "service_url"),
        ] {
            let error = set(&mut picodata(), name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(
                error.message().contains(name) && error.message().contains(part),
                "{name}: {error}"
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
        let mut picodata = picodata();
        for none in ["0", "-1"] {
            set(&mut picodata, "connect_timeout", none).unwrap();
            assert!(picodata.dial_timeout > std::time::Duration::from_secs(3600));
        }
        set(&mut picodata, "connect_timeout", "7").unwrap();
        assert_eq!(picodata.dial_timeout.as_secs(), 7);
    }

    #[test]
    fn what_is_set_is_got_but_for_a_password() {
        let mut config = picodata();
        for (name, value) in [
            ("timeout", "1500ms"),
            ("pool_max_conns", "7"),
            ("tier", "hot"),
        ] {
            set(&mut config, name, value).unwrap();
            assert_eq!(get(&config, name).unwrap().as_deref(), Some(value));
        }
        set(&mut config, "password", "secret").unwrap();
        assert_eq!(get(&config, "password").unwrap(), None);
        let error = get(&config, "timeuot").unwrap_err();
        assert!(error.message().contains("timeout"), "{error}");
        assert!(get(&config, "busy_timeout").is_err());
    }

    /// A value of each option that is not the one it has by default.
    const SAMPLES: [(&str, &str); 43] = [
        ("timeout", "0s"),
        ("acquire_timeout", "1500ms"),
        ("pool_max_conns", "3"),
        ("pool_min_conns", "2"),
        ("pool_max_conn_lifetime", "7s"),
        ("pool_max_conn_lifetime_jitter", "0s"),
        ("pool_max_conn_idle_time", "0s"),
        ("pool_health_check_period", "250us"),
        ("statement_cache", "0"),
        ("placeholders", "named"),
        ("sslmode", "verify-full"),
        ("sslrootcert", "system"),
        ("sslcert", "/etc/a b.crt"),
        ("sslkey", "/etc/a&b=c.key"),
        ("sslservername", "db.example"),
        ("dial_timeout", "86400s"),
        ("busy_timeout", "0s"),
        ("max_message", "8192"),
        ("refresh_interval", "1s"),
        ("store", "/var/lib/é?.yaml"),
        ("attempt_timeout", "1s"),
        ("probe_limit", "1"),
        ("probe_delay", "0s"),
        ("backoff_factor", "1ms"),
        ("backoff_cap", "2ms"),
        ("retry_limit", "9"),
        ("passfile", "/etc/pass"),
        ("application_name", "the app"),
        ("options", "sql_motion_row_max=1,sql_vdbe_opcode_max=2"),
        ("allow_cleartext_password", "on"),
        ("transaction_guard", "off"),
        ("balance", "lowest_latency"),
        ("role", "replica"),
        ("tier", "default,hot"),
        ("failure_domain", "dc=1,host=a"),
        ("sharding", "off"),
        ("topology_interval", "2s"),
        (
            "service_url",
            "picodata://admin@10.0.0.9:4327/admin?sslmode=disable",
        ),
        ("user", "o'app"),
        ("dbname", "other"),
        // The three whose sample does not go with those above.
        ("topology", "off"),
        ("balance", "random"),
        ("placeholders", "question"),
    ];

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        let written = |name| SAMPLES.iter().any(|(sample, _)| *sample == name);
        assert!(SAMPLES.iter().all(|(name, _)| is_known(name)));
        for start in [config(), picodata()] {
            let mut start = start;
            if start.database == Database::Dqlite {
                start.hosts = vec!["10.0.0.1:9001".into(), "@n1".into(), "/run/n.sock".into()];
            }
            let mut all = start.clone();
            for (name, value) in SAMPLES {
                let Some(entry) = options(start.database).find(|entry| entry.name == name) else {
                    continue;
                };
                let mut one = start.clone();
                set(&mut one, name, value).unwrap();
                assert_eq!((entry.get)(&one).as_deref(), Some(value), "{name}");
                assert_ne!((entry.get)(&start), (entry.get)(&one), "{name}");
                let shown = one.to_string();
                let back = Config::parse_in(&shown, &|_| None).unwrap();
                assert_eq!(back.to_string(), shown);
                assert_eq!((entry.get)(&back).as_deref(), Some(value), "{shown}");
                if name != "topology" {
                    set(&mut all, name, value).unwrap();
                }
            }
            let shown = all.to_string();
            let back = Config::parse_in(&shown, &|_| None).unwrap();
            assert_eq!(back.to_string(), shown);
            assert_eq!(changed(&all, &start), changed(&back, &start));
        }
        for entry in all() {
            let is_shown = (entry.get)(&config()).is_some() || (entry.get)(&picodata()).is_some();
            assert!(
                !is_shown || written(entry.name),
                "{} has no sample",
                entry.name
            );
        }
    }
}
