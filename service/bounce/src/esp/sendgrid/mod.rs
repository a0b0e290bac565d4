//! Twilio `SendGrid`: the Event Webhook, and mail that its Inbound Parse posts.
//!
//! Events come as a JSON array, signed with ECDSA over the time in a header and the raw body (line breaks and all). The
//! signature has no window: `SendGrid` gives none, a retry may carry the time of the first attempt, and an event that comes
//! twice changes nothing. Custom arguments are laid flat into the event, beside its own fields, so anything may be there.
//! Whatever is not answered 2xx comes again for a day, so no status makes it stop.
//!
//! Inbound Parse posts a form: the message as it was, or taken apart. Whoever brings a mail did not write it, so what it
//! says stays unattributed. These posts are signed only where a security policy is attached to them; where they are not,
//! the source needs something else that proves them, even where it has a key for its events.

mod inbound;
mod payload;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use serde_json::json;
use time::OffsetDateTime;

use crate::esp::credentials::BASE64;
use crate::esp::{
    Content, Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified,
};
use crate::esp::{batch, form, mime, public_key};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an array of events (JSON)";
/// Where the signature is.
const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
/// Where the time is that was signed.
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// Twilio `SendGrid`.
#[derive(Debug)]
pub struct SendGrid;

/// What a post brings.
enum Brings {
    Events,
    /// A form of Inbound Parse.
    Mail,
    /// A mail out of a receipt.
    Message,
}

fn brings(post: &Unverified<'_>) -> Brings {
    match form::media_type(post.header("content-type").unwrap_or_default()).as_str() {
        "multipart/form-data" => Brings::Mail,
        "message/rfc822" => Brings::Message,
        _ => Brings::Events,
    }
}

impl Provider for SendGrid {
    fn name(&self) -> &'static str {
        "sendgrid"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["public_keys", "basic", "bearer", "header", "url_secret"]
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refusal> {
        public_key::are_p256(&credentials.public_keys)
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.public_keys.is_empty();
        match brings(post) {
            Brings::Events => {
                let attribution = credentials.signed_or_transport(post, has_key, || signed(post, credentials))?;
                events(post.body)?;
                Ok(Proof::of(attribution))
            }
            Brings::Mail => {
                let is_signed = post.header(SIGNATURE).is_some() || !credentials.has_transport();
                credentials.signed_or_transport(post, has_key && is_signed, || signed(post, credentials))?;
                inbound::message(post)?;
                Ok(Proof::of(Attribution::Unattributed))
            }
            Brings::Message => Err(Refusal::MediaType("application/json, multipart/form-data")),
        }
    }

    /// Of Inbound Parse the message alone.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let message = if matches!(brings(post), Brings::Mail) { inbound::message(post).ok() } else { None };
        match message {
            Some(bytes) => Content { media_type: Cow::Borrowed("message/rfc822"), bytes },
            None => Content { media_type: Cow::Borrowed("application/json"), bytes: Cow::Borrowed(post.body) },
        }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let post = post.post();
        match brings(post) {
            Brings::Message => mime::read(post.body),
            Brings::Mail => inbound::message(post).map_or_else(|it| Decoded::unreadable("sendgrid", &it), |it| mime::read(&it)),
            // An event that was set aside is one alone.
            Brings::Events => match batch::events(post.body, EXPECTED) {
                Ok(events) => batch::decode("sendgrid", events.iter().map(|it| it.get()), payload::meaning),
                Err(refusal) => Decoded::unreadable("sendgrid", &refusal),
            },
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["example@test.com", "hello@world.com"]
    }

    /// An event; of a source with a key, whose events only `SendGrid` signs, a mail by Inbound Parse instead.
    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        match (credentials.public_keys.is_empty(), credentials.has_transport()) {
            (false, false) => Err(NoSample::OnlyProviderSigns),
            (false, true) => Ok(inbound::sample(now)),
            (true, _) => Ok(Sample::json(&json!([{
                "email": TEST_RECIPIENT, "timestamp": now.unix_timestamp(), "event": "bounce", "type": "bounce", "status": "5.1.1",
                "reason": "550 5.1.1 no such user (test)", "bounce_classification": "Invalid Address",
                "sg_event_id": format!("rebound-test-{}", now.unix_timestamp_nanos()),
            }]))),
        }
    }
}

/// The events of a post: always an array, also of one.
fn events(body: &[u8]) -> Result<(), Refusal> {
    batch::events(body, EXPECTED)?;
    match body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().first() {
        Some(b'[') => Ok(()),
        _ => Err(Refusal::Malformed { expected: EXPECTED, found: "it is an object, not an array".to_owned() }),
    }
}

fn signed(post: &Unverified<'_>, credentials: &Credentials) -> Result<(), Refusal> {
    let signature = post.sole_header(SIGNATURE, Credential::Signature)?;
    let time = post.sole_header(TIMESTAMP, Credential::Signature)?;
    let signature = BASE64.decode(signature.trim()).map_err(|_| Refusal::Mismatch(Credential::Signature))?;
    public_key::check_p256(&credentials.public_keys, &[time.as_bytes(), post.body].concat(), &signature)
}
