//! Errors as one line that may be logged: the whole chain of causes, without addresses and credentials. What other
//! libraries put into their errors is not ours to know, so every text from outside goes through [`scrub`].

use std::borrow::Cow;
use std::error::Error;

/// What stands in the place of an address.
const ADDRESS: &str = "[address]";
/// What stands in the place of whatever follows the scheme of a URL with credentials.
const URL: &str = "[redacted]";
/// Ways to write an at sign: plain, in a URL, full width, small. Longer ones first where they share a start.
const AT: [&str; 4] = ["@", "%40", "\u{ff20}", "\u{fe6b}"];
/// Octets searched backwards for the opening quote of a quoted local part.
const QUOTED_LIMIT: usize = 256;
/// Characters of a chain that are logged.
const CHAIN_LIMIT: usize = 2000;

/// An error with everything that caused it, outermost first, joined by `: `, scrubbed and on one line.
///
/// ```
/// # use service::telemetry::chain;
/// let error = std::io::Error::other("no such user: jane@example.org");
/// assert_eq!(chain(&error), "no such user: [address]");
/// ```
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some libraries tell the cause in their own text already.
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    let line: String = scrub(&text).chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    if line.chars().count() <= CHAIN_LIMIT { line } else { line.chars().take(CHAIN_LIMIT).chain("…".chars()).collect() }
}

/// The text without anything that looks like a mail address, and without what follows the scheme of a URL that holds an
/// at sign. Rather too much is hidden than too little. One pass over the text.
///
/// ```
/// # use service::telemetry::scrub;
/// assert_eq!(scrub("550 <jane@example.org>: unknown"), "550 <[address]>: unknown");
/// assert_eq!(scrub("amqp://guest:secret@mq/%2f failed"), "amqp://[redacted] failed");
/// ```
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    scrub_but(text, Quotes::Any, |_| false)
}

/// How quotes are written around a local part that needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Free text: with a backslash or without.
    Any,
    /// Inside JSON: with a backslash. One without belongs to the JSON.
    Escaped,
}

/// As [`scrub`], for a line of the log: keeps addresses as `Address` displays them (`j…@example.org`).
pub(super) fn scrub_line(line: &str, quotes: Quotes) -> Cow<'_, str> {
    scrub_but(line, quotes, |word| word.chars().nth(1) == Some('…') && word.chars().nth(2) == Some('@') && word.matches('@').count() == 1)
}

fn scrub_but(text: &str, quotes: Quotes, keep: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let Some(mut at) = next_at(text, 0) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    loop {
        let before = text.get(done..at).unwrap_or_default();
        let start = done + word_start(before, quotes);
        let url_start = before.rfind(ends_url).map_or(0, |it| it + char_len(before, it));
        let scheme = before.get(url_start..).and_then(|it| it.find("://"));
        let end;
        if let Some(scheme) = scheme {
            out.push_str(text.get(done..done + url_start + scheme + 3).unwrap_or_default());
            out.push_str(URL);
            end = find_from(text, at, ends_url);
        } else {
            end = find_from(text, at, |it| ends_word(it) || it == ':');
            out.push_str(text.get(done..start).unwrap_or_default());
            let word = text.get(start..end).unwrap_or_default();
            out.push_str(if keep(word) { word } else { ADDRESS });
        }
        done = end;
        match next_at(text, done) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Where the next at sign is, in any of its forms.
fn next_at(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let starts = |it: char| matches!(it, '@' | '%' | '\u{ff20}' | '\u{fe6b}');
    let fits = |at: &usize| rest.get(*at..).is_some_and(|it| AT.iter().any(|form| it.starts_with(form)));
    rest.match_indices(starts).map(|(at, _)| at).find(fits).map(|it| from + it)
}

/// Where the local part begins that ends this text. A quoted one may hold anything but its quotes.
fn word_start(before: &str, quotes: Quotes) -> usize {
    let bare = || before.rfind(ends_word).map_or(0, |it| it + char_len(before, it));
    let Some(inner) = before.strip_suffix('"') else { return bare() };
    let (inner, escaped) = inner.strip_suffix('\\').map_or((inner, false), |it| (it, true));
    if quotes == Quotes::Escaped && !escaped {
        return before.len();
    }
    let quote = inner.char_indices().rev().take(QUOTED_LIMIT).find(|(_, it)| *it == '"').map(|(at, _)| at);
    let Some(quote) = quote else { return inner.len() };
    let opening = inner.get(..quote).unwrap_or_default();
    let backslashes = opening.len() - opening.trim_end_matches('\\').len();
    match (backslashes % 2, quotes) {
        (1, _) => quote - 1,
        (_, Quotes::Any) => quote,
        // The quote that begins this JSON string; the local part has none.
        (_, Quotes::Escaped) => inner.len(),
    }
}

fn find_from(text: &str, from: usize, ends: impl Fn(char) -> bool) -> usize {
    text.get(from..).and_then(|it| it.find(ends)).map_or(text.len(), |it| from + it)
}

fn char_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|it| it.chars().next()).map_or(0, char::len_utf8)
}

/// Characters that no unquoted address holds (RFC 5322 section 3.2.3). A colon may stand before one and belongs to it:
/// `user:password@host` is no address, but as secret.
fn ends_word(it: char) -> bool {
    it.is_whitespace() || it.is_control() || matches!(it, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"' | '\\')
}

/// Characters that end a URL. Few, for a password may hold what should have been encoded.
fn ends_url(it: char) -> bool {
    it.is_whitespace() || it.is_control() || matches!(it, '<' | '>' | '"' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("storing failed for {0}")]
    struct Outer(&'static str, #[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connecting to {0}\nfailed")]
    struct Inner(&'static str);

    #[test]
    fn a_chain_is_one_scrubbed_line() {
        let error = Outer("jane@example.org", Inner("postgres://rebound:s3 cret@db/x"));
        assert_eq!(chain(&error), "storing failed for [address]: connecting to postgres://rebound:s3 [address] failed");
        let error = Outer("nobody", Inner("postgres://rebound:a@b@db/x"));
        assert_eq!(chain(&error), "storing failed for nobody: connecting to postgres://[redacted] failed");
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Telling(#[source] Inner);
        assert_eq!(chain(&Telling(Inner("x"))), "outer: connecting to x failed");
    }

    #[test]
    fn a_chain_is_bounded() {
        assert_eq!(chain(&std::io::Error::other("a".repeat(1_000_000))).chars().count(), CHAIN_LIMIT + 1);
    }

    #[test]
    fn whatever_looks_like_an_address_is_hidden() {
        for (text, scrubbed) in [
            ("nothing here, 50% off", "nothing here, 50% off"),
            ("to jane@example.org: 550 no", "to [address]: 550 no"),
            ("<jane@example.org>,joe@example.org;x", "<[address]>,[address];x"),
            ("\"jane doe\"@example.org gone", "[address] gone"),
            (r#"{"error":"\"jane doe\"@example.org gone"}"#, r#"{"error":"[address] gone"}"#),
            (r#"said \"jane doe\"@example.org"#, "said [address]"),
            ("bounce+jane=example.org@verp.example", "[address]"),
            ("o'brien{x}@example.org", "[address]"),
            ("jos\u{e9}@b\u{fc}cher.example!", "[address]"),
            ("/v1/addresses/jane%40example.org?x=1 404", "[address] 404"),
            ("jane\u{ff20}example.org", "[address]"),
            ("guest:guest@localhost", "[address]"),
            ("GET https://x.example/check?address=jane@example.org now", "GET https://[redacted] now"),
            (" @ ", " [address] "),
            ("@", "[address]"),
            ("a@b@c", "[address]"),
            ("100%25 of j…@example.org", "100%25 of [address]"),
        ] {
            assert_eq!(scrub(text), scrubbed, "{text}");
        }
    }

    #[test]
    fn a_line_keeps_what_is_redacted_already() {
        let scrubbed = |it| scrub_line(it, Quotes::Any).into_owned();
        assert_eq!(scrubbed("for j…@example.org and jane@example.org"), "for j…@example.org and [address]");
        assert_eq!(scrubbed("for j…@example.org@jane"), "for [address]");
    }

    #[test]
    fn a_long_text_is_read_once() {
        let text = format!("{}\"@", "\"".repeat(2_000_000));
        assert!(scrub(&text).ends_with(ADDRESS));
        let text = "://a@".repeat(400_000);
        assert_eq!(scrub(&text), "://[redacted]");
    }

    proptest::proptest! {
        #[test]
        fn no_at_sign_survives(text in "(\\PC|[@%40:/\"\\\\ \n]){0,60}") {
            let scrubbed = scrub(&text).into_owned();
            for form in AT {
                proptest::prop_assert!(!scrubbed.contains(form), "{}", scrubbed);
            }
            proptest::prop_assert_eq!(scrub(&scrubbed), scrubbed.clone());
        }

        #[test]
        fn no_part_of_an_address_survives(before in "[^@]{0,10}[ <,(]", local in "[a-z]{3,9}[.+=_a-z0-9]{3,9}", domain in "[a-z]{3,9}[.]example", after in "([ >,)].{0,10})?") {
            let text = format!("{before}{local}@{domain}{after}");
            let scrubbed = scrub(&text).into_owned();
            proptest::prop_assert!(!scrubbed.contains(&local) && !scrubbed.contains(&domain), "{}", scrubbed);
        }

        #[test]
        fn a_json_line_stays_one(value in "\\PC{0,9}[\"\\\\a ]{0,5}(@|\"@|%40|://a:\"@|\\\\@)[\"\\\\b ]{0,5}\\PC{0,9}") {
            let line = serde_json::json!({ "message": value, "next": "x" }).to_string();
            let scrubbed = scrub_line(&line, Quotes::Escaped).into_owned();
            let parsed: serde_json::Value = serde_json::from_str(&scrubbed).unwrap_or_default();
            proptest::prop_assert_eq!(parsed["next"].as_str(), Some("x"), "{} {}", line, scrubbed);
        }
    }
}
