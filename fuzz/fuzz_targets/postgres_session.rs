//! Bytes taken for all that a PostgreSQL server ever says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::fuzzing::postgres_session(data));
