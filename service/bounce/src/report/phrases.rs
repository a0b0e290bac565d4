//! Lists of phrases looked for in one pass over a text, in any letter case.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, PatternID};

/// A list of phrases, in lower case unless letter case counts.
pub(crate) struct Phrases {
    words: &'static [&'static str],
    case: Case,
    search: OnceLock<Option<Search>>,
}

/// Whether letter case counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Any,
    Exact,
}

/// The automaton, and which phrase each of its patterns is a spelling of.
struct Search {
    automaton: AhoCorasick,
    phrases: Vec<usize>,
}

impl Phrases {
    /// Phrases in any letter case.
    pub(crate) const fn new(words: &'static [&'static str]) -> Self {
        Self { words, case: Case::Any, search: OnceLock::new() }
    }

    /// Phrases just as they are written.
    pub(crate) const fn exact(words: &'static [&'static str]) -> Self {
        Self { words, case: Case::Exact, search: OnceLock::new() }
    }

    /// Where the first of them begins.
    pub(crate) fn first_in(&self, text: &str) -> Option<usize> {
        self.search()?.automaton.find(text).map(|it| it.start())
    }

    /// Every one that stands in a text, by its place in the list; some more than once.
    pub(crate) fn all_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = usize> + 't {
        let phrase = |search: &Search, pattern: PatternID| search.phrases.get(pattern.as_usize()).copied();
        let search = self.search().into_iter();
        search.flat_map(move |it| it.automaton.find_overlapping_iter(text).filter_map(move |found| phrase(it, found.pattern())))
    }

    /// Where those that stand in a text begin and end, in the order of their ends.
    pub(crate) fn places_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        self.search().into_iter().flat_map(move |it| it.automaton.find_overlapping_iter(text)).map(|it| it.range())
    }

    /// Whether one of them stands in a text.
    pub(crate) fn found_in(&self, text: &str) -> bool {
        self.search().is_some_and(|it| it.automaton.is_match(text))
    }

    /// What is wrong with a list, held against the texts of that name in `tests/data/phrases.csv`: a phrase without a text
    /// that holds it, a text without a phrase, and a phrase that another one makes needless.
    #[cfg(test)]
    pub(crate) fn flaws(&self, list: &str) -> Vec<String> {
        let rows = csv::Reader::from_reader(include_bytes!("../../tests/data/phrases.csv").as_slice()).into_deserialize();
        let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>().unwrap();
        let samples: Vec<&str> = rows.iter().filter(|it| it.0 == list).map(|it| it.1.as_str()).collect();
        let stands = |word: &str| samples.iter().any(|it| it.to_lowercase().contains(&word.to_lowercase()));
        let unused = self.words.iter().filter(|it| !stands(it)).map(|it| format!("{it:?} stands in no sample"));
        let unfound = samples.iter().filter(|it| !self.found_in(it)).map(|it| format!("nothing is found in {it:?}"));
        let needless = self.words.iter().filter(|it| self.words.iter().any(|other| other != *it && it.contains(other)));
        unused.chain(unfound).chain(needless.map(|it| format!("{it:?} holds another phrase"))).collect()
    }

    fn search(&self) -> Option<&Search> {
        self.search.get_or_init(|| self.build()).as_ref()
    }

    fn build(&self) -> Option<Search> {
        let any = self.case == Case::Any;
        let mut spellings: Vec<(usize, String)> = Vec::with_capacity(self.words.len());
        for (phrase, word) in self.words.iter().enumerate() {
            spellings.push((phrase, (*word).to_owned()));
            // The search knows only ASCII letter case; other letters stand there in both.
            if any && !word.is_ascii() {
                spellings.extend([(phrase, capitalised(word)), (phrase, word.to_uppercase())]);
            }
        }
        let patterns = spellings.iter().map(|it| &it.1);
        let automaton = AhoCorasick::builder().ascii_case_insensitive(any).kind(Some(AhoCorasickKind::DFA)).build(patterns).ok()?;
        Some(Search { automaton, phrases: spellings.iter().map(|it| it.0).collect() })
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_in_any_letter_case() {
        static PHRASES: Phrases = Phrases::new(&["giving up", "не доставлено"]);
        for text in ["we are Giving Up now", "Не доставлено.", "НЕ ДОСТАВЛЕНО"] {
            assert!(PHRASES.found_in(text), "{text}");
        }
        assert!(!PHRASES.found_in("giving in"));
        assert_eq!(PHRASES.all_in("НЕ ДОСТАВЛЕНО: giving up, не доставлено").collect::<Vec<_>>(), [1, 0, 1]);
    }
}
