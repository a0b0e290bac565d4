//! Classification rules of the operator, which come before the built-in ones.

use std::path::PathBuf;

use super::problem::Checks;
use super::read::section;

section! {
    /// `[rules]`: classification rules of the operator.
    pub struct RulesConfig {
        /// Files that come before the built-in rules, the first before the second.
        pub files: Vec<PathBuf> = Vec::new(),
    }
}

impl RulesConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        for (at, file) in self.files.iter().enumerate() {
            let value = Some(format!("\"{}\"", file.display()));
            if !file.is_file() {
                checks.problem(&format!("rules.files[{at}]"), value, "is not a file", "correct the path, or leave it out");
            }
        }
    }
}
