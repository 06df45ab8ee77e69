//! Texts read as connection strings.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::connection_string(data));
