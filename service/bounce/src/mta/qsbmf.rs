//! Bounces that open each paragraph with `<address>:`. That is qmail's format (QSBMF, Bernstein 1997), and many write
//! like it: Postfix and Courier in their human part, Yahoo, Sina, and the clones of qmail in any language.

use std::collections::HashSet;

use super::{Bounce, address, failure};
use crate::report::Report;

/// Reads every paragraph that opens with `<address>:`.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    let human = bounce.human;
    let mut seen = HashSet::new();
    let mut reports = Vec::new();
    let mut opening = None;
    for mention in human.mentions().iter().filter(|it| it.leads && human.before(it).trim() == "<") {
        let after = human.after(mention);
        // Postfix: <addr> (expanded from <alias>): …
        let opens = after.starts_with(">:")
            || after
                .strip_prefix(">")
                .is_some_and(|it| it.trim_start().starts_with("(expanded from") || it.trim_start().starts_with("(reason"));
        // A reply that quotes an address is indented deeper than the paragraph it stands in.
        if !opens || *opening.get_or_insert(human.before(mention)) != human.before(mention) {
            continue;
        }
        if let Some(address) = address(mention.word)
            && seen.insert(address.clone())
        {
            let paragraph = human.paragraph(mention);
            let mut report = failure(address, paragraph);
            if report.diagnostic.is_none() {
                // No remote spoke: the code in parentheses is qmail's own.
                report.status =
                    paragraph.rsplit_once("(#").and_then(|(_, rest)| rest.split_once(')')).and_then(|(code, _)| code.parse().ok());
            }
            reports.push(report);
        }
    }
    (!reports.is_empty()).then_some(reports)
}
