//! Amazon SES, by way of SNS: feedback notifications of an identity and event publishing of a configuration set.
//!
//! SNS signs what it sends, and that proves no more than that somebody's topic sent it; so a source names its topics. With
//! raw message delivery nothing is signed, and another credential must prove the post. A 4xx loses the event for good and
//! a 5xx brings it again for an hour at most: so only what will never be right is refused with a 4xx.
//!
//! There is no replay window on notifications. SNS gives none, a retry carries the time of the first attempt, operators
//! send again what a dead-letter queue kept for days, and a notification that comes twice changes nothing. A confirmation
//! does change something: one older than two hours is not carried out.

pub(super) mod labels;
mod payload;
pub mod sign;
pub(super) mod signature;
#[cfg(test)]
mod tests;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::esp::json::{self, Notes};
use crate::esp::moment::moment;
use crate::esp::ses::payload::{Findings, Publication};
use crate::esp::ses::signature::{Body, Envelope, Type};
use crate::esp::{
    Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Request, Sample, TEST_RECIPIENT, Unverified, Verified,
};
use crate::kind::Attribution;

/// How old a subscription confirmation may be to be carried out: SNS tries for an hour at most, doubled for clocks that
/// differ. Visiting an older one could undo what the operator did since.
const CONFIRM_WITHIN: Duration = Duration::hours(2);

/// Amazon SES.
#[derive(Debug)]
pub struct Ses;

impl Provider for Ses {
    fn name(&self) -> &'static str {
        "ses"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["topic_arns"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        // The password comes first: SNS sends it only after a 401 to whatever it posted without.
        let transport = credentials.transport(post)?;
        let body = signature::read(post.body)?;
        if credentials.topic_arns.is_empty() {
            return Err(Refusal::NotConfigured("`topic_arns`"));
        }
        let allowed = |topic: Option<&str>| match topic {
            Some(topic) if credentials.topic_arns.iter().any(|it| it == topic) => Ok(()),
            _ => Err(Refusal::NotAllowed("the topic")),
        };
        match body {
            Body::Raw(_) => {
                let attribution = transport.ok_or(Refusal::Missing(Credential::Signature))?;
                allowed(post.header("x-amz-sns-topic-arn").map(str::trim))?;
                Ok(Proof::of(attribution))
            }
            Body::Envelope(envelope) => {
                envelope.check_headers(post)?;
                allowed(Some(&envelope.topic_arn))?;
                envelope.check_signature(credentials)?;
                if envelope.kind == Type::SubscriptionConfirmation {
                    envelope.confirmation_url()?;
                }
                Ok(Proof::of(Attribution::Signed))
            }
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["@simulator.amazonses.com"]
    }

    /// By raw delivery, which nothing signs; so the source must have another credential.
    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let topic = credentials.topic_arns.first().ok_or(Refusal::NotConfigured("`topic_arns`"))?;
        if !credentials.has_transport() {
            return Err(NoSample::OnlyProviderSigns);
        }
        let time = now.format(&Rfc3339).unwrap_or_default();
        let mut sample = Sample::json(&serde_json::json!({
            "eventType": "Bounce",
            "mail": {"messageId": "rebound-test", "destination": [TEST_RECIPIENT], "timestamp": time},
            "bounce": {"bounceType": "Permanent", "bounceSubType": "NoEmail", "feedbackId": format!("rebound-test-{time}"), "timestamp": time,
                "bouncedRecipients": [{"emailAddress": TEST_RECIPIENT, "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 no such user (test)"}]},
        }));
        sample.headers.push(("x-amz-sns-topic-arn".to_owned(), topic.clone()));
        Ok(sample)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let mut notes = Notes::default();
        let findings = match signature::read(post.post().body) {
            Ok(Body::Raw(value)) => {
                note_nul(post.post().body, &mut notes);
                let id = post.post().header("x-amz-sns-message-id").map(str::to_owned);
                payload::read(&value, &Publication { id, published_at: None }, &mut notes)
            }
            Ok(Body::Envelope(envelope)) => match envelope.kind {
                Type::Notification => notification(&envelope, &mut notes),
                Type::SubscriptionConfirmation => return confirmation(&envelope, post.now(), notes),
                Type::UnsubscribeConfirmation => {
                    notes.add("the topic's subscription of this address was ended; nothing more will come until it is made again");
                    Findings::default()
                }
            },
            Err(refusal) => {
                notes.add(refusal.to_string());
                Findings { reports: Vec::new(), unrecognised: 1 }
            }
        };
        Decoded::new("ses", findings.reports, notes.finish(), findings.unrecognised)
    }
}

fn notification(envelope: &Envelope, notes: &mut Notes) -> Findings {
    if !envelope.is_of_one_region() {
        notes.add("the signing certificate is of another region than the topic");
    }
    // What SES says when an event destination is added. It is no JSON, and the only text that is not.
    if envelope.message.trim_start().starts_with("Successfully validated SNS topic") {
        return Findings::default();
    }
    match json::parse(envelope.message.as_bytes()) {
        Ok(value) => {
            note_nul(envelope.message.as_bytes(), notes);
            let publication = Publication { id: Some(envelope.message_id.clone()), published_at: moment(&envelope.timestamp) };
            payload::read(&value, &publication, notes)
        }
        Err(error) => {
            notes.add(format!("the message in the notification is none of SES: {error}"));
            Findings { reports: Vec::new(), unrecognised: 1 }
        }
    }
}

fn note_nul(message: &[u8], notes: &mut Notes) {
    if memchr::memmem::find(message, b"\\u0000").is_some() {
        notes.add("NUL characters were dropped from the text");
    }
}

fn confirmation(envelope: &Envelope, now: OffsetDateTime, mut notes: Notes) -> Decoded {
    let fresh = moment(&envelope.timestamp).is_some_and(|it| (now - it).abs() <= CONFIRM_WITHIN);
    let mut requests = Vec::new();
    match envelope.confirmation_url() {
        Ok(url) if fresh => requests.push(Request::Confirm { url: url.to_owned() }),
        Ok(_) => notes.add("the subscription confirmation is older than two hours and was not carried out; ask SNS for another"),
        Err(refusal) => notes.add(refusal.to_string()),
    }
    Decoded { requests, ..Decoded::new("ses", Vec::new(), notes.finish(), 0) }
}
