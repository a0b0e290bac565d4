//! Headers of the message that failed, as far as a provider repeats them: a list of names and values, a list of pairs, or
//! an object. They hold the sender's Message-ID and hint at the list; those that name recipients or tell of the journey
//! are not kept.

use std::collections::BTreeMap;

use crate::esp::evidence::{bare_message_id, hint, list_id};
use crate::esp::json::Json;
use crate::limits;

/// Headers that are no hints.
const NO_HINTS: [&str; 9] = [
    "to",
    "cc",
    "bcc",
    "received",
    "dkim-signature",
    "domainkey-signature",
    "arc-seal",
    "arc-message-signature",
    "arc-authentication-results",
];

/// Headers in JSON, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Headers<'a>(pub(super) Json<'a>);

impl<'a> Headers<'a> {
    /// Names in lower case and what stands with them, in the order they come.
    fn pairs(self) -> impl Iterator<Item = (String, Json<'a>)> {
        let of_object = self.0.entries();
        // Of an object, the items are the object itself: its fields were taken already.
        let items = self.0.items().filter(move |_| self.0.entries().next().is_none());
        let of_list = items.filter_map(|it| {
            let mut pair = it.items();
            let named = it.text("name").or_else(|| it.text("key"));
            let name = named.clone().or_else(|| pair.next()?.own_text())?;
            Some((name, if named.is_some() { it.at("value") } else { pair.next()? }))
        });
        of_object.map(|(name, value)| (name.to_owned(), value)).chain(of_list).map(|(name, value)| (name.to_ascii_lowercase(), value))
    }

    /// The value of the first header of that name (lower case).
    pub(super) fn get(self, name: &str) -> Option<String> {
        self.pairs().find(|(it, _)| it.trim() == name).and_then(|(_, value)| value.items().find_map(Json::own_text))
    }

    /// The sender's Message-ID, without angle brackets.
    pub(super) fn message_id(self) -> Option<String> {
        self.get("message-id").as_deref().and_then(bare_message_id)
    }

    /// The identifier of the mailing list.
    pub(super) fn list_id(self) -> Option<String> {
        self.get("list-id").as_deref().and_then(list_id)
    }

    /// All that may hint at the list, by name.
    pub(super) fn hints(self) -> BTreeMap<String, String> {
        let kept = self.pairs().filter(|(name, _)| !name.is_empty() && !NO_HINTS.contains(&name.as_str()));
        let named = kept.filter_map(|(name, value)| Some((hint(&name), hint(&value.items().find_map(Json::own_text)?))));
        named.take(limits::POST_HINTS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn every_spelling_of_headers_is_read() {
        for headers in [
            json!([{"name": "Message-ID", "value": "<a@example.com>"}, {"name": "LIST-ID", "value": "Weekly <weekly.example.com>"}, {"name": "To", "value": "x"}]),
            json!([{"key": "Message-ID", "value": "<a@example.com>"}, {"key": "List-Id", "value": "<weekly.example.com>"}, {"key": "To", "value": "x"}]),
            json!([["Message-Id", "a@example.com"], ["List-Id", "weekly.example.com"], ["to", "x"]]),
            json!({"message-id": "<a@example.com>", "List-ID": ["<weekly.example.com>", "second"], "To": "x"}),
        ] {
            let found = Headers(Json::new(&headers));
            assert_eq!(found.message_id().as_deref(), Some("a@example.com"), "{headers}");
            assert_eq!(found.list_id().as_deref(), Some("weekly.example.com"), "{headers}");
            assert_eq!(found.hints().keys().collect::<Vec<_>>(), ["list-id", "message-id"], "{headers}");
        }
    }

    #[test]
    fn what_is_no_header_is_left_out() {
        for headers in [
            json!(null),
            json!("Message-ID: x"),
            json!(7),
            json!([]),
            json!([7, null, [], ["alone"], {"value": "x"}, {"name": 1}]),
            json!({"": "x", "message-id": {}}),
        ] {
            let found = Headers(Json::new(&headers));
            assert_eq!((found.message_id(), found.hints().len()), (None, 0), "{headers}");
        }
    }

    #[test]
    fn one_header_more_than_the_limit_is_left_out() {
        let of = |count: usize| {
            let headers: Value = (0..count).map(|it| (format!("x-{it}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
            Headers(Json::new(&headers)).hints().len()
        };
        assert_eq!([of(limits::POST_HINTS), of(limits::POST_HINTS + 1)], [limits::POST_HINTS; 2]);
    }
}
