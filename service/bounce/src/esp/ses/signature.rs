//! The envelope that SNS puts around a notification, and the proof that Amazon signed it: RSA PKCS #1 v1.5 over the
//! canonical lines, SHA-1 in signature version 1 and SHA-256 in version 2. The addresses in an envelope are believed
//! only as far as the allow-list here goes, before anything is fetched.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey};
use base64::Engine;
use serde_json::Value;

use crate::esp::credentials::BASE64;
use crate::esp::{Credential, Credentials, Refusal, Unverified};
use crate::esp::{certificate, json};
use crate::limits;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an SNS message (a JSON object with Type, MessageId, TopicArn, Message and Timestamp)";

/// What came: an envelope, or a bare SES notification (raw message delivery).
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

/// Reads a body.
pub(in crate::esp) fn read(body: &[u8]) -> Result<Body, Refusal> {
    let value = json::parse(body).map_err(malformed)?;
    let Value::Object(mut fields) = value else { return Err(malformed("it is JSON, but no object")) };
    let has = |name: &str| fields.get(name).is_some_and(|it| !it.is_null());
    if !has("Type") && !has("Signature") && (has("eventType") || has("notificationType")) {
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
    Ok(Body::Envelope(Box::new(Envelope {
        kind,
        message_id: need("MessageId", take("MessageId")?)?,
        topic_arn: need("TopicArn", take("TopicArn")?)?,
        message: need("Message", take("Message")?)?,
        timestamp: need("Timestamp", take("Timestamp")?)?,
        subject: take("Subject")?,
        token: take("Token")?,
        subscribe_url: take("SubscribeURL")?,
        signature_version: take("SignatureVersion")?,
        signature: take("Signature")?,
        signing_cert_url: take("SigningCertURL")?,
    })))
}

fn malformed(found: impl Into<String>) -> Refusal {
    Refusal::Malformed { expected: EXPECTED, found: found.into() }
}

impl Envelope {
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
            if post.header(name).is_some_and(|it| it.trim() != value) {
                return Err(Refusal::Malformed { expected: "what its headers say", found: format!("{name} differs") });
            }
        }
        Ok(())
    }

    /// Whether Amazon signed this.
    pub(in crate::esp) fn check_signature(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let (Some(version), Some(signature), Some(url)) = (&self.signature_version, &self.signature, &self.signing_cert_url) else {
            return Err(Refusal::Missing(Credential::Signature));
        };
        let algorithm: &'static RsaParameters = match version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(malformed("the field SignatureVersion is neither 1 nor 2")),
        };
        let mismatch = Refusal::Mismatch(Credential::Signature);
        let signature = BASE64.decode(signature).map_err(|_| mismatch.clone())?;
        if !is_certificate_url(url) {
            return Err(Refusal::NotAllowed("the host or path of SigningCertURL"));
        }
        let pem = credentials.certificates.get(url).ok_or_else(|| Refusal::CertificateNeeded { url: url.clone() })?;
        let key = certificate::rsa_public_key(pem)?;
        UnparsedPublicKey::new(algorithm, key).verify(self.canonical().as_bytes(), &signature).map_err(|_| mismatch)
    }

    /// The address that confirms a subscription, if it is Amazon's.
    pub(in crate::esp) fn confirmation_url(&self) -> Result<&str, Refusal> {
        let url = self.subscribe_url.as_deref().ok_or_else(|| malformed("the field SubscribeURL is missing"))?;
        if is_confirmation_url(url) { Ok(url) } else { Err(Refusal::NotAllowed("the host or action of SubscribeURL")) }
    }

    /// Whether the certificate comes from the region of the topic. It always has, but Amazon does not promise it.
    pub(in crate::esp) fn is_of_one_region(&self) -> bool {
        let of_host = self.signing_cert_url.as_deref().and_then(sns_host).map(|(region, _)| region);
        of_host.is_none_or(|it| self.topic_arn.split(':').nth(3) == Some(it))
    }
}

/// `https://sns.<region>.amazonaws.com/SimpleNotificationService-<letters and digits>.pem`, or the same in China.
fn is_certificate_url(url: &str) -> bool {
    let name = sns_host(url).and_then(|(_, path)| path.strip_prefix("/SimpleNotificationService-")?.strip_suffix(".pem"));
    name.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// A URL of SNS that confirms a subscription and does nothing else.
fn is_confirmation_url(url: &str) -> bool {
    let query = sns_host(url).and_then(|(_, path)| path.strip_prefix("/?"));
    query.is_some_and(|it| it.split('&').filter(|it| it.starts_with("Action=")).eq(["Action=ConfirmSubscription"]))
}

/// Region and path of an address on an SNS host: HTTPS, no user, no port, nothing that URL parsers read differently.
fn sns_host(url: &str) -> Option<(&str, &str)> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~:/?&=%+,;".contains(&it);
    if url.len() > limits::FETCHED_URL_BYTES || !url.bytes().all(plain) {
        return None;
    }
    let rest = url.strip_prefix("https://sns.")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let region = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let fine = region.len() >= 3 && region.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    fine.then_some((region, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_of_sns_hosts_are_fetched() {
        for url in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
        ] {
            assert!(is_certificate_url(url), "{url}");
        }
        for url in [
            "",
            "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "HTTPS://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem?x=.pem",
            "https://sns.us-east-1.amazonaws.com/x/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-..%2f0.pem",
            "https://sns.us-east-1.amazonaws.com/../SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com:443/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com./SimpleNotificationService-0.pem",
            "https://jane@sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com\\@evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com#.evil.example/SimpleNotificationService-0.pem",
            "https://evil.example/sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.evil.example/x.amazonaws.com/SimpleNotificationService-0.pem",
            "https://evil.sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.a.b.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.US-EAST-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com\n/SimpleNotificationService-0.pem",
            "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://169.254.169.254/SimpleNotificationService-0.pem",
        ] {
            assert!(!is_certificate_url(url), "{url}");
        }
    }

    #[test]
    fn only_confirmations_of_sns_hosts_are_visited() {
        let good = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:t&Token=2";
        assert!(is_confirmation_url(good));
        assert!(is_confirmation_url("https://sns.us-east-1.amazonaws.com/?TopicArn=arn%3Aaws%3Asns&Action=ConfirmSubscription"));
        for url in [
            good.replace("Confirm", "Un"),
            good.replace("Action=ConfirmSubscription&", ""),
            good.replace("&Token", "&Action=Unsubscribe&Token"),
            good.replace("us-east-1.amazonaws.com", "us-east-1.example.com"),
            good.replace("com/?", "com/x?"),
            format!("{good}{}", "2".repeat(limits::FETCHED_URL_BYTES)),
        ] {
            assert!(!is_confirmation_url(&url), "{url}");
        }
    }

    #[test]
    fn an_address_one_past_the_limit_is_not_fetched() {
        let of = |length: usize| {
            let (head, tail) = ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-", ".pem");
            is_certificate_url(&format!("{head}{}{tail}", "0".repeat(length - head.len() - tail.len())))
        };
        assert!(of(limits::FETCHED_URL_BYTES) && !of(limits::FETCHED_URL_BYTES + 1));
    }

    #[test]
    fn the_canonical_text_names_each_field_that_is_there() {
        let Ok(Body::Envelope(mut envelope)) = read(
            br#"{"Type":"Notification","MessageId":"i","TopicArn":"a:b:c:r","Message":"m\n","Timestamp":"t","Subject":null,"Token":"x"}"#,
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
        envelope.signing_cert_url = Some("https://sns.r-1.amazonaws.com/x".into());
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
        ] {
            assert_eq!(read(body.as_bytes()).map(|_| ()), Err(malformed(reason)), "{body}");
        }
        assert!(matches!(read(br#"{"notificationType":"Bounce"}"#), Ok(Body::Raw(_))));
    }
}
