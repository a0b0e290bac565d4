//! Mailtrap (<https://docs.mailtrap.io/email-api-smtp/advanced/webhooks>). Several events a post, as `{"events": […]}`, as
//! JSON Lines, or one alone; which of them is seen from the body, for the content type of JSON Lines is not documented.
//!
//! What this one does differently: a `soft bounce` is no end of the matter, Mailtrap goes on trying; so it is a delay.
//! Posts are signed over the raw body with no time in it: one that is sent again is believed again, and changes nothing.
//! Webhooks made before there were signatures come without, and need a password or a token in the address.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::esp::mac::{self, Hash};
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, json};

/// What a body should have been, in refusals.
const EXPECTED: &str = "events of Mailtrap (a JSON object with events, an event, or JSON Lines)";
/// The header with the signature.
const SIGNATURE: &str = "mailtrap-signature";

/// Mailtrap.
#[derive(Debug)]
pub struct Mailtrap;

impl Provider for Mailtrap {
    fn name(&self) -> &'static str {
        "mailtrap"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.secrets.is_empty();
        let signature = || mac::check_hex_header(post, SIGNATURE, &credentials.secrets);
        let attribution = credentials.signed_or_transport(post, has_key, signature)?;
        events(post.body)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match events(post.post().body) {
            Ok(events) => batch::decode("mailtrap", events.into_iter(), payload::meaning),
            Err(refusal) => Decoded::unreadable("mailtrap", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["receiver@example.com"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.unix_timestamp();
        let id = format!("rebound-test-{time}");
        let mut sample = Sample::json(
            &json!({"events": [{"event": "bounce", "email": TEST_RECIPIENT, "timestamp": time, "message_id": id, "event_id": id,
            "response": "550 5.1.1 no such user (test)", "response_code": 550, "bounce_category": "badmailbox", "sending_stream": "transactional"}]}),
        );
        if let Some(secret) = credentials.secrets.first().filter(|it| !it.is_empty()) {
            let mac = mac::sign(Hash::Sha256, secret.as_bytes(), &[&sample.body]);
            sample.headers.push((SIGNATURE.to_owned(), mac::to_hex(&mac)));
        }
        Ok(sample)
    }
}

/// The events of a body, which is JSON as a whole or line by line.
fn events(body: &[u8]) -> Result<Vec<&str>, Refusal> {
    let several = json::text(body).is_ok_and(|it| it.trim().lines().nth(1).is_some() && serde_json::from_str::<&RawValue>(it).is_err());
    if several {
        return batch::lines(body, EXPECTED);
    }
    Ok(batch::enveloped(body, EXPECTED)?.into_iter().map(RawValue::get).collect())
}
