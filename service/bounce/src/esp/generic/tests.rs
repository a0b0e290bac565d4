use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::esp::{Credential, is_test};
use crate::kind::{Attribution, BounceType, Kind};

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn signing() -> Credentials {
    Credentials { secrets: vec!["whsec_c2VjcmV0IG9mIG91cnM=".to_owned()], ..Credentials::default() }
}

fn decoded(body: &Value) -> Decoded {
    let body = body.to_string();
    let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
    Generic.decode(&Verified::restored(post, Attribution::Signed, NOW))
}

#[test]
fn every_field_is_read() {
    let decoded = decoded(
        &json!({"event_id": "e-1", "type": "hard_bounce", "recipient": "Jane <Jane@Example.com>", "timestamp": "2026-01-01T00:00:00Z",
        "smtp_code": 550, "enhanced_status": "5.1.1", "diagnostic": "smtp; 550 5.1.1 no", "provider_message_id": "p-1", "message_id": "<own@example.com>",
        "source": "mx1", "tags": ["t"], "metadata": {"campaign": "c"}, "list": "acme.weekly"}),
    );
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.kind, report.claim.unwrap().bounce_type), (Kind::Bounce, Some(BounceType::Hard)));
    assert_eq!(report.status.unwrap().to_string(), "5.1.1");
    assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("550 5.1.1 no")));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("e-1"), Some("p-1")));
    assert_eq!((report.message_id.as_deref(), report.occurred_at), (Some("own@example.com"), Some(NOW)));
    assert_eq!((report.hints.list_id.as_deref(), report.reporting_mta.as_deref()), (Some("acme.weekly"), Some("mx1")));
    assert_eq!((report.hints.tags["tag"].as_str(), report.hints.tags["campaign"].as_str()), ("t", "c"));
}

#[test]
fn the_fields_of_listmonk_are_understood() {
    let decoded = decoded(
        &json!([{"email": "jane@example.com", "type": "complaint", "meta": {"k": "v"}}, {"email": "jim@example.com", "type": "soft"}]),
    );
    let kinds: Vec<_> = decoded.reading.reports.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Complaint, Kind::Bounce]);
}

#[test]
fn each_bad_event_is_set_aside() {
    let decoded =
        decoded(&json!([{"type": "hard"}, {"type": "bounce", "email": "jane"}, {"type": "news", "email": "j@example.com"}, {}, 7,
        {"type": "test"}, {"type": "delivered", "email": "j@example.com"}]));
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 5, 0));
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    for credentials in [signing(), Credentials { insecure: true, ..Credentials::default() }] {
        let sample = Generic.sample(&credentials, NOW).unwrap();
        let post = Unverified { method: sample.method, url: "/webhooks/x", headers: &sample.headers, body: &sample.body };
        let verified = post.verify(&Generic, &credentials, NOW).unwrap();
        let decoded = Generic.decode(&verified);
        assert!(is_test(&Generic, decoded.reading.reports[0].recipient.as_ref().unwrap()));
        let expected = if credentials.insecure { Attribution::Unattributed } else { Attribution::Signed };
        assert_eq!(verified.attribution(), expected);
    }
}

#[test]
fn one_changed_bit_is_refused() {
    let sample = Generic.sample(&signing(), NOW).unwrap();
    for at in 0..sample.body.len() * 8 {
        let mut body = sample.body.clone();
        body[at / 8] ^= 1 << (at % 8);
        let post = Unverified { method: "POST", url: "/", headers: &sample.headers, body: &body };
        assert_eq!(post.verify(&Generic, &signing(), NOW).unwrap_err(), Refusal::Mismatch(Credential::Signature), "bit {at}");
    }
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "type|recipient|email|timestamp|smtp_code|enhanced_status|diagnostic|message_id|tags|metadata", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!({"a": text}), Value::Null, json!(true)] {
            let mut event = json!({"type": "hard_bounce", "recipient": "jane@example.com"});
            event[field.as_str()] = value;
            let _ = decoded(&event);
        }
    }
}
