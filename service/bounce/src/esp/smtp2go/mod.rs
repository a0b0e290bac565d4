//! SMTP2GO: one event by post, as JSON or as a form, as each webhook is set.
//!
//! What this one does differently: nothing is signed. Which of the two forms a body has is told by its first byte, for the
//! content type is not always right; once read, both are the same. Hard or soft stands in a field of its own, and the
//! command that the receiver answered in another (`context`).

mod payload;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::json;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::batch;
use crate::esp::form;
use crate::esp::{Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of SMTP2GO (JSON or a form)";

/// SMTP2GO.
#[derive(Debug)]
pub struct Smtp2Go;

impl Provider for Smtp2Go {
    fn name(&self) -> &'static str {
        "smtp2go"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        batch::events(&as_json(post)?, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    /// A form of parts cannot be read without its boundary, which a receipt does not keep; it is kept as JSON.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        match as_json(post) {
            Ok(json) if is_multipart(post) => Content { media_type: Cow::Borrowed("application/json"), bytes: json },
            _ => Content {
                media_type: Cow::Borrowed(post.header("content-type").unwrap_or("application/json")),
                bytes: Cow::Borrowed(post.body),
            },
        }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let read = |body: &[u8]| {
            let events = batch::events(body, EXPECTED)?;
            Ok(batch::decode("smtp2go", events.iter().map(|it| it.get()), payload::meaning))
        };
        as_json(post.post()).and_then(|it| read(&it)).unwrap_or_else(|refusal| Decoded::unreadable("smtp2go", &refusal))
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        Ok(Sample::json(
            &json!({"event": "bounce", "bounce": "hard", "time": time, "sendtime": time, "rcpt": TEST_RECIPIENT, "recipients": [TEST_RECIPIENT],
            "email_id": format!("rebound-test-{time}"), "host": "mx.rebound.invalid [192.0.2.1]", "context": format!("RCPT TO:<{TEST_RECIPIENT}>"),
            "message": "550 5.1.1 no such user (test)"}),
        ))
    }
}

fn is_multipart(post: &Unverified<'_>) -> bool {
    form::media_type(post.header("content-type").unwrap_or_default()) == "multipart/form-data"
}

/// The body as JSON: a form becomes an object of texts, in which the first of several fields of one name counts.
fn as_json<'a>(post: &Unverified<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let malformed = |found: &str| Refusal::Malformed { expected: EXPECTED, found: found.to_owned() };
    let text = post.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(post.body).trim_ascii_start();
    if text.is_empty() || text.starts_with(b"{") || text.starts_with(b"[") {
        return Ok(Cow::Borrowed(post.body));
    }
    let mut fields = Map::new();
    let mut add = |name: &[u8], value: &[u8]| {
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        fields.entry(text(name)).or_insert_with(|| Value::from(text(value)));
    };
    if is_multipart(post) {
        let parts = form::parts(post.header("content-type").unwrap_or_default(), post.body).map_err(malformed)?;
        for part in &parts {
            add(part.name.as_deref().unwrap_or_default().as_bytes(), part.body);
        }
    } else {
        for (name, value) in form::fields(post.body).map_err(malformed)? {
            add(&name, &value);
        }
    }
    if !fields.contains_key("event") {
        return Err(malformed("it is neither JSON nor a form with a field `event`"));
    }
    Ok(Cow::Owned(Value::Object(fields).to_string().into_bytes()))
}
