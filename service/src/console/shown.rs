//! Texts that others wrote, as they are shown. Escaping is the templates' work; here what has no shape of its own gets one: control
//! characters, marks that turn the direction of what follows, and characters without width would else change what a reader
//! believes to see.

use maud::{Markup, html};

/// A text of others. Its lines are white space; an element that keeps them shows them.
pub(super) fn shown(text: &str) -> Markup {
    html! {
        // What is within turns nothing that is without.
        bdi {
            @for (piece, is_plain) in pieces(text) {
                @if is_plain { (piece) } @else {
                    @for it in piece.chars() { span.unseen { (format!("U+{:04X}", u32::from(it))) } }
                }
            }
        }
    }
}

/// Runs of characters that show themselves, and of such that do not.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_plain = !is_unseen(first);
        let end = rest.find(|it| is_unseen(it) == is_plain).unwrap_or(rest.len());
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some((piece, is_plain))
    })
}

/// Whether a character would not be seen, or would do something to its neighbours.
fn is_unseen(it: char) -> bool {
    match it {
        '\n' | '\r' | '\t' => false,
        // Soft hyphen, combining grapheme joiner, fillers, joiners, direction, invisible operators, variation, annotation, tags.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => it.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_markup_is_text() {
        let text = shown("<script>alert(1)</script> & \"quotes\"").into_string();
        assert_eq!(text, "<bdi>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;</bdi>");
    }

    #[test]
    fn what_would_not_be_seen_is_seen() {
        for (text, code) in [
            ("a\u{202e}b", "U+202E"),
            ("a\u{0}b", "U+0000"),
            ("a\u{1b}[2Jb", "U+001B"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{2066}b", "U+2066"),
            ("a\u{e0041}b", "U+E0041"),
            ("a\u{85}b", "U+0085"),
        ] {
            let rendered = shown(text).into_string();
            assert!(rendered.contains(&format!("<span class=\"unseen\">{code}</span>")), "{rendered}");
            assert!(!rendered.contains(is_unseen), "{rendered:?}");
        }
    }

    #[test]
    fn lines_and_other_scripts_are_left_alone() {
        for text in ["two\r\nlines\tand a tab", "Zustellung unmöglich", "配信できません", "غير موجود", "👩🏽"] {
            assert_eq!(shown(text).into_string(), format!("<bdi>{text}</bdi>"));
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_unseen_is_left(text in "\\PC{0,20}[\\u{0}-\\u{a0}\\u{2000}-\\u{206f}]{0,5}") {
            let joined: String = pieces(&text).map(|it| it.0).collect();
            proptest::prop_assert_eq!(&joined, &text);
            let rendered = shown(&text).into_string();
            proptest::prop_assert!(!rendered.contains(is_unseen));
        }
    }
}
