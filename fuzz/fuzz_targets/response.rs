//! Frames of any bytes, decoded as a response of dqlite.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::response(data));
