//! libdqlite, opened at run time: the path, the table of its functions, its version.
#![allow(unsafe_code)]

use std::env;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

use super::vfs::Sqlite;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;

/// The name under which the dynamic linker knows libdqlite 1.x.
const SONAME: &str = "libdqlite.so.0";

/// The environment variable that names another file to open.
pub(super) const PATH_VARIABLE: &str = "QUORATE_LIBDQLITE";

/// A node object of libdqlite; only ever behind a pointer.
pub(super) type RawHandle = c_void;

/// The function by which a node reaches another one: argument, address, where to put the socket.
pub(super) type ConnectFunction =
    unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_int) -> c_int;

/// A function that gives a node one value.
pub(super) type Setter<T> = unsafe extern "C" fn(*mut RawHandle, T) -> c_int;
/// `dqlite_node_set_snapshot_params_v2`: threshold, trailing, strategy.
pub(super) type SnapshotSetter =
    unsafe extern "C" fn(*mut RawHandle, c_uint, c_uint, c_int) -> c_int;
/// `dqlite_node_enable_role_management`.
pub(super) type RoleSetter = unsafe extern "C" fn(*mut RawHandle) -> c_int;

/// The functions of libdqlite that this library calls, with the signatures of `dqlite.h`.
///
/// The plain ones are in every version since 1.11; the optional ones came later.
pub(super) struct Functions {
    pub(super) version_number: unsafe extern "C" fn() -> c_int,
    pub(super) generate_node_id: unsafe extern "C" fn(*const c_char) -> u64,
    pub(super) create:
        unsafe extern "C" fn(u64, *const c_char, *const c_char, *mut *mut RawHandle) -> c_int,
    pub(super) destroy: unsafe extern "C" fn(*mut RawHandle),
    pub(super) errmsg: unsafe extern "C" fn(*mut RawHandle) -> *const c_char,
    pub(super) set_bind_address: Setter<*const c_char>,
    pub(super) get_bind_address: unsafe extern "C" fn(*mut RawHandle) -> *const c_char,
    pub(super) set_connect_func:
        unsafe extern "C" fn(*mut RawHandle, ConnectFunction, *mut c_void) -> c_int,
    pub(super) set_network_latency_ms: Setter<c_uint>,
    pub(super) set_failure_domain: Setter<u64>,
    pub(super) set_snapshot_params: unsafe extern "C" fn(*mut RawHandle, c_uint, c_uint) -> c_int,
    pub(super) start: unsafe extern "C" fn(*mut RawHandle) -> c_int,
    pub(super) stop: unsafe extern "C" fn(*mut RawHandle) -> c_int,

    pub(super) set_snapshot_params_v2: Option<SnapshotSetter>,
    pub(super) set_block_size: Option<Setter<usize>>,
    pub(super) set_target_voters: Option<Setter<c_int>>,
    pub(super) set_target_standbys: Option<Setter<c_int>>,
    pub(super) set_pool_thread_count: Option<Setter<c_uint>>,
    pub(super) set_auto_recovery: Option<Setter<bool>>,
    pub(super) set_snapshot_compression: Option<Setter<bool>>,
    pub(super) set_busy_timeout: Option<Setter<c_uint>>,
    pub(super) enable_role_management: Option<RoleSetter>,
    pub(super) handover: Option<unsafe extern "C" fn(*mut RawHandle) -> c_int>,
}

/// The opened libdqlite. There is one for the whole process and it is never closed: the threads of its nodes
/// and those of libuv under it run its code for as long as the process lives.
pub(super) struct Library {
    name: PathBuf,
    pub(super) functions: Functions,
    /// The SQLite under it, where its functions could be found.
    pub(super) sqlite: Option<Sqlite>,
    /// Held from the check of a node's address to the end of its start: libdqlite numbers its nodes without
    /// a lock, and two that listen on one address at the same moment would hang in `dqlite_node_start`.
    pub(super) setup: Mutex<()>,
    /// Held while a node is created and while one is destroyed, which change SQLite's list of file systems.
    pub(super) file_systems: Mutex<()>,
}

/// The library of this process, once it is open.
static OPENED: Mutex<Option<&'static Library>> = Mutex::new(None);

impl Library {
    /// Opens libdqlite, or answers with the one that is open.
    ///
    /// The file is `explicit`, or what `QUORATE_LIBDQLITE` names, or `libdqlite.so.0` as the dynamic linker
    /// finds it. A failure is not remembered: a later call tries again.
    pub(super) fn open(explicit: Option<&Path>) -> Result<&'static Library> {
        let mut opened = OPENED.lock();
        if let Some(library) = *opened {
            return match explicit {
                Some(path) if path != library.name => Err(Error::new(
                    ErrorKind::Node,
                    format!(
                        "cannot open {}: this process already uses libdqlite from {}, and it can use one only",
                        path.display(),
                        library.name.display()
                    ),
                )),
                _ => Ok(library),
            };
        }
        let name = match explicit {
            Some(path) => path.to_path_buf(),
            None => env::var_os(PATH_VARIABLE)
                .filter(|path| !path.is_empty())
                .map_or_else(|| PathBuf::from(SONAME), PathBuf::from),
        };
        let library: &'static Library = Box::leak(Box::new(Library::load(name)?));
        *opened = Some(library);
        Ok(library)
    }

    fn load(name: PathBuf) -> Result<Library> {
        // SAFETY: opening a library runs its initialisers; those of libdqlite and of what it links (SQLite,
        // libuv, raft) touch nothing of the host. Whoever sets the path vouches that it names libdqlite.
        let opened = unsafe { libloading::Library::new(&name) };
        let library = opened.map_err(|error| {
            Error::new(
                ErrorKind::Node,
                format!(
                    "cannot open {}: {}; install the package libdqlite0 (Debian, Ubuntu) or set {PATH_VARIABLE}",
                    name.display(),
                    cause(&error)
                ),
            )
            .with_source(error)
        })?;
        // The functions are copied out of it, so it may never be unloaded.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        let functions = Functions::look_up(library).map_err(|error| {
            Error::new(
                ErrorKind::Node,
                format!(
                    "{} is not a libdqlite of version 1.11 or later: {}",
                    name.display(),
                    cause(&error)
                ),
            )
            .with_source(error)
        })?;
        Ok(Library {
            name,
            functions,
            sqlite: Sqlite::look_up(library),
            setup: Mutex::new(()),
            file_systems: Mutex::new(()),
        })
    }

    /// Major, minor and release number as the library states them.
    pub(super) fn version(&self) -> (u32, u32, u32) {
        // SAFETY: the function takes nothing and reads a constant; `look_up` found it under this name.
        let number = unsafe { (self.functions.version_number)() };
        let number = u32::try_from(number).unwrap_or(0);
        (number / 10_000, number / 100 % 100, number % 100)
    }

    /// A node id made of `address` and the clock.
    pub(super) fn generate_id(&self, address: &CStr) -> u64 {
        // SAFETY: the function reads the text up to its NUL and keeps no pointer to it.
        unsafe { (self.functions.generate_node_id)(address.as_ptr()) }
    }

    /// The optional function `function`, or an error that names it, the option it serves, the version found
    /// and the version `since` which has it.
    pub(super) fn need<T: Copy>(
        &self,
        function: Option<T>,
        option: &str,
        symbol: &str,
        since: &str,
    ) -> Result<T> {
        function.ok_or_else(|| {
            let (major, minor, release) = self.version();
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{option} needs libdqlite {since} or later: {} (it says {major}.{minor}.{release}) has no {symbol}",
                    self.name.display()
                ),
            )
        })
    }
}

impl Functions {
    fn look_up(library: &'static libloading::Library) -> Result<Functions, libloading::Error> {
        // SAFETY: each field has the signature that `dqlite.h` gives the function of that name, in every
        // version that has it; the library is never unloaded, so the pointers stay good.
        unsafe {
            Ok(Functions {
                version_number: required(library, b"dqlite_version_number\0")?,
                generate_node_id: required(library, b"dqlite_generate_node_id\0")?,
                create: required(library, b"dqlite_node_create\0")?,
                destroy: required(library, b"dqlite_node_destroy\0")?,
                errmsg: required(library, b"dqlite_node_errmsg\0")?,
                set_bind_address: required(library, b"dqlite_node_set_bind_address\0")?,
                get_bind_address: required(library, b"dqlite_node_get_bind_address\0")?,
                set_connect_func: required(library, b"dqlite_node_set_connect_func\0")?,
                set_network_latency_ms: required(library, b"dqlite_node_set_network_latency_ms\0")?,
                set_failure_domain: required(library, b"dqlite_node_set_failure_domain\0")?,
                set_snapshot_params: required(library, b"dqlite_node_set_snapshot_params\0")?,
                start: required(library, b"dqlite_node_start\0")?,
                stop: required(library, b"dqlite_node_stop\0")?,
                set_snapshot_params_v2: required(library, b"dqlite_node_set_snapshot_params_v2\0")
                    .ok(),
                set_block_size: required(library, b"dqlite_node_set_block_size\0").ok(),
                set_target_voters: required(library, b"dqlite_node_set_target_voters\0").ok(),
                set_target_standbys: required(library, b"dqlite_node_set_target_standbys\0").ok(),
                set_pool_thread_count: required(library, b"dqlite_node_set_pool_thread_count\0")
                    .ok(),
                set_auto_recovery: required(library, b"dqlite_node_set_auto_recovery\0").ok(),
                set_snapshot_compression: required(
                    library,
                    b"dqlite_node_set_snapshot_compression\0",
                )
                .ok(),
                set_busy_timeout: required(library, b"dqlite_node_set_busy_timeout\0").ok(),
                enable_role_management: required(library, b"dqlite_node_enable_role_management\0")
                    .ok(),
                handover: required(library, b"dqlite_node_handover\0").ok(),
            })
        }
    }
}

/// The function `symbol` (NUL-terminated) as a pointer of type `T`.
///
/// # Safety
///
/// `T` has to be the type of a pointer to that function.
unsafe fn required<T: Copy>(
    library: &'static libloading::Library,
    symbol: &[u8],
) -> Result<T, libloading::Error> {
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<T>(symbol).map(|found| *found) }
}

/// What the dynamic linker said; libloading's own sentence only says that it failed.
fn cause(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
