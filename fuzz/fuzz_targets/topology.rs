//! Texts read as what Picodata's tables and notices hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::topology(data));
