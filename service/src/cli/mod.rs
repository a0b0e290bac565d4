//! The command line. Each command has a module of its own; here is what they share: the arguments that all take, and what a
//! process says when it ends.
//!
//! Results go to standard output, everything else to standard error. Exit codes are those of `sysexits.h` where somebody acts
//! on them: 0 done, 1 failed, 2 wrong arguments, 65 the input is no message or no list, or not all of it can be taken, 66 it cannot be
//! read, 70 a fault of ours, 75 come again (the database is away), 77 it may not be read, 78 the configuration cannot be used.
//! A command with results of more than a word takes `--format json` (`import` has `--output`), or prints JSON in any case. `serve`, `demo`
//! and `completions` have none.

mod check;
mod classify;
mod completions;
mod config;
mod demo;
mod doctor;
mod erase;
mod evaluate;
mod examples;
mod export;
mod import;
mod imports;
mod ingest;
mod interpret;
mod keys;
mod lists;
mod messages;
mod migrate;
mod moment;
mod outbox;
mod page;
mod release;
mod reprocess;
mod return_path;
mod rules;
mod serve;
mod setup;
mod sources;
mod subject_export;
mod suppress;
mod table;
mod why;

use std::io::{self, Write as _};
use std::panic::Location;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::app::AppError;
use crate::config::ConfigError;
use crate::listing::ListingError;
use crate::smtp::SmtpError;
use crate::store::StoreError;
use crate::telemetry::chain;

/// What follows the help of the whole.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong arguments; 65 the input is no message, address or list, or some lines of a list were refused; \
66 it cannot be read, 77 it may not be, 70 a fault of ours (ingest); 75 come again, the database is away, or (doctor) the broker or a mailbox; \
78 the configuration cannot be used.";

/// Reads mail that comes back and keeps the lists of addresses to stop mailing.
#[derive(Debug, Parser)]
#[command(name = "rebound", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Configuration file; else the one that `REBOUND_CONFIG` names, else `rebound.toml` if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Classify(classify::Args),
    Evaluate(evaluate::Args),
    Interpret(interpret::Args),
    Ingest(ingest::Args),
    Check(check::Args),
    Import(import::Args),
    Imports(imports::Args),
    Export(export::Args),
    Erase(erase::Args),
    Why(why::Args),
    Suppress(suppress::Args),
    Allow(suppress::AllowArgs),
    Release(release::Args),
    Keys(keys::Args),
    Lists(lists::Args),
    Sources(sources::Args),
    SubjectExport(subject_export::Args),
    Migrate(migrate::Args),
    Outbox(outbox::Args),
    Reprocess(reprocess::Args),
    ReturnPath(return_path::Args),
    Rules(rules::Args),
    Config(config::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// How to print what is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Output {
    /// Prints one thing: as JSON for programs, or as this text for people.
    fn tell(self, view: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = match self {
            Self::Text => text(),
            Self::Json => serde_json::to_string_pretty(view)? + "\n",
        };
        Ok(io::stdout().lock().write_all(text.as_bytes())?)
    }
}

/// An argument that is one of these words. Whoever mistypes one is told all of them.
fn words<T>(all: &'static [T], word: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync,
{
    let known = PossibleValuesParser::new(all.iter().map(|it| word(*it)));
    known.try_map(move |given| all.iter().copied().find(|it| word(*it) == given).ok_or("not one of the words"))
}

/// How a command ends, the least harm first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Success = 0,
    Failure = 1,
    /// `EX_DATAERR`.
    Data = 65,
    /// `EX_NOINPUT`.
    NoInput = 66,
    /// `EX_SOFTWARE`.
    Software = 70,
    /// `EX_TEMPFAIL`.
    Again = 75,
    /// `EX_NOPERM`.
    Permission = 77,
    /// `EX_CONFIG`.
    Config = 78,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| panicked(panic.location())));
    let Cli { config: file, command } = Cli::from_arg_matches(&examples::command().get_matches()).unwrap_or_else(|error| error.exit());
    let file = file.as_deref();
    let result = match &command {
        Command::Serve(serve::Args {}) => serve::run(file),
        Command::Demo(args) => demo::run(args),
        Command::Classify(args) => classify::run(args, file),
        Command::Evaluate(args) => evaluate::run(args, file),
        Command::Interpret(args) => interpret::run(args, file),
        Command::Ingest(args) => ingest::run(args, file),
        Command::Check(args) => check::run(args, file),
        Command::Import(args) => import::run(args, file),
        Command::Imports(args) => imports::run(args, file),
        Command::Export(args) => export::run(args, file),
        Command::Erase(args) => erase::run(args, file),
        Command::Why(args) => why::run(args, file),
        Command::Suppress(args) => suppress::run(args, file),
        Command::Allow(args) => suppress::allow(args, file),
        Command::Release(args) => release::run(args, file),
        Command::Keys(args) => keys::run(args, file),
        Command::Lists(args) => lists::run(args, file),
        Command::Sources(args) => sources::run(args, file),
        Command::SubjectExport(args) => subject_export::run(args, file),
        Command::Migrate(args) => migrate::run(args, file),
        Command::Outbox(args) => outbox::run(args, file),
        Command::Reprocess(args) => reprocess::run(args, file),
        Command::ReturnPath(args) => return_path::run(args, file),
        Command::Rules(args) => rules::run(args, file),
        Command::Config(args) => config::run(args, file),
        Command::Doctor(args) => doctor::run(args, file),
        Command::Completions(args) => Ok(completions::run(args)),
    };
    let exit = result.unwrap_or_else(|error| told(&error));
    ExitCode::from(exit as u8)
}

/// Tells of a panic without its message, which may quote what was read. `serve` logs panics instead.
fn panicked(location: Option<&Location<'_>>) {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    // Where standard error is closed nobody can be told.
    let _ = writeln!(io::stderr().lock(), "rebound: a panic at {place}; please report it");
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
        None if is_configuration(error) => (Exit::Config, chain(error.as_ref())),
        None if is_no_list(error) => (Exit::Data, chain(error.as_ref())),
        None if is_unknown_list(error) => (Exit::Failure, format!("{}; see `rebound lists list`", chain(error.as_ref()))),
        None if setup::is_outage(error) => (Exit::Again, chain(error.as_ref())),
        None => (Exit::Failure, chain(error.as_ref())),
    };
    // Where standard error is closed nobody can be told.
    let _ = writeln!(io::stderr().lock(), "rebound: {text}");
    exit
}

/// Whether a value of the configuration is to blame that could not be checked alone.
fn is_configuration(error: &anyhow::Error) -> bool {
    let of_app = |it: &AppError| match it {
        AppError::Pepper(_) | AppError::Policy(_) | AppError::RulesFile { .. } | AppError::Rules(_) | AppError::Spool(_) => true,
        AppError::Certificate(_) => true,
        AppError::Smtp(error) => matches!(error, SmtpError::Certificate(_)),
        AppError::Store(_) | AppError::Listen { .. } | AppError::Serve(_) | AppError::Unfinished => false,
    };
    error.chain().filter_map(|it| it.downcast_ref::<AppError>()).any(of_app)
}

fn is_unknown_list(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|it| it.downcast_ref::<StoreError>()).any(|it| matches!(it, StoreError::UnknownList(_)))
}

/// Whether a file was to be imported that is no list.
fn is_no_list(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|it| it.downcast_ref::<ListingError>()).any(|it| !matches!(it, ListingError::Io(_)))
}
