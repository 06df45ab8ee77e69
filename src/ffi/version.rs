//! Version
//!
//! The header's version is a set of macros, the library's is asked for: where they differ in the first number,
//! the program was compiled for another interface.

use std::ffi::c_char;

use super::boundary::answer;

/// The first number of the version that this header belongs to.
pub const QUORATE_VERSION_MAJOR: u32 = 0;
/// The second number.
pub const QUORATE_VERSION_MINOR: u32 = 1;
/// The third number.
pub const QUORATE_VERSION_PATCH: u32 = 0;

/// The version of the library at run time: major × 1,000,000 + minor × 1,000 + patch.
#[unsafe(no_mangle)]
pub extern "C" fn quorate_version() -> u32 {
    answer(0, || {
        Some(
            QUORATE_VERSION_MAJOR * 1_000_000
                + QUORATE_VERSION_MINOR * 1_000
                + QUORATE_VERSION_PATCH,
        )
    })
}

/// The version of the library at run time as a text such as `0.1.0`, which ends with a NUL and stays valid.
#[unsafe(no_mangle)]
pub extern "C" fn quorate_version_text() -> *const c_char {
    answer(std::ptr::null(), || {
        Some(concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_crates_version() {
        let version =
            format!("{QUORATE_VERSION_MAJOR}.{QUORATE_VERSION_MINOR}.{QUORATE_VERSION_PATCH}");
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
}
