//! Lists of phrases looked for in one pass over a text, in any letter case.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

/// A list of phrases in lower case.
pub(crate) struct Phrases {
    words: &'static [&'static str],
    search: OnceLock<Option<AhoCorasick>>,
}

impl Phrases {
    pub(crate) const fn new(words: &'static [&'static str]) -> Self {
        Self { words, search: OnceLock::new() }
    }

    /// Whether one of them stands in a text.
    pub(crate) fn found_in(&self, text: &str) -> bool {
        self.search().is_some_and(|it| it.is_match(text))
    }

    fn search(&self) -> Option<&AhoCorasick> {
        let build = || {
            // The search knows only ASCII letter case; other letters stand there in both.
            let capitals = self.words.iter().filter(|it| !it.is_ascii()).flat_map(|it| [capitalised(it), it.to_uppercase()]);
            let all = self.words.iter().map(|it| (*it).to_owned()).chain(capitals);
            AhoCorasick::builder().ascii_case_insensitive(true).build(all).ok()
        };
        self.search.get_or_init(build).as_ref()
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
    }
}
