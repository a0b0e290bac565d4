//! Brevo (once Sendinblue): one JSON object, or with batched webhooks up to 500.
//!
//! What this one does differently: any 5xx and any 4xx but 429 discards the event for good, and a 429 brings it again four
//! times within eleven hours. So whatever may become right (a password that is configured too late, our own outage) is a
//! 429. Nothing is signed. The `id` is the webhook's and no event's; of the times only `ts_epoch` is UTC for certain.
//!
//! Brevo posts the mail that it receives in the same way, in `items`; that is not understood here, and refused.

mod payload;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::esp::batch;
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event or a batch of events of Brevo (JSON)";

/// Brevo.
#[derive(Debug)]
pub struct Brevo;

impl Provider for Brevo {
    fn name(&self) -> &'static str {
        "brevo"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        events(post.body)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match events(post.post().body) {
            Ok(events) => batch::decode("brevo", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("brevo", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["example@domain.com", "example@gmail.com"]
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.unix_timestamp();
        Ok(Sample::json(
            &json!({"event": "hard_bounce", "email": TEST_RECIPIENT, "message-id": format!("<rebound-test-{time}@rebound.invalid>"),
            "ts_event": time, "ts_epoch": time * 1000, "reason": "550 5.1.1 no such user (test)", "tags": ["rebound-test"]}),
        ))
    }

    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        match refusal {
            Refusal::Malformed { .. } | Refusal::TooMany(_) | Refusal::Method(_) | Refusal::MediaType(_) => refusal.default_status(),
            // Anything else is mended on our side, and until then the event must not be lost.
            _ => 429,
        }
    }

    fn busy_status(&self) -> u16 {
        429
    }
}

/// The events of a body. How a batch looks is documented nowhere: an array is taken, and an object that is no event itself
/// and holds one array.
fn events(body: &[u8]) -> Result<Vec<&RawValue>, Refusal> {
    let events = batch::events(body, EXPECTED)?;
    let [only] = events.as_slice() else { return Ok(events) };
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(only.get()) else { return Ok(events) };
    if fields.contains_key("event") {
        return Ok(events);
    }
    if fields.contains_key("items") {
        let found = "it holds received mail (`items`); this source takes the events of sent mail".to_owned();
        return Err(Refusal::Malformed { expected: EXPECTED, found });
    }
    let mut arrays = fields.values().filter(|it| it.get().starts_with('['));
    match (arrays.next(), arrays.next()) {
        (Some(batch), None) => batch::events(batch.get().as_bytes(), EXPECTED),
        _ => Ok(events),
    }
}
