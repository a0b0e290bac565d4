//! Only what the fuzzer needs around `tests/fuzzed/read_message_folded.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/read_message_folded.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|raw: &[u8]| body::run(raw));
