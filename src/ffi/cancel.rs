//! Cancel handles
//!
//! A cancel handle ends calls from another thread. It is given to calls as their `cancel`; once it is fired it
//! stays so, and every call that carries it, running or yet to come, fails with
//! `QUORATE_STATUS_CANCELLED`, promptly, whatever the server does. Rows and results are under the handle that
//! their query or batch was given. Any thread may use a cancel handle at any time, also in a signal handler's
//! stead (not in the handler itself).

use std::ffi::c_void;

use super::boundary::{Out, answer, boundary, free};
use super::callback::{UserData, quorate_destroy_fn};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::{Failure, quorate_status};
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

/// Says whether the call that waits on this thread shall end.
///
/// Called on the thread of a call that carries the handle, between two waits: when a signal handler of the
/// program has interrupted it, and every half a second. It must not use the connection of the call.
pub type quorate_interrupt_fn = Option<unsafe extern "C" fn(user_data: *mut c_void) -> bool>;

/// Makes a handle that asks `ask` whether to cancel, for programs whose signal handlers only leave a note. Once
/// the answer was true, the handle is fired and stays so. A call that is not kept waiting does not ask, and
/// costs no more than without a handle. `user_data` and `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_cancel_new_interrupt(
    ask: quorate_interrupt_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_cancel: *mut *mut quorate_cancel,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_cancel, "out_cancel"), || {
            let ask = ask.ok_or_else(|| Failure::null("ask"))?;
            Ok(give(quorate_cancel {
                handle: CancelHandle::with_interrupt(move || ask(user.pointer())),
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
    answer(false, || {
        // SAFETY: the header's rules.
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
