//! Resend (<https://resend.com/docs/dashboard/webhooks/introduction>), signed by Svix. One event a post.
//!
//! What this one does differently: an event names all recipients of its message and does not say which of them it is
//! about. So only a message to one recipient can be told, or one whose diagnostic names the address; of any other the
//! event is kept and nobody is blamed. The id of an event stands in a header (`svix-id`) and not in the body; a receipt keeps
//! it as a parameter of the media type.
//!
//! Resend sends by way of Amazon SES, and its types of bounces are those of SES. Svix tries again for more than a day after
//! any answer but a 2xx, and turns an endpoint off after five days: every refusal may be mended within that time.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::{Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, standard};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of Resend (a JSON object with type, created_at and data)";

/// Resend.
#[derive(Debug)]
pub struct Resend;

impl Provider for Resend {
    fn name(&self) -> &'static str {
        "resend"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refusal> {
        standard::check_secrets(credentials)
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.secrets.is_empty();
        let attribution = credentials.signed_or_transport(post, has_key, || standard::check(post, credentials, now))?;
        batch::one(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        standard::content(post)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let id = standard::id(post.post());
        match batch::one(post.post().body, EXPECTED) {
            Ok(events) => {
                batch::decode("resend", events.iter().map(|it| it.get()), |event, notes| payload::meaning(event, id.as_deref(), notes))
            }
            Err(refusal) => Decoded::unreadable("resend", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["@resend.dev"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("msg_rebound_test_{}", now.unix_timestamp());
        let mut sample = Sample::json(&json!({"type": "email.bounced", "created_at": time, "data": {
            "email_id": id, "to": [TEST_RECIPIENT], "subject": "Test of a source", "created_at": time,
            "bounce": {"type": "Permanent", "subType": "NoEmail", "message": "There is no such mailbox (test).",
                "diagnosticCode": ["smtp; 550 5.1.1 no such user (test)"]}}}));
        if let Some(secret) = credentials.secrets.first() {
            let headers = standard::sign(secret, &id, now, &sample.body)?;
            sample.headers.extend(headers.into_iter().map(|(name, value)| (name.replace("webhook-", "svix-"), value)));
        }
        Ok(sample)
    }
}
