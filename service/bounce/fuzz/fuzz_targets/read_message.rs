//! Only what the fuzzer needs around `tests/fuzzed/read_message.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/read_message.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|raw: &[u8]| body::run(raw));
