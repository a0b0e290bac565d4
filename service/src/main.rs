//! The program `rebound`. Everything it can do stands in [`service::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::cli::main()
}
