//! What became of many messages, in a few lines.

use std::collections::BTreeMap;

use bounce::kind::Kind;
use serde::Serialize;

use super::{Taken, view};
use crate::store::{Accepted, Change};

/// Counts over all messages.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Messages that were read.
    pub(super) messages: usize,
    /// Messages that an earlier run had taken in (--resume).
    pub(super) done_before: usize,
    /// By what became of them: the words of each message's own line.
    pub(super) status: BTreeMap<&'static str, usize>,
    /// By what they are.
    pub(super) kinds: BTreeMap<&'static str, usize>,
    /// Facts that were not known, by reason; those without one by kind.
    pub(super) facts: BTreeMap<&'static str, usize>,
    /// Entries that lists began and ceased to hold.
    pub(super) added: usize,
    /// As above.
    pub(super) lifted: usize,
}

impl Summary {
    /// Counts a message.
    pub(super) fn add(&mut self, taken: &Taken) {
        self.messages += 1;
        *self.status.entry(view::status(taken)).or_default() += 1;
        let Ok(outcome) = &taken.told else { return };
        if outcome.kind != Kind::Other {
            *self.kinds.entry(outcome.kind.as_str()).or_default() += 1;
        }
        let Some(Accepted::New { events, merged, changes, .. }) = &outcome.accepted else { return };
        for event in events.iter().filter(|it| !merged.contains(&it.id)) {
            let testimony = &event.testimony;
            let word = testimony.reason.map_or(testimony.kind.as_str(), bounce::classify::reason::Reason::as_str);
            *self.facts.entry(word).or_default() += 1;
        }
        self.added += changes.iter().filter(|it| it.change == Change::Added).count();
        self.lifted += changes.iter().filter(|it| it.change == Change::Released).count();
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!("{} messages: {}", self.messages, words(&self.status, "nothing in them"))];
        if self.done_before > 0 {
            lines.push(format!("{} messages were taken in before and not read again", self.done_before));
        }
        if !self.kinds.is_empty() {
            lines.push(format!("kinds: {}", words(&self.kinds, "")));
        }
        lines.push(format!("new facts: {}", words(&self.facts, "none")));
        lines.join("\n")
    }

    /// What lists say since, in words.
    pub(super) fn changes(&self) -> String {
        format!("changes of lists: {} added, {} lifted", self.added, self.lifted)
    }
}

/// `3 recorded, 1 duplicate`, the most frequent first.
pub(super) fn words(counts: &BTreeMap<&'static str, usize>, none: &str) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), **word));
    let words: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { none.to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_a_few_lines() {
        let mut summary = Summary { messages: 5, done_before: 7, ..Summary::default() };
        summary.status = BTreeMap::from([("duplicate", 1), ("recorded", 4)]);
        summary.facts = BTreeMap::from([("user_unknown", 3)]);
        assert_eq!(
            summary.text(),
            "5 messages: 4 recorded, 1 duplicate\n7 messages were taken in before and not read again\nnew facts: 3 user_unknown"
        );
        assert_eq!(Summary::default().text(), "0 messages: nothing in them\nnew facts: none");
    }
}
