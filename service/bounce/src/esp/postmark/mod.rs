//! Postmark: one JSON object by post, about one message or, from an inbound stream, a mail that it received.
//!
//! What this one does differently: nothing is signed, so a password, a header or a secret in the address must prove a
//! post. A bounce says by `Inactive` that Postmark sends to the address no more. A 403 is the only answer that stops it, so
//! that is what a body gets that will never be right; everything else but a 200 comes again for ten hours.
//!
//! A received mail comes taken apart, and is put together again to be read like any other. Whoever may post it did not
//! write it, so what it says is unattributed.

mod inbound;
mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::json::{self, Json};
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, mime};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "a record of Postmark (JSON)";

/// Postmark.
#[derive(Debug)]
pub struct Postmark;

impl Provider for Postmark {
    fn name(&self) -> &'static str {
        "postmark"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        let received = batch::events(post.body, EXPECTED)?.iter().any(|it| is_inbound(it.get()));
        Ok(Proof::of(if received { Attribution::Unattributed } else { attribution }))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let events = match batch::events(post.post().body, EXPECTED) {
            Ok(events) => events,
            Err(refusal) => return Decoded::unreadable("postmark", &refusal),
        };
        if let [event] = events.as_slice()
            && let Some(message) = json::parse(event.get().as_bytes()).ok().and_then(|it| inbound::message(Json::new(&it)))
        {
            return mime::read(&message);
        }
        batch::decode("postmark", events.iter().map(|it| it.get()), payload::meaning)
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["john@example.com"]
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        Ok(Sample::json(
            &json!({"RecordType": "Bounce", "MessageStream": "outbound", "ID": now.unix_timestamp(), "Type": "HardBounce", "TypeCode": 1,
            "MessageID": format!("rebound-test-{time}"), "Details": "smtp;550 5.1.1 no such user (test)", "Email": TEST_RECIPIENT,
            "BouncedAt": time, "Inactive": true, "CanActivate": true}),
        ))
    }

    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        match refusal {
            // Anything else would bring the same body ten times more.
            Refusal::Malformed { .. } | Refusal::TooMany(_) => 403,
            _ => refusal.default_status(),
        }
    }
}

fn is_inbound(event: &str) -> bool {
    json::parse(event.as_bytes()).is_ok_and(|it| inbound::is_mail(Json::new(&it)))
}
