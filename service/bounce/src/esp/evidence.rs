//! What posts carry of the receiver's words and of the message, in the forms that providers share.

use std::collections::BTreeMap;

use crate::esp::json::{Json, Notes};
use crate::limits;
use crate::report::Report;

/// What the other side said, as far as a post carries it.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// An enhanced status code (RFC 3463).
    pub(super) status: Option<String>,
    /// A reply code stated on its own; else it is taken from the beginning of the text.
    pub(super) reply: Option<String>,
    /// The text of the reply, with or without a type before it (`smtp; …`).
    pub(super) text: Option<String>,
}

/// Puts the other side's words into a report.
pub(super) fn with_words(report: Report, words: &Words, notes: &mut Notes) -> Report {
    let status = words.status.as_deref().and_then(|it| it.split_whitespace().next()?.parse().ok());
    if words.status.is_some() && status.is_none() {
        notes.add("a status is no enhanced status code (RFC 3463) and was left out");
    }
    let (diagnostic_type, text) = words.text.as_deref().map(without_type).unzip();
    let begins = || text.and_then(|it| it.split([' ', '-']).next()?.parse().ok());
    Report {
        status,
        reply: words.reply.as_deref().and_then(|it| it.parse().ok()).or_else(begins),
        diagnostic_type: diagnostic_type.flatten(),
        diagnostic: text.filter(|it| !it.is_empty()).map(str::to_owned),
        ..report
    }
}

/// Tags and custom fields, by name: those of an object, or of a list of objects with `name` and `value`; of a list of texts,
/// or a text alone, the first, as `tag`.
pub(super) fn tag_hints(all: &[Json<'_>]) -> BTreeMap<String, String> {
    let mut hints = BTreeMap::new();
    for tags in all {
        let named = tags.entries().filter_map(|(name, value)| Some((hint(name), hint(&value.items().find_map(Json::own_text)?))));
        let pairs = tags.items().filter_map(|it| Some((hint(&it.text("name")?), hint(&it.text("value")?))));
        let named = named.chain(pairs.filter(|_| tags.entries().next().is_none()));
        let first = tags.items().find_map(Json::own_text).map(|it| ("tag".to_owned(), hint(&it)));
        hints.extend(named.chain(first).take(limits::POST_HINTS));
    }
    hints
}

/// Splits `smtp; 550 5.1.1 …` (RFC 3464 section 2.1.2) into its type in lower case and the rest. Only what is known for a type
/// is one: `Blocked; see …` is text.
pub(super) fn without_type(text: &str) -> (Option<String>, &str) {
    const TYPES: [&str; 7] = ["smtp", "esmtp", "lmtp", "http", "dns", "unix", "x400"];
    let Some((kind, rest)) = text.split_once(';') else { return (None, text) };
    let kind = kind.trim().to_ascii_lowercase();
    let private = kind.starts_with("x-") && kind.len() <= 40 && kind.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    if private || TYPES.contains(&kind.as_str()) { (Some(kind), rest.trim()) } else { (None, text) }
}

/// The identifier of a List-Id field (RFC 2919 section 2): what stands in the last angle brackets, else all.
pub(super) fn list_id(value: &str) -> Option<String> {
    let id = value.rsplit_once('<').and_then(|(_, it)| it.split_once('>')).map_or(value, |(it, _)| it).trim();
    (!id.is_empty() && id.len() <= 255).then(|| id.to_ascii_lowercase())
}

/// A Message-ID without its angle brackets.
pub(super) fn bare_message_id(text: &str) -> Option<String> {
    let id = text.split_once('<').and_then(|(_, it)| it.split_once('>')).map_or(text, |(it, _)| it);
    id.split_whitespace().next().map(hint)
}

/// Text of a tag or header, cut to what is kept of one.
pub(super) fn hint(text: &str) -> String {
    text.get(..text.floor_char_boundary(limits::POST_HINT_BYTES)).unwrap_or_default().replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_known_type_is_taken_off_a_diagnostic() {
        let of = |text: &str| {
            let (kind, rest) = without_type(text);
            (kind, rest.to_owned())
        };
        assert_eq!(of("smtp;550 no"), (Some("smtp".to_owned()), "550 no".to_owned()));
        assert_eq!(of(" X-Postfix ; unknown user; sorry"), (Some("x-postfix".to_owned()), "unknown user; sorry".to_owned()));
        for text in ["Blocked; see https://example.org", "550 no; x", ";", "", "x-é; y"] {
            assert_eq!(of(text), (None, text.to_owned()));
        }
    }

    #[test]
    fn tags_come_as_an_object_as_pairs_or_as_a_list() {
        let of = |tags: serde_json::Value| tag_hints(&[Json::new(&tags)]).into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of(json!({"a": "x", "b": 7, "c": ["y", "z"], "d": null, "e": {}})), [pair("a", "x"), pair("b", "7"), pair("c", "y")]);
        assert_eq!(of(json!([{"name": "a", "value": "x"}, {"name": "b"}, {"name": "c", "value": 7}])), [pair("a", "x"), pair("c", "7")]);
        assert_eq!([of(json!(["first", "second"])), of(json!("first"))], [[pair("tag", "first")], [pair("tag", "first")]]);
        assert_eq!(of(json!(null)), []);
    }
}
