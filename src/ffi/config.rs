//! Configurations
//!
//! What a pool, or a client of a cluster, is opened with: a connection string, then options by name, and the
//! caller's own functions.
//!
//! Functions of the caller are called on the thread that the type of the function names, by several threads at
//! once, and must return normally: neither an exception nor a `longjmp` may leave them. They may use the
//! library, but not the pool that calls them, unless their type says so. Their `destroy` function is called
//! exactly once, with their `user_data`, when the configuration and all that was opened with it are gone, or
//! when the function that takes them fails.

use std::ffi::{c_char, c_void};
use std::os::fd::{FromRawFd, OwnedFd};

use super::boundary::{Out, boundary, free};
use super::buffer::quorate_buffer;
use super::call::QUORATE_TIMEOUT_NONE;
use super::callback::{UserData, quorate_destroy_fn};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::{Failure, quorate_status};
use super::store::quorate_store;
use super::view::text;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::lock::Mutex;

/// The configuration of a pool. Any thread may use it.
pub struct quorate_config {
    config: Mutex<Config>,
}

impl quorate_config {
    pub(super) fn copy(&self) -> Config {
        self.config.lock().clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config.lock());
    }
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(dead_code, reason = "names the numbers for C")]
pub enum quorate_log_level {
    /// Something does not work and will not by itself.
    Error = 1,
    /// Something does not work at the moment.
    Warn = 2,
    /// A change in the cluster.
    Info = 3,
    /// What helps to find a fault.
    Debug = 4,
}

/// Is told what the library has to say: a `quorate_log_level`, and a text of `message_len` bytes, valid during
/// the call, without a NUL behind it.
///
/// Called on the thread that has something to say: that of a call, the pool's own, or a short-lived one of a
/// leader lookup.
pub type quorate_log_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        level: i32,
        message: *const c_char,
        message_len: usize,
    ),
>;

/// Makes a connection to `address` (`address_len` bytes, valid during the call, without a NUL behind them) and
/// answers its file descriptor, a connected stream socket, which the library then owns and closes; whether it blocks
/// does not matter, and whether programs that are started inherit it is the function's to say (`SOCK_CLOEXEC`). A
/// failure is answered as a negative errno, such as `-ECONNREFUSED`.
///
/// It should return within `timeout_ms` milliseconds (`QUORATE_TIMEOUT_NONE` is no limit): nothing but itself
/// bounds what it does. Called on the thread that needs the connection, or on a short-lived one of a leader
/// lookup.
pub type quorate_dial_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        address: *const c_char,
        address_len: usize,
        timeout_ms: i64,
    ) -> i32,
>;

/// Makes a configuration from a connection string:
///
/// - `dqlite://10.0.0.1:9001,10.0.0.2:9001,[::1]:9001/app?pool_max_conns=20&timeout=5s`
/// - `picodata://app:secret@10.0.0.1:4327,10.0.0.2:4327/app?sslmode=verify-full&sslrootcert=ca.crt`
/// - `postgres://app@db1,db2:5433/app`
/// - `host=db1,db2 port=5432,5433 user=app password='it\'s' dbname=app`
///
/// For dqlite the hosts are `host:port`, `[IPv6]:port`, `@name` for an abstract Unix socket or a percent-encoded
/// path for a Unix socket (`%2Frun%2Fapp.sock`); the path is the name of the database. For Picodata and PostgreSQL a
/// host is a name, an IP address, or a directory with a Unix socket (`%2Frun%2Fpostgresql`); what the string does not
/// say is looked for in the service file and the environment (PGHOST, PGUSER, PGPASSWORD and so on), as libpq does.
/// Any one node or instance is enough, the others are learned. Values with special characters are percent-encoded in
/// a URL, and put in quotes behind `keyword=`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_new(
    url: *const c_char,
    url_len: usize,
    out_config: *mut *mut quorate_config,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_config, "out_config"), || {
            let config = Mutex::new(Config::parse(text(url, url_len, "url")?)?);
            Ok(give(quorate_config { config }))
        })
    }
}

/// Sets an option by its name, as in a connection string, its value not percent-encoded. Durations are written
/// as `1h30m`, `500ms` or, as a number alone, in seconds.
///
/// Options of both databases:
///
/// - `timeout` (default 30s): the deadline of each call that has no other; 0 is none
/// - `acquire_timeout` (default 10s): how long a call waits for a connection at most, the lookup of the leader included; 0 is no limit of its own
/// - `pool_max_conns` (default 10): the most connections to one node
/// - `pool_min_conns` (default 0): so many are kept open
/// - `pool_max_conn_lifetime` (default 1h): a connection older than this is closed when it is idle; 0 is never
/// - `pool_max_conn_lifetime_jitter` (default 6m): up to this is added to each lifetime, so that not all end at once
/// - `pool_max_conn_idle_time` (default 30m): a connection idle for longer is closed (looked at every 30 s); 0 is never
/// - `pool_health_check_period` (default 1m): how often the least number of connections is seen to
/// - `statement_cache` (default 128): prepared statements that a connection keeps; 0 prepares none
/// - `placeholders` (default native): how parameters are written: `native`, `question` (`?`), `named` (`:name`). PostgreSQL's own are `$1`; dqlite takes all of its own with each
/// - `sslmode` (default see below): `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`; the second and the third not for dqlite
/// - `sslrootcert`: file of CA certificates, or `system`
/// - `sslcert`, `sslkey`: files of the client's certificate and its key
/// - `sslservername`: the name to look for in the server's certificate instead of the host
/// - `dial_timeout` (default 5s): how long one dial takes at most, TLS included
///
/// Without `sslmode`, dqlite is spoken to in plain text; for Picodata it is `verify-full` if `sslrootcert` is given,
/// `require` if only `sslcert` is, and `disable` otherwise.
///
/// `prefer` is TLS where the server offers it and else plain text, `allow` plain text and TLS where the server refuses that, as
/// in libpq. They protect from those who only listen: whoever can alter the traffic has it go in plain text. They verify no
/// certificate, while `require` does where `sslrootcert` is given. The second way is taken only where the server has not asked
/// who the user is yet, so a password is sent once.
///
/// Of dqlite:
///
/// - `busy_timeout` (default 5s): how long a statement outside of a transaction is repeated while another connection holds the lock; 0 is not at all
/// - `max_message` (default 67108864): the largest answer accepted, in bytes
/// - `refresh_interval` (default 30s): how often the list of nodes is read; an error reads it at once
/// - `store`: file of the list of nodes, kept up to date: `….yaml`, or else SQLite
/// - `attempt_timeout` (default 15s): how long one node may take to say who leads
/// - `probe_limit` (default 10): how many nodes are asked at once
/// - `probe_delay` (default 250ms): how long the last known leader may take before others are asked as well
/// - `backoff_factor`, `backoff_cap` (default 50ms, 250ms): the pauses between lookups: doubling, with jitter, up to the cap
/// - `retry_limit` (default 0): how often a lookup that found no leader is repeated; 0 is until the deadline
///
/// Of Picodata and PostgreSQL:
///
/// - `user` (default the system's user): the user
/// - `password`: the password; otherwise it is looked for in the passfile
/// - `passfile` (default `~/.pgpass`): lines `host:port:database:user:password`; left alone if others than its owner may read it
/// - `dbname` (default the user): the database; Picodata takes any
/// - `application_name`, `fallback_application_name`: a name that the server may show
/// - `options`: options for the server; for Picodata `name=value,name=value`
/// - `connect_timeout` (default 5s): libpq's name of `dial_timeout`, in seconds; 0 is no limit
/// - `allow_cleartext_password` (default off): whether a password may be sent readable over a connection without TLS
/// - `transaction_guard` (default on): whether to refuse transactions on Picodata, which accepts `BEGIN` and does nothing
/// - `balance` (default round_robin): which instance is next: `round_robin`, `random`, `least_busy`, `lowest_latency`
/// - `sharding` (default auto): whether a statement goes to the master of its bucket where the server tells it (Picodata 26.1 and later): `auto`, `off`
/// - `role` (default any): which instances are used: `any`, `master`, `replica`
/// - `tier`: the tiers whose instances are used, with commas between; all without it
/// - `failure_domain`: instances that share the most of `name=value,name=value` are preferred
/// - `topology` (default on): whether the instances are learned from the cluster; `off` uses the given hosts alone
/// - `topology_interval` (default 500ms): how often the instances are read; an error reads them at once
/// - `service_url`: the connection string of the instance to read them from; any of the pool's without it
/// - `target_session_attrs` (default any): accepted as `any` alone; see `role`
/// - `channel_binding`, `client_encoding`, `gssencmode`, `sslnegotiation`, `sslcompression`, `sslsni`, `load_balance_hosts`: accepted with the values that ask for nothing, and refused with others
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set(
    config: *const quorate_config,
    option: *const c_char,
    option_len: usize,
    value: *const c_char,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let config = borrow(config, "config")?;
            let option = text(option, option_len, "option")?;
            let value = text(value, value_len, "value")?;
            config.config.lock().set(option, value)?;
            Ok(())
        })
    }
}

/// Sets the store that knows the nodes of a dqlite cluster, in place of the hosts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set_store(
    config: *const quorate_config,
    store: *const quorate_store,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let store = borrow(store, "store")?.share();
            borrow(config, "config")?.config.lock().dqlite.store = Some(store);
            Ok(())
        })
    }
}

/// Sets the function that is told what the library does. Without one nothing is told. `user_data` and
/// `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set_log(
    config: *const quorate_config,
    log: quorate_log_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let log = log.ok_or_else(|| Failure::null("log"))?;
            let config = borrow(config, "config")?;
            config.config.lock().set_log(move |level, message| {
                log(
                    user.pointer(),
                    level as i32,
                    message.as_ptr().cast(),
                    message.len(),
                );
            });
            Ok(())
        })
    }
}

/// Sets the function that makes connections. TLS, where it is configured, is spoken over what it answers.
/// `user_data` and `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set_dial(
    config: *const quorate_config,
    dial: quorate_dial_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let dial = dial.ok_or_else(|| Failure::null("dial"))?;
            let config = borrow(config, "config")?;
            config.config.lock().set_dial(move |address, deadline| {
                let (pointer, len) = (address.as_ptr().cast(), address.len());
                let fd = dial(user.pointer(), pointer, len, milliseconds(deadline));
                if fd < 0 {
                    return Err(std::io::Error::from_raw_os_error(fd.saturating_neg()));
                }
                // The function has given the descriptor away.
                Ok(OwnedFd::from_raw_fd(fd))
            });
            Ok(())
        })
    }
}

fn milliseconds(deadline: Deadline) -> i64 {
    deadline.remaining().map_or(QUORATE_TIMEOUT_NONE, |left| {
        i64::try_from(left.as_millis()).unwrap_or(QUORATE_TIMEOUT_NONE)
    })
}

/// Gives the value of an option by its name, written as `quorate_config_set` takes it. `out_value` is NULL where
/// the option has none, and for a password, which is never told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_get(
    config: *const quorate_config,
    option: *const c_char,
    option_len: usize,
    out_value: *mut *mut quorate_buffer,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_value, "out_value"), || {
            let config = borrow(config, "config")?.config.lock();
            let value = config.get(text(option, option_len, "option")?)?;
            Ok(value.map_or(std::ptr::null_mut(), |value| {
                give(quorate_buffer::of(value.into_bytes()))
            }))
        })
    }
}

/// Gives the name of the database.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_name(
    config: *const quorate_config,
    out_name: *mut *mut quorate_buffer,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_name, "out_name"), || {
            let name = borrow(config, "config")?.config.lock().name().to_owned();
            Ok(give(quorate_buffer::of(name.into_bytes())))
        })
    }
}

/// Makes a copy that can be changed by itself. Functions of the caller are shared.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_copy(
    config: *const quorate_config,
    out_config: *mut *mut quorate_config,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_config, "out_config"), || {
            let config = Mutex::new(borrow(config, "config")?.copy());
            Ok(give(quorate_config { config }))
        })
    }
}

/// Frees a configuration. Pools that were opened with it go on. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_free(config: *mut quorate_config) {
    // SAFETY: the header's rules.
    unsafe { free(config) }
}
