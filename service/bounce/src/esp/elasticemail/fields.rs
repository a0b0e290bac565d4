//! The fields of an event, wherever they stand.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::esp::Unverified;
use crate::esp::credentials::path_and_query;
use crate::esp::form::{Plus, decoded, pairs};

/// Every field that an event has. Nothing else of a query is kept: a secret may stand in it under any name.
const NAMES: [&str; 13] = [
    "from",
    "to",
    "date",
    "subject",
    "status",
    "channel",
    "account",
    "category",
    "messageid",
    "messageidencoded",
    "transaction",
    "target",
    "postback",
];

/// The form or JSON that says everything: the body, or the fields of the query as they came.
pub(super) fn text<'a>(post: &Unverified<'a>) -> Cow<'a, [u8]> {
    if post.method != "GET" && !post.body.trim_ascii().is_empty() {
        return Cow::Borrowed(post.body);
    }
    let (_, query) = path_and_query(post.url);
    let known = query.split('&').filter(|it| name_of(it.split_once('=').map_or(it.as_bytes(), |(name, _)| name.as_bytes())).is_some());
    Cow::Owned(known.collect::<Vec<_>>().join("&").into_bytes())
}

pub(super) fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().strip_prefix(b"\xef\xbb\xbf").unwrap_or(text.trim_ascii_start()).first(), Some(b'{' | b'['))
}

/// The event in a form, as an object; `None` where there is no field of one. Of a field that is there twice the first
/// counts; one that is not UTF-8 is left out.
pub(super) fn event(form: &[u8]) -> Option<Value> {
    let mut event = Map::new();
    for (name, value) in pairs(form.trim_ascii(), Plus::Blank) {
        let Some(name) = name_of(&name) else { continue };
        if let (false, Ok(value)) = (event.contains_key(name), String::from_utf8(value.into_owned())) {
            event.insert(name.to_owned(), Value::String(value));
        }
    }
    (!event.is_empty()).then_some(Value::Object(event))
}

fn name_of(encoded: &[u8]) -> Option<&'static str> {
    let name = decoded(encoded, Plus::Blank);
    NAMES.into_iter().find(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}
