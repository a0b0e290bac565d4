//! `KumoMTA`, by its log hooks: each record of its delivery log is posted as it is, one alone or an array of them. Its own
//! helper proves nothing; a hook of ours (docs/sources.md) sends a bearer token.
//!
//! What this one does differently: it is a mail server and no provider, so it has the receiver's words in full, and its
//! classification is only another reading of them: it is taken as a reason, and what is hard is left to our own judgement. A
//! record may be about several recipients. Feedback reports name the person who complained inside, and our mailbox as their
//! recipient. There is no id of an event, and stock hooks lose whatever is not answered with 2xx.

mod feedback;
mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::batch;
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "a log record of KumoMTA or an array of them (JSON)";

/// `KumoMTA`.
#[derive(Debug)]
pub struct KumoMta;

impl Provider for KumoMta {
    fn name(&self) -> &'static str {
        "kumomta"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        batch::events(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::events(post.post().body, EXPECTED) {
            Ok(records) => batch::decode(self.name(), records.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable(self.name(), &refusal),
        }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        Ok(Sample::json(&json!({"type": "Bounce", "id": format!("rebound-test-{time}"), "sender": "", "recipient": TEST_RECIPIENT,
            "response": {"code": 550, "enhanced_code": {"class": 5, "subject": 1, "detail": 1}, "content": "no such user (test)", "command": "RCPT TO"},
            "timestamp": now.unix_timestamp(), "event_time": time, "bounce_classification": "InvalidRecipient", "meta": {}, "headers": {}})))
    }
}
