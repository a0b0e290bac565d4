//! `SparkPost` (Bird): arrays of `{"msys": {"<class>": {…}}}`, a few hundred at a time, and mail that its inbound domains
//! relay in the same form.
//!
//! What this one does differently: nothing is signed, so a password, a bearer token or a header must prove a post. To see
//! whether an address works it posts `[{"msys":{}}]` and wants exactly a 200. Its bounce classes are its own reading of the
//! receiver's words; one of them (25) only says that `SparkPost` did not try, and the text says why.
//!
//! A relayed mail is read like any other. Whoever brought it did not write it, so a post that holds one is unattributed.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;

use crate::esp::json::{self, Json};
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, mime};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an array of SparkPost's events (JSON)";

/// `SparkPost`.
#[derive(Debug)]
pub struct SparkPost;

impl Provider for SparkPost {
    fn name(&self) -> &'static str {
        "sparkpost"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        let relayed = batch::events(post.body, EXPECTED)?.iter().any(|it| holds_a_mail(it.get()));
        Ok(Proof::of(if relayed { Attribution::Unattributed } else { attribution }))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let events = match batch::events(post.post().body, EXPECTED) {
            Ok(events) => events,
            Err(refusal) => return Decoded::unreadable("sparkpost", &refusal),
        };
        if let [event] = events.as_slice()
            && let Some(message) = json::parse(event.get().as_bytes()).ok().and_then(|it| payload::relayed(Json::new(&it)))
        {
            return mime::read(&message);
        }
        batch::decode("sparkpost", events.iter().map(|it| it.get()), payload::meaning)
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.unix_timestamp().to_string();
        Ok(Sample::json(&json!([{"msys": {"message_event": {"type": "bounce", "bounce_class": "10", "error_code": "550",
            "raw_reason": "550 5.1.1 no such user (test)", "event_id": format!("rebound-test-{time}"), "transmission_id": format!("rebound-test-{time}"),
            "rcpt_to": TEST_RECIPIENT, "raw_rcpt_to": TEST_RECIPIENT, "timestamp": time}}}])))
    }
}

fn holds_a_mail(event: &str) -> bool {
    json::parse(event.as_bytes()).is_ok_and(|it| payload::is_relayed(Json::new(&it)))
}
