//! Bytes taken for all that a dqlite node ever says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::dqlite_session(data));
