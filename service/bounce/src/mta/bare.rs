//! Bounces that list names without a domain, as AOL wrote them: the names are local to the system that writes.

use super::{Bounce, failure, signs};
use crate::address::Address;
use crate::report::Report;
use crate::report::original;

/// Reads the names below a line that announces recipients.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    if !signs::by_system(bounce.mail) || !bounce.failed_recipients().is_empty() {
        return None;
    }
    let from = original::addresses(&bounce.mail.header("from")?).pop()?;
    let mut reports = Vec::new();
    let mut listing = false;
    for line in bounce.human.text.lines() {
        let word = line.trim();
        if line.trim_end().ends_with(':') {
            let line = line.to_lowercase();
            listing = line.contains("following recipient") || line.contains("following address");
        } else if listing && line.starts_with([' ', '\t']) && is_name(word) {
            if let Ok(address) = Address::parse(&format!("{word}@{}", from.domain()))
                && reports.len() < crate::limits::RECIPIENTS
            {
                reports.push(failure(address, bounce.human.text));
            }
        } else if !word.is_empty() {
            listing = false;
        }
    }
    (!reports.is_empty()).then_some(reports)
}

fn is_name(word: &str) -> bool {
    (2..=64).contains(&word.len())
        && word.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-'))
        && word.starts_with(|it: char| it.is_ascii_alphanumeric())
        && !word.ends_with('.')
}
