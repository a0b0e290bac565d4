//! Cloudflare Email Service, which has no webhook: its events go to a queue, and a Worker of the operator's posts them here. A
//! second Worker may post the mail that Email Routing receives for a bounce address. Both are in docs/sources.md.
//!
//! What this one does differently: two things come to one source, told apart by their content type. An event (JSON, alone or
//! in an array) is as good as the credential it comes with. A mail (`message/rfc822`) is only as good as whoever wrote
//! it, so what it says stays unattributed. The Workers are ours: they try again on anything but 2xx, 400, 413 and 415.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, form, mime};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of Cloudflare Email Service or an array of them (JSON)";

/// Cloudflare Email Service and Email Routing.
#[derive(Debug)]
pub struct Cloudflare;

impl Provider for Cloudflare {
    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        if is_mail(post) {
            mime::message(post)?;
            return Ok(Proof::of(Attribution::Unattributed));
        }
        batch::events(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        if is_mail(post.post()) {
            return mime::read(post.post().body);
        }
        match batch::events(post.post().body, EXPECTED) {
            Ok(events) => batch::decode(self.name(), events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable(self.name(), &refusal),
        }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{time}");
        Ok(Sample::json(
            &json!({"type": "cf.email.sending.message.bounced", "source": {"type": "email.sending", "domain": "rebound.invalid"},
            "payload": {"eventId": id, "messageId": id, "recipient": TEST_RECIPIENT, "terminal": true,
                "delivery": {"status": "bounced", "smtpStatusCode": "550", "smtpEnhancedStatusCode": "5.1.1",
                    "smtpResponse": "550 5.1.1 no such user (test)"},
                "bounce": {"type": "hard", "classification": "invalid_recipient", "reason": "no such user (test)"}},
            "metadata": {"eventSchemaVersion": 1, "eventTimestamp": time}}),
        ))
    }
}

fn is_mail(post: &Unverified<'_>) -> bool {
    form::media_type(post.header("content-type").unwrap_or_default()).starts_with("message/")
}
