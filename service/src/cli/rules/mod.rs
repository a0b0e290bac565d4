//! The classification rules on the command line: loading those of an operator before the built-in ones, checking them,
//! and telling which rule fits a text and why.

mod explain;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::Rules;
use bounce::classify::rules::Finding;

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
    /// them all. Ends with 1 if anything is wrong.
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
        Command::Check { files } if files.is_empty() => check(&setup::load(config)?.rules.files),
        Command::Check { files } => check(files),
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

fn check(files: &[PathBuf]) -> anyhow::Result<Exit> {
    let rules = read(files)?;
    let (text, exit) = checked(&rules, files);
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(exit)
}

/// What is odd about the rules of these files; of the built-in ones, if there are none. That one rule fits the sample of
/// another is worth knowing and no fault: the order decides.
fn checked(rules: &Rules, files: &[PathBuf]) -> (String, Exit) {
    let is_own = |file: &str| files.is_empty() || files.iter().any(|it| it.display().to_string() == file);
    let own: HashSet<&str> = rules.all().iter().filter(|it| is_own(&it.file)).map(|it| it.id.as_str()).collect();
    let (mut text, mut faults) = (String::new(), 0);
    for finding in rules.lint() {
        let (id, is_fault) = match &finding {
            Finding::Overlap { id, .. } => (id, false),
            Finding::Duplicate { id, .. } | Finding::Shadowed { id, .. } | Finding::NoSource { id } => (id, true),
            // A kind of finding that is newer than this line counts as a fault, whoever's it is.
            _ => {
                faults += 1;
                let _ = writeln!(text, "wrong: {finding}");
                continue;
            }
        };
        if own.contains(id.as_str()) {
            faults += usize::from(is_fault);
            let _ = writeln!(text, "{}: {finding}", if is_fault { "wrong" } else { "note" });
        }
    }
    let result = match faults {
        0 => "nothing is wrong with them".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        many => format!("{many} things are wrong"),
    };
    let which = if files.is_empty() { "built-in rules" } else { "rules of yours" };
    let _ = writeln!(text, "{} {which} (version of all: {}): {result}", own.len(), rules.version());
    (text, if faults == 0 { Exit::Success } else { Exit::Failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "[[rule]]\nid = \"own.gone\"\nreason = \"user_unknown\"\nany = [\"has left the building\"]\n\
        sample = \"550 5.1.1 she has left the building\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";

    #[test]
    fn sound_rules_pass_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        let check = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let files = [file.clone()];
            read(&files).map(|it| checked(&it, &files))
        };
        let (text, exit) = check(OWN).unwrap();
        assert!(exit == Exit::Success && text.starts_with("1 rules of yours"), "{text}");
        let (text, exit) = check(&OWN.replace("our postmaster", "")).unwrap();
        assert!(exit == Exit::Failure && text.starts_with("wrong: own.gone: has no source"), "{text}");
        let error = check(&OWN.replace("she has left", "nobody left")).unwrap_err().to_string();
        assert!(error.contains("own.toml") && error.contains("own.gone"), "{error}");
    }

    #[test]
    fn the_built_in_rules_are_in_order() {
        let (text, exit) = checked(&read(&[]).unwrap(), &[]);
        assert_eq!(exit, Exit::Success, "{text}");
    }
}
