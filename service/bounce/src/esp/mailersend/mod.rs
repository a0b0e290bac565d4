//! `MailerSend` (<https://developers.mailersend.com/api/v1/webhooks.html>). One event a post, signed over the raw body with no
//! time in it: a post that is sent again is believed again, and changes nothing.
//!
//! What this one does differently: when a webhook is saved, `MailerSend` calls it with a test event that is signed with a
//! secret that everybody knows. That proves nothing, and is taken for this one event only, of which nothing is recorded;
//! a source can thus be made before its secret is known. After ten failures within a day `MailerSend` warns, after twenty it
//! pauses the webhook: so nothing is refused that might be stored.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::json::{self, Json};
use crate::esp::mac::{self, Hash};
use crate::esp::{
    Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified, batch,
};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of MailerSend (a JSON object with type and data)";
/// The header with the signature.
const SIGNATURE: &str = "signature";
/// What the test call is signed with, as `MailerSend` publishes it.
const TEST_SECRET: &str = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G";
/// The type of the test call.
const TEST_EVENT: &str = "webhook.test";

/// `MailerSend`.
#[derive(Debug)]
pub struct MailerSend;

impl Provider for MailerSend {
    fn name(&self) -> &'static str {
        "mailersend"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.secrets.is_empty();
        let signature = || mac::check_hex_header(post, SIGNATURE, &credentials.secrets);
        let attribution = match credentials.signed_or_transport(post, has_key, signature) {
            Err(Refusal::Mismatch(Credential::Signature)) if is_test_call(post) => Attribution::Unattributed,
            other => other?,
        };
        batch::one(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::one(post.post().body, EXPECTED) {
            Ok(events) => batch::decode("mailersend", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("mailersend", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["@bounce-test.mailersend.net"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{}", now.unix_timestamp());
        let mut sample = Sample::json(&json!({"type": "activity.hard_bounced", "created_at": time, "data": {
            "object": "activity", "id": id, "type": "hard_bounced", "created_at": time,
            "email": {"object": "email", "status": "rejected", "message": {"object": "message", "id": id}, "recipient": {"object": "recipient", "email": TEST_RECIPIENT}},
            "morph": {"object": "recipient_bounce", "reason": "550 5.1.1 no such user (test)"}}}));
        if let Some(secret) = credentials.secrets.first().filter(|it| !it.is_empty()) {
            let mac = mac::sign(Hash::Sha256, secret.as_bytes(), &[&sample.body]);
            sample.headers.push((SIGNATURE.to_owned(), mac::to_hex(&mac)));
        }
        Ok(sample)
    }
}

/// Whether this is the call that a webhook is saved with: that event, signed with the secret that everybody knows.
fn is_test_call(post: &Unverified<'_>) -> bool {
    let signed = mac::check_hex_header(post, SIGNATURE, &[TEST_SECRET.to_owned()]).is_ok();
    signed && json::parse(post.body).is_ok_and(|it| Json::new(&it).word("type") == TEST_EVENT)
}
