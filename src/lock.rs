//! Locks that no panic poisons, and that a forked child can use beside threads of its parent that it does not have.
//!
//! Those of the standard library sleep on a word of their own. Those of parking_lot keep all threads of the process that wait
//! in one table, whose entries lie in the memory of these threads: in a child the threads are gone, their memory becomes that
//! of others, and the table is gone through when a lock is waited for. Of 450 children of a process with an idle pool, 54
//! crashed when they opened a pool of their own, and none with these.

use std::sync::{self, LockResult, PoisonError, TryLockError, TryLockResult};

pub(crate) use std::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// A mutex. What it guards is as whole after a panic as whoever panicked has left it: nothing here panics half-way.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        wait(|| self.0.lock(), || self.0.try_lock())
    }

    /// `None` where another thread holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        taken(self.0.try_lock())
    }
}

/// A lock that many may hold to read, or one to write.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        RwLock(sync::RwLock::new(value))
    }

    #[inline]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        wait(|| self.0.read(), || self.0.try_read())
    }

    #[inline]
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        wait(|| self.0.write(), || self.0.try_write())
    }
}

fn taken<G>(tried: TryLockResult<G>) -> Option<G> {
    match tried {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(not(thread_sanitizer))]
#[inline]
fn wait<G>(lock: impl FnOnce() -> LockResult<G>, _try_lock: impl Fn() -> TryLockResult<G>) -> G {
    lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock that has to be waited for is taken by code of the standard library that was not built for the sanitizer, which
/// then knows of no order between those who hold it. One that is free is taken by code that becomes a part of ours.
#[cfg(thread_sanitizer)]
fn wait<G>(_lock: impl FnOnce() -> LockResult<G>, try_lock: impl Fn() -> TryLockResult<G>) -> G {
    loop {
        match taken(try_lock()) {
            Some(guard) => return guard,
            None => std::thread::yield_now(),
        }
    }
}
