//! The binary mode of `CloudEvents` (HTTP protocol binding section 3.1), brought to the structured one.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::esp::form::{Plus, decoded};
use crate::esp::{Refusal, Unverified, form, json};
use crate::limits;

/// The body with everything in it that the headers say.
///
/// # Errors
/// [`Refusal::Malformed`], where the data of an event in binary mode is no JSON.
pub(super) fn structured<'a>(post: &Unverified<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let in_body = form::media_type(post.header("content-type").unwrap_or_default()).starts_with("application/cloudevents");
    if in_body || post.header("ce-type").is_none() {
        return Ok(Cow::Borrowed(post.body));
    }
    let malformed = |found: String| Refusal::Malformed { expected: super::EXPECTED, found };
    let data = json::text(post.body).map_err(malformed)?;
    serde_json::from_str::<&RawValue>(data).map_err(|it| malformed(json::what(&it)))?;
    let mut attributes = Map::new();
    for (name, value) in post.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce-")?, value))) {
        // Of a header twice, nobody knows which was meant.
        let value = String::from_utf8_lossy(&decoded(value.as_bytes(), Plus::Literal)).into_owned();
        if attributes.insert(name.to_owned(), Value::String(value)).is_some() {
            return Err(malformed("a ce- header is there twice".to_owned()));
        }
    }
    attributes.remove("data");
    if attributes.len() > limits::POST_HINTS {
        return Err(malformed("it has more attributes than an event has".to_owned()));
    }
    let head = Value::Object(attributes).to_string();
    // There is at least the type, so a comma is right.
    let text = format!("{},\"data\":{data}}}", head.trim_end_matches('}'));
    Ok(Cow::Owned(text.into_bytes()))
}
