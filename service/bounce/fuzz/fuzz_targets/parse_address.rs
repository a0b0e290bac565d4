//! Only what the fuzzer needs around `tests/fuzzed/parse_address.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/parse_address.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::run(text));
