//! Texts, bytes and arrays in and out: a pointer and a length.

use std::ffi::{CStr, c_char};

use super::status::{Answer, Failure};

/// The length of a text that ends at its first NUL.
///
/// May be given wherever a function takes a text with its length: the length is then counted, as `strlen`
/// does.
pub const QUORATE_NUL_TERMINATED: usize = usize::MAX;

/// The bytes at `pointer`; none for a length of 0.
///
/// # Safety
///
/// `pointer` is NULL or points to `len` objects that stay as they are for `'a`.
#[inline(always)]
pub(super) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Answer<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(too_long(len, name));
    }
    // SAFETY: the caller's, and the length is one that a slice can have.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

#[cold]
fn too_long(len: usize, name: &str) -> Failure {
    Failure::misuse(format!(
        "the length of {name} is {len}, more than any memory holds"
    ))
}

/// As [`slice`], to be written.
///
/// # Safety
///
/// As for [`slice`], and nobody else uses the objects meanwhile.
#[inline(always)]
pub(super) unsafe fn slice_mut<'a, T>(
    pointer: *mut T,
    len: usize,
    name: &str,
) -> Answer<&'a mut [T]> {
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: the caller's; the check of the pointer and the length is that of a shared slice.
    unsafe { slice(pointer.cast_const(), len, name) }?;
    // SAFETY: as above, and nobody else uses them.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// The UTF-8 text at `pointer`, which may be empty but not NULL.
///
/// # Safety
///
/// As for [`slice`]; where `len` is [`QUORATE_NUL_TERMINATED`], a NUL ends the text.
#[inline(always)]
pub(super) unsafe fn text<'a>(
    pointer: *const c_char,
    mut len: usize,
    name: &str,
) -> Answer<&'a str> {
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    if len == QUORATE_NUL_TERMINATED {
        // SAFETY: the caller's.
        len = unsafe { CStr::from_ptr(pointer) }.count_bytes();
    }
    if len > isize::MAX as usize {
        return Err(too_long(len, name));
    }
    // SAFETY: the caller's, and the length is one that a slice can have.
    utf8(
        unsafe { std::slice::from_raw_parts(pointer.cast(), len) },
        name,
    )
}

#[inline(always)]
pub(super) fn utf8<'a>(bytes: &'a [u8], name: &str) -> Answer<&'a str> {
    if !is_ascii(bytes) {
        check_utf8(bytes, name)?;
    }
    // SAFETY: it was checked, and ASCII is UTF-8.
    Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
}

#[cold]
fn check_utf8(bytes: &[u8], name: &str) -> Answer<()> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::misuse(format!(
            "{name} is not UTF-8 at byte {}",
            error.valid_up_to()
        ))),
    }
}

/// Whether all bytes are ASCII. For the length of a statement this takes a tenth of the instructions of the
/// standard library's check for UTF-8, which was 3.5 % of a point query.
#[inline(always)]
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    if bytes.len() > SHORT {
        return bytes.is_ascii();
    }
    is_short_ascii(bytes)
}

/// The length up to which [`is_short_ascii`] looks at all bytes.
pub(super) const SHORT: usize = 64;

/// The same for up to [`SHORT`] bytes, without a call: they are looked at as two parts that overlap.
#[inline(always)]
pub(super) fn is_short_ascii(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        ors::<32>(first) | ors::<32>(last) == 0
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        ors::<16>(first) | ors::<16>(last) == 0
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        ors::<8>(first) | ors::<8>(last) == 0
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let seen = u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last);
        seen & 0x8080_8080 == 0
    } else {
        bytes.iter().fold(0, |seen, byte| seen | byte) & 0x80 == 0
    }
}

/// The high bits of some words, together.
#[inline(always)]
fn ors<const N: usize>(bytes: &[u8; N]) -> u64 {
    let words = bytes.as_chunks::<8>().0.iter();
    words.fold(0, |seen, word| seen | u64::from_ne_bytes(*word)) & 0x8080_8080_8080_8080
}

/// A text with a NUL behind it, which its length does not count.
pub(super) struct Text(Box<str>);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let mut owned = String::with_capacity(text.len() + 1);
        owned.push_str(text);
        owned.push('\0');
        Text(owned.into())
    }

    /// The pointer that C gets; writes the length where there is a place for it.
    ///
    /// # Safety
    ///
    /// `out_len` is NULL or may be written.
    pub(super) unsafe fn give(&self, out_len: *mut usize) -> *const c_char {
        // SAFETY: the caller's.
        unsafe { put(out_len, self.as_str().len()) };
        self.0.as_ptr().cast()
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.strip_suffix('\0').unwrap_or_default()
    }
}

/// Writes to an optional output.
///
/// # Safety
///
/// `place` is NULL or may be written.
#[inline]
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller's.
        unsafe { place.write(value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_ascii_is_seen_wherever_it_is() {
        for len in 0..140 {
            let mut bytes = vec![b'a'; len];
            assert!(is_ascii(&bytes));
            assert!(utf8(&bytes, "x").is_ok_and(|text| text.len() == len));
            for at in 0..len {
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {len}");
                assert!(utf8(&bytes, "x").is_err());
                bytes[at] = 0x7f;
                assert!(is_ascii(&bytes), "{at} of {len}");
            }
        }
        assert!(utf8("grün".as_bytes(), "x").is_ok_and(|text| text == "grün"));
    }
}
