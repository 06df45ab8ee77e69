//! From settings to a configuration.

use std::path::PathBuf;

use crate::config::options::{self, PLACES};
use crate::config::{Config, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::net::address::Address;
use crate::net::tls::TlsMode;
use crate::picodata::config::environment::{VARIABLES, system_user};
use crate::picodata::config::settings::{Origin, Settings};
use crate::picodata::config::url::parse_service_url_in;
use crate::picodata::config::{Environment, Scheme, service};

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Fills in what the settings leave open and makes the configuration.
pub(super) fn resolve(
    scheme: Scheme,
    mut settings: Settings,
    environment: &Environment<'_>,
) -> Result<Config> {
    // A service that the string names goes before the environment, and so does one that the environment names.
    let variable = |name: &str| {
        let (_, variable) = VARIABLES.iter().find(|(setting, _)| *setting == name)?;
        environment.get(variable)
    };
    let place = |name: &str| settings.value(name).map(str::to_owned).or(variable(name));
    if let Some(service) = place("service") {
        let file = place("servicefile").map(PathBuf::from);
        service::fill(&mut settings, &service, file, environment)?;
    }
    for (name, variable) in VARIABLES {
        if let Some(value) = environment.get(variable) {
            settings.fill(name, value, Origin::Variable(variable));
        }
    }
    let mut config = Config::new(Database::Picodata, hosts(scheme, &settings)?, String::new());
    config.picodata.scheme = scheme;
    config.picodata.default_passfile = environment.home_file(".pgpass");
    for setting in settings.iter() {
        // What is set but empty is as good as not set, as it is in the environment.
        let skipped = PLACES.contains(&setting.name.as_str())
            || (setting.value.is_empty() && setting.origin != Origin::Text)
            || (setting.value.is_empty() && setting.name == "user");
        if skipped {
            continue;
        }
        if setting.name == "service_url" && !setting.value.is_empty() {
            let service = parse_service_url_in(&setting.value, environment).map_err(|error| {
                setting
                    .origin
                    .explain(error.context("the option service_url"))
            })?;
            config.picodata.service_url = Some(Box::new(service));
            continue;
        }
        options::set(&mut config, &setting.name, &setting.value)
            .map_err(|error| setting.origin.explain(error))?;
    }
    if config.picodata.user.is_empty() {
        config.picodata.user = system_user().ok_or_else(|| {
            bad("the connection string names no user, and the system's name for its user is not known")
        })?;
    }
    if settings.value("sslmode").is_none() {
        config.tls.set_mode(
            match (config.tls.ca_path(), config.tls.client_cert_path()) {
                (Some(_), _) => TlsMode::VerifyFull,
                (None, Some(_)) => TlsMode::Require,
                (None, None) => TlsMode::Disable,
            },
        );
    }
    Ok(config)
}

/// The addresses of the hosts, each once.
fn hosts(scheme: Scheme, settings: &Settings) -> Result<Vec<String>> {
    let explain = |name: &str, error| match settings.get(name) {
        Some(setting) => setting.origin.explain(error),
        None => error,
    };
    let (from, names) = match (settings.value("host"), settings.value("hostaddr")) {
        (Some(_), Some(_)) => {
            let error = bad(
                "host and hostaddr are both given, which is not supported: give hostaddr alone, and \
                 sslservername for the name in the certificate",
            );
            return Err(explain("hostaddr", error));
        }
        (None, Some(addresses)) => ("hostaddr", addresses),
        (names, None) => ("host", names.unwrap_or("localhost")),
    };
    let names: Vec<_> = names.split(',').map(str::trim).collect();
    let ports: Vec<_> = settings
        .value("port")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    if ports.len() != 1 && ports.len() != names.len() {
        let error = bad(format!(
            "there are {} hosts and {} ports: give one port for all, or one for each",
            names.len(),
            ports.len()
        ));
        return Err(explain("port", error));
    }
    let mut hosts: Vec<String> = Vec::with_capacity(names.len());
    for (name, port) in names.iter().zip(ports.iter().cycle()) {
        let port = match *port {
            "" => scheme.default_port(),
            digits => digits
                .parse()
                .ok()
                .filter(|port| *port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| {
                    let fault = format!("the port {digits:?} is not a number from 1 to 65535");
                    explain("port", bad(fault))
                })?,
        };
        let address = match *name {
            "" => Address::tcp("localhost", port),
            // The name of PostgreSQL's Unix sockets (`UNIXSOCK_PATH`).
            directory if directory.starts_with(['/', '@']) => Address::parse(
                &format!("{}/.s.PGSQL.{port}", directory.trim_end_matches('/')),
                None,
            ),
            name => Address::tcp(name, port),
        };
        let address = address.map_err(|error| explain(from, error))?.to_string();
        if !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    Ok(hosts)
}
