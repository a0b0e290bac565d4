//! The command line. Each command has a module of its own; here is what they share: the arguments that all take, and what a
//! process says when it ends.
//!
//! Results go to standard output, everything else to standard error. Exit codes are those of `sysexits.h` where somebody acts
//! on them: 0 done, 1 failed, 2 wrong arguments, 65 the input is no message, 75 come again (the database is away), 78 the
//! configuration cannot be used.

mod classify;
mod interpret;
mod messages;
mod page;
mod rules;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::telemetry::chain;

/// Reads mail that comes back and keeps the lists of addresses to stop mailing.
#[derive(Debug, Parser)]
#[command(name = "rebound", version, max_term_width = 100)]
struct Cli {
    /// Configuration file; else the one that `REBOUND_CONFIG` names, else `rebound.toml` if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Classify(classify::Args),
    Interpret(interpret::Args),
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Success = 0,
    Failure = 1,
    /// `EX_CONFIG`.
    Config = 78,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    let config = config.as_deref();
    let result = match &command {
        Command::Classify(args) => classify::run(args, config),
        Command::Interpret(args) => interpret::run(args, config),
    };
    let exit = result.unwrap_or_else(|error| told(&error));
    ExitCode::from(exit as u8)
}

/// Tells an error on standard error and what to end with.
fn told(error: &anyhow::Error) -> Exit {
    if error.chain().filter_map(|it| it.downcast_ref::<io::Error>()).any(|it| it.kind() == io::ErrorKind::BrokenPipe) {
        // Whoever read has seen enough.
        return Exit::Success;
    }
    let (exit, text) = match error.downcast_ref::<ConfigError>() {
        // It hides its secrets itself, and has a line for each problem.
        Some(error) => (Exit::Config, error.to_string()),
        None => (Exit::Failure, chain(error.as_ref())),
    };
    // Where standard error is closed nobody can be told.
    let _ = writeln!(io::stderr().lock(), "rebound: {text}");
    exit
}
