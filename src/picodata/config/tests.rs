//! Connection strings as a whole.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Database};
use crate::error::{ErrorKind, Result};
use crate::logging::Logger;
use crate::net::tls::TlsMode;
use crate::sql::Placeholders;
use crate::topology::{BalanceStrategy, Candidate, Instance, InstanceState, RoleFilter};

/// Reads a connection string in an environment of these variables alone.
fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Config::parse_in(text, &|name| variables.get(name).map(ToString::to_string))
}

fn parse(text: &str) -> Result<Config> {
    parse_with(text, &[])
}

fn password(config: &Config) -> Option<&str> {
    config.picodata.password.as_ref().map(|p| p.expose())
}

#[test]
fn hosts_are_read_in_every_form() {
    for (text, hosts) in [
        ("picodata://", &["localhost:4327"][..]),
        ("picodata:///", &["localhost:4327"]),
        ("postgres://", &["localhost:5432"]),
        ("postgresql://app@", &["localhost:5432"]),
        ("picodata://a", &["a:4327"]),
        ("picodata://a:1", &["a:1"]),
        ("picodata://:1", &["localhost:1"]),
        ("picodata://a:", &["a:4327"]),
        ("picodata://a,B:2,c", &["a:4327", "b:2", "c:4327"]),
        ("picodata://a,a,a:4327", &["a:4327"]),
        ("picodata://[::1]", &["[::1]:4327"]),
        (
            "picodata://[::1]:9,[2001:DB8::1]",
            &["[::1]:9", "[2001:db8::1]:4327"],
        ),
        ("picodata://[fe80::1%25eth0]:9", &["[fe80::1%eth0]:9"]),
        (
            "picodata://u:p@127.0.0.1:4328/db?timeout=1",
            &["127.0.0.1:4328"],
        ),
        ("picodata://%61.example", &["a.example:4327"]),
        (
            "postgres://%2Frun%2Fpostgresql",
            &["/run/postgresql/.s.PGSQL.5432"],
        ),
        ("postgres://%2Frun%2F:6", &["/run/.s.PGSQL.6"]),
        ("postgres:///db?host=/run", &["/run/.s.PGSQL.5432"]),
        ("postgres://a?host=b", &["b:5432"]),
        ("postgres://a:1?port=2", &["a:2"]),
        ("postgres://a?hostaddr=", &["a:5432"]),
        ("postgres://?hostaddr=10.0.0.1", &["10.0.0.1:5432"]),
        ("host=a", &["a:5432"]),
        ("host=a,b port=1", &["a:1", "b:1"]),
        ("host=a,b port=1,2", &["a:1", "b:2"]),
        ("host=a,,c port=1,,3", &["a:1", "localhost:5432", "c:3"]),
        ("host=::1 port=1", &["[::1]:1"]),
        ("host='a' port = 1", &["a:1"]),
        ("host=@sock", &["@sock/.s.PGSQL.5432"]),
        ("user=x", &["localhost:5432"]),
    ] {
        let config = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(config.hosts(), hosts, "{text}");
        assert_eq!(config.database(), Database::Picodata);
    }
}

#[test]
fn user_password_and_database_are_read() {
    let system = super::environment::system_user().unwrap();
    for (text, user, secret, name) in [
        ("picodata://u:p@a/db", "u", Some("p"), "db"),
        ("picodata://u@a", "u", None, "u"),
        ("picodata://u:@a/", "u", None, "u"),
        ("picodata://:p@a/db", &system, Some("p"), "db"),
        ("picodata://a/db", &system, None, "db"),
        (
            "picodata://%75%40x:p%40%3A%2F%3Fss@a/d%2Fb",
            "u@x",
            Some("p@:/?ss"),
            "d/b",
        ),
        ("picodata://u:p:q@a", "u", Some("p:q"), "u"),
        (
            "picodata://a/db?user=u&password=p%26q",
            "u",
            Some("p&q"),
            "db",
        ),
        ("picodata://u:p@a/db?user=v&dbname=w", "v", Some("p"), "w"),
        ("picodata://a?user=u@ldap", "u@ldap", None, "u@ldap"),
        ("host=a user=u password=p dbname=db", "u", Some("p"), "db"),
        (r"password='it\'s' user=u host=a", "u", Some("it's"), "u"),
        (r"password=it\'s\ \\me user=u", "u", Some(r"it's \me"), "u"),
        (r"password='a b=c' user = 'u' ", "u", Some("a b=c"), "u"),
        ("password='' user=u", "u", None, "u"),
        ("user=u dbname=a dbname=b", "u", None, "b"),
        ("user=u password= x", "u", Some("x"), "u"),
        ("password=x://y user=u", "u", Some("x://y"), "u"),
    ] {
        let config = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(config.picodata.user, user, "{text}");
        assert_eq!(password(&config), secret, "{text}");
        assert_eq!(config.name(), name, "{text}");
    }
}

#[test]
fn options_reach_their_places() {
    let config = parse(
        "picodata://u@a/db?timeout=1.5s&pool_max_conns=3&pool_max_conn_lifetime=1h30m&connect_timeout=7\
         &application_name=the+app&options=sql_motion_row_max%3D1&allow_cleartext_password=on\
         &transaction_guard=off&placeholders=named&balance=least_busy&role=replica&tier=default,hot\
         &failure_domain=dc%3D1,host%3Da&topology_interval=2s&target_session_attrs=any\
         &client_encoding=UTF8&gssencmode=disable&statement_cache=0\
         &service_url=picodata%3A%2F%2Fadmin%3As3cret%40b%2Fadmin",
    )
    .unwrap();
    assert_eq!(config.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(config.pool.max_conns, 3);
    assert_eq!(
        config.pool.max_conn_lifetime,
        Some(Duration::from_secs(5400))
    );
    assert_eq!(config.dial_timeout, Duration::from_secs(7));
    assert_eq!(config.refresh_interval, Duration::from_secs(2));
    let picodata = &config.picodata;
    // As in libpq, a `+` is a `+`.
    assert_eq!(picodata.application_name.as_deref(), Some("the+app"));
    assert_eq!(picodata.options.as_deref(), Some("sql_motion_row_max=1"));
    assert!(picodata.allow_cleartext_password && !picodata.transaction_guard);
    assert_eq!(config.placeholders, Placeholders::Named);
    assert_eq!(picodata.balance.name(), Some("least_busy"));
    assert_eq!(picodata.filter.role, RoleFilter::Replica);
    assert_eq!(picodata.filter.tiers, ["default", "hot"]);
    assert_eq!(picodata.filter.failure_domain["dc"], "1");
    assert_eq!(picodata.filter.failure_domain.len(), 2);
    let service = picodata.service_url.as_ref().unwrap();
    assert_eq!(service.hosts(), ["b:4327"]);
    assert_eq!(password(service), Some("s3cret"));

    let plain = parse("picodata://u@a").unwrap();
    assert_eq!(plain.refresh_interval, Duration::from_millis(500));
    assert!(plain.picodata.topology && plain.picodata.transaction_guard);
    assert!(!plain.picodata.allow_cleartext_password);
    assert_eq!(plain.picodata.balance.name(), Some("round_robin"));
    assert!(plain.backend().is_ok(), "nothing is dialled yet");
}

#[test]
fn the_fallback_name_is_used_where_there_is_no_other() {
    for (text, name) in [
        ("picodata://u@a?fallback_application_name=f", "f"),
        (
            "picodata://u@a?fallback_application_name=f&application_name=n",
            "n",
        ),
        (
            "picodata://u@a?application_name=n&fallback_application_name=f",
            "n",
        ),
    ] {
        let config = parse(text).unwrap();
        assert_eq!(config.picodata.application_name.as_deref(), Some(name));
    }
}

#[test]
fn an_absent_sslmode_follows_the_certificates() {
    for (query, mode) in [
        ("", TlsMode::Disable),
        ("sslrootcert=ca.crt", TlsMode::VerifyFull),
        ("sslrootcert=system", TlsMode::VerifyFull),
        ("sslcert=a.crt&sslkey=a.key", TlsMode::Require),
        ("sslrootcert=ca.crt&sslmode=disable", TlsMode::Disable),
        ("sslmode=verify-ca&sslrootcert=ca.crt", TlsMode::VerifyCa),
        ("sslmode=require", TlsMode::Require),
        ("sslmode=prefer", TlsMode::Prefer),
        ("sslmode=allow&sslrootcert=ca.crt", TlsMode::Allow),
        ("ssl=true", TlsMode::Require),
    ] {
        let config = parse(&format!("picodata://u@a?{query}")).unwrap();
        assert_eq!(config.tls.mode(), mode, "{query}");
    }
    let config = parse_with("picodata://u@a", &[("PGSSLROOTCERT", "ca.crt")]).unwrap();
    assert_eq!(config.tls.mode(), TlsMode::VerifyFull);
    let config = parse_with(
        "picodata://u@a",
        &[("PGSSLROOTCERT", "ca.crt"), ("PGSSLMODE", "disable")],
    )
    .unwrap();
    assert_eq!(config.tls.mode(), TlsMode::Disable);
    // The default of others' programs, which their environment may name.
    let config = parse_with("picodata://u@a", &[("PGSSLMODE", "prefer")]).unwrap();
    assert_eq!(config.tls.mode(), TlsMode::Prefer);
    let config = parse_with("dqlite://a:1/app", &[("PGSSLMODE", "prefer")]).unwrap();
    assert_eq!(config.tls.mode(), TlsMode::Disable);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, part) in [
        ("picodata://a:b", "the port \"b\""),
        ("picodata://a:0", "the port \"0\""),
        ("picodata://a:65536", "65535"),
        ("picodata://a:+1", "the port \"+1\""),
        ("picodata://[::1", "lacks the `]`"),
        ("picodata://[::1]1", "behind its `]`"),
        ("picodata://::1", "brackets"),
        ("picodata://a%2Cb", "comma"),
        ("picodata://a b", "the character ' '"),
        ("picodata://a%", "hexadecimal"),
        ("picodata://a%ff", "UTF-8"),
        ("picodata://u@a?timeot=1", "the nearest is \"timeout\""),
        (
            "picodata://u@a?topology_intervall=1",
            "\"topology_interval\"",
        ),
        ("picodata://u@a?store=x", "for Picodata"),
        ("picodata://u@a?sslmode=preferred", "prefer, require"),
        (
            "picodata://u@a?target_session_attrs=read-write",
            "role=master",
        ),
        ("picodata://u@a?balance", "no value"),
        ("picodata://u%00@a", "NUL"),
        ("picodata://u@a?host=b&hostaddr=10.0.0.1", "hostaddr"),
        ("picodata://u@a?pool_min_conns=11", "pool_min_conns"),
        (
            "picodata://u@a?topology=off&role=master",
            "role needs the topology",
        ),
        ("picodata://u:***@a", "is shown"),
        (
            "picodata://u@a?service_url=dqlite%3A%2F%2Fa%3A1%2Fb",
            "for dqlite",
        ),
        (
            "picodata://u@a?service_url=picodata%3A%2F%2Fb%3Fservice_url%3Dpicodata%253A%252F%252Fc",
            "has a service_url itself",
        ),
        ("picodata://u@a?service=none", "in no service file"),
        ("host=a,b,c port=1,2", "3 hosts and 2 ports"),
        ("host=a port", "keyword 2"),
        ("host=a =b", "keyword 2"),
        ("host=a user='b", "closing quote"),
        ("host=a user='b\\", "closing quote"),
        ("host=a hosst=b", "the nearest is \"host\""),
        ("host=a b=c", "no option \"b\""),
    ] {
        let error = parse(text)
            .err()
            .unwrap_or_else(|| panic!("{text} was read"));
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
        assert!(error.message().contains(part), "{text}: {error}");
    }
}

#[test]
fn no_error_repeats_what_may_be_a_password() {
    for text in [
        "picodata://app:s3c/r3t@a:4327/db",
        "picodata://app:12/s3cr3t@a:4327/db",
        "picodata://app:s3c?r3t@a/db",
        "picodata://app:s3c?s3cr3t=1@a/db",
        "picodata://app:s3c?timeout=s3cr3t@a/db",
        "picodata://app:s3cr3t@s3cr3t@a/db",
        "picodata://app:x@s3c/s3cr3t?s3cr3t@a/db",
        "picodata://app:s3cr3t%zz@a/db",
        "picodata://app:s3cr3t%ff@a/db",
        "picodata://app:s3cr3t%00@a/db",
        "picodata://app:s3cr3t@a/db?timeot=1",
        "picodata://app:s3cr3t@a:x/db",
        "picodata://app:s3cr3t@a/db?password=s3cr3t%00",
        "picodata://a?service_url=picodata%3A%2F%2Fu%3As3cr3t%40b%3Ftimeot%3D1",
        "picodata://a?service_url=u%3As3cr3t%40b",
        "host=a password=s3cr3t user='x",
        "host=a password=my s3cr3t",
        "host=a password=my s3cr3t=x",
        "host=a password=my s3cr3t = x port=1",
        "host=a password='s3cr3t",
        "host=a password=s3cr3t sslmode=on",
        "host=a password=s3cr3t s3cr3t port=1",
        "mysql://app:s3cr3t@a/db",
        "app:s3cr3t@a/db",
    ] {
        let error = parse(text)
            .err()
            .unwrap_or_else(|| panic!("{text} was read"));
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(
            !shown.contains("s3c") && !shown.contains("r3t"),
            "{text}: {shown}"
        );
    }
}

#[test]
fn a_keyword_behind_the_password_is_still_named_if_it_is_known() {
    let error = parse("host=a password=x sslmode=on").unwrap_err();
    assert!(error.message().contains("sslmode"), "{error}");
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let mut config = parse(
        "picodata://app:s3cr3t@a,b/db?pool_max_conns=3&service_url=picodata%3A%2F%2Fu%3As3cr3t%40b",
    )
    .unwrap();
    config.tls.client_key_pem("s3cr3t");
    assert_eq!(
        config.to_string(),
        "picodata://app:***@a:4327,b:4327/db?pool_max_conns=3&sslmode=disable\
         &service_url=picodata%3A%2F%2Fu%3A%2A%2A%2A%40b%3A4327%2Fu%3Fsslmode%3Ddisable"
    );
    let copy = config.clone();
    for shown in [
        config.to_string(),
        format!("{config:?}"),
        format!("{copy:#?}"),
        format!(
            "{:?}",
            config
                .picodata
                .passwords(config.name(), config.hosts(), &Logger::default())
        ),
    ] {
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    config.set("password", "other").unwrap();
    assert_eq!(password(&copy), Some("s3cr3t"));
    assert_eq!(password(&config), Some("other"));
    config.set("password", "").unwrap();
    assert_eq!(password(&config), None);
}

#[test]
fn unix_sockets_and_zones_are_shown_as_they_are_read() {
    for text in [
        "postgres://u@%2Frun%2Fpg:5433/u?sslmode=disable",
        "postgres://u@%40abstract:5432/u?sslmode=disable",
        "picodata://u@[fe80::1%25eth0]:4327,[::1]:1/d%2Fb?sslmode=disable",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn the_environment_fills_in_what_the_string_leaves_open() {
    let all = [
        ("PGHOST", "b,c"),
        ("PGPORT", "5433"),
        ("PGUSER", "eve"),
        ("PGPASSWORD", "s3cr3t"),
        ("PGDATABASE", "shop"),
        ("PGSSLMODE", "require"),
        ("PGSSLCERT", "c.crt"),
        ("PGSSLKEY", "c.key"),
        ("PGAPPNAME", "app"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGOPTIONS", "a=b"),
        ("PGPASSFILE", "/etc/pass"),
        ("PGTARGETSESSIONATTRS", "any"),
        ("HOME", "/home/eve"),
        ("PGTZ", "ignored"),
    ];
    for text in ["picodata://", "postgres://", "connect_timeout=3"] {
        let config = parse_with(text, &all).unwrap();
        assert_eq!(config.hosts(), ["b:5433", "c:5433"], "{text}");
        assert_eq!(config.picodata.user, "eve");
        assert_eq!(password(&config), Some("s3cr3t"));
        assert_eq!(config.name(), "shop");
        assert_eq!(config.tls.mode(), TlsMode::Require);
        assert_eq!(config.tls.client_cert_path(), Some(Path::new("c.crt")));
        assert_eq!(config.tls.client_key_path(), Some(Path::new("c.key")));
        assert_eq!(config.picodata.application_name.as_deref(), Some("app"));
        assert_eq!(config.dial_timeout, Duration::from_secs(3));
        assert_eq!(config.picodata.options.as_deref(), Some("a=b"));
        let picodata = &config.picodata;
        assert_eq!(picodata.passfile.as_deref(), Some(Path::new("/etc/pass")));
        assert_eq!(
            picodata.default_passfile.as_deref(),
            Some(Path::new("/home/eve/.pgpass"))
        );
    }
    let config = parse_with("picodata://adam:x@a:1/db?sslmode=disable", &all).unwrap();
    assert_eq!(config.hosts(), ["a:1"]);
    assert_eq!(config.picodata.user, "adam");
    assert_eq!(password(&config), Some("x"));
    assert_eq!(config.name(), "db");
    assert_eq!(config.tls.mode(), TlsMode::Disable);
    // A host without a port, as in libpq, has the port of the environment.
    let config = parse_with("picodata://a", &all).unwrap();
    assert_eq!(config.hosts(), ["a:5433"]);
    // Empty is as good as not set, in the environment and in the string.
    let config = parse_with("picodata://a?user=", &[("PGPORT", ""), ("PGUSER", "eve")]).unwrap();
    assert_eq!(
        (config.hosts(), &*config.name),
        (&["a:4327".to_owned()][..], "")
    );
    // dqlite has nothing to do with it.
    let config = parse_with("dqlite://a:1/app", &all).unwrap();
    assert_eq!(config.to_string(), "dqlite://a:1/app?sslmode=disable");
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value) in [
        ("PGSSLMODE", "on"),
        ("PGPORT", "x"),
        ("PGPORT", "1,2"),
        ("PGHOST", "a b"),
        ("PGCONNECT_TIMEOUT", "soon"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGTARGETSESSIONATTRS", "primary"),
        ("PGHOSTADDR", "x y"),
    ] {
        let error = parse_with("picodata://u@", &[(name, value)]).unwrap_err();
        assert!(error.message().starts_with(name), "{name}: {error}");
    }
    // PostgreSQL's form is PostgreSQL's business.
    let geqo = [("PGOPTIONS", "-c geqo=off")];
    let config = parse_with("postgres://u@a", &geqo).unwrap();
    assert_eq!(config.picodata.options.as_deref(), Some("-c geqo=off"));
}

#[test]
fn the_service_file_goes_before_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    let own = directory.path().join(".pg_service.conf");
    let named = directory.path().join("named.conf");
    let system = directory.path().join("pg_service.conf");
    fs::write(
        &own,
        "[shop]\nhost=a,b\nport=1,2\nuser=eve\npool_max_conns=3\n",
    )
    .unwrap();
    fs::write(&named, "[shop]\nhost=named\nuser=\n[bad]\nsslmode=on\n").unwrap();
    fs::write(&system, "[shop]\nhost=system\n[deep]\nhost=deep\n").unwrap();
    let named = named.to_str().unwrap();
    let base = [("HOME", home), ("PGSYSCONFDIR", home), ("PGUSER", "adam")];

    let config = parse_with("postgres://?service=shop", &base).unwrap();
    assert_eq!(config.hosts(), ["a:1", "b:2"]);
    assert_eq!(config.picodata.user, "eve");
    assert_eq!(config.pool.max_conns, 3);
    let config = parse_with("service=shop user=string host=c port=9", &base).unwrap();
    assert_eq!(config.hosts(), ["c:9"]);
    assert_eq!(config.picodata.user, "string");
    let config = parse_with("service=deep", &base).unwrap();
    assert_eq!(config.hosts(), ["deep:5432"]);

    let mut all = base.to_vec();
    all.push(("PGSERVICE", "shop"));
    let config = parse_with("postgres://", &all).unwrap();
    assert_eq!(config.hosts(), ["a:1", "b:2"]);
    all.push(("PGSERVICEFILE", named));
    let config = parse_with("postgres://", &all).unwrap();
    assert_eq!(config.hosts(), ["named:5432"]);
    let error = parse_with("postgres://?service=bad", &all).unwrap_err();
    assert!(error.message().contains(named), "{error}");
    assert!(error.message().contains("verify-full"), "{error}");
    let error = parse_with("service=deep", &all).unwrap_err();
    assert!(error.message().contains("\"deep\""), "{error}");
    let error = parse_with("service=deep servicefile=/none/such", &base).unwrap_err();
    assert!(error.message().contains("/none/such"), "{error}");
}

#[test]
fn the_passfile_is_asked_where_no_password_is_given() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    let file = directory.path().join(".pgpass");
    fs::write(&file, "a:4327:db:app:one\n*:*:db:app:two\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let find = |text: &str, address: &str| {
        let config = parse_with(text, &[("HOME", home)]).unwrap();
        let passwords =
            config
                .picodata
                .passwords(config.name(), config.hosts(), &Logger::default());
        passwords.of(address).map(|p| p.expose().to_owned())
    };
    assert_eq!(
        find("picodata://app@a/db", "a:4327").as_deref(),
        Some("one")
    );
    assert_eq!(
        find("picodata://app@a/db", "b:4327").as_deref(),
        Some("two")
    );
    assert_eq!(find("picodata://app@a/other", "a:4327"), None);
    assert_eq!(
        find("picodata://app:x@a/db", "a:4327").as_deref(),
        Some("x")
    );
    assert_eq!(find("picodata://app@a/db?passfile=/none", "a:4327"), None);
}

#[test]
fn a_strategy_of_the_programs_own_is_shared_by_copies() {
    struct Last;
    impl BalanceStrategy for Last {
        fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
            candidates.len() - 1
        }
    }
    let mut config = parse("picodata://u@a").unwrap();
    config.set_balance(Last);
    let copy = config.clone();
    let instances = ["a", "b"].map(|uuid| Instance::new(uuid, "a:1", InstanceState::Online));
    let candidates: Vec<_> = instances.iter().map(Candidate::new).collect();
    assert_eq!(copy.picodata.balance.strategy().choose(&candidates), 1);
    assert!(format!("{copy:?}").contains("the program's own"));
    assert!(!copy.to_string().contains("balance"));
    config.set("balance", "random").unwrap();
    assert!(config.to_string().contains("balance=random"));
}

#[test]
fn any_text_is_refused_or_round_trips() {
    const PIECES: [&str; 26] = [
        "picodata://",
        "postgres://",
        "a",
        "B",
        "u",
        ":",
        ":1",
        "@",
        "/",
        "?",
        "&",
        "=",
        "%",
        "%41",
        "[::1]",
        ",",
        "'",
        "\\",
        " ",
        "host=",
        "port=",
        "user=",
        "timeout=1",
        "tier=x",
        "é",
        "\0",
    ];
    let mut random = fastrand::Rng::with_seed(5);
    let mut read = 0;
    for _ in 0..30_000 {
        let mut text = String::new();
        if random.bool() {
            text.push_str(PIECES[random.usize(..2)]);
        }
        for _ in 0..random.usize(0..8) {
            text.push_str(PIECES[random.usize(..PIECES.len())]);
        }
        let Ok(config) = parse(&text) else { continue };
        read += 1;
        // The passwords are the one thing that is not shown.
        let shown = config.to_string().replacen(":***@", "@", 1);
        let back = parse(&shown).unwrap_or_else(|error| panic!("{text:?} {shown:?}: {error}"));
        assert_eq!(back.to_string(), shown, "{text:?}");
    }
    assert!(read > 1000, "{read}");
}
