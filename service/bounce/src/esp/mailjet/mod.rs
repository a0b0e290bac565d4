//! Mailjet: one JSON object, or with grouped events an array of those of the last second, an empty one at times.
//!
//! What this one does differently: nothing is signed, and only a password in the address can prove a post. `hard_bounce` is
//! Mailjet's own view, and goes with full mailboxes as well, so it counts only where the error may be for good. No code
//! comes apart from the text, and events have no id. Everything but a 200 comes again, for a day.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;

use crate::esp::batch;
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event or an array of events of Mailjet (JSON)";

/// Mailjet.
#[derive(Debug)]
pub struct Mailjet;

impl Provider for Mailjet {
    fn name(&self) -> &'static str {
        "mailjet"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        batch::events(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::events(post.post().body, EXPECTED) {
            Ok(events) => batch::decode("mailjet", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("mailjet", &refusal),
        }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.unix_timestamp();
        Ok(Sample::json(&json!([{"event": "bounce", "time": time, "MessageID": time, "Message_GUID": format!("rebound-test-{time}"),
            "email": TEST_RECIPIENT, "hard_bounce": true, "blocked": true, "error_related_to": "recipient", "error": "user unknown",
            "comment": "550 5.1.1 no such user (test)", "CustomID": "", "Payload": ""}])))
    }
}
