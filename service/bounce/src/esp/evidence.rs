//! What posts carry of the receiver's words and of the message, in the forms that providers share.

use std::collections::BTreeMap;

use crate::esp::json::{self, Json, Notes};
use crate::kind::{BounceType, Kind};
use crate::limits;
use crate::report::{Claim, Report};
use crate::status::{Class, EnhancedStatus};

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

/// Whether the words leave it to a label to say that the address is bad: no enhanced status that tells, neither apart nor
/// in the text, and no reply that as a rule means a full mailbox (552) or a policy (554).
pub(super) fn is_open(words: &Words) -> bool {
    let text = words.text.as_deref().unwrap_or_default();
    let in_text = text.split(|it: char| !it.is_ascii_digit() && it != '.').map(|it| it.trim_end_matches('.'));
    let mut statuses = words.status.as_deref().into_iter().chain(in_text).filter_map(|it| it.parse::<EnhancedStatus>().ok());
    let says_little =
        |it: EnhancedStatus| it.class == Class::Permanent && (it.subject == 0 || matches!(it.subject, 1 | 5) && it.detail == 0);
    let reply: Option<u16> = words.reply.as_deref().and_then(|it| it.parse().ok()).or_else(|| leading_code(text));
    statuses.all(says_little) && reply.is_none_or(|it| (500..600).contains(&it) && !matches!(it, 552 | 554))
}

/// The number that a text begins with, type left aside.
fn leading_code(text: &str) -> Option<u16> {
    without_type(text).1.split([' ', '-']).next()?.parse().ok()
}

/// Withdraws a label's word that an address is bad for good where the receiver's words tell more, so that those decide: many
/// providers call every 5xx hard, a full mailbox among them.
pub(super) fn weighed(report: Report) -> Report {
    let is_hard = report.kind == Kind::Bounce && report.claim.is_some_and(|it| it.bounce_type == Some(BounceType::Hard));
    let words = Words {
        status: report.status.map(|it| it.to_string()),
        reply: report.reply.map(|it| it.code().to_string()),
        text: report.diagnostic.clone(),
    };
    if !is_hard || is_open(&words) {
        return report;
    }
    let reason = report.claim.and_then(|it| it.reason);
    Report { claim: reason.map(|it| Claim { bounce_type: None, reason: Some(it) }), ..report }
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

/// What a sender packed into one custom field: the entries of an object, or of an object written as text; any other text
/// under the name of the field.
pub(super) fn packed_hints(name: &str, value: Json<'_>) -> BTreeMap<String, String> {
    if value.is_object() {
        return tag_hints(&[value]);
    }
    let Some(text) = value.own_text() else { return BTreeMap::new() };
    match json::parse(text.as_bytes()) {
        Ok(packed) if packed.is_object() => tag_hints(&[Json::new(&packed)]),
        _ => BTreeMap::from([(hint(name), hint(&text))]),
    }
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

    #[test]
    fn a_label_decides_only_where_the_receiver_says_nothing() {
        let of = |status: &str, reply: &str, text: &str| {
            let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
            is_open(&Words { status: some(status), reply: some(reply), text: some(text) })
        };
        for (status, reply, text) in [
            ("", "", ""),
            ("5.0.0", "550", "no"),
            ("", "", "smtp; 550 no"),
            ("5.1.0", "", "550-5.5.0 no"),
            ("x", "", "version 12.1.1.9 of 2026.01"),
        ] {
            assert!(of(status, reply, text), "{status} {reply} {text}");
        }
        for (status, reply, text) in [
            ("5.1.1", "", ""),
            ("4.0.0", "", ""),
            ("5.7.0", "550", ""),
            ("", "", "550-5.7.1 no"),
            ("", "550", "(#5.2.2)."),
            ("", "554", ""),
            ("", "", "smtp; 552 no"),
            ("", "451", ""),
        ] {
            assert!(!of(status, reply, text), "{status} {reply} {text}");
        }
    }

    #[test]
    fn a_custom_field_is_unpacked_where_it_is_json() {
        let of = |value: serde_json::Value| packed_hints("custom", Json::new(&value));
        let list = BTreeMap::from([("list".to_owned(), "weekly".to_owned())]);
        assert_eq!((of(json!({"list": "weekly"})), of(json!("{\"list\":\"weekly\"}"))), (list.clone(), list));
        assert_eq!(of(json!("some text")), BTreeMap::from([("custom".to_owned(), "some text".to_owned())]));
        assert_eq!(of(json!(7)), BTreeMap::from([("custom".to_owned(), "7".to_owned())]));
        assert!([json!(""), json!(null), json!([1]), json!({"a": {}})].map(of).iter().all(BTreeMap::is_empty));
    }
}
