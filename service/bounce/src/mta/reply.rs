//! Finds what the remote server said inside a text for people: a reply code (RFC 5321 section 4.2) at a place where a reply
//! may begin, and everything after it.

use crate::limits;
use crate::report::human::capped;

/// The reply inside a text, from its code on.
pub(crate) fn find(text: &str) -> Option<&str> {
    let mut best = None;
    let mut previous = '\n';
    for (at, letter) in text.char_indices() {
        if matches!(letter, '2' | '4' | '5') && may_precede(previous) {
            let rest = text.get(at..).unwrap_or_default();
            if is_reply(rest, previous) {
                best = Some(rest);
                if !rest.starts_with('2') {
                    break;
                }
            }
        }
        previous = letter;
    }
    best.filter(|it| !it.starts_with('2')).map(|it| capped(it, limits::DIAGNOSTIC_BYTES).trim())
}

fn may_precede(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ':' | '(' | '[' | '"' | '\'' | '<' | '#' | '>' | ';' | ',' | '=' | '`' | '“' | '«' | '|')
}

/// Whether a text begins with a reply code and goes on like a reply; `previous` stands in front of it.
fn is_reply(text: &str, previous: char) -> bool {
    let &[class, second, third, after, ref rest @ ..] = text.as_bytes() else { return false };
    if !matches!(class, b'2' | b'4' | b'5') || !second.is_ascii_digit() || !third.is_ascii_digit() {
        return false;
    }
    match after {
        b'-' | b' ' => rest.first().is_some_and(|it| !it.is_ascii_whitespace()) && !is_quantity(rest),
        b'\n' => previous == '\n',
        b',' | b';' | b':' => rest.first() == Some(&b' '),
        _ => false,
    }
}

/// `500 messages`, `250 MB`: a number of things.
fn is_quantity(rest: &[u8]) -> bool {
    const UNITS: &[&str] =
        &["mb", "kb", "gb", "bytes", "byte", "messages", "message", "recipients", "seconds", "minutes", "hours", "days", "people", "users"];
    let word: Vec<u8> = rest.iter().take_while(|it| it.is_ascii_alphabetic()).take(12).map(u8::to_ascii_lowercase).collect();
    UNITS.iter().any(|it| it.as_bytes() == word)
}

/// A reply of several lines as one: line ends become blanks.
pub(crate) fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_found_where_one_may_begin() {
        for (text, reply) in [
            ("Remote host said: 550 5.1.1 no such user", Some("550 5.1.1 no such user")),
            ("host [10.0.0.1] said: 550-first\n550 second", Some("550-first\n550 second")),
            ("(reason: 452 4.2.2 full)", Some("452 4.2.2 full)")),
            ("250 ok, then 554 refused", Some("554 refused")),
            ("over 500 MB of mail in 4500 places", None),
            ("250 ok", None),
            ("host 10.0.0.550 and port 587", None),
            ("id 1550 is unknown", None),
        ] {
            assert_eq!(find(text), reply, "{text}");
        }
    }
}
