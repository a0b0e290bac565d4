//! Bounces that list names without a domain, as AOL wrote them: the names are local to the system that writes.

use super::{Bounce, address, failure, signs};
use crate::address::Address;
use crate::report::Report;
use crate::report::original;
use crate::report::phrases::Phrases;

/// Words that announce recipients, in lower case.
static LISTS: Phrases = Phrases::new(&["following recipient", "following address", "delivered to the following"]);

/// Reads the names below a line that announces recipients.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    if !LISTS.found_in(bounce.human.text) || !signs::by_system(bounce.mail) || !bounce.failed_recipients().is_empty() {
        return None;
    }
    let domain = domain(bounce)?;
    let mut reports = Vec::new();
    let mut listing = false;
    for line in bounce.human.text.lines() {
        // A reason may follow the name, set off by more than one blank.
        let word = line.trim().split("  ").next().unwrap_or_default();
        if line.trim_end().ends_with(':') {
            listing = LISTS.found_in(line);
        } else if listing && line.starts_with([' ', '\t']) && is_name(word) {
            if let Ok(address) = Address::parse(&format!("{word}@{domain}"))
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

/// The domain that bare names belong to: that of the writer, or the parent of it that addresses in the text have.
fn domain(bounce: &Bounce<'_>) -> Option<String> {
    let from = original::addresses(&bounce.mail.header("from")?).pop()?;
    let parents = bounce.human.mentions().iter().filter_map(|it| address(it.word));
    let parent =
        parents.map(|it| it.domain().to_owned()).find(|it| from.domain().strip_suffix(it.as_str()).is_some_and(|host| host.ends_with('.')));
    Some(parent.unwrap_or_else(|| from.domain().to_owned()))
}

fn is_name(word: &str) -> bool {
    (2..=64).contains(&word.len())
        && word.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-'))
        && word.starts_with(|it: char| it.is_ascii_alphanumeric())
        && !word.ends_with('.')
}
