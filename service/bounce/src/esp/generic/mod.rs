//! Our own format, for whatever has none of its own: a newsletter system, a script, an MTA's hook. JSON, one event or an
//! array of them, by `POST`. It is proved by Standard Webhooks where `secrets` are configured, so whoever posts may use
//! any library for that scheme; else by a password, a token or a secret in the address.
//!
//! What this one does differently: it names its event types as this service names its kinds, and a field that cannot be
//! read is told in a note, for whoever wrote it can mend it. The fields of listmonk's bounce API are understood as well.
//! `docs/sources.md` describes the format field by field.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, standard};
use crate::limits;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event or an array of events (JSON)";

/// Our own format.
#[derive(Debug)]
pub struct Generic;

impl Provider for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn has_global_ids(&self) -> bool {
        false
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refusal> {
        standard::check_secrets(credentials)
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal> {
        let signed = !credentials.secrets.is_empty();
        let attribution = credentials.signed_or_transport(post, signed, || standard::check(post, credentials, now))?;
        events(post.body)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match events(post.post().body) {
            Ok(events) => batch::decode("generic", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("generic", &refusal),
        }
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{}", now.unix_timestamp());
        let mut sample = Sample::json(&json!({"event_id": id, "type": "hard_bounce", "recipient": TEST_RECIPIENT, "timestamp": time,
            "smtp_code": 550, "enhanced_status": "5.1.1", "diagnostic": "550 5.1.1 no such user (test)"}));
        if let Some(secret) = credentials.secrets.first() {
            sample.headers.extend(standard::sign(secret, &id, now, &sample.body)?);
        }
        Ok(sample)
    }
}

/// The events of a body.
fn events(body: &[u8]) -> Result<Vec<&RawValue>, Refusal> {
    let events = batch::events(body, EXPECTED)?;
    if events.len() > limits::GENERIC_EVENTS { Err(Refusal::TooMany(limits::GENERIC_EVENTS)) } else { Ok(events) }
}
