//! Taking an address out of texts that quote it. A receiver writes it in many ways (in capitals, as `jane=example.org`, its
//! local part alone), so every word that is the local part goes; and a text in which some form of it may be left goes whole:
//! what is lost then is the wording, never the reason that was read from it.

use bounce::address::Address;

use crate::store::record::Testimony;

/// What stands in the place of an address.
const ERASED: &str = "[erased]";
/// Characters from which a local part is looked for within words too. A shorter one is in half of all words.
const TELLING: usize = 4;

/// One address, ready to be taken out of texts.
#[derive(Debug, Clone)]
pub(super) struct Scrub {
    /// What is replaced where it stands as a word, the longest first.
    words: Vec<String>,
    domain: String,
}

impl Scrub {
    /// For an address.
    pub(super) fn of(address: &Address) -> Self {
        let local: String = address.local().trim_matches('"').chars().filter(|it| *it != '\\').collect();
        let untagged = local.split('+').next().unwrap_or_default().to_owned();
        let mut words = vec![local, untagged];
        words.retain(|it| !it.is_empty());
        words.dedup();
        Self { words, domain: address.domain().to_owned() }
    }

    /// The text without the address; `None` where some form of it may be left.
    pub(super) fn text(&self, text: &str) -> Option<String> {
        // Letters beyond ASCII have more than one spelling; which one it is need not be known.
        if !text.is_ascii() && self.words.iter().any(|it| !it.is_ascii()) {
            return None;
        }
        let scrubbed = self.words.iter().fold(text.to_owned(), |text, word| self.without(&text, word));
        let left = scrubbed.to_lowercase();
        let is_left = |word: &String| word.chars().count() >= TELLING && left.contains(word.as_str());
        if self.words.iter().any(is_left) { None } else { Some(scrubbed) }
    }

    /// The same for a text that may not be there.
    pub(super) fn maybe(&self, text: Option<&str>) -> Option<String> {
        text.and_then(|it| self.text(it))
    }

    /// Takes the address out of everything a testimony quotes.
    pub(super) fn testimony(&self, said: &mut Testimony) {
        for text in [&mut said.diagnostic, &mut said.reporting_mta, &mut said.remote_mta, &mut said.message_id, &mut said.provider_event_id]
        {
            *text = self.maybe(text.as_deref());
        }
    }

    /// Takes one word out wherever it stands, with the domain behind it if that follows.
    fn without(&self, text: &str, word: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(next) = rest.chars().next() {
            let is_start = !before.is_some_and(char::is_alphanumeric);
            if let Some(behind) = is_start.then(|| after(rest, word)).flatten()
                && !behind.chars().next().is_some_and(char::is_alphanumeric)
            {
                out.push_str(ERASED);
                rest = ["@", "=", "%40"].iter().find_map(|at| after(behind, at).and_then(|it| after(it, &self.domain))).unwrap_or(behind);
                before = None;
                continue;
            }
            out.push(next);
            before = Some(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
        out
    }
}

/// What follows a beginning, whatever the case of its letters.
fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(beginning.len())?;
    start.eq_ignore_ascii_case(beginning).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(address: &str, text: &str) -> Option<String> {
        Scrub::of(&Address::parse(address).unwrap()).text(text)
    }

    #[test]
    fn every_way_to_write_an_address_goes() {
        for (text, left) in [
            ("550 5.1.1 <jane@example.org>: User unknown", "550 5.1.1 <[erased]>: User unknown"),
            ("550 <JANE@Example.ORG> no such user", "550 <[erased]> no such user"),
            ("no mailbox jane here", "no mailbox [erased] here"),
            ("bounces+jane=example.org@lists.example.com", "bounces+[erased]@lists.example.com"),
            ("https://example.net/why?to=jane%40example.org", "https://example.net/why?to=[erased]"),
            ("jane@other.example and janet@example.org", "[erased]@other.example and janet@example.org"),
            ("nothing of hers", "nothing of hers"),
            ("", ""),
        ] {
            let expected = if text.contains("janet") { None } else { Some(left.to_owned()) };
            assert_eq!(scrub("jane@example.org", text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_may_still_hold_it_goes_whole() {
        assert_eq!(scrub("jane@example.org", "550 mailbox xjanex is full"), None);
        assert_eq!(scrub("info@example.org", "550 info: no more information"), None);
        assert_eq!(scrub("bob@example.org", "550 bob: is bobbing"), Some("550 [erased]: is bobbing".to_owned()));
        assert_eq!(scrub("jürgen@example.org", "550 ju\u{308}rgen is unknown"), None);
        assert_eq!(scrub("jürgen@example.org", "550 unknown"), Some("550 unknown".to_owned()));
    }

    #[test]
    fn tags_and_quotes_hide_nothing() {
        assert_eq!(
            scrub("jane+news@example.org", "550 jane+news@example.org, that is jane"),
            Some("550 [erased], that is [erased]".to_owned())
        );
        assert_eq!(scrub("\"jane..doe\"@example.org", "550 \"Jane..Doe\"@example.org"), Some("550 \"[erased]\"@example.org".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_a_telling_local_part_is_left(local in "[a-z][a-z0-9.]{2,10}[a-z]", text in "\\PC{0,20}", more in "\\PC{0,20}", upper: bool) {
            let Ok(address) = Address::parse(&format!("{local}@example.org")) else { return Ok(()) };
            let quoted = if upper { local.to_uppercase() } else { local.clone() };
            if let Some(left) = Scrub::of(&address).text(&format!("{text}{quoted}{more}")) {
                proptest::prop_assert!(!left.to_lowercase().contains(&local), "{}", left);
            }
        }

        #[test]
        fn twice_is_once(local in "[a-z]{1,8}", text in "\\PC{0,60}") {
            let scrub = Scrub::of(&Address::parse(&format!("{local}@example.org")).unwrap());
            let once = scrub.text(&text);
            let twice = once.as_deref().and_then(|it| scrub.text(it));
            proptest::prop_assert_eq!(once, twice);
        }
    }
}
