//! Addresses as providers write them: bare, in angle brackets, or behind a display name (RFC 5322 section 3.4).

use std::borrow::Cow;

use crate::address::{Address, AddressError};
use crate::esp::json::Json;

/// The recipient that an event names in the first of these fields that is there.
///
/// # Errors
/// Why it names nobody, as [`crate::esp::batch::Meaning::Unknown`] says it.
pub(super) fn recipient(event: Json<'_>, fields: &[&str]) -> Result<Address, &'static str> {
    let named = fields.iter().find_map(|it| event.at(it).verbatim().filter(|it| !it.trim().is_empty()));
    mailbox(named.ok_or("an event names no recipient")?).map_err(|_| "an event names a recipient that cannot be read")
}

/// The address of a mailbox, whatever stands around it.
pub(super) fn mailbox(text: &str) -> Result<Address, AddressError> {
    let plain = without_comments(text);
    let text = plain.trim();
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    // The angle brackets are the last ones: a quoted display name may hold others.
    match text.strip_suffix('>').and_then(|it| it.rsplit_once('<')) {
        // Several mailboxes: which of them is meant is anybody's guess.
        Some((name, _)) if unquoted(name).contains(['<', '>']) || (unquoted(name).contains(',') && unquoted(name).contains('@')) => {
            Err(AddressError::Local)
        }
        Some((_, address)) => Address::parse(address),
        None => Address::parse(text),
    }
}

/// The text without its quoted strings.
fn unquoted(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    text.chars()
        .filter(|letter| {
            let literal = std::mem::take(&mut escaped);
            match letter {
                '\\' if !literal => escaped = true,
                '"' if !literal => quoted = !quoted,
                _ => {}
            }
            !quoted
        })
        .collect()
}

/// Drops comments, which may nest, outside of quotes.
fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains('(') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for letter in text.chars() {
        let literal = std::mem::take(&mut escaped);
        match letter {
            '\\' if !literal => escaped = true,
            '"' if !literal && depth == 0 => quoted = !quoted,
            '(' if !literal && !quoted => depth += 1,
            _ => {}
        }
        if depth == 0 {
            plain.push(letter);
        }
        if letter == ')' && !literal && !quoted {
            depth = depth.saturating_sub(1);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_behind_its_name() {
        for text in [
            "jane@example.com",
            "<jane@example.com>",
            "Jane <Jane@Example.com>",
            "\"Doe, Jane <j>\" <jane@example.com>",
            "\"Doe (ex) \\\" Jane\" <jane@example.com>",
            "=?utf-8?q?J=C3=A9?= <jane@example.com> ",
            "jane@example.com (Jane (the) Doe)",
            "(a) Jane <jane@example.com> (b",
            "Doe, Jane <jane@example.com>",
            "jane@example.com <jane@example.com>",
            "Jane <@relay.example:jane@example.com>",
            "mailto:jane@example.com",
        ] {
            assert_eq!(mailbox(text).as_ref().map(Address::expose), Ok("jane@example.com"), "{text}");
        }
    }

    #[test]
    fn what_holds_no_address_says_why() {
        assert_eq!(mailbox(""), Err(AddressError::Empty));
        assert_eq!(mailbox("Jane <>"), Err(AddressError::Empty));
        assert_eq!(mailbox("Jane"), Err(AddressError::NoDomain));
        assert_eq!(mailbox("jane@example.com, john@example.com"), Err(AddressError::Local));
        assert_eq!(mailbox("Jane <jane@example.com"), Err(AddressError::Local));
        assert_eq!(mailbox("Jane <jane@example.com>, John <john@example.com>"), Err(AddressError::Local));
        assert_eq!(mailbox("jane@example.com, John <john@example.com>"), Err(AddressError::Local));
    }
}
