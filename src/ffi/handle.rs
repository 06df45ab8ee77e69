//! Handles: objects that C holds by a pointer.
//!
//! Each is a box of its own, so that freeing one never touches another; what several handles share is an
//! `Arc` inside of the box.

use super::status::{Answer, Failure};

/// Gives an object to C, which gives it back to [`free`](super::boundary::free).
pub(super) fn give<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// The object behind a handle.
///
/// # Safety
///
/// `handle` is NULL or came from [`give`] and stays until the reference is gone.
#[inline]
pub(super) unsafe fn borrow<'a, T>(handle: *const T, name: &str) -> Answer<&'a T> {
    // SAFETY: the caller's.
    unsafe { handle.as_ref() }.ok_or_else(|| Failure::null(name))
}
