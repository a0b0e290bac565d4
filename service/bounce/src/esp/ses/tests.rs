//! SES through the real door: signed posts in, reports out. `fixtures/version_1.*` was signed with SHA-1 by openssl and a key
//! that exists no more; everything else is signed here.

mod any;
mod meaning;

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeyPair;
use base64::Engine;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::esp::HeaderSecret;
use crate::esp::credentials::BASE64;
use crate::esp::sns::sign::{Notice, NoticeKind, sign};
use crate::report::Report;

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:ses";
const CERTIFICATE_URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
const SUBSCRIBE_URL: &str =
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:111122223333:ses&Token=23";
const NOW: OffsetDateTime = datetime!(2026-01-01 00:30:00 UTC);

struct Amazon {
    key: KeyPair,
    certificate: String,
}

impl Amazon {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        Self { key: KeyPair::from_pkcs8(&key.serialize_der()).unwrap(), certificate }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            topic_arns: vec!["arn:aws:sns:eu-west-1:111122223333:other".into(), TOPIC.into()],
            certificates: [(CERTIFICATE_URL.to_owned(), self.certificate.clone())].into(),
            ..Credentials::default()
        }
    }

    fn sign(&self, notice: &Notice<'_>) -> String {
        sign(notice, &self.key).unwrap()
    }
}

static AMAZON: LazyLock<Amazon> = LazyLock::new(Amazon::new);

fn notice(message: &str) -> Notice<'_> {
    Notice {
        kind: NoticeKind::Notification(None),
        message_id: "sns-1",
        topic_arn: TOPIC,
        timestamp: "2026-01-01T00:00:01.000Z",
        message,
        signing_cert_url: CERTIFICATE_URL,
    }
}

fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn post_with(credentials: &Credentials, headers: &[(&str, &str)], body: &str) -> Result<(Attribution, Decoded), Refusal> {
    let headers = pairs(headers);
    let post = Unverified { method: "POST", url: "https://hooks.example/webhooks/ses", headers: &headers, body: body.as_bytes() };
    let verified = post.verify(&Ses, credentials, NOW)?;
    Ok((verified.attribution(), Ses.decode(&verified)))
}

fn post(body: &str) -> Result<(Attribution, Decoded), Refusal> {
    post_with(&AMAZON.credentials(), &[], body)
}

/// What a notification of SES says, through signature and all.
fn decoded(event: &Value) -> Decoded {
    let (attribution, decoded) = post(&AMAZON.sign(&notice(&format!("{event}\n")))).unwrap();
    assert_eq!(attribution, Attribution::Signed);
    decoded
}

fn report(event: &Value) -> Report {
    let mut decoded = decoded(event);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (1, 0), "{decoded:?}");
    decoded.reading.reports.remove(0)
}

fn refusal(body: &str) -> Refusal {
    post(body).unwrap_err()
}

fn edited(body: &str, edit: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_str(body).unwrap();
    edit(&mut value);
    value.to_string()
}

fn bounce(bounce_type: &str, sub_type: &str) -> Value {
    json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": bounce_type,
            "bounceSubType": sub_type,
            "feedbackId": "feedback-1",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "reportingMTA": "dns; a1.smtp-out.eu-west-1.amazonses.com",
            "bouncedRecipients": [{"emailAddress": "jane@example.com", "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 no such user"}],
        },
        "mail": {
            "timestamp": "2025-12-31T23:59:00.000Z",
            "messageId": "ses-1",
            "destination": ["jane@example.com"],
            "headers": [
                {"name": "From", "value": "news@example.net"},
                {"name": "List-ID", "value": "Weekly news <Weekly.example.net>"},
                {"name": "X-Campaign", "value": "winter"},
            ],
            "commonHeaders": {"messageId": "<own-1@example.net>"},
            "tags": {"list": ["weekly"], "ses:configuration-set": ["main"]},
        },
    })
}

#[test]
fn signature_version_1_is_believed() {
    let body = include_str!("fixtures/version_1.json");
    let mut credentials = AMAZON.credentials();
    credentials.certificates.insert(CERTIFICATE_URL.into(), include_str!("fixtures/version_1.pem").into());
    assert_eq!(post_with(&credentials, &[], body).unwrap().0, Attribution::Signed);
    let as_version_2 = edited(body, |it| it["SignatureVersion"] = json!("2"));
    assert_eq!(post_with(&credentials, &[], &as_version_2), Err(Refusal::Mismatch(Credential::Signature)));
}

#[test]
fn signature_version_2_is_believed_and_covers_every_field() {
    let with_subject = Notice { kind: NoticeKind::Notification(Some("Ünter line")), ..notice("{\"eventType\":\"Send\"}\n") };
    let body = AMAZON.sign(&with_subject);
    assert_eq!(post(&body).unwrap().0, Attribution::Signed);
    for field in ["Message", "MessageId", "Timestamp", "Subject"] {
        assert_eq!(refusal(&edited(&body, |it| it[field] = json!("x"))), Refusal::Mismatch(Credential::Signature), "{field}");
    }
    assert_eq!(refusal(&edited(&body, |it| it["Subject"] = Value::Null)), Refusal::Mismatch(Credential::Signature));
    let trimmed = edited(&body, |it| it["Message"] = json!("{\"eventType\":\"Send\"}"));
    assert_eq!(refusal(&trimmed), Refusal::Mismatch(Credential::Signature));
    let other = edited(&body, |it| it["TopicArn"] = json!("arn:aws:sns:eu-west-1:111122223333:other"));
    assert_eq!(refusal(&other), Refusal::Mismatch(Credential::Signature));
}

#[test]
fn a_forged_signature_is_refused() {
    let body = Amazon::new().sign(&notice("{\"eventType\":\"Bounce\"}"));
    assert_eq!(refusal(&body), Refusal::Mismatch(Credential::Signature));
    assert_eq!(refusal(&edited(&body, |it| it["Signature"] = json!("*"))), Refusal::Mismatch(Credential::Signature));
    for (field, value) in [("Signature", Value::Null), ("SignatureVersion", Value::Null), ("SigningCertURL", Value::Null)] {
        assert_eq!(refusal(&edited(&body, |it| it[field] = value)), Refusal::Missing(Credential::Signature), "{field}");
    }
    assert!(matches!(refusal(&edited(&body, |it| it["SignatureVersion"] = json!("3"))), Refusal::Malformed { .. }));
}

#[test]
fn a_topic_that_is_not_listed_is_refused_before_anything_is_fetched() {
    let foreign = Notice { topic_arn: "arn:aws:sns:eu-west-1:999999999999:ses", ..notice("{}") };
    let unlisted = post_with(&Credentials { certificates: [].into(), ..AMAZON.credentials() }, &[], &AMAZON.sign(&foreign));
    assert_eq!(unlisted, Err(Refusal::NotAllowed("the topic")));
    let without = Credentials { topic_arns: Vec::new(), ..AMAZON.credentials() };
    assert_eq!(post_with(&without, &[], &AMAZON.sign(&notice("{}"))), Err(Refusal::NotConfigured("`topic_arns`")));
}

#[test]
fn a_certificate_is_asked_for_only_from_amazon() {
    let without = Credentials { certificates: [].into(), ..AMAZON.credentials() };
    let needed = post_with(&without, &[], &AMAZON.sign(&notice("{}"))).unwrap_err();
    assert_eq!(needed, Refusal::CertificateNeeded { url: CERTIFICATE_URL.into() });
    let foreign = "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem";
    let mut credentials = AMAZON.credentials();
    credentials.certificates.insert(foreign.into(), AMAZON.certificate.clone());
    let body = AMAZON.sign(&Notice { signing_cert_url: foreign, ..notice("{}") });
    assert_eq!(post_with(&credentials, &[], &body), Err(Refusal::NotAllowed("the host or path of SigningCertURL")));
    credentials.certificates.insert(CERTIFICATE_URL.into(), "<html>".into());
    let unusable = post_with(&credentials, &[], &AMAZON.sign(&notice("{}"))).unwrap_err();
    assert_eq!((unusable.label(), unusable.default_status()), ("certificate", 503));
}

#[test]
fn headers_must_agree_with_the_body() {
    let body = AMAZON.sign(&notice("{\"eventType\":\"Send\"}"));
    let agreeing = [("x-amz-sns-message-type", "Notification"), ("x-amz-sns-message-id", "sns-1"), ("x-amz-sns-topic-arn", TOPIC)];
    assert!(post_with(&AMAZON.credentials(), &agreeing, &body).is_ok());
    for (name, _) in agreeing {
        let refused = post_with(&AMAZON.credentials(), &[(name, "SubscriptionConfirmation")], &body);
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{name}");
    }
    for (name, value) in agreeing {
        let refused = post_with(&AMAZON.credentials(), &[(name, value), (name, value)], &body);
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{name} twice");
    }
}

#[test]
fn a_password_is_asked_for_before_the_body_is_looked_at() {
    let credentials = Credentials { basic: vec!["u:p".into()], ..AMAZON.credentials() };
    let missing = post_with(&credentials, &[], "nonsense").unwrap_err();
    assert_eq!((missing.default_status(), missing.challenge().is_some()), (401, true));
    let body = AMAZON.sign(&notice("{\"eventType\":\"Send\"}"));
    let header = [("authorization", "Basic dTpw")];
    assert_eq!(post_with(&credentials, &header, &body).unwrap().0, Attribution::Signed);
    // The password alone proves no envelope.
    let forged = edited(&body, |it| it["Message"] = json!("x"));
    assert_eq!(post_with(&credentials, &header, &forged), Err(Refusal::Mismatch(Credential::Signature)));
}

#[test]
fn raw_delivery_needs_another_credential() {
    let body = bounce("Permanent", "General").to_string();
    let headers = [("x-amz-sns-rawdelivery", "true"), ("x-amz-sns-topic-arn", TOPIC), ("x-amz-sns-message-id", "sns-1"), ("x-token", "t")];
    assert_eq!(post_with(&AMAZON.credentials(), &headers, &body), Err(Refusal::Missing(Credential::Signature)));
    let header = Some(HeaderSecret { name: "X-Token".into(), value: "t".into() });
    let credentials = Credentials { header, ..AMAZON.credentials() };
    let (attribution, decoded) = post_with(&credentials, &headers, &body).unwrap();
    assert_eq!((attribution, decoded.reading.reports.len()), (Attribution::Authenticated, 1));
    let refused = post_with(&credentials, &[("x-token", "t"), ("x-amz-sns-topic-arn", "arn:x")], &body);
    assert_eq!(refused, Err(Refusal::NotAllowed("the topic")));
    assert_eq!(post_with(&credentials, &[("x-token", "t")], &body), Err(Refusal::NotAllowed("the topic")));
}

#[test]
fn an_insecure_source_takes_what_nothing_proves_and_no_more() {
    let event = bounce("Permanent", "General").to_string();
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    let raw = post_with(&insecure, &[("x-amz-sns-rawdelivery", "true")], &event).unwrap();
    assert_eq!((raw.0, raw.1.reading.reports.len()), (Attribution::Unattributed, 1));
    let listed = Credentials { insecure: true, ..AMAZON.credentials() };
    assert_eq!(post_with(&listed, &[("x-amz-sns-topic-arn", TOPIC)], &event).unwrap().0, Attribution::Unattributed);
    assert_eq!(post_with(&listed, &[], &event), Err(Refusal::NotAllowed("the topic")));
    assert_eq!(post_with(&listed, &[("x-amz-sns-topic-arn", TOPIC); 2], &event), Err(Refusal::NotAllowed("the topic")));
    // A signature that is there must hold where it could be checked.
    let body = AMAZON.sign(&notice(&event));
    assert_eq!(post_with(&listed, &[], &body).unwrap().0, Attribution::Signed);
    let forged = edited(&body, |it| it["Timestamp"] = json!("x"));
    assert_eq!(post_with(&listed, &[], &forged), Err(Refusal::Mismatch(Credential::Signature)));
    assert_eq!(post_with(&insecure, &[], &forged).unwrap().0, Attribution::Unattributed);
    let kind = NoticeKind::SubscriptionConfirmation { subscribe_url: SUBSCRIBE_URL, token: "23" };
    let confirmation = post_with(&insecure, &[], &AMAZON.sign(&Notice { kind, ..notice("x") })).unwrap().1;
    assert_eq!((confirmation.requests.len(), confirmation.reading.notes.len()), (0, 1));
    assert!(Ses.may_confirm(SUBSCRIBE_URL, &insecure) && !Ses.may_confirm("https://evil.example/?Action=ConfirmSubscription", &insecure));
}

#[test]
fn one_changed_bit_is_refused() {
    let body = AMAZON.sign(&Notice { kind: NoticeKind::Notification(Some("s")), ..notice("{\"eventType\":\"Send\"}\n") });
    let flipped = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        String::from_utf8(bytes).ok()
    };
    for field in ["Message", "MessageId", "Timestamp", "Subject", "TopicArn", "Type", "SignatureVersion"] {
        let text = serde_json::from_str::<Value>(&body).unwrap()[field].as_str().unwrap().to_owned();
        for forged in (0..text.len() * 8).filter_map(|at| flipped(&text, at)) {
            let refused = post(&edited(&body, |it| it[field] = json!(forged)));
            assert!(refused.is_err(), "{field} {forged:?}");
        }
    }
    let signature = serde_json::from_str::<Value>(&body).unwrap()["Signature"].as_str().unwrap().to_owned();
    let signature = BASE64.decode(signature).unwrap();
    for at in (0..signature.len() * 8).step_by(7) {
        let mut forged = signature.clone();
        forged[at / 8] ^= 1 << (at % 8);
        let refused = refusal(&edited(&body, |it| it["Signature"] = json!(BASE64.encode(&forged))));
        assert_eq!(refused, Refusal::Mismatch(Credential::Signature), "bit {at}");
    }
}

#[test]
fn a_mail_that_was_received_is_read_and_proves_nothing() {
    let mail = crate::esp::mime::sample(NOW);
    let received = |content: Value| {
        json!({"notificationType": "Received", "receipt": {"timestamp": "2026-01-01T00:00:00.000Z", "recipients": ["bounces@example.net"],
            "action": {"type": "SNS", "topicArn": TOPIC}}, "mail": {"messageId": "in-1", "destination": ["bounces@example.net"]}, "content": content})
    };
    for content in [
        mail.clone(),
        BASE64.encode(&mail),
        BASE64.encode(&mail).as_bytes().chunks(76).fold(String::new(), |all, it| all + &String::from_utf8_lossy(it) + "\r\n"),
    ] {
        let event = received(json!(content));
        let (attribution, decoded) = post(&AMAZON.sign(&notice(&event.to_string()))).unwrap();
        assert_eq!((attribution, decoded.reading.kind, decoded.unrecognised), (Attribution::Unattributed, crate::kind::Kind::Bounce, 0));
        assert_eq!(decoded.reading.reports[0].status.unwrap().to_string(), "5.1.1");
        let header = Some(HeaderSecret { name: "X-Token".into(), value: "t".into() });
        let raw = post_with(
            &Credentials { header, ..AMAZON.credentials() },
            &[("x-token", "t"), ("x-amz-sns-topic-arn", TOPIC)],
            &event.to_string(),
        );
        assert_eq!(raw.unwrap(), (Attribution::Unattributed, decoded));
    }
    for content in [Value::Null, json!(""), json!(7), json!([])] {
        let (_, decoded) = post(&AMAZON.sign(&notice(&received(content.clone()).to_string()))).unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.reading.notes.len()), (0, 1, 1), "{content}");
    }
    for content in ["Subject: lunch?\r\n\r\nAt noon.", "bm90IGEgbWFpbA==", "***"] {
        let (_, decoded) = post(&AMAZON.sign(&notice(&received(json!(content)).to_string()))).unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 1), "{content}");
    }
}

#[test]
fn a_subscription_is_confirmed_after_all_is_proved() {
    let kind = |subscribe_url| NoticeKind::SubscriptionConfirmation { subscribe_url, token: "23" };
    let confirm = |timestamp, url| post(&AMAZON.sign(&Notice { kind: kind(url), timestamp, ..notice("You have chosen to subscribe.") }));
    let decoded = confirm("2026-01-01T00:00:01.000Z", SUBSCRIBE_URL).unwrap().1;
    assert_eq!(decoded.requests, [Request::Confirm { url: SUBSCRIBE_URL.into() }]);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0));
    let foreign = confirm("2026-01-01T00:00:01.000Z", "https://evil.example/?Action=ConfirmSubscription");
    assert_eq!(foreign, Err(Refusal::NotAllowed("the host or action of SubscribeURL")));
    for stale in ["2025-12-31T22:29:59.000Z", "2026-01-01T02:30:01.000Z", "once"] {
        let decoded = confirm(stale, SUBSCRIBE_URL).unwrap().1;
        assert_eq!((decoded.requests.len(), decoded.reading.notes.len()), (0, 1), "{stale}");
    }
}

#[test]
fn an_ended_subscription_is_not_made_again() {
    let kind = NoticeKind::UnsubscribeConfirmation { subscribe_url: SUBSCRIBE_URL, token: "23" };
    let decoded = post(&AMAZON.sign(&Notice { kind, ..notice("You have chosen to deactivate.") })).unwrap().1;
    assert_eq!((decoded.requests.len(), decoded.reading.notes.len(), decoded.unrecognised), (0, 1, 0));
}

#[test]
fn what_says_nothing_of_a_recipient_is_accepted_and_leaves_nothing() {
    for message in [
        "Successfully validated SNS topic for Amazon SES event publishing.".to_owned(),
        json!({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "x"}).to_string(),
        json!({"eventType": "Send", "mail": {"destination": ["jane@example.com"]}}).to_string(),
        json!({"eventType": "Open"}).to_string(),
        json!({"eventType": "Click"}).to_string(),
    ] {
        let decoded = post(&AMAZON.sign(&notice(&message))).unwrap().1;
        assert_eq!(decoded, Decoded::new("ses", Vec::new(), Vec::new(), 0), "{message}");
    }
}

#[test]
fn what_is_not_understood_is_accepted_and_kept() {
    for message in
        ["hello", "", "[]", "{}", "{\"eventType\":\"SomethingNew\"}", "{\"eventType\":\"Bounce\"}", "{\"eventType\":{}}", "\"\\ud800\""]
    {
        let decoded = post(&AMAZON.sign(&notice(message))).unwrap().1;
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 1), "{message}");
        assert!(!decoded.reading.notes.is_empty() && decoded.reading.notes.iter().all(|it| !it.0.contains("hello")), "{message}");
    }
    assert_eq!(decoded(&json!({"eventType": "Send"})).answer.status, 200);
    let deep = post(&AMAZON.sign(&notice(&"[".repeat(100_000)))).unwrap().1;
    assert_eq!(deep.unrecognised, 1);
}

#[test]
fn a_certificate_of_another_region_is_noted() {
    let url = CERTIFICATE_URL.replace("eu-west-1", "us-east-1");
    let mut credentials = AMAZON.credentials();
    credentials.certificates.insert(url.clone(), AMAZON.certificate.clone());
    let body = AMAZON.sign(&Notice { signing_cert_url: &url, ..notice("{\"eventType\":\"Send\"}") });
    assert_eq!(post_with(&credentials, &[], &body).unwrap().1.reading.notes.len(), 1);
}

#[test]
fn a_receipt_reads_as_the_post_did() {
    let body = AMAZON.sign(&notice(&bounce("Permanent", "General").to_string()));
    let decoded = post(&body).unwrap().1;
    let headers = pairs(&[("content-type", "text/plain; charset=UTF-8")]);
    let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
    let content = Ses.content(&post);
    assert_eq!((content.media_type.as_ref(), content.bytes.as_ref()), ("text/plain; charset=UTF-8", body.as_bytes()));
    assert_eq!(Ses.decode(&Verified::restored(post, Attribution::Signed, NOW)), decoded);
    let broken = Unverified { body: b"{", ..post };
    assert_eq!(Ses.decode(&Verified::restored(broken, Attribution::Signed, NOW)).unrecognised, 1);
}
