//! The classification rules on the command line: loading those of an operator before the built-in ones, checking them,
//! and telling which rule fits a text and why.

mod explain;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::Rules;
use bounce::classify::rules::Finding;
use serde::Serialize;

use crate::cli::{Exit, Output, setup};

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
        /// How to print what was found.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Tells which rules fit what a server said, the winner first, and what follows from it.
    Explain {
        /// A file with rules that come before the built-in ones; may be given several times.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
        /// What the server said, such as "550 5.1.1 User unknown".
        #[arg(required = true)]
        text: Vec<String>,
    },
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Check { files, format } if files.is_empty() => check(&setup::load(config)?.rules.files, *format),
        Command::Check { files, format } => check(files, *format),
        Command::Explain { rules, format, text } => explain::run(&in_force(rules, config)?, &text.join(" "), *format),
    }
}

/// The rules of these files, else of the configuration that was named, before the built-in ones: what reads mail without recording
/// says the same in every folder.
pub(super) fn load(files: &[PathBuf], config: Option<&Path>) -> anyhow::Result<Rules> {
    match config {
        Some(_) if files.is_empty() => in_force(files, config),
        _ => read(files),
    }
}

/// The rules of these files, else those that a service of this configuration has.
fn in_force(files: &[PathBuf], config: Option<&Path>) -> anyhow::Result<Rules> {
    if files.is_empty() { read(&setup::load(config)?.rules.files) } else { read(files) }
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

fn check(files: &[PathBuf], format: Output) -> anyhow::Result<Exit> {
    let rules = read(files)?;
    let found = checked(&rules, files);
    format.tell(&found, || found.page(files))?;
    Ok(if found.wrong.is_empty() { Exit::Success } else { Exit::Failure })
}

/// What was found in rules.
#[derive(Debug, Serialize)]
struct Checked {
    /// Rules that were looked at: those of the files, or the built-in ones if there are none.
    rules: usize,
    /// The version of all rules together.
    version: String,
    wrong: Vec<String>,
    notes: Vec<String>,
}

impl Checked {
    fn page(&self, files: &[PathBuf]) -> String {
        let mut text = String::new();
        for (word, findings) in [("wrong", &self.wrong), ("note", &self.notes)] {
            for it in findings {
                let _ = writeln!(text, "{word}: {it}");
            }
        }
        let result = match self.wrong.len() {
            0 => "nothing is wrong with them".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            many => format!("{many} things are wrong"),
        };
        let which = if files.is_empty() { "built-in rules" } else { "rules of yours" };
        let _ = writeln!(text, "{} {which} (version of all: {}): {result}", self.rules, self.version);
        if files.is_empty() {
            text.push_str(
                "No file of yours was looked at: `rules.files` of the configuration is empty. `rebound rules check FILE` looks at one.\n",
            );
        }
        text
    }
}

/// What is odd about the rules of these files; of the built-in ones, if there are none. That one rule fits the sample of
/// another is worth knowing and no fault: the order decides.
fn checked(rules: &Rules, files: &[PathBuf]) -> Checked {
    let is_own = |file: &str| files.is_empty() || files.iter().any(|it| it.display().to_string() == file);
    let own: HashSet<&str> = rules.all().iter().filter(|it| is_own(&it.file)).map(|it| it.id.as_str()).collect();
    let mut found = Checked { rules: own.len(), version: rules.version().to_owned(), wrong: Vec::new(), notes: Vec::new() };
    for finding in rules.lint() {
        match &finding {
            // Those of the built-in rules are ours to know, and nobody can do anything about them.
            Finding::Overlap { id, .. } if !files.is_empty() && own.contains(id.as_str()) => found.notes.push(finding.to_string()),
            Finding::Overlap { .. } => {}
            Finding::Duplicate { id, .. } | Finding::Shadowed { id, .. } | Finding::NoSource { id } if !own.contains(id.as_str()) => {}
            // A kind of finding that is newer than this line counts as a fault, whoever's it is.
            _ => found.wrong.push(finding.to_string()),
        }
    }
    found
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
        let found = check(OWN).unwrap();
        let text = found.page(std::slice::from_ref(&file));
        assert!(found.wrong.is_empty() && text.starts_with("1 rules of yours"), "{text}");
        let found = check(&OWN.replace("our postmaster", "")).unwrap();
        let text = found.page(std::slice::from_ref(&file));
        assert!(found.wrong.len() == 1 && text.starts_with("wrong: own.gone: has no source"), "{text}");
        let error = check(&OWN.replace("she has left", "nobody left")).unwrap_err().to_string();
        assert!(error.contains("own.toml") && error.contains("own.gone"), "{error}");
    }

    #[test]
    fn the_built_in_rules_are_in_order() {
        let found = checked(&read(&[]).unwrap(), &[]);
        assert!(found.wrong.is_empty() && found.notes.is_empty(), "{found:?}");
        assert!(found.page(&[]).contains("No file of yours was looked at"), "{found:?}");
    }
}
