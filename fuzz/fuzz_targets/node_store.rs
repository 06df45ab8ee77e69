//! Texts read as the file of a node store.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::node_store(data));
