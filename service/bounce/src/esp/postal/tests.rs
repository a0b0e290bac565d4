use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::Value;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

/// A post as Postal signs it with a key of 1,024 bits; made for this test, the private key was thrown away. No library of
/// ours signs SHA-1 any more.
const BODY: &str = r#"{"event":"MessageDelayed","timestamp":1767225600.5,"payload":{"status":"SoftFail","output":"451 4.7.1 later","message":{"to":"jane@example.com"}},"uuid":"u-1"}"#;
const KEY: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDvVDw9+Yn+tJHNnjI3bjINpmdKWXWfwfLRQziEqNzNtzVnjqPerix5PDJ/1UkM5YyBsrn2qMR8idY2AiEJYb9FM4eWlHdeH/ldEi7tcmo3dob5BW0+h+zeFxI+opPKACcWTb4NCSkWouXQ4NqHUF+ghMcKRpZ5FYKzUnmZSyhPOwIDAQAB";
const SHA1: &str = "B8Z7kXAuBtYRZVTbwxy0dtVrjZTsohgsLW0Qng7K4wnEUo7JW0aUMtYbppHlzW5bozC/iyJylK7oR9k16vC/fegBdrkVLkEh+Eo8NXyFF86xzfoGUU5lDmjWPCX55s3uFvODnWZFTTj+hWknMeg/EvKLbsiyWEYmWyOmCiTuuRA=";
const SHA256: &str = "dZXo5v530J0TdquJ8mq6TqB/AXEbpA5+ak6DrefTrgJIEeCWH3rWAPie3+bGOSbFyXJkl/QybOkoS8bfHtp1cLoTg4uxUpBST+PJUkhsYjte0tuvFQteD1rB791PChRcD6S1D9LLJhurKNuTNzMeQZDUZpBm2D0bFtNellZwEh8=";

fn keys(keys: &[&str]) -> Credentials {
    Credentials { public_keys: keys.iter().map(|it| (*it).to_owned()).collect(), ..Credentials::default() }
}

fn post(headers: &[(&str, &str)], body: &str) -> Sample {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sample { method: "POST", query: String::new(), headers, body: body.as_bytes().to_vec() }
}

const NEW: &str = "x-postal-signature-256";
const OLD: &str = "x-postal-signature";

#[test]
fn every_signature_that_is_there_must_hold() {
    let verify = |headers: &[(&str, &str)]| trial::verify(&Postal, &post(headers, BODY), &keys(&[KEY]), NOW).map(|it| it.reading.kind);
    let accepted = Ok(Kind::Delayed);
    assert_eq!(verify(&[(NEW, SHA256), (OLD, SHA1), ("x-postal-signature-kid", "any")]), accepted);
    assert_eq!([verify(&[(NEW, SHA256)]), verify(&[(OLD, SHA1)])], [accepted.clone(), accepted]);
    let mismatch = Err(Refusal::Mismatch(Credential::Signature));
    for headers in [
        [(NEW, SHA256), (OLD, SHA256)],
        [(NEW, SHA1), (OLD, SHA1)],
        [(NEW, ""), (OLD, SHA1)],
        [(NEW, SHA256), (OLD, "")],
        [(NEW, "***"), (OLD, SHA1)],
        [(NEW, SHA256), (OLD, "AAAA")],
    ] {
        assert_eq!(verify(&headers), mismatch, "{headers:?}");
    }
    assert_eq!(verify(&[]), Err(Refusal::Missing(Credential::Signature)));
    assert_eq!(verify(&[("x-postal-signature-kid", SHA256)]), Err(Refusal::Missing(Credential::Signature)));
    assert_eq!(verify(&[(OLD, SHA1), (OLD, SHA1)]), Err(Refusal::Repeated(Credential::Signature)));
}

#[test]
fn any_key_during_a_change_does_and_no_other() {
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let other = BASE64.encode(AsDer::<PublicKeyX509Der<'_>>::as_der(other.public_key()).unwrap().as_ref());
    let signed = post(&[(NEW, SHA256), (OLD, SHA1)], BODY);
    assert!(trial::verify(&Postal, &signed, &keys(&[&other, KEY]), NOW).is_ok());
    assert_eq!(trial::verify(&Postal, &signed, &keys(&[&other]), NOW).err(), Some(Refusal::Mismatch(Credential::Signature)));
    for wrong in ["", "nonsense"] {
        assert!(matches!(trial::verify(&Postal, &signed, &keys(&[KEY, wrong]), NOW), Err(Refusal::NotConfigured(_))), "{wrong}");
    }
}

#[test]
fn every_bit_counts() {
    trial::assert_signed(&Postal, &post(&[(OLD, SHA1)], BODY), &keys(&[KEY]), &[OLD]);
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), BODY.as_bytes(), &mut signature).unwrap();
    let public = BASE64.encode(AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap().as_ref());
    trial::assert_signed(&Postal, &post(&[(NEW, &BASE64.encode(signature))], BODY), &keys(&[&public]), &[NEW]);
}

fn event(name: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({"event": name, "timestamp": 1_767_225_601.5, "uuid": "u-1", "payload": {"status": "s", "details": "d", "output": "", "time": 0.2,
        "sent_with_ssl": true, "timestamp": 1_767_225_600.25, "message": {"id": 9_007_199_254_740_993_u64, "token": "t", "direction": "outgoing",
        "message_id": "own@example.org", "to": "\"Roe, Jane\" <Jane@Example.com>", "from": "news@example.org", "subject": "s", "tag": "weekly"}}});
    edit(&mut event["payload"]);
    event
}

fn failed(output: &str, details: &str) -> Value {
    event("MessageDeliveryFailed", |it| {
        it["output"] = json!(output);
        it["details"] = json!(details);
    })
}

#[test]
fn every_field_is_read() {
    let details = "Permanent SMTP delivery error when sending to mx.example.com (192.0.2.1)";
    let report = trial::report(&Postal, &failed("550-5.1.1 no such\n550 5.1.1 user\n", details));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.diagnostic.as_deref(), report.reply.unwrap().code()), (Some("550-5.1.1 no such\n550 5.1.1 user"), 550));
    assert_eq!((report.remote_mta.as_deref(), report.text), (Some("mx.example.com"), None));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("u-1"), Some("9007199254740993")));
    assert_eq!(
        (report.message_id.as_deref(), report.occurred_at),
        (Some("own@example.org"), Some(NOW + time::Duration::milliseconds(250)))
    );
    assert_eq!(report.hints.tags["tag"], "weekly");
}

#[test]
fn what_the_receiver_answered_decides() {
    let of = |output: &str, details: &str| {
        let report = trial::report(&Postal, &failed(output, details));
        let verdict = crate::classify::classify(&report, crate::classify::Rules::builtin());
        (verdict.bounce_type.unwrap(), verdict.reason.unwrap())
    };
    let details = "Permanent SMTP delivery error when sending to mx.example.com (192.0.2.1)";
    assert_eq!(of("550 5.1.1 User unknown", details), (BounceType::Hard, Reason::UserUnknown));
    assert_eq!(of("550-5.7.1 this message is likely unsolicited mail", details).0, BounceType::Soft);
    assert_eq!(of("550 no", details).0, BounceType::Hard);
    assert_eq!(of("554 no", details).0, BounceType::Soft);
    assert_eq!(of("Mailbox does not exist", details), (BounceType::Hard, Reason::UserUnknown));
    assert_eq!(of("451 try later", details).0, BounceType::Soft);
    assert_eq!(of("552 5.2.2 mailbox full", details), (BounceType::Soft, Reason::MailboxFull));
    assert_eq!(of("", "Maximum number of delivery attempts (18) has been reached"), (BounceType::Soft, Reason::Expired));
    assert_eq!(of("", "Message is likely spam. Threshold is 5 and the message scored 9."), (BounceType::Soft, Reason::SpamContent));
    assert_eq!(of("", "Message's domain no longer exist").0, BounceType::Soft);
    assert_eq!(of("", "").0, BounceType::Soft);
}

#[test]
fn the_types_are_told_apart() {
    let of = |name: &str, details: &str| trial::report(&Postal, &event(name, |it| it["details"] = json!(details))).kind;
    assert_eq!(of("MessageSent", "Message sent by SMTP to mx.example.com"), Kind::Delivered);
    assert_eq!(of("MessageDelayed", ""), Kind::Delayed);
    assert_eq!(
        of("MessageHeld", "Recipient (jane@example.com) is on the suppression list (reason: too many hard fails)"),
        Kind::Suppressed
    );
    for (name, details) in [
        ("MessageHeld", "Message held because send limit (100) has been reached."),
        ("MessageLinkClicked", ""),
        ("MessageLoaded", ""),
        ("DomainDNSError", ""),
        ("SendLimitApproaching", ""),
        ("SendLimitExceeded", ""),
    ] {
        trial::assert_nothing(&Postal, &event(name, |it| it["details"] = json!(details)));
    }
    trial::assert_nothing(&Postal, &event("MessageDeliveryFailed", |it| it["message"]["direction"] = json!("incoming")));
    trial::assert_nothing(&Postal, &json!({"event": "DomainDNSError", "payload": {"domain": "example.org"}}));
    for unknown in
        [event("MessageLost", |_| {}), json!({}), json!({"event": "MessageSent"}), json!({"event": "MessageSent", "payload": []})]
    {
        trial::assert_unknown(&Postal, &unknown);
    }
}

#[test]
fn a_bounce_after_delivery_is_about_the_message_that_was_sent() {
    let bounced = event("MessageBounced", |it| {
        let original = it["message"].clone();
        *it = json!({"original_message": original, "bounce": {"id": 2, "direction": "incoming", "to": "abc@rp.example.org", "timestamp": 1_767_225_700.5}});
    });
    let report = trial::report(&Postal, &bounced);
    assert_eq!((report.recipient.as_ref().unwrap().expose(), report.message_id.as_deref()), ("jane@example.com", Some("own@example.org")));
    assert_eq!(report.occurred_at, Some(NOW + time::Duration::milliseconds(1_500)));
    assert_eq!(trial::verdict(&Postal, &bounced), (Kind::Bounce, Some(BounceType::Soft)));
    // The documentation shows the payload alone.
    assert_eq!(trial::report(&Postal, &bounced["payload"]).kind, Kind::Bounce);
    for (status, kind) in [("Sent", Kind::Delivered), ("SoftFail", Kind::Delayed), ("HardFail", Kind::Bounce)] {
        let alone = event("", |it| it["status"] = json!(status))["payload"].take();
        assert_eq!(trial::report(&Postal, &alone).kind, kind);
    }
}

#[test]
fn a_sample_is_made_only_where_nobody_signs() {
    assert_eq!(Postal.sample(&keys(&[KEY]), NOW), Err(NoSample::OnlyProviderSigns));
    trial::assert_sample(&Postal, &Credentials { insecure: true, ..Credentials::default() });
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&Postal);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        trial::bend_every_field(&Postal, &failed("550 no", "sending to "), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&Postal, &body);
    }
}
