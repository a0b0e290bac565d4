//! The program `rebound`. Everything it can do stands in [`service::cli`].

use std::process::ExitCode;

/// A receipt takes some thousand small pieces of memory from its post to its rows; with this allocator they cost half.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service::cli::main()
}
