//! Lettermint (<https://docs.lettermint.co/platform/webhooks/introduction>). One event a post.
//!
//! What this one does differently: time and signatures stand in one header, `X-Lettermint-Signature: t=<Unix>,v1=<hex>`.
//! Signed is the time, a dot and the raw body; each attempt is signed anew, so the window is short. Hard and soft are
//! said by the type of the event, and the receiver's reply is passed on in parts.

mod payload;
mod signature;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified, batch};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of Lettermint (a JSON object with id, event, timestamp and data)";

/// Lettermint.
#[derive(Debug)]
pub struct Lettermint;

impl Provider for Lettermint {
    fn name(&self) -> &'static str {
        "lettermint"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.secrets.is_empty();
        let attribution = credentials.signed_or_transport(post, has_key, || signature::check(post, &credentials.secrets, now))?;
        batch::one(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::one(post.post().body, EXPECTED) {
            Ok(events) => batch::decode("lettermint", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("lettermint", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["@testing.lettermint.co"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{}", now.unix_timestamp());
        let mut sample = Sample::json(&json!({"id": id, "event": "message.hard_bounced", "timestamp": time, "data": {
            "message_id": id, "subject": "Test of a source", "recipient": TEST_RECIPIENT,
            "response": {"status_code": 550, "enhanced_status_code": "5.1.1", "content": "no such user (test)"}, "metadata": {}, "tag": null}}));
        if let Some(secret) = credentials.secrets.first().filter(|it| !it.is_empty()) {
            sample.headers.push(signature::sign(secret, now, &sample.body));
        }
        Ok(sample)
    }
}
