//! Signing as Amazon does, for the demonstration and for tests: they post what SNS would post, through the real door.
//! Nothing that receives uses this. Signature version 2 only, since no library of ours signs SHA-1 any more.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use serde_json::json;

use crate::esp::credentials::BASE64;
use crate::esp::sns::{Envelope, Type};

/// What is to be posted.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// What kind of message.
    pub kind: NoticeKind<'a>,
    /// Id of the message; the same on a retry.
    pub message_id: &'a str,
    /// The topic it comes from.
    pub topic_arn: &'a str,
    /// When it was published, as `2026-01-01T00:00:00.000Z`.
    pub timestamp: &'a str,
    /// The text; for SES, its JSON.
    pub message: &'a str,
    /// Where the certificate is: `https://sns.<region>.amazonaws.com/SimpleNotificationService-<hex>.pem`. The receiver
    /// must know it under this address.
    pub signing_cert_url: &'a str,
}

/// The kinds of message SNS sends.
#[derive(Debug, Clone, Copy)]
pub enum NoticeKind<'a> {
    /// A notification, with its subject.
    Notification(Option<&'a str>),
    /// The question whether to subscribe.
    SubscriptionConfirmation {
        /// Visiting this confirms.
        subscribe_url: &'a str,
        /// The token in it.
        token: &'a str,
    },
    /// The news that somebody unsubscribed.
    UnsubscribeConfirmation {
        /// Visiting this subscribes again.
        subscribe_url: &'a str,
        /// The token in it.
        token: &'a str,
    },
}

/// The body of the post, signed with the key.
///
/// # Errors
/// When the key cannot sign.
pub fn sign(notice: &Notice<'_>, key: &KeyPair) -> Result<String, Unspecified> {
    let (kind, subject, subscribe_url, token) = match notice.kind {
        NoticeKind::Notification(subject) => (Type::Notification, subject, None, None),
        NoticeKind::SubscriptionConfirmation { subscribe_url, token } => {
            (Type::SubscriptionConfirmation, None, Some(subscribe_url), Some(token))
        }
        NoticeKind::UnsubscribeConfirmation { subscribe_url, token } => {
            (Type::UnsubscribeConfirmation, None, Some(subscribe_url), Some(token))
        }
    };
    let envelope = Envelope {
        kind,
        message_id: notice.message_id.to_owned(),
        topic_arn: notice.topic_arn.to_owned(),
        message: notice.message.to_owned(),
        timestamp: notice.timestamp.to_owned(),
        subject: subject.map(str::to_owned),
        token: token.map(str::to_owned),
        subscribe_url: subscribe_url.map(str::to_owned),
        signature_version: None,
        signature: None,
        signing_cert_url: None,
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), envelope.canonical().as_bytes(), &mut signature)?;
    let mut body = json!({
        "Type": kind.name(),
        "MessageId": envelope.message_id,
        "TopicArn": envelope.topic_arn,
        "Message": envelope.message,
        "Timestamp": envelope.timestamp,
        "SignatureVersion": "2",
        "Signature": BASE64.encode(signature),
        "SigningCertURL": notice.signing_cert_url,
    });
    for (name, value) in [("Subject", envelope.subject), ("SubscribeURL", envelope.subscribe_url), ("Token", envelope.token)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    Ok(body.to_string())
}
