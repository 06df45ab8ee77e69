//! One node object of libdqlite: owned, stopped before it is destroyed, and left alone where destroying it
//! would be wrong.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uint};
use std::mem::MaybeUninit;
use std::process;
use std::ptr::{self, NonNull};

use super::connect;
use super::library::{Library, RawHandle, RoleSetter, Setter, SnapshotSetter};
use super::vfs;
use crate::error::{Error, ErrorKind, Result};

/// The codes of `dqlite.h` and what they mean here.
fn meaning(code: c_int) -> &'static str {
    match code {
        1 => "generic error",
        2 => "misuse",
        3 => "out of memory",
        _ => "unknown error",
    }
}

/// A node object that was created and not yet destroyed.
pub(super) struct RawNode {
    library: &'static Library,
    handle: NonNull<RawHandle>,
    started: bool,
    /// The process that created the node: a fork has a copy of the object but not its thread.
    process: u32,
}

// SAFETY: libdqlite ties a node to no thread but its own, which it starts itself and speaks to through an
// eventfd and semaphores. Every method that hands the pointer to libdqlite takes `&mut self` or the only
// reference there is, so no two calls run at once.
unsafe impl Send for RawNode {}
// SAFETY: the `&self` methods read what is constant once the node has its address.
unsafe impl Sync for RawNode {}

impl RawNode {
    /// Creates the object and gives it this library's way of reaching other nodes.
    pub(super) fn create(
        library: &'static Library,
        id: u64,
        address: &CStr,
        directory: &CStr,
    ) -> Result<RawNode> {
        let creating = library.file_systems.lock();
        let before = vfs::Before::take(library);
        let mut handle = ptr::null_mut();
        // SAFETY: both texts end in NUL and are copied before the call returns; `handle` is a place to
        // write to.
        let code = unsafe {
            (library.functions.create)(id, address.as_ptr(), directory.as_ptr(), &raw mut handle)
        };
        let Some(handle) = NonNull::new(handle) else {
            if let Some(before) = before {
                before.restore();
            }
            return Err(failed(
                "create the node",
                code,
                "libdqlite gives no reason: look at the data directory's files and at the limit of open files",
            ));
        };
        if code != 0 {
            // The object is not destroyed but given up: on every path of a failed create libdqlite leaves
            // a VFS inside of it registered with SQLite, which would then walk freed memory at the next
            // open of any database. Versions before 1.12 free it themselves, which is the case above.
            return Err(failed("create the node", code, &message(library, handle)));
        }
        drop(creating);
        let mut node = RawNode {
            library,
            handle,
            started: false,
            process: process::id(),
        };
        node.call("set the connect function", |functions, handle| {
            // SAFETY: the handle is alive; the function is safe to call from any thread and ignores its
            // argument.
            unsafe { (functions.set_connect_func)(handle, connect::connect, ptr::null_mut()) }
        })?;
        Ok(node)
    }

    /// Binds the socket; the node listens on it once started.
    pub(super) fn bind(&mut self, address: &CStr) -> Result<()> {
        self.call("bind the address", |functions, handle| {
            // SAFETY: the handle is alive; the text ends in NUL and is copied.
            unsafe { (functions.set_bind_address)(handle, address.as_ptr()) }
        })
    }

    /// The address that was bound, with the name that the kernel chose for `@`.
    pub(super) fn bind_address(&self) -> Option<String> {
        // SAFETY: the handle is alive; the answer is NULL or a text that lives until the node is
        // destroyed or bound again, and it is copied here.
        unsafe {
            let text = (self.library.functions.get_bind_address)(self.handle.as_ptr());
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// Starts the node's thread and waits until it accepts connections.
    pub(super) fn start(&mut self) -> Result<()> {
        self.call("start the node", |functions, handle| {
            // SAFETY: the handle is alive, bound and not started.
            unsafe { (functions.start)(handle) }
        })?;
        self.started = true;
        Ok(())
    }

    /// Hands leadership and the vote over to other nodes.
    pub(super) fn handover(&mut self) -> Result<()> {
        let handover = self.library.need(
            self.library.functions.handover,
            "handover",
            "dqlite_node_handover",
            "1.15.0",
        )?;
        self.call("hand over", |_, handle| {
            // SAFETY: the handle is alive and started.
            unsafe { handover(handle) }
        })
    }

    /// Stops the node's thread, waits for its end and destroys the object.
    pub(super) fn stop(mut self) -> Result<()> {
        self.halt()
    }

    fn halt(&mut self) -> Result<()> {
        if process::id() != self.process {
            return Err(Error::new(
                ErrorKind::Forked,
                "the node belongs to the parent process and goes on there",
            ));
        }
        if !self.started {
            return Ok(());
        }
        self.call("stop the node", |functions, handle| {
            // SAFETY: the handle is alive and started; this is the only stop.
            unsafe { (functions.stop)(handle) }
        })?;
        self.started = false;
        Ok(())
    }

    /// Calls `function` and makes an error of an answer other than 0, with libdqlite's own words for it.
    fn call(
        &mut self,
        what: &str,
        function: impl FnOnce(&super::library::Functions, *mut RawHandle) -> c_int,
    ) -> Result<()> {
        match function(&self.library.functions, self.handle.as_ptr()) {
            0 => Ok(()),
            code => Err(failed(what, code, &message(self.library, self.handle))),
        }
    }
}

/// The setters. Each has to come before the start.
impl RawNode {
    /// Gives `value` to `set`, one of the table's functions, for the builder's option `option`.
    pub(super) fn set<T>(&mut self, option: &str, set: Setter<T>, value: T) -> Result<()> {
        self.call(&format!("set {option}"), |_, handle| {
            // SAFETY: the handle is alive, and the type of the value is the one that the table of
            // functions, the only source of setters, gives this function.
            unsafe { set(handle, value) }
        })
    }

    /// Sets the entries between snapshots and those kept after one, as a fixed number or (`dynamic`) capped
    /// at the size of the snapshot.
    pub(super) fn set_snapshot_params(
        &mut self,
        threshold: c_uint,
        trailing: c_uint,
        dynamic: Option<SnapshotSetter>,
    ) -> Result<()> {
        /// `DQLITE_SNAPSHOT_TRAILING_DYNAMIC` of `dqlite.h`.
        const DYNAMIC: c_int = 1;
        self.call("set snapshot_params", |functions, handle| match dynamic {
            // SAFETY: the handle is alive; the function is the table's.
            Some(set) => unsafe { set(handle, threshold, trailing, DYNAMIC) },
            // SAFETY: the handle is alive.
            None => unsafe { (functions.set_snapshot_params)(handle, threshold, trailing) },
        })
    }

    /// Lets the cluster's leader give and take roles by itself; `enable` is the table's function.
    pub(super) fn enable_role_management(&mut self, enable: RoleSetter) -> Result<()> {
        self.call("set role_management", |_, handle| {
            // SAFETY: the handle is alive; the function is the table's.
            unsafe { enable(handle) }
        })
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        if let Err(error) = self.halt() {
            // The thread may still use the object, so the memory is given up.
            if error.kind() != ErrorKind::Forked {
                log::warn!("a node could not be stopped and is left behind: {error}");
            }
            return;
        }
        let _destroying = self.library.file_systems.lock();
        // SAFETY: the node's thread has ended or was never started (a start that failed ends it), and the
        // handle is not used again.
        unsafe { (self.library.functions.destroy)(self.handle.as_ptr()) }
    }
}

/// The text of the node's last error; empty where libdqlite gives none.
fn message(library: &Library, handle: NonNull<RawHandle>) -> String {
    // SAFETY: the handle is alive; the answer is a NUL-terminated buffer inside of the node, copied here.
    unsafe {
        let text = (library.functions.errmsg)(handle.as_ptr());
        if text.is_null() {
            String::new()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

fn failed(what: &str, code: c_int, message: &str) -> Error {
    let message = if message.is_empty() {
        format!(
            "cannot {what}: libdqlite answered {code} ({})",
            meaning(code)
        )
    } else {
        format!("cannot {what}: {message}")
    };
    Error::new(ErrorKind::Node, message).with_code(code)
}

/// Blocks every signal in the calling thread, runs `body` and sets the mask back.
///
/// The threads that libdqlite and libuv start inside of `body` inherit the mask, so that none of the host's
/// signals is delivered to them, and SIGPIPE above all: libuv writes without `MSG_NOSIGNAL`, and a client that
/// goes away at the wrong moment would otherwise end a host that keeps the default disposition. The signals
/// that a thread raises by its own fault stay open.
pub(super) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the set was filled in by pthread_sigmask.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }

    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the first set, and pthread_sigmask, which fails on nothing but an
    // unknown first argument, the second. Only the mask of this thread changes.
    let _restore = unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for signal in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGSYS,
        ] {
            libc::sigdelset(blocked.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    body()
}
