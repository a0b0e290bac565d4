//! Azure Communication Services, by way of Event Grid. Nothing is signed: what proves a post is a secret in the address or
//! in a delivery header.
//!
//! What this one does differently: it comes in two schemas and three shapes. Event Grid's own is an array of events;
//! `CloudEvents` 1.0 is one event (structured mode), an array of them (batch) or, in binary mode, a bare `data` with the
//! rest in `ce-` headers, which is written back into one event for the receipt. Before anything comes, the address is
//! asked: by an event that wants its code back, answered with exactly 200, or by `OPTIONS` (`CloudEvents` webhooks section
//! 4), and neither is answered without the secret.
//!
//! 400 and 413 end a post for good, everything else but 200 to 204 comes again for a day.

mod cloudevents;
mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::batch;
use crate::esp::{Answer, Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event or an array of events of Event Grid (JSON)";

/// Azure Communication Services.
#[derive(Debug)]
pub struct Azure;

impl Provider for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn handshake(&self, post: &Unverified<'_>, credentials: &Credentials) -> Result<Option<Answer>, Refusal> {
        let origin = post.header("webhook-request-origin").filter(|it| is_origin(it));
        let ("OPTIONS", Some(origin)) = (post.method, origin) else { return Ok(None) };
        credentials.transport_required(post)?;
        let headers =
            vec![("webhook-allowed-origin", origin.to_owned()), ("webhook-allowed-rate", "*".to_owned()), ("allow", "POST".to_owned())];
        Ok(Some(Answer { headers, ..Answer::ok() }))
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        batch::events(&cloudevents::structured(post)?, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        match cloudevents::structured(post) {
            Ok(bytes) => Content { media_type: "application/json".into(), bytes },
            Err(_) => Content { media_type: "application/json".into(), bytes: post.body.into() },
        }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let mut code = None;
        let body = cloudevents::structured(post.post());
        let events = body.as_ref().map_err(Clone::clone).and_then(|it| batch::events(it, EXPECTED));
        let decoded = match events {
            Ok(events) => {
                batch::decode("azure", events.iter().map(|it| it.get()), |event, notes| payload::meaning(event, &mut code, notes))
            }
            Err(refusal) => return Decoded::unreadable("azure", &refusal),
        };
        Decoded { answer: code.map_or_else(Answer::ok, |it| validated(&it)), ..decoded }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{time}");
        Ok(Sample::json(
            &json!([{"id": id, "topic": "rebound-test", "subject": "rebound-test", "dataVersion": "1.0", "metadataVersion": "1",
            "eventType": "Microsoft.Communication.EmailDeliveryReportReceived", "eventTime": time,
            "data": {"recipient": TEST_RECIPIENT, "messageId": id, "status": "Bounced", "deliveryAttemptTimeStamp": time,
                "deliveryStatusDetails": {"statusMessage": "550 5.1.1 no such user (test)"}}}]),
        ))
    }
}

/// The answer to a validation event: its code, by which Event Grid knows that somebody here wants the events.
fn validated(code: &str) -> Answer {
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer { headers, body: json!({"validationResponse": code}).to_string().into_bytes(), ..Answer::ok() }
}

/// Whether the text is the name of a host, which may be given back in a header.
fn is_origin(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:".contains(&it))
}
