//! The classification rules on the command line: loading those of an operator before the built-in ones, checking them,
//! and telling which rule fits a text and why.

mod explain;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::Rules;

use crate::cli::{Exit, setup};

/// Looks at the classification rules.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks rule files, which come before the built-in rules: every rule against its own sample, and what is odd about
    /// them all. Ends with 1 if anything is.
    Check {
        /// Rule files; those of the configuration if none is given.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Tells which rules fit what a server said, the winner first, and what follows from it.
    Explain {
        /// A file with rules that come before the built-in ones; may be given several times.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
        /// What the server said, such as "550 5.1.1 User unknown".
        #[arg(required = true)]
        text: Vec<String>,
    },
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Check { files } if files.is_empty() => check(&read(&setup::load(config)?.rules.files)?),
        Command::Check { files } => check(&read(files)?),
        Command::Explain { rules, text } => explain::run(&load(rules, config)?, &text.join(" ")),
    }
}

/// The rules of these files, else of the configuration that was named, before the built-in ones.
pub(super) fn load(files: &[PathBuf], config: Option<&Path>) -> anyhow::Result<Rules> {
    match config {
        Some(_) if files.is_empty() => read(&setup::load(config)?.rules.files),
        _ => read(files),
    }
}

fn read(files: &[PathBuf]) -> anyhow::Result<Rules> {
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("the rules in {} cannot be read", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let texts: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Ok(Rules::load(&texts)?)
}

fn check(rules: &Rules) -> anyhow::Result<Exit> {
    let findings = rules.lint();
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let odd = match findings.len() {
        0 => "nothing is odd about them".to_owned(),
        1 => "1 thing is odd".to_owned(),
        many => format!("{many} things are odd"),
    };
    writeln!(out, "{} rules, version {}: {odd}", rules.all().len(), rules.version())?;
    Ok(if findings.is_empty() { Exit::Success } else { Exit::Failure })
}
