//! Text: bytes that have to be UTF-8.
#![allow(unsafe_code)]

use std::str::Utf8Error;

/// As [`std::str::from_utf8`], which goes through a short text byte by byte; most texts are ASCII, which is seen
/// eight bytes at a time.
#[inline]
pub(crate) fn from_utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes)
}
