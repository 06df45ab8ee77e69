//! Buffers
//!
//! Where a function answers a text or bytes that nothing else holds, it gives a buffer, which the caller
//! frees. Any thread may read one.

use std::ffi::c_char;
use std::ptr::null;

use super::boundary::{answer, free};
use super::view::put;

/// Bytes that belong to the caller.
pub struct quorate_buffer {
    /// Ends with a NUL that is not counted.
    bytes: Vec<u8>,
}

impl quorate_buffer {
    pub(super) fn of(mut bytes: Vec<u8>) -> Self {
        bytes.push(0);
        quorate_buffer { bytes }
    }
}

/// The bytes, valid as long as the buffer, with a NUL behind them that `out_len` does not count. `out_len` may
/// be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_buffer_data(
    buffer: *const quorate_buffer,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            put(out_len, 0);
            let bytes = &buffer.as_ref()?.bytes;
            put(out_len, bytes.len().saturating_sub(1));
            Some(bytes.as_ptr().cast())
        }
    })
}

/// Frees a buffer. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_buffer_free(buffer: *mut quorate_buffer) {
    // SAFETY: the header's rules.
    unsafe { free(buffer) }
}
