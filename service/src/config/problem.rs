//! What can be wrong with a configuration, told so that it can be put right: the key, where its value came from, the
//! value unless it is a secret, and what to write instead. Problems are gathered, so that one start shows them all.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::units;
use super::values::Size;

/// Octets the name of a source or of a mailbox may have: it is a label of metrics, and that of a source a part of a URL.
const NAME_LIMIT: usize = 64;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults that are built in.
    Default,
    /// A line of a configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1; `None` for the file as a whole.
        line: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// A file that a `…_file` key names.
    Secret(PathBuf),
    /// A JSON document handed over by a caller.
    Document,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line: Some(line) } => write!(f, "{} line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Secret(path) => write!(f, "file {}", path.display()),
            Self::Document => f.write_str("the given document"),
        }
    }
}

/// One thing that is wrong, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key with its section: `http.listen`, `source[0].list`. Empty when a file as a whole is wrong.
    pub key: String,
    /// The value as written; `…` for a secret, `None` where there is none or it must not be shown.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.key.is_empty() { "" } else { " " };
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        match &self.origin {
            Some(origin) if self.key.is_empty() => write!(f, "{origin}")?,
            Some(origin) => write!(f, "{separator}({origin})")?,
            None => {}
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// Why a configuration cannot be used: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be used:\n  - {}", listed(.problems))]
pub struct ConfigError {
    /// Never empty.
    pub problems: Vec<Problem>,
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  - ")
}

/// Gathers what is wrong with values that could be read.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) problems: Vec<Problem>,
}

impl Checks {
    /// Records a problem.
    pub(super) fn problem(&mut self, key: &str, value: Option<String>, what: &str, remedy: &str) {
        let (what, remedy) = (what.to_owned(), remedy.to_owned());
        self.problems.push(Problem { key: key.to_owned(), value, origin: None, what, remedy });
    }

    /// A name that metrics and logs tell things apart by.
    pub(super) fn name(&mut self, key: &str, value: &str, remedy: &str) {
        let fine = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'.' | b'_' | b'-');
        if value.is_empty() || value.len() > NAME_LIMIT || !value.bytes().all(fine) {
            let what = format!("is not a name of a-z, 0-9, dot, _ and -, at most {NAME_LIMIT} octets");
            self.problem(key, Some(format!("\"{value}\"")), &what, remedy);
        }
    }

    /// A time that would mean "never wait" or "give up at once" if it were zero.
    pub(super) fn positive(&mut self, key: &str, value: Duration) {
        let shown = Some(format!("\"{}\"", units::duration(value)));
        if value.is_zero() {
            self.problem(key, shown, "must be longer than zero", "write a time such as \"10s\"");
        }
    }

    /// A time that makes sense only up to another.
    pub(super) fn at_most(&mut self, key: &str, value: Duration, limit: Duration, of: &str) {
        if value > limit {
            let what = format!("is longer than {of} ({})", units::duration(limit));
            self.problem(key, Some(format!("\"{}\"", units::duration(value))), &what, &format!("lower it, or raise {of}"));
        }
    }

    /// A count or size with a least and a greatest sensible value.
    pub(super) fn within(&mut self, key: &str, value: usize, range: std::ops::RangeInclusive<usize>) {
        let what = format!("must be from {} to {}", range.start(), range.end());
        if !range.contains(&value) {
            self.problem(key, Some(value.to_string()), &what, "write a number in that range");
        }
    }

    /// As [`Checks::within`], for a size.
    pub(super) fn size(&mut self, key: &str, value: Size, range: std::ops::RangeInclusive<Size>) {
        let what = format!("must be from {} to {}", units::size(range.start().bytes()), units::size(range.end().bytes()));
        if !range.contains(&value) {
            self.problem(key, Some(format!("\"{}\"", units::size(value.bytes()))), &what, "write a size in that range");
        }
    }
}
