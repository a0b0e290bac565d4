//! The envelope of SNS, Amazon's notification service, and of services that copy it: a JSON object around the text of the
//! event, with the topic it came by. Amazon signs it ([`signature`]); whoever copies it may not. The addresses in an envelope
//! are believed only as far as an allow-list goes ([`address`]), before anything is fetched.

pub mod address;
pub mod sign;
mod signature;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::esp::moment::moment;
use crate::esp::{Credential, Credentials, Refusal, Unverified, json};

/// How old a subscription confirmation may be to be carried out: SNS tries for an hour at most, doubled for clocks that
/// differ. Visiting an older one could undo what the operator did since.
const CONFIRM_WITHIN: Duration = Duration::hours(2);

/// What a body should have been, in refusals.
const EXPECTED: &str = "an SNS message (a JSON object with Type, MessageId, TopicArn, Message and Timestamp)";

/// What came: an envelope, or the bare event (raw message delivery).
#[derive(Debug)]
pub(in crate::esp) enum Body {
    Envelope(Box<Envelope>),
    Raw(Value),
}

/// What an envelope is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::esp) enum Type {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

impl Type {
    pub(in crate::esp) const fn name(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// An SNS envelope, its text exactly as it was signed.
#[derive(Debug)]
pub(in crate::esp) struct Envelope {
    pub(in crate::esp) kind: Type,
    pub(in crate::esp) message_id: String,
    pub(in crate::esp) topic_arn: String,
    pub(in crate::esp) message: String,
    pub(in crate::esp) timestamp: String,
    pub(in crate::esp) subject: Option<String>,
    pub(in crate::esp) token: Option<String>,
    pub(in crate::esp) subscribe_url: Option<String>,
    pub(in crate::esp) signature_version: Option<String>,
    pub(in crate::esp) signature: Option<String>,
    pub(in crate::esp) signing_cert_url: Option<String>,
}

/// Reads a body. A bare event is told by one of those fields.
pub(in crate::esp) fn read(body: &[u8], of_event: &[&str]) -> Result<Body, Refusal> {
    let value = json::parse(body).map_err(malformed)?;
    let Value::Object(mut fields) = value else { return Err(malformed("it is JSON, but no object")) };
    let has = |name: &str| fields.get(name).is_some_and(|it| !it.is_null());
    if !has("Type") && !has("Signature") && of_event.iter().any(|it| has(it)) {
        return Ok(Body::Raw(Value::Object(fields)));
    }
    let mut take = |name: &'static str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(format!("the field {name} is no text"))),
    };
    let need = |name: &'static str, found: Option<String>| found.ok_or_else(|| malformed(format!("the field {name} is missing")));
    let kind = match need("Type", take("Type")?)?.as_str() {
        "Notification" => Type::Notification,
        "SubscriptionConfirmation" => Type::SubscriptionConfirmation,
        "UnsubscribeConfirmation" => Type::UnsubscribeConfirmation,
        _ => return Err(malformed("the field Type is none that SNS sends")),
    };
    let message = need("Message", take("Message")?)?;
    // The signed text is lines: with a line break in another field than the message, it could be cut in two ways.
    let mut line = |name: &'static str| match take(name)? {
        Some(text) if text.contains('\n') => Err(malformed(format!("the field {name} has a line break"))),
        other => Ok(other),
    };
    Ok(Body::Envelope(Box::new(Envelope {
        kind,
        message_id: need("MessageId", line("MessageId")?)?,
        topic_arn: need("TopicArn", line("TopicArn")?)?,
        message,
        timestamp: need("Timestamp", line("Timestamp")?)?,
        subject: line("Subject")?,
        token: line("Token")?,
        subscribe_url: line("SubscribeURL")?,
        signature_version: line("SignatureVersion")?,
        signature: line("Signature")?,
        signing_cert_url: line("SigningCertURL")?,
    })))
}

/// Whether the source listens to this topic; one that names none listens to all.
pub(in crate::esp) fn check_topic(credentials: &Credentials, topic: &str) -> Result<(), Refusal> {
    match credentials.topic_arns.as_slice() {
        [] => Ok(()),
        topics if topics.iter().any(|it| it == topic) => Ok(()),
        _ => Err(Refusal::NotAllowed("the topic")),
    }
}

/// The same where there is no envelope and the topic stands in a header.
pub(in crate::esp) fn check_topic_header(credentials: &Credentials, post: &Unverified<'_>) -> Result<(), Refusal> {
    let topic = post.sole_header("x-amz-sns-topic-arn", Credential::Header).unwrap_or_default();
    check_topic(credentials, topic.trim())
}

fn malformed(found: impl Into<String>) -> Refusal {
    Refusal::Malformed { expected: EXPECTED, found: found.into() }
}

impl Envelope {
    /// Whether this was published a short time ago, as far as it says.
    pub(in crate::esp) fn is_fresh(&self, now: OffsetDateTime) -> bool {
        moment(&self.timestamp).is_some_and(|it| (now - it).abs() <= CONFIRM_WITHIN)
    }

    /// The text that is signed: for each field, in this order, its name and its value, each with a line feed behind.
    pub(in crate::esp) fn canonical(&self) -> String {
        let message = ("Message", Some(&self.message));
        let id = ("MessageId", Some(&self.message_id));
        let timestamp = ("Timestamp", Some(&self.timestamp));
        let topic = ("TopicArn", Some(&self.topic_arn));
        let fields = match self.kind {
            Type::Notification => vec![message, id, ("Subject", self.subject.as_ref()), timestamp, topic],
            Type::SubscriptionConfirmation | Type::UnsubscribeConfirmation => {
                vec![message, id, ("SubscribeURL", self.subscribe_url.as_ref()), timestamp, ("Token", self.token.as_ref()), topic]
            }
        };
        let mut text = String::with_capacity(self.message.len() + 512);
        for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))) {
            text.extend([name, "\n", value, "\n"]);
        }
        text.extend(["Type\n", self.kind.name(), "\n"]);
        text
    }

    /// The headers that repeat the envelope must agree with it: what passes by them is not what was signed.
    pub(in crate::esp) fn check_headers(&self, post: &Unverified<'_>) -> Result<(), Refusal> {
        let pairs = [
            ("x-amz-sns-message-type", self.kind.name()),
            ("x-amz-sns-message-id", self.message_id.as_str()),
            ("x-amz-sns-topic-arn", self.topic_arn.as_str()),
        ];
        for (name, value) in pairs {
            let mut found = post.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value.trim());
            let wrong = match (found.next(), found.next()) {
                (Some(_), Some(_)) => "is there twice",
                (Some(only), None) if only != value => "differs",
                _ => continue,
            };
            return Err(Refusal::Malformed { expected: "what its headers say", found: format!("{name} {wrong}") });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_text_names_each_field_that_is_there() {
        let Ok(Body::Envelope(mut envelope)) = read(
            br#"{"Type":"Notification","MessageId":"i","TopicArn":"a:b:c:r","Message":"m\n","Timestamp":"t","Subject":null,"Token":"x"}"#,
            &[],
        ) else {
            panic!("an envelope")
        };
        assert_eq!(envelope.canonical(), "Message\nm\n\nMessageId\ni\nTimestamp\nt\nTopicArn\na:b:c:r\nType\nNotification\n");
        envelope.subject = Some("s".into());
        assert!(envelope.canonical().contains("MessageId\ni\nSubject\ns\nTimestamp\n"));
        envelope.kind = Type::UnsubscribeConfirmation;
        envelope.subscribe_url = Some("u".into());
        let expected =
            "Message\nm\n\nMessageId\ni\nSubscribeURL\nu\nTimestamp\nt\nToken\nx\nTopicArn\na:b:c:r\nType\nUnsubscribeConfirmation\n";
        assert_eq!(envelope.canonical(), expected);
        envelope.signing_cert_url = Some("https://sns.eu-west-1.amazonaws.com/x".into());
        assert!(!envelope.is_of_one_region());
    }

    #[test]
    fn what_is_no_envelope_says_why_without_quoting() {
        for (body, reason) in [
            ("", "it is empty"),
            ("null", "it is JSON, but no object"),
            ("[]", "it is JSON, but no object"),
            ("{}", "the field Type is missing"),
            (r#"{"Type":"secret"}"#, "the field Type is none that SNS sends"),
            (r#"{"Type":7}"#, "the field Type is no text"),
            (r#"{"Type":"Notification","MessageId":"i","TopicArn":"secret"}"#, "the field Message is missing"),
            (r#"{"eventType":"Bounce","Signature":"x"}"#, "the field Type is missing"),
            (r#"{"Type":"Notification","MessageId":"i\nTimestamp","TopicArn":"a","Message":"m"}"#, "the field MessageId has a line break"),
        ] {
            assert_eq!(read(body.as_bytes(), &["eventType"]).map(|_| ()), Err(malformed(reason)), "{body}");
        }
        assert!(matches!(read(br#"{"eventType":"Bounce"}"#, &["eventType"]), Ok(Body::Raw(_))));
    }
}
