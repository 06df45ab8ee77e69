//! The options of an embedded node, and its start.

use std::ffi::{CString, c_int, c_uint};
use std::path::PathBuf;
use std::time::Duration;

use super::Node;
use super::address::{Address, Bindable};
use super::directory::Directory;
use super::library::{Library, Setter};
use super::listener;
use super::raw::{RawNode, with_signals_blocked};
use crate::error::{Error, ErrorKind, Result};

/// The threshold and trailing that libdqlite has where none are set (`src/server.c`, 1.11 to 1.18).
const DEFAULT_SNAPSHOT_PARAMS: (u32, u32) = (1024, 8192);

/// A node that is described but not yet started. Made by [`Node::builder`].
///
/// An option that only newer versions of libdqlite know makes [`start`](NodeBuilder::start) answer
/// [`ErrorKind::Unsupported`] where the library is older.
#[derive(Debug, Clone)]
#[must_use = "a node runs only once it is started"]
pub struct NodeBuilder {
    id: u64,
    address: String,
    directory: PathBuf,
    bind_address: Option<String>,
    library: Option<PathBuf>,
    failure_domain: Option<u64>,
    network_latency: Option<Duration>,
    snapshot_params: Option<(u32, u32)>,
    dynamic_trailing: bool,
    block_size: Option<usize>,
    role_management: bool,
    target_voters: Option<u32>,
    target_standbys: Option<u32>,
    auto_recovery: Option<bool>,
    snapshot_compression: Option<bool>,
    pool_threads: Option<u32>,
    busy_timeout: Option<Duration>,
}

/// A setting that is known to be possible, to be made once the node exists.
type Setting = Box<dyn FnOnce(&mut RawNode) -> Result<()>>;

impl NodeBuilder {
    pub(super) fn new(id: u64, address: &str, directory: PathBuf) -> Self {
        NodeBuilder {
            id,
            address: address.into(),
            directory,
            bind_address: None,
            library: None,
            failure_domain: None,
            network_latency: None,
            snapshot_params: None,
            dynamic_trailing: false,
            block_size: None,
            role_management: false,
            target_voters: None,
            target_standbys: None,
            auto_recovery: None,
            snapshot_compression: None,
            pool_threads: None,
            busy_timeout: None,
        }
    }

    /// Listens on this address instead of the one that others reach the node by: `host:port`, or `@name` for
    /// an abstract Unix socket, which accepts connections from this process alone. A bare `@` lets the
    /// kernel choose the name; [`Node::bind_address`] then says it.
    pub fn bind_address(mut self, address: &str) -> Self {
        self.bind_address = Some(address.into());
        self
    }

    /// The failure domain that the node reports of itself, for the placement of roles. 0 where unset.
    pub fn failure_domain(mut self, domain: u64) -> Self {
        self.failure_domain = Some(domain);
        self
    }

    /// The average one-way latency to the other nodes, from 1 ms to 1 hour, in whole milliseconds.
    ///
    /// The leader sends a heartbeat every 1.5 times this, and a follower that hears none for 15 times this
    /// stands for election. Where unset, these are 500 ms and 3 s.
    pub fn network_latency(mut self, latency: Duration) -> Self {
        self.network_latency = Some(latency);
        self
    }

    /// Takes a snapshot every `threshold` log entries and keeps `trailing` entries after one. `trailing` has
    /// to be 4 or more and not less than `threshold`. 1024 and 8192 where unset.
    ///
    /// A node that takes a snapshot while it catches up, having been away, misses the leader's if that comes meanwhile.
    /// The leader sends it again after 30 seconds, and the node lags behind until then (1.11.1 and 1.18.6). A threshold
    /// that is not reached while it catches up prevents it.
    pub fn snapshot_params(mut self, threshold: u32, trailing: u32) -> Self {
        self.snapshot_params = Some((threshold, trailing));
        self
    }

    /// Keeps fewer than `trailing` entries after a snapshot where they take more room than it. Since
    /// libdqlite 1.18.2.
    pub fn dynamic_trailing(mut self, dynamic: bool) -> Self {
        self.dynamic_trailing = dynamic;
        self
    }

    /// The size in bytes of the blocks in which the log is written: a power of two from 512 to 262,144.
    /// Since libdqlite 1.15.0.
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = Some(bytes);
        self
    }

    /// Lets the leader promote and demote nodes by itself, towards the target numbers. Since libdqlite
    /// 1.15.0.
    pub fn role_management(mut self, enabled: bool) -> Self {
        self.role_management = enabled;
        self
    }

    /// How many voters role management aims at; 3 where unset. Since libdqlite 1.15.0.
    pub fn target_voters(mut self, voters: u32) -> Self {
        self.target_voters = Some(voters);
        self
    }

    /// How many stand-bys role management aims at; 0 where unset. Since libdqlite 1.15.0.
    pub fn target_standbys(mut self, standbys: u32) -> Self {
        self.target_standbys = Some(standbys);
        self
    }

    /// Whether the node may remove damaged files of its data directory at its start, which lets it start and
    /// may lose data. libdqlite does so where this is unset. Since libdqlite 1.16.0.
    pub fn auto_recovery(mut self, enabled: bool) -> Self {
        self.auto_recovery = Some(enabled);
        self
    }

    /// Whether snapshots are compressed. Since libdqlite 1.16.2.
    pub fn snapshot_compression(mut self, enabled: bool) -> Self {
        self.snapshot_compression = Some(enabled);
        self
    }

    /// The number of threads for SQLite's work on disk; 4 where unset. Since libdqlite 1.16.5.
    pub fn pool_threads(mut self, threads: u32) -> Self {
        self.pool_threads = Some(threads);
        self
    }

    /// How long a write may wait for another connection's transaction, in whole milliseconds, before it is
    /// answered "busy"; it does not wait where this is unset. Since libdqlite 1.18.2.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = Some(timeout);
        self
    }

    /// Opens libdqlite from this file. A process can use one libdqlite; the first start decides which.
    pub fn library(mut self, path: impl Into<PathBuf>) -> Self {
        self.library = Some(path.into());
        self
    }

    /// Starts the node. Blocks until it accepts connections, which includes the reading of its log, without
    /// a deadline.
    ///
    /// The data directory is made where it is missing, with mode 0700. Starts in one process wait for each
    /// other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: the id is 0, an address or an option is malformed or out of range.
    /// [`ErrorKind::Unsupported`]: an option that the installed libdqlite does not have.
    /// [`ErrorKind::Node`]: libdqlite is missing, the directory cannot be used or another node uses it, the
    /// address cannot be bound, or libdqlite could not start the node; then the message has its reason.
    pub fn start(self) -> Result<Node> {
        if self.id == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "a node id of 0 is not allowed: give 1 to the node that begins a cluster",
            ));
        }
        let address = Address::parse(&self.address)?;
        if address == Address::Abstract(String::new()) {
            return Err(Error::new(
                ErrorKind::Config,
                "bad node address \"@\": other nodes need a name; only a bind address may leave it out",
            ));
        }
        let bind = match &self.bind_address {
            Some(text) => Address::parse(text)?,
            None => address,
        };
        self.check_ranges()?;
        let library = Library::open(self.library.as_deref())?;
        let settings = self.settings(library)?;
        let directory = Directory::prepare(&self.directory)?;
        let bindable = bind.resolve()?;

        let _one_at_a_time = library.setup.lock();
        bindable.check_free()?;
        let (raw, bind_address) = with_signals_blocked(|| {
            let mut raw = RawNode::create(
                library,
                self.id,
                &text(&self.address)?,
                &directory.c_path()?,
            )?;
            for setting in settings {
                setting(&mut raw)?;
            }
            let (bound, bind_address) = bind_node(&mut raw, bindable)?;
            listener::close_on_exec(&bound);
            raw.start()
                .inspect_err(|_| listener::close_abandoned(&bound))?;
            Ok::<_, Error>((raw, bind_address))
        })
        .map_err(|error| error.with_node(&self.address))?;
        Ok(Node {
            raw: Some(raw),
            id: self.id,
            address: self.address,
            bind_address,
            directory,
        })
    }

    fn check_ranges(&self) -> Result<()> {
        let bad = |message: String| Err(Error::new(ErrorKind::Config, message));
        if let Some(latency) = self.network_latency
            && !(1..=3_600_000).contains(&latency.as_millis())
        {
            return bad(format!(
                "a network latency of {latency:?} is out of range: 1 ms to 1 hour"
            ));
        }
        if let Some((threshold, trailing)) = self.snapshot_params
            && (trailing < 4 || trailing < threshold)
        {
            return bad(format!(
                "snapshot parameters {threshold}, {trailing} are out of range: the trailing entries have to be 4 or more and not fewer than the threshold"
            ));
        }
        if let Some(size) = self.block_size
            && !(size.is_power_of_two() && (512..=262_144).contains(&size))
        {
            return bad(format!(
                "a block size of {size} is out of range: a power of two from 512 to 262144"
            ));
        }
        if let Some(timeout) = self.busy_timeout
            && c_uint::try_from(timeout.as_millis()).is_err()
        {
            return bad(format!("a busy timeout of {timeout:?} is too long"));
        }
        for (option, number) in [
            ("target voters", self.target_voters),
            ("target stand-bys", self.target_standbys),
        ] {
            if number.is_some_and(|number| c_int::try_from(number).is_err()) {
                return bad(format!("the number of {option} is out of range"));
            }
        }
        if self.pool_threads == Some(0) {
            return bad("a pool of 0 threads can do no work: give 1 or more".into());
        }
        Ok(())
    }

    /// What has to be set, with every function looked up: a node that was created is not left half set.
    fn settings(&self, library: &'static Library) -> Result<Vec<Setting>> {
        let functions = &library.functions;
        let mut settings: Vec<Setting> = Vec::new();

        let dynamic = self
            .dynamic_trailing
            .then(|| {
                library.need(
                    functions.set_snapshot_params_v2,
                    "dynamic_trailing",
                    "dqlite_node_set_snapshot_params_v2",
                    "1.18.2",
                )
            })
            .transpose()?;
        if self.snapshot_params.is_some() || dynamic.is_some() {
            let (threshold, trailing) = self.snapshot_params.unwrap_or(DEFAULT_SNAPSHOT_PARAMS);
            settings.push(Box::new(move |node| {
                node.set_snapshot_params(threshold, trailing, dynamic)
            }));
        }
        if self.role_management {
            let enable = library.need(
                functions.enable_role_management,
                "role_management",
                "dqlite_node_enable_role_management",
                "1.15.0",
            )?;
            settings.push(Box::new(move |node| node.enable_role_management(enable)));
        }

        let mut add = Settings { library, settings };
        add.one(
            "network_latency",
            self.network_latency.map(milliseconds),
            Some(functions.set_network_latency_ms),
            ("dqlite_node_set_network_latency_ms", "1.11"),
        )?;
        add.one(
            "failure_domain",
            self.failure_domain,
            Some(functions.set_failure_domain),
            ("dqlite_node_set_failure_domain", "1.11"),
        )?;
        add.one(
            "block_size",
            self.block_size,
            functions.set_block_size,
            ("dqlite_node_set_block_size", "1.15.0"),
        )?;
        add.one(
            "target_voters",
            self.target_voters.map(u32::cast_signed),
            functions.set_target_voters,
            ("dqlite_node_set_target_voters", "1.15.0"),
        )?;
        add.one(
            "target_standbys",
            self.target_standbys.map(u32::cast_signed),
            functions.set_target_standbys,
            ("dqlite_node_set_target_standbys", "1.15.0"),
        )?;
        add.one(
            "auto_recovery",
            self.auto_recovery,
            functions.set_auto_recovery,
            ("dqlite_node_set_auto_recovery", "1.16.0"),
        )?;
        add.one(
            "snapshot_compression",
            self.snapshot_compression,
            functions.set_snapshot_compression,
            ("dqlite_node_set_snapshot_compression", "1.16.2"),
        )?;
        add.one(
            "pool_threads",
            self.pool_threads,
            functions.set_pool_thread_count,
            ("dqlite_node_set_pool_thread_count", "1.16.5"),
        )?;
        add.one(
            "busy_timeout",
            self.busy_timeout.map(milliseconds),
            functions.set_busy_timeout,
            ("dqlite_node_set_busy_timeout", "1.18.2"),
        )?;
        Ok(add.settings)
    }
}

struct Settings {
    library: &'static Library,
    settings: Vec<Setting>,
}

impl Settings {
    /// Adds one value, where it is given, or says which function is missing.
    fn one<T: 'static>(
        &mut self,
        option: &'static str,
        value: Option<T>,
        function: Option<Setter<T>>,
        (symbol, since): (&str, &str),
    ) -> Result<()> {
        let Some(value) = value else {
            return Ok(());
        };
        let set = self.library.need(function, option, symbol, since)?;
        self.settings
            .push(Box::new(move |node| node.set(option, set, value)));
        Ok(())
    }
}

/// Binds the node's socket. Answers what was bound, and its name as libdqlite gives it.
fn bind_node(raw: &mut RawNode, bindable: Bindable) -> Result<(Bindable, String)> {
    raw.bind(&text(&bindable.to_string())?)
        .map_err(|error| match &bindable {
            Bindable::Tcp(address) if address.is_ipv6() => Error::new(
                ErrorKind::Unsupported,
                format!("cannot bind {address}: this libdqlite takes IPv4 addresses alone"),
            )
            .with_source(error),
            _ => error,
        })?;
    let name = raw.bind_address().unwrap_or_else(|| bindable.to_string());
    let bound = match bindable {
        Bindable::Abstract(_) => Bindable::Abstract(name.trim_start_matches('@').into()),
        tcp => tcp,
    };
    Ok((bound, name))
}

/// Whole milliseconds; `check_ranges` has seen that they fit.
fn milliseconds(duration: Duration) -> c_uint {
    c_uint::try_from(duration.as_millis()).unwrap_or(c_uint::MAX)
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| {
        Error::new(ErrorKind::Config, "the text contains a NUL").with_source(error)
    })
}
