//! Scaleway Transactional Email, by way of Topics and Events, which speaks the protocol of SNS: the event stands as text
//! in an envelope, and a subscription wants to be confirmed.
//!
//! What this one does differently: the envelope is Amazon's, the proof is not. Whether Scaleway signs, with which certificate
//! and from which host, is not documented, so a signature counts for nothing here: a secret in the address or a password proves a
//! post, and `topic_arns`, where given, names the topics that may. A subscription is confirmed only for such a topic, and
//! only on a host that the source lists in `confirm_hosts`. As with SNS, a 4xx ends an event for good, and a 5xx brings it again.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::sns::{self, Body, Envelope, Type};
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Request, Sample, TEST_RECIPIENT, Unverified, Verified, batch};
use crate::kind::Attribution;

/// Fields by which an event without an envelope is told.
const OF_EVENT: &[&str] = &["type"];

/// Scaleway Transactional Email.
#[derive(Debug)]
pub struct Scaleway;

impl Provider for Scaleway {
    fn name(&self) -> &'static str {
        "scaleway"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        match sns::read(post.body, OF_EVENT)? {
            Body::Raw(_) => sns::check_topic_header(credentials, post)?,
            Body::Envelope(envelope) => {
                envelope.check_headers(post)?;
                sns::check_topic(credentials, &envelope.topic_arn)?;
                // What nobody vouches for is not carried out, so it need not be allowed either.
                if envelope.kind == Type::SubscriptionConfirmation && attribution != Attribution::Unattributed {
                    if credentials.topic_arns.is_empty() {
                        return Err(Refusal::NotConfigured("`topic_arns`"));
                    }
                    envelope.confirmation_url_of(credentials)?;
                }
            }
        }
        Ok(Proof::of(attribution))
    }

    fn may_confirm(&self, url: &str, credentials: &Credentials) -> bool {
        sns::address::is_confirmation_url_at(url, &credentials.confirm_hosts)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match sns::read(post.post().body, OF_EVENT) {
            Ok(Body::Raw(value)) => self.event(&value.to_string()),
            Ok(Body::Envelope(envelope)) => match envelope.kind {
                Type::Notification => self.event(&envelope.message),
                Type::SubscriptionConfirmation => self.confirmation(&envelope, post),
                Type::UnsubscribeConfirmation => {
                    self.noted("the topic's subscription of this address was ended; nothing more will come until it is made again")
                }
            },
            Err(refusal) => Decoded::unreadable(self.name(), &refusal),
        }
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let time = now.format(&Rfc3339).unwrap_or_default();
        let id = format!("rebound-test-{time}");
        let event = json!({"id": id, "type": "email_mailbox_not_found", "created_at": time, "email_id": id, "email_to": TEST_RECIPIENT,
            "email_headers": [], "email_response_code": 550, "email_response_message": "5.1.1 no such user (test)"});
        let topic = credentials.topic_arns.first().map_or("arn:scw:sns:fr-par:project-test:rebound", String::as_str);
        Ok(Sample::json(
            &json!({"Type": "Notification", "MessageId": id, "TopicArn": topic, "Message": event.to_string(), "Timestamp": time}),
        ))
    }
}

impl Scaleway {
    /// The text of a notification: an event. Any other text is kept.
    fn event(&self, text: &str) -> Decoded {
        batch::decode(self.name(), std::iter::once(text), payload::meaning)
    }

    fn confirmation(&self, envelope: &Envelope, post: &Verified<'_>) -> Decoded {
        if post.attribution() == Attribution::Unattributed {
            return self.noted("nothing proves who asks to confirm the subscription, so it was not; give the source a credential");
        }
        match envelope.some_confirmation_url() {
            Ok(url) if envelope.is_fresh(post.now()) => {
                Decoded { requests: vec![Request::Confirm { url: url.to_owned() }], ..Decoded::new(self.name(), Vec::new(), Vec::new(), 0) }
            }
            Ok(_) => self.noted("the subscription confirmation is older than two hours and was not carried out; ask for another"),
            Err(refusal) => self.noted(&refusal.to_string()),
        }
    }

    fn noted(&self, note: &str) -> Decoded {
        Decoded::new(self.name(), Vec::new(), vec![crate::report::Note(note.to_owned())], 0)
    }
}
