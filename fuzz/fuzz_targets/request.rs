//! Frames of any bytes, decoded as a request of dqlite.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::request(data));
