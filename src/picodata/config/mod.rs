//! What a connection to Picodata or PostgreSQL needs to know, and where it is learned from.
//!
//! A connection string becomes a list of settings ([`url`] or [`keywords`]); what it leaves open is filled in
//! from the [`service`] file and then from the [`environment`]; and [`resolve`] makes the configuration of them.
//! The [`passfile`] is read when a pool is opened, because what it says depends on the instance.
//!
//! The rules are those of libpq's manual (PostgreSQL 17, "Connection Strings", "The Password File", "The
//! Connection Service File", "Environment Variables"), except where the driver's documentation says otherwise.

mod environment;
mod keywords;
mod passfile;
mod resolve;
mod service;
mod settings;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use environment::Environment;
pub(crate) use keywords::from_keywords;
pub(crate) use passfile::Passwords;
pub(crate) use url::{from_url, parse_service_url};

use crate::config::Config;
use crate::config::secret::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::Logger;
use crate::topology::{
    BalanceStrategy, Filter, LeastBusy, LowestLatency, RandomChoice, RoleFilter, RoundRobin,
};

/// The scheme of the connection string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Picodata,
    Postgres,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scheme::Picodata => "picodata",
            Scheme::Postgres => "postgres",
        }
    }

    /// The port where none is given. Picodata's is `DEFAULT_PGPROTO_PORT` in its `src/address.rs`.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Scheme::Picodata => 4327,
            Scheme::Postgres => 5432,
        }
    }
}

/// Which instance is next.
#[derive(Clone)]
pub(crate) enum Balance {
    RoundRobin,
    Random,
    LeastBusy,
    LowestLatency,
    /// The program's own.
    Own(Arc<dyn BalanceStrategy>),
}

impl Balance {
    /// The strategy that the option names.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "round_robin" => Balance::RoundRobin,
            "random" => Balance::Random,
            "least_busy" => Balance::LeastBusy,
            "lowest_latency" => Balance::LowestLatency,
            _ => return None,
        })
    }

    /// The name as the option has it; none for a strategy of the program's own.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Balance::RoundRobin => Some("round_robin"),
            Balance::Random => Some("random"),
            Balance::LeastBusy => Some("least_busy"),
            Balance::LowestLatency => Some("lowest_latency"),
            Balance::Own(_) => None,
        }
    }

    /// The strategy itself: a new one for each pool, or the program's own.
    pub(crate) fn strategy(&self) -> Arc<dyn BalanceStrategy> {
        match self {
            Balance::RoundRobin => Arc::new(RoundRobin::new()),
            Balance::Random => Arc::new(RandomChoice),
            Balance::LeastBusy => Arc::new(LeastBusy),
            Balance::LowestLatency => Arc::new(LowestLatency),
            Balance::Own(strategy) => Arc::clone(strategy),
        }
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("the program's own"))
    }
}

/// What Picodata and PostgreSQL alone need.
#[derive(Debug, Clone)]
pub(crate) struct PicodataConfig {
    pub(crate) scheme: Scheme,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// The passfile that was named.
    pub(crate) passfile: Option<PathBuf>,
    /// The passfile in the home directory, for where none was named.
    pub(crate) default_passfile: Option<PathBuf>,
    pub(crate) application_name: Option<String>,
    /// The start-up parameter `options`.
    pub(crate) options: Option<String>,
    pub(crate) allow_cleartext_password: bool,
    /// Whether transactions are refused on Picodata.
    pub(crate) transaction_guard: bool,
    /// Whether statements go to the master of their bucket where the server tells it.
    pub(crate) sharding: bool,
    pub(crate) balance: Balance,
    /// The instances that are used: role, tier, failure domain.
    pub(crate) filter: Filter,
    /// Whether the instances are learned from the cluster; how often is `Config::refresh_interval`.
    pub(crate) topology: bool,
    /// Where the topology is read; any instance of the pool without it.
    pub(crate) service_url: Option<Box<Config>>,
}

impl Default for PicodataConfig {
    fn default() -> Self {
        PicodataConfig {
            scheme: Scheme::Picodata,
            user: String::new(),
            password: None,
            passfile: None,
            default_passfile: None,
            application_name: None,
            options: None,
            allow_cleartext_password: false,
            transaction_guard: true,
            sharding: true,
            balance: Balance::RoundRobin,
            filter: Filter::default(),
            topology: true,
            service_url: None,
        }
    }
}

impl PicodataConfig {
    /// Checks the options against each other.
    pub(crate) fn validate(&self) -> Result<()> {
        if !self.topology {
            let needs = [
                ("role", self.filter.role != RoleFilter::Any),
                ("tier", !self.filter.tiers.is_empty()),
                ("failure_domain", !self.filter.failure_domain.is_empty()),
                ("service_url", self.service_url.is_some()),
            ];
            if let Some((name, _)) = needs.iter().find(|(_, is_set)| *is_set) {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "the option {name} needs the topology, which topology=off does not read"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Reads the passwords: the one that was given, or those of the passfile.
    ///
    /// `database` is the name of the database. It reads one small local file and never fails: a passfile that is
    /// missing or open to others is as good as none.
    pub(crate) fn passwords(&self, database: &str, hosts: &[String], logger: &Logger) -> Passwords {
        match (
            &self.password,
            self.passfile.as_ref().or(self.default_passfile.as_ref()),
        ) {
            (Some(password), _) => Passwords::given(password.clone()),
            (None, Some(path)) => Passwords::read(path, database, &self.user, hosts, logger),
            (None, None) => Passwords::default(),
        }
    }
}
