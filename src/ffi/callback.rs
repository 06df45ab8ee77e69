//! A caller's functions, with the data that goes with them.

use std::ffi::c_void;

/// Called once with `user_data` when the library will not call the function that it belongs to any more.
/// `NULL` where there is nothing to do.
pub type quorate_destroy_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The data of a callback. Dropping it calls the destroy function, so that is called exactly once, also
/// where what the callback was for could not be made.
pub(super) struct UserData {
    pointer: *mut c_void,
    destroy: quorate_destroy_fn,
}

// SAFETY: the header requires of callbacks and their data that any thread may use them, and several at once.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, destroy: quorate_destroy_fn) -> Self {
        UserData { pointer, destroy }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the header's rules: the function takes what was given with it.
            unsafe { destroy(self.pointer) };
        }
    }
}
