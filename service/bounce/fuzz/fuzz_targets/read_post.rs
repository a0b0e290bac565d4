//! Only what the fuzzer needs around `tests/fuzzed/read_post.rs`, which also runs as an ordinary test.
#![no_main]

#[path = "../../tests/fuzzed/read_post.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
