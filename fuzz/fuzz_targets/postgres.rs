//! Bytes followed as PostgreSQL's messages and read as its values.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::postgres(data));
