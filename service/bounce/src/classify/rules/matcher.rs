//! One pass over a text for all words of all rules at once (Aho-Corasick, linear in the text, no backtracking). A pattern
//! with `...` is a row of fragments that must come one after the other.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};

use crate::classify::rules::signs::Sign;
use crate::status::Stage;

/// More places than this are not looked at for a time to wait.
const WAITS_LIMIT: usize = 8;

/// Automaton over all words, and what each word stands for.
#[derive(Debug)]
pub(super) struct Matcher {
    automaton: AhoCorasick,
    /// For each word: where it is used, as a range of `uses`.
    words: Vec<(u32, u32)>,
    uses: Vec<Use>,
    sequences: usize,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    left_edge: bool,
    right_edge: bool,
    role: Role,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    /// The whole pattern of a rule.
    Whole { rule: u32, pattern: u32 },
    /// One fragment of a pattern with `...`.
    Part { sequence: u32, index: u16, last: bool, rule: u32, pattern: u32 },
    /// A sign.
    Sign(Sign),
}

/// What a pass found.
#[derive(Debug, Default, Clone)]
pub(super) struct Scan {
    /// Rule and index of its pattern, in the order they were met; a rule may come up again.
    pub(super) hits: Vec<(u32, u32)>,
    pub(super) receiver: Option<u16>,
    pub(super) stage: Option<Stage>,
    /// Where a time to wait may stand: the first few places.
    pub(super) waits_at: Vec<usize>,
    pub(super) block_list: Option<u16>,
    /// Where the name of a block list may stand.
    pub(super) listed_at: Option<usize>,
    pub(super) gave_up: bool,
    pub(super) still_trying: bool,
}

/// Collects words before the automaton is built.
#[derive(Default)]
pub(super) struct Builder {
    ids: HashMap<String, u32>,
    words: Vec<String>,
    uses: Vec<Vec<Use>>,
    sequences: u32,
}

impl Builder {
    pub(super) fn add_pattern(&mut self, pattern: &str, rule: u32, index: u32) {
        let parts: Vec<&str> = pattern.split("...").map(str::trim).filter(|it| !it.is_empty()).collect();
        if let [whole] = parts[..] {
            return self.add_word(whole, Role::Whole { rule, pattern: index });
        }
        let sequence = self.sequences;
        self.sequences += 1;
        let count = parts.len();
        for (place, part) in (0_u16..).zip(parts) {
            let last = usize::from(place) + 1 == count;
            self.add_word(part, Role::Part { sequence, index: place, last, rule, pattern: index });
        }
    }

    pub(super) fn add_sign(&mut self, word: &str, sign: Sign) {
        self.add_word(word, Role::Sign(sign));
    }

    fn add_word(&mut self, word: &str, role: Role) {
        let (left_edge, right_edge) = (word.starts_with('|'), word.ends_with('|'));
        let word = word.trim_matches('|').to_lowercase();
        let next = self.words.len();
        let id = *self.ids.entry(word.clone()).or_insert_with(|| {
            self.words.push(word);
            self.uses.push(Vec::new());
            u32::try_from(next).unwrap_or(u32::MAX)
        });
        if let Some(uses) = self.uses.get_mut(id as usize) {
            uses.push(Use { left_edge, right_edge, role });
        }
    }

    pub(super) fn build(self) -> Result<Matcher, BuildError> {
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA)).build(&self.words)?;
        let mut uses = Vec::new();
        let mut words = Vec::with_capacity(self.uses.len());
        for own in self.uses {
            let start = u32::try_from(uses.len()).unwrap_or(u32::MAX);
            uses.extend(own);
            words.push((start, u32::try_from(uses.len()).unwrap_or(u32::MAX)));
        }
        Ok(Matcher { automaton, words, uses, sequences: self.sequences as usize })
    }
}

impl Matcher {
    /// Looks for everything in a text in the form of [`crate::classify::text::normalise`].
    pub(super) fn scan(&self, text: &str) -> Scan {
        let mut scan = Scan::default();
        // How far each pattern with `...` has come: fragments met, and where the last one ended.
        let mut progress: Vec<(u16, u32)> = Vec::new();
        for found in self.automaton.find_overlapping_iter(text) {
            let (first, last) = self.words[found.pattern().as_usize()];
            for one in &self.uses[first as usize..last as usize] {
                if (one.left_edge && !is_edge(text, found.start())) || (one.right_edge && !is_edge(text, found.end())) {
                    continue;
                }
                match one.role {
                    Role::Whole { rule, pattern } => scan.hits.push((rule, pattern)),
                    Role::Part { sequence, index, last, rule, pattern } => {
                        if progress.is_empty() {
                            progress.resize(self.sequences, (0, 0));
                        }
                        let (next, end) = &mut progress[sequence as usize];
                        if *next == index && found.start() >= *end as usize {
                            *next += 1;
                            *end = u32::try_from(found.end()).unwrap_or(u32::MAX);
                            if last {
                                scan.hits.push((rule, pattern));
                            }
                        }
                    }
                    Role::Sign(sign) => scan.note(sign, found.end()),
                }
            }
        }
        scan
    }
}

impl Scan {
    fn note(&mut self, sign: Sign, end: usize) {
        match sign {
            Sign::Receiver(it) => _ = self.receiver.get_or_insert(it),
            Sign::Stage(it) => _ = self.stage.get_or_insert(it),
            Sign::Wait if self.waits_at.len() < WAITS_LIMIT => self.waits_at.push(end),
            Sign::Wait => {}
            // Names of whole families come after their members in the table, and lose against them.
            Sign::BlockList(it) => self.block_list = Some(self.block_list.map_or(it, |own| own.min(it))),
            Sign::Listed => _ = self.listed_at.get_or_insert(end),
            Sign::GaveUp => self.gave_up = true,
            Sign::StillTrying => self.still_trying = true,
        }
    }
}

/// Whether no letter or digit runs across this place.
fn is_edge(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    let after = text[at..].chars().next().is_some_and(char::is_alphanumeric);
    !(before && after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(patterns: &[&str], text: &str) -> Vec<u32> {
        let mut builder = Builder::default();
        for (index, pattern) in (0..).zip(patterns) {
            builder.add_pattern(pattern, index, 0);
        }
        builder.build().unwrap().scan(text).hits.into_iter().map(|it| it.0).collect()
    }

    #[test]
    fn words_match_anywhere_and_may_overlap() {
        assert_eq!(hits(&["user unknown", "unknown user", "unknown"], "user unknown user"), [0, 2, 1]);
        assert_eq!(hits(&["quota"], "no such user"), [0_u32; 0]);
    }

    #[test]
    fn fragments_must_come_in_order_and_apart() {
        assert_eq!(hits(&["client ... blocked using"], "client host [x] blocked using y"), [0]);
        assert_eq!(hits(&["client ... blocked using"], "blocked using y, client"), [0_u32; 0]);
        assert_eq!(hits(&["aba ... aba"], "ababa"), [0_u32; 0]);
        assert_eq!(hits(&["aba ... aba"], "aba aba"), [0]);
        assert_eq!(hits(&["a1 ... b1", "a1 ... c1"], "a1 c1 b1"), [1, 0]);
    }

    #[test]
    fn edges_keep_words_whole() {
        assert_eq!(hits(&["|spf|"], "the spf check"), [0]);
        assert_eq!(hits(&["|spf|"], "aspf spfx"), [0_u32; 0]);
        assert_eq!(hits(&["_416|"], "ofr_416 [x]"), [0]);
        assert_eq!(hits(&["_416|"], "ofr_4161"), [0_u32; 0]);
        assert_eq!(hits(&["|ящик|"], "ваш ящик полон"), [0]);
    }
}
