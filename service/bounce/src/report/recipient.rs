//! Addresses as reports write them: typed or not, in brackets, with comments, xtext (RFC 3461 section 4) or the Unicode
//! escapes of RFC 6533 section 3.

use std::borrow::Cow;

use super::fields::{typed, without_comments};
use crate::address::Address;

/// The address that a typed value (`rfc822; a@b.example`) names, if it names one.
pub(crate) fn from_typed(value: &str) -> Option<Address> {
    let (kind, text) = typed(value);
    if matches!(kind.as_str(), "x400" | "x500" | "unknown-8bit") {
        return None;
    }
    let text = if kind == "utf-8" { unicode_unescaped(text) } else { Cow::Borrowed(text) };
    whole(&text)
}

/// The address in a text that is an address with things around it.
pub(crate) fn from_text(text: &str) -> Option<Address> {
    whole(text).or_else(|| text.split_whitespace().find_map(|word| plausible(trimmed_word(word))))
}

/// The address that a text is as a whole. A field that names somebody unreadable must not be taken for whomever a piece of it
/// names.
fn whole(text: &str) -> Option<Address> {
    let text = text.trim();
    if let Some(inside) = bracketed(text)
        && let Some(address) = plausible(inside)
    {
        return Some(address);
    }
    let bare = without_comments(text);
    let bare = bare.trim().trim_matches(|it: char| matches!(it, '<' | '>' | ',' | ';' | '\'' | '`'));
    let bare = bare.strip_prefix("mailto:").or_else(|| bare.strip_prefix("MAILTO:")).or_else(|| bare.strip_prefix("SMTP:")).unwrap_or(bare);
    plausible(bare).or_else(|| plausible(&octal_unescaped(bare))).or_else(|| plausible(&xtext(bare)))
}

/// What stands in the last pair of angle brackets.
fn bracketed(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once('>')?;
    before.rsplit_once('<').map(|(_, inside)| inside.trim())
}

/// Sheds the punctuation of a sentence.
pub(crate) fn trimmed_word(word: &str) -> &str {
    word.trim_matches(|it: char| {
        matches!(
            it,
            '<' | '>'
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | ','
                | ';'
                | ':'
                | '.'
                | '\''
                | '"'
                | '`'
                | '«'
                | '»'
                | '“'
                | '”'
                | '„'
                | '!'
                | '?'
                | '*'
                | '|'
        )
    })
}

/// Parses an address and refuses what is none in a report: a domain without a letter, or with a slash in front.
fn plausible(text: &str) -> Option<Address> {
    let address = Address::parse(text).ok()?;
    let fine = address.domain().starts_with('[') || address.domain().bytes().any(|it| it.is_ascii_alphabetic());
    fine.then_some(address)
}

/// Undoes `\303\274`, as Exim prints what is not ASCII: a backslash and three octal digits are one octet.
pub(crate) fn octal_unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|it| first == b'\\' && it.iter().all(|b| matches!(b, b'0'..=b'7')));
        let octet = digits.and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| u8::from_str_radix(it, 8).ok());
        out.push(octet.unwrap_or(first));
        rest = if octet.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Undoes xtext: `+` and two upper-case hex digits are one octet (RFC 3461 section 4).
pub(crate) fn xtext(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|it| first == b'+' && it.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
        if let Some(octet) = code.and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| u8::from_str_radix(it, 16).ok()) {
            out.push(octet);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Undoes `\x{HEX}` (RFC 6533 section 3); a surrogate or a number beyond Unicode stays as it is.
fn unicode_unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains("\\x{") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        out.push_str(before);
        let window = after.get(..7).unwrap_or(after);
        let letter =
            window.split_once('}').and_then(|(hex, _)| Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?, hex.len() + 1)));
        if let Some((letter, used)) = letter {
            out.push(letter);
            rest = after.get(used..).unwrap_or_default();
        } else {
            out.push_str("\\x{");
            rest = after;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed_address(value: &str) -> Option<String> {
        from_typed(value).map(|it| it.expose().to_owned())
    }

    #[test]
    fn an_address_is_found_under_everything_reports_put_around_it() {
        for value in [
            "rfc822;jane@corp.example",
            "RFC822 ; <jane@corp.example>",
            "jane@corp.example",
            "<jane@corp.example> (Jane)",
            "rfc822; @gate.example:jane@corp.example",
            "rfc822; jane@corp.example (expanded)",
            "rfc822; Jane Doe <jane@corp.example>",
            "rfc822; mailto:jane@corp.example",
            "utf-8; jane@corp.example",
            "utf-8; \\x{6A}ane@corp.example",
            "x-local;jane@corp.example",
            "rfc822; 'jane@corp.example'",
            "rfc822; \\152ane@corp.example",
        ] {
            assert_eq!(typed_address(value).as_deref(), Some("jane@corp.example"), "{value}");
        }
    }

    #[test]
    fn plus_tags_win_over_xtext() {
        assert_eq!(typed_address("rfc822;a+2Bb@corp.example").as_deref(), Some("a+2bb@corp.example"));
        assert_eq!(typed_address("rfc822;a+2Bb+40corp.example").as_deref(), Some("a+b@corp.example"));
    }

    #[test]
    fn unicode_escapes_are_undone_and_wrong_ones_refused() {
        assert_eq!(typed_address("utf-8; j\\x{F6}rg@corp.example").as_deref(), Some("jörg@corp.example"));
        assert_eq!(typed_address("rfc822; j\\303\\266rg@corp.example").as_deref(), Some("jörg@corp.example"));
        assert_eq!(unicode_unescaped("a\\x{D800}b\\x{110000}c\\x{"), "a\\x{D800}b\\x{110000}c\\x{");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for value in ["rfc822;root", "x400;/S=jane/C=de/", "rfc822;/var/mail/jane", "", "rfc822;", "local; 3@5"] {
            assert_eq!(typed_address(value), None, "{value}");
        }
    }
}
