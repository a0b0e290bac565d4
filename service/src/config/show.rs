//! Prints the configuration that is in effect as TOML, with secrets hidden. What it prints can be read back, the hidden
//! values aside.

use std::fmt::Write as _;

use super::read::{Section, Setting};

/// The text as it grows.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A section with its keys under a heading such as `[http]` or `[[list]]`.
    pub(super) fn section(&mut self, heading: &str, section: &impl Section) {
        self.heading(heading);
        section.show(self);
    }

    /// A heading alone.
    pub(super) fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(heading);
        self.text.push('\n');
    }

    /// A key and its value; a comment where nothing is set.
    pub(super) fn key(&mut self, key: &str, value: &impl Setting) {
        // Writing to a String cannot fail.
        let _ = match value.show() {
            Some(value) => writeln!(self.text, "{key} = {value}"),
            None => writeln!(self.text, "# {key} is not set"),
        };
    }

    /// A key that is worth a line only where it is set.
    pub(super) fn key_if_set(&mut self, key: &str, value: &impl Setting) {
        if value.show().is_some_and(|it| it != "[]") {
            self.key(key, value);
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}
