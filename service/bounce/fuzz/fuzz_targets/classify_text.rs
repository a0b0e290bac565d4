//! Only what the fuzzer needs around `tests/fuzzed/classify_text.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/classify_text.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::run(text));
