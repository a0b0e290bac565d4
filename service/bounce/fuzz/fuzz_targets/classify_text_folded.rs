//! Only what the fuzzer needs around `tests/fuzzed/classify_text_folded.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/classify_text.rs"]
mod classify_text;
#[path = "../../tests/fuzzed/classify_text_folded.rs"]
mod words;

libfuzzer_sys::fuzz_target!(|raw: &[u8]| classify_text::run(&words::unfolded(raw)));
