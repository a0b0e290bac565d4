//! Amazon in a box: a key made at start, a certificate for it that the service is told to know, and posts as SNS signs them.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rsa::KeyPair;
use bounce::esp::sns::sign::{Notice, NoticeKind, sign};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:bounces";
const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-d3305150bd9f4e1c8a2b6c7d8e9f0a1b.pem";

/// Signs as SNS does.
#[derive(Debug)]
pub(super) struct Amazon {
    key: KeyPair,
    certificate: String,
}

impl Amazon {
    /// Makes a key that lives as long as the demonstration.
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).context("no key can be made")?;
        let name = vec!["sns.amazonaws.com".to_owned()];
        let certificate = rcgen::CertificateParams::new(name).and_then(|it| it.self_signed(&key)).context("no certificate can be made")?;
        let key = KeyPair::from_pkcs8(&key.serialize_der()).map_err(|it| anyhow!("the key cannot be used: {it}"))?;
        Ok(Self { key, certificate: certificate.pem() })
    }

    /// The topic that posts come from.
    #[expect(clippy::unused_self, reason = "it is this Amazon's topic")]
    pub(super) const fn topic(&self) -> &'static str {
        TOPIC
    }

    /// Where the certificate is said to be, and what is there.
    pub(super) fn certificate(&self) -> (String, String) {
        (CERTIFICATE.to_owned(), self.certificate.clone())
    }

    /// The post about a permanent bounce.
    pub(super) fn hard_bounce(&self, recipient: &str, now: OffsetDateTime) -> anyhow::Result<String> {
        let timestamp = now.truncate_to_second().format(&Rfc3339)?;
        let message = json!({
            "eventType": "Bounce",
            "bounce": {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "feedbackId": "0102019a-demo-4f5c-9a7e-3b1d2c4e5f60-000000",
                "timestamp": timestamp,
                "reportingMTA": "dns; a3-21.smtp-out.eu-west-1.amazonses.com",
                "bouncedRecipients": [{
                    "emailAddress": recipient,
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 No such user here",
                }],
            },
            "mail": {
                "timestamp": timestamp,
                "source": "editor@news.example",
                "messageId": "0102019a-demo-1a2b-3c4d-5e6f7a8b9c0d-000000",
                "destination": [recipient],
                "commonHeaders": { "subject": "What happened this week" },
            },
        })
        .to_string();
        let notice = Notice {
            kind: NoticeKind::Notification(Some("Amazon SES Email Event Notification")),
            message_id: "5d0c1f1e-6a52-5b7c-8c1f-43e2a1d0b9f8",
            topic_arn: TOPIC,
            timestamp: &timestamp,
            message: &message,
            signing_cert_url: CERTIFICATE,
        };
        sign(&notice, &self.key).map_err(|_| anyhow!("the post cannot be signed"))
    }
}
