//! Cancel handles
//!
//! A cancel handle ends calls from another thread. It is given to calls as their `cancel`; once it is fired it
//! stays so, and every call that carries it, running or yet to come, fails with
//! `QUORATE_STATUS_CANCELLED`, promptly, whatever the server does. Rows and results are under the handle that
//! their query or batch was given. Any thread may use a cancel handle at any time, also in a signal handler's
//! stead (not in the handler itself).

use super::boundary::{Out, answer, boundary, free};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::quorate_status;
use crate::cancel::CancelHandle;

/// Cancels calls from any thread.
pub struct quorate_cancel {
    pub(super) handle: CancelHandle,
}

/// Makes a handle to be given to calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_new(
    out_cancel: *mut *mut quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_cancel, "out_cancel"), || {
            Ok(give(quorate_cancel {
                handle: CancelHandle::new(),
            }))
        })
    }
}

/// Makes another handle that stands for the same: firing one fires both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_clone(
    cancel: *const quorate_cancel,
    out_cancel: *mut *mut quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_cancel, "out_cancel"), || {
            let handle = borrow(cancel, "cancel")?.handle.clone();
            Ok(give(quorate_cancel { handle }))
        })
    }
}

/// Cancels. Never blocks, and may be called any number of times.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_fire(
    cancel: *const quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(cancel, "cancel")?.handle.cancel();
            Ok(())
        })
    }
}

/// Whether the handle was fired. False for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_is_fired(cancel: *const quorate_cancel) -> bool {
    // SAFETY: the header's rules.
    answer(false, || {
        unsafe { cancel.as_ref() }.map(|cancel| cancel.handle.is_cancelled())
    })
}

/// Frees a handle. Calls that were given it go on, and can then be cancelled only through a clone of it.
/// NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_free(cancel: *mut quorate_cancel) {
    // SAFETY: the header's rules.
    unsafe { free(cancel) }
}
