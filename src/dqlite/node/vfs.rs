//! The repair of SQLite's list of file systems after a create that failed.
//!
//! libdqlite registers a VFS with SQLite for each node, inside of the node's own memory. Up to 1.11.1 a create
//! that fails frees that memory and leaves the VFS in the list, and the next database that any node opens walks
//! over it: a crash in `sqlite3_vfs_find`, seen with metadata in a format that libdqlite does not know.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};

use super::library::Library;

/// The head of `sqlite3_vfs` (`sqlite3.h`), whose layout is part of SQLite's ABI.
#[repr(C)]
struct Vfs {
    version: c_int,
    file_size: c_int,
    path_limit: c_int,
    next: *mut Vfs,
}

/// `SQLITE_MUTEX_STATIC_MAIN`, which guards the list.
const MAIN_MUTEX: c_int = 2;

/// The functions of the SQLite that libdqlite uses.
pub(super) struct Sqlite {
    find: unsafe extern "C" fn(*const c_char) -> *mut Vfs,
    mutex: unsafe extern "C" fn(c_int) -> *mut c_void,
    enter: unsafe extern "C" fn(*mut c_void),
    leave: unsafe extern "C" fn(*mut c_void),
}

impl Sqlite {
    /// Looks them up through libdqlite, which is linked with SQLite.
    pub(super) fn look_up(library: &'static libloading::Library) -> Option<Sqlite> {
        // SAFETY: the types are those of `sqlite3.h`; the library is never unloaded.
        unsafe {
            Some(Sqlite {
                find: *library.get(b"sqlite3_vfs_find\0").ok()?,
                mutex: *library.get(b"sqlite3_mutex_alloc\0").ok()?,
                enter: *library.get(b"sqlite3_mutex_enter\0").ok()?,
                leave: *library.get(b"sqlite3_mutex_leave\0").ok()?,
            })
        }
    }

    fn locked<T>(&self, body: impl FnOnce() -> T) -> T {
        // SAFETY: a static mutex of SQLite, which is initialised by then (`find` does so) and never freed.
        unsafe {
            let mutex = (self.mutex)(MAIN_MUTEX);
            (self.enter)(mutex);
            let answer = body();
            (self.leave)(mutex);
            answer
        }
    }
}

/// The list as it was before a create.
pub(super) struct Before {
    sqlite: &'static Sqlite,
    /// SQLite's own default VFS. New ones are put behind it.
    head: *mut Vfs,
    second: *mut Vfs,
}

impl Before {
    /// Notes the list. The caller holds `Library::file_systems` until after the create.
    pub(super) fn take(library: &'static Library) -> Option<Before> {
        let sqlite = library.sqlite.as_ref()?;
        // SAFETY: NULL asks for the default VFS. It is the head of the list and is never freed, and `next`
        // is read under the list's lock.
        unsafe {
            let head = (sqlite.find)(std::ptr::null());
            (!head.is_null()).then(|| Before {
                sqlite,
                head,
                second: sqlite.locked(|| (*head).next),
            })
        }
    }

    /// Takes what was put behind the head since, which is freed memory, out of the list without reading it.
    pub(super) fn restore(self) {
        self.sqlite.locked(|| {
            // SAFETY: the head lives as long as SQLite. The caller has held `Library::file_systems` since
            // `take`, so no other node came or went: the one VFS that is new is that of the create that
            // failed, and the one behind it is still the one that was there.
            unsafe { (*self.head).next = self.second }
        });
    }
}
