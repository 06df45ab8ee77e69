//! Texts scanned as SQL, and compared with SQLite.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::statements(data));
