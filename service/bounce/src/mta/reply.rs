//! Finds what the remote server said inside a text for people: a reply code (RFC 5321 section 4.2) at a place where a reply
//! may begin, and everything after it.

use std::borrow::Cow;

use crate::limits;
use crate::mail::{each_word, lines};
use crate::report::human::capped;
use crate::report::phrases::Phrases;

/// The reply inside a text, from its code on. A 2yz reply is only a step on the way to the one that counts.
pub(crate) fn find(text: &str) -> Option<&str> {
    memchr::memchr2_iter(b'4', b'5', text.as_bytes()).find_map(|at| {
        let (before, rest) = text.split_at_checked(at)?;
        let previous = before.chars().next_back().unwrap_or('\n');
        let begins = may_precede(previous) && is_reply(rest, previous);
        begins.then(|| without_trailer(unquoted(capped(rest, limits::DIAGNOSTIC_BYTES), previous)))
    })
}

/// Cuts a reply that stands in quotes (`Remote Server returned '550 …'`) at the closing one.
fn unquoted(text: &str, opening: char) -> &str {
    let closing = match opening {
        '\'' | '"' | '`' => opening,
        '“' => '”',
        '«' => '»',
        _ => return text,
    };
    let end = text.find("\n\n").unwrap_or(text.len());
    text.get(..end).and_then(|it| it.rfind(closing)).and_then(|it| text.get(..it)).filter(|it| it.len() > 3).unwrap_or(text)
}

/// What reporters write after the reply, as the remote did not say it.
static TRAILERS: Phrases = Phrases::exact(&[
    "(in reply to ",
    "Giving up on ",
    "I'm not going to try again",
    "\nRemote system:",
    "\n  Remote system:",
    "Reporting-MTA:",
    "\n\nMessage details:",
    "\n----- Original message",
]);

/// Cuts off what the reporter added.
fn without_trailer(text: &str) -> &str {
    let end = TRAILERS.first_in(text).unwrap_or(text.len()).min(reply_end(text));
    text.get(..end).unwrap_or(text).trim()
}

/// Where the next reply or command of a transcript begins, after a reply that is complete (`550 `, not `550-`).
fn reply_end(text: &str) -> usize {
    let mut complete = text.as_bytes().get(3) != Some(&b'-');
    let mut at = 0;
    for line in lines(text) {
        let plain = line.strip_prefix("<<< ").unwrap_or(line);
        let coded =
            plain.len() > 4 && plain.bytes().take(3).all(|it| it.is_ascii_digit()) && matches!(plain.as_bytes().get(3), Some(b' ' | b'-'));
        if at > 0 && (line.starts_with(">>>") || complete && coded) {
            return at;
        }
        complete = complete || coded && plain.as_bytes().get(3) == Some(&b' ');
        at += line.len();
    }
    at
}

/// What Sendmail makes of a reply it has no better word for (`sysexits.h`): the reply stands in the transcript above.
static SUMMARIES: Phrases =
    Phrases::new(&["... remote protocol error", "... service unavailable", "... data format error", "... cannot send"]);

/// The last refusal of a transcript (`<<< 550 no such user`), where a text goes on with Sendmail's summary of it.
pub(crate) fn summed_up(text: &str) -> Option<&str> {
    let (transcript, _) = text.split_at_checked(SUMMARIES.first_in(text)?)?;
    // Only the place itself is looked at for each, so that a long transcript costs one pass.
    let mut lines = transcript.rmatch_indices("<<< ").filter_map(|it| transcript.get(it.0 + 4..));
    find(lines.find(|it| is_reply(it, ' '))?)
}

fn may_precede(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ':' | '(' | '[' | '"' | '\'' | '<' | '#' | '>' | ';' | ',' | '=' | '`' | '“' | '«' | '|')
}

/// Whether a text begins with a reply code and goes on like a reply; `previous` stands in front of it.
fn is_reply(text: &str, previous: char) -> bool {
    let &[class, second, third, after, ref rest @ ..] = text.as_bytes() else { return false };
    if !matches!(class, b'4' | b'5') || !second.is_ascii_digit() || !third.is_ascii_digit() {
        return false;
    }
    match after {
        // 550-first line, 550 text, and a line that was folded right after the code
        b'-' | b' ' | b'\n' => {
            let begins = after != b'\n' || matches!(previous, '\n' | ' ');
            let folded = rest.iter().take_while(|it| it.is_ascii_whitespace()).take(40).count();
            let next = rest.get(folded..).unwrap_or_default();
            begins
                && next.first().is_some_and(|it| it.is_ascii_graphic() || *it >= 0x80)
                && (after != b'-' || folded == 0)
                && !is_quantity(next)
        }
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
pub(crate) fn joined(text: &str) -> Cow<'_, str> {
    let mut previous = ' ';
    let is_joined = text.chars().all(|it| {
        let fits = !it.is_whitespace() || it == ' ' && previous != ' ';
        previous = it;
        fits
    });
    if is_joined && previous != ' ' {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    each_word(text, |word| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    });
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_reply_become_one() {
        for (text, line) in [("550 no", "550 no"), (" 550\r\n  no\tü ", "550 no ü"), ("550\u{a0}no", "550 no"), ("a  b", "a b"), ("", "")]
        {
            assert_eq!(joined(text), line, "{text:?}");
        }
    }

    #[test]
    fn every_phrase_has_its_sample() {
        assert_eq!(TRAILERS.flaws("trailers"), Vec::<String>::new());
        assert_eq!(SUMMARIES.flaws("summaries"), Vec::<String>::new());
    }

    #[test]
    fn what_a_summary_stands_for_is_found_above_it() {
        for (text, reply) in [
            (">>> RCPT To:<a@b.example>\n<<< 550 not today\n554 <a@b.example>... Service unavailable\n", Some("550 not today")),
            ("<<< 220 ready\n<<< 550-one\n<<< 550 two\n554 a@b.example... Remote protocol error\n", Some("550 two")),
            ("<<< 220 ready\n554 a@b.example... Service unavailable\n", None),
            ("<<< 550 no\n550 5.1.1 a@b.example... User unknown\n", None),
        ] {
            assert_eq!(summed_up(text), reply, "{text}");
        }
    }

    #[test]
    fn a_reply_is_found_where_one_may_begin() {
        for (text, reply) in [
            ("Remote host said: 550 5.1.1 no such user", Some("550 5.1.1 no such user")),
            ("host [10.0.0.1] said: 550-first\n550 second", Some("550-first\n550 second")),
            ("(reason: 452 4.2.2 full)", Some("452 4.2.2 full)")),
            ("host said: 550\n    no such user (in reply to RCPT TO command)", Some("550\n    no such user")),
            ("Remote host said: 554 no\nGiving up on 10.0.0.1.", Some("554 no")),
            ("<<< 550 no such user\n550 5.1.1 <a@b.example>... User unknown\n", Some("550 no such user")),
            ("550-one\n550-two\n550 three\n421 four", Some("550-one\n550-two\n550 three")),
            ("returned '550 5.1.1 user 'jane' unknown'\n\nmore", Some("550 5.1.1 user 'jane' unknown")),
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
