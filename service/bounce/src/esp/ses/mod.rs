//! Amazon SES, by way of SNS: feedback notifications of an identity, event publishing of a configuration set, and mail that
//! SES receives, whole in a notification. What such a mail says is unattributed, whoever signed the envelope: anybody may have
//! written it.
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
mod receipt;
#[cfg(test)]
mod tests;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::json::{self, Notes};
use crate::esp::moment::moment;
use crate::esp::ses::payload::{Findings, Publication};
use crate::esp::sns::{self, Body, Envelope, Type};
use crate::esp::{
    Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Request, Sample, TEST_RECIPIENT, Unverified, Verified,
};
use crate::kind::Attribution;

/// Fields by which a notification without an envelope is told.
const OF_EVENT: &[&str] = &["eventType", "notificationType"];

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
        let body = sns::read(post.body, OF_EVENT)?;
        if credentials.topic_arns.is_empty() && !credentials.insecure {
            return Err(Refusal::NotConfigured("`topic_arns`"));
        }
        let (attribution, message) = match body {
            Body::Raw(value) => {
                let insecure = credentials.insecure.then_some(Attribution::Unattributed);
                let attribution = transport.or(insecure).ok_or(Refusal::Missing(Credential::Signature))?;
                sns::check_topic_header(credentials, post)?;
                (attribution, Some(value))
            }
            Body::Envelope(envelope) => {
                envelope.check_headers(post)?;
                sns::check_topic(credentials, &envelope.topic_arn)?;
                let message = json::parse(envelope.message.as_bytes()).ok().filter(|_| envelope.kind == Type::Notification);
                // Without a topic to expect, a signature proves that somebody's topic sent it, which is nothing.
                if credentials.topic_arns.is_empty() {
                    (transport.unwrap_or(Attribution::Unattributed), message)
                } else {
                    envelope.check_signature(credentials)?;
                    if envelope.kind == Type::SubscriptionConfirmation {
                        envelope.confirmation_url()?;
                    }
                    (Attribution::Signed, message)
                }
            }
        };
        let of_stranger = message.is_some_and(|it| receipt::is_one(&it));
        Ok(Proof::of(if of_stranger { Attribution::Unattributed } else { attribution }))
    }

    fn may_confirm(&self, url: &str, _credentials: &Credentials) -> bool {
        sns::address::is_confirmation_url(url)
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
        match sns::read(post.post().body, OF_EVENT) {
            Ok(Body::Raw(value)) => {
                note_nul(post.post().body, &mut notes);
                let id = post.post().header("x-amz-sns-message-id").map(str::to_owned);
                event(&value, &Publication { id, published_at: None }, notes)
            }
            Ok(Body::Envelope(envelope)) => match envelope.kind {
                Type::Notification => notification(&envelope, notes),
                Type::SubscriptionConfirmation => confirmation(&envelope, post, notes),
                Type::UnsubscribeConfirmation => {
                    notes.add("the topic's subscription of this address was ended; nothing more will come until it is made again");
                    decoded(Findings::default(), notes)
                }
            },
            Err(refusal) => Decoded::unreadable("ses", &refusal),
        }
    }
}

fn decoded(findings: Findings, notes: Notes) -> Decoded {
    Decoded::new("ses", findings.reports, notes.finish(), findings.unrecognised)
}

/// A notification of SES, whatever it came in.
fn event(value: &serde_json::Value, publication: &Publication, mut notes: Notes) -> Decoded {
    if receipt::is_one(value) {
        return receipt::read(value);
    }
    decoded(payload::read(value, publication, &mut notes), notes)
}

fn notification(envelope: &Envelope, mut notes: Notes) -> Decoded {
    if !envelope.is_of_one_region() {
        notes.add("the signing certificate is of another region than the topic");
    }
    // What SES says when an event destination is added. It is no JSON, and the only text that is not.
    if envelope.message.trim_start().starts_with("Successfully validated SNS topic") {
        return decoded(Findings::default(), notes);
    }
    match json::parse(envelope.message.as_bytes()) {
        Ok(value) => {
            note_nul(envelope.message.as_bytes(), &mut notes);
            let publication = Publication { id: Some(envelope.message_id.clone()), published_at: moment(&envelope.timestamp) };
            event(&value, &publication, notes)
        }
        Err(error) => {
            notes.add(format!("the message in the notification is none of SES: {error}"));
            decoded(Findings { reports: Vec::new(), unrecognised: 1 }, notes)
        }
    }
}

fn note_nul(message: &[u8], notes: &mut Notes) {
    if memchr::memmem::find(message, b"\\u0000").is_some() {
        notes.add("NUL characters were dropped from the text");
    }
}

fn confirmation(envelope: &Envelope, post: &Verified<'_>, mut notes: Notes) -> Decoded {
    let mut requests = Vec::new();
    match envelope.confirmation_url() {
        Ok(_) if post.attribution() != Attribution::Signed => {
            notes.add("nothing proves that Amazon asks to confirm the subscription, so it was not; list the topic in `topic_arns`");
        }
        Ok(url) if envelope.is_fresh(post.now()) => requests.push(Request::Confirm { url: url.to_owned() }),
        Ok(_) => notes.add("the subscription confirmation is older than two hours and was not carried out; ask SNS for another"),
        Err(refusal) => notes.add(refusal.to_string()),
    }
    Decoded { requests, ..decoded(Findings::default(), notes) }
}
