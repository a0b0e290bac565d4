//! Classification rules of the operator, which come before the built-in ones.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Checks;
use super::read::section;

section! {
    /// `[rules]`: classification rules of the operator.
    pub struct RulesConfig {
        /// Files that come before the built-in rules, the first before the second.
        pub files: Vec<PathBuf> = Vec::new(),
        /// Time between two looks whether a file has changed.
        pub poll_interval: Duration = Duration::from_secs(5),
    }
}

impl RulesConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.positive("rules.poll_interval", self.poll_interval);
        for (at, file) in self.files.iter().enumerate() {
            let value = Some(format!("\"{}\"", file.display()));
            if !file.is_file() {
                checks.problem(&format!("rules.files[{at}]"), value, "is not a file", "correct the path, or leave it out");
            }
        }
    }
}
