//! Patterns of mail addresses, by which the SMTP edge finds the source that a recipient belongs to: an address in which `*`
//! before the `@` stands for any text. They are compared with addresses in normal form, so letter case does not matter.

use bounce::address::Address;

use super::values::Scalar;

/// Octets of a pattern.
const LIMIT: usize = 256;
/// What stands for any text, the empty one included.
const ANY: char = '*';

/// A pattern such as `bounce+*@bounces.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientPattern {
    local: Vec<char>,
    domain: String,
}

impl RecipientPattern {
    /// Reads a pattern; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A star may stand in an atom (RFC 5322 section 3.2.3), so a pattern is read as an address is.
        let address = Address::parse(text).ok().filter(|_| text.len() <= LIMIT)?;
        Some(Self { local: address.local().chars().collect(), domain: address.domain().to_owned() })
    }

    /// Whether an address is one of those it stands for.
    #[must_use]
    pub fn matches(&self, address: &Address) -> bool {
        self.domain == address.domain() && stands_for(&self.local, address.local())
    }

    /// Whether there is an address that both stand for.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.domain == other.domain && meet(&self.local, &other.local)
    }
}

impl std::fmt::Display for RecipientPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.local.iter().collect::<String>(), self.domain)
    }
}

impl Scalar for RecipientPattern {
    const EXPECTED: &'static str = "a mail address, in which * before the @ stands for any text";
    const EXAMPLE: &'static str = "\"bounce+*@bounces.example.org\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Goes back to the last star only, so it takes no longer than the product of both lengths.
fn stands_for(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(&ANY) => {
                star = Some((at, read));
                at += 1;
            }
            Some(letter) if Some(letter) == text.get(read) => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((place, begun)) => {
                    star = Some((place, begun + 1));
                    (at, read) = (place + 1, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|it| *it == ANY)
}

/// Whether two patterns have a text in common: row by row of a table that says of each pair of rests whether they have.
fn meet(one: &[char], other: &[char]) -> bool {
    // What the rests of `other` have in common with the end of `one`: only stars can be nothing.
    let mut below: Vec<bool> = (0..=other.len()).map(|at| other.iter().skip(at).all(|it| *it == ANY)).collect();
    for letter in one.iter().rev() {
        let mut row = vec![false; other.len() + 1];
        for at in (0..=other.len()).rev() {
            let skipped = below.get(at).copied().unwrap_or_default();
            let (next, both) = (row.get(at + 1).copied().unwrap_or_default(), below.get(at + 1).copied().unwrap_or_default());
            let found = match (*letter, other.get(at)) {
                (ANY, None) => skipped,
                (_, None) => false,
                (ANY, Some(_)) => skipped || next,
                (_, Some(&ANY)) => next || skipped,
                (letter, Some(it)) => letter == *it && both,
            };
            if let Some(cell) = row.get_mut(at) {
                *cell = found;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> RecipientPattern {
        RecipientPattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_text_before_the_at() {
        for (text, address, is_meant) in [
            ("bounce+*@bounces.example.org", "bounce+jane=corp.example@bounces.example.org", true),
            ("bounce+*@bounces.example.org", "Bounce+@BOUNCES.example.org", true),
            ("bounce+*@bounces.example.org", "bounce@bounces.example.org", false),
            ("bounce+*@bounces.example.org", "bounce+x@other.example.org", false),
            ("*@bounces.example.org", "anybody@bounces.example.org", true),
            ("*@bounces.example.org", "anybody@x.bounces.example.org", false),
            ("a*b*c@x.example", "a1b2b3c@x.example", true),
            ("a*b*c@x.example", "a1b2b3@x.example", false),
            ("bounces@bücher.example", "bounces@xn--bcher-kva.example", true),
        ] {
            assert_eq!(pattern(text).matches(&Address::parse(address).unwrap()), is_meant, "{text} {address}");
        }
        for text in ["", "*", "@x.example", "b+*@*.example", "b +*@x.example", "b@x@y.example,"] {
            assert_eq!(RecipientPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_that_share_an_address_are_known() {
        for (one, other, overlap) in [
            ("b+*@x.example", "b+*@x.example", true),
            ("b+*@x.example", "b+*@y.example", false),
            ("b+*@x.example", "c+*@x.example", false),
            ("b*@x.example", "*b@x.example", true),
            ("*@x.example", "b@x.example", true),
            ("a*c@x.example", "ab*@x.example", true),
            ("a*c@x.example", "b*c@x.example", false),
            ("b@x.example", "b@x.example", true),
            ("b@x.example", "bb@x.example", false),
        ] {
            assert_eq!(
                (pattern(one).overlaps(&pattern(other)), pattern(other).overlaps(&pattern(one))),
                (overlap, overlap),
                "{one} {other}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_address_that_both_stand_for_is_an_overlap(one in "[ab*]{1,6}", other in "[ab*]{1,6}", local in "[ab]{1,6}") {
            let (one, other) = (pattern(&format!("{one}@x.example")), pattern(&format!("{other}@x.example")));
            let address = Address::parse(&format!("{local}@x.example")).unwrap();
            prop_assert!(!(one.matches(&address) && other.matches(&address)) || one.overlaps(&other));
        }

        #[test]
        fn an_overlap_has_an_address(one in "[ab*]{1,3}", other in "[ab*]{1,3}") {
            let (one, other) = (pattern(&format!("{one}@x.example")), pattern(&format!("{other}@x.example")));
            // No text that two patterns of three letters share needs more than all letters of both.
            let texts = (1..=6_u32).flat_map(|length| (0..1_u32 << length).map(move |bits| (0..length).map(move |at| if bits >> at & 1 == 0 { 'a' } else { 'b' })));
            let shared = texts.map(|it| Address::parse(&format!("{}@x.example", it.collect::<String>())).unwrap());
            let is_shared = shared.into_iter().any(|it| one.matches(&it) && other.matches(&it));
            prop_assert_eq!(one.overlaps(&other), is_shared);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = RecipientPattern::parse(&text);
        }
    }
}
