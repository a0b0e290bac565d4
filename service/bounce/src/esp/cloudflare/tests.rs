use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, classify};
use crate::esp::{Credential, is_test};
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn credentials() -> Credentials {
    Credentials { bearer: vec!["token".to_owned()], ..Credentials::default() }
}

/// What becomes of a post: proved, put into a receipt, and read out of it again.
fn received(content_type: &str, values: &[&str], body: &[u8]) -> Result<(Attribution, Decoded), Refusal> {
    let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
    headers.extend(values.iter().map(|it| ("authorization".to_owned(), (*it).to_owned())));
    let post = Unverified { method: "POST", url: "/webhooks/cloudflare", headers: &headers, body };
    let verified = post.verify(&Cloudflare, &credentials(), NOW)?;
    let content = Cloudflare.content(&post);
    let kept = [("content-type".to_owned(), content.media_type.into_owned())];
    let restored = Unverified { method: "POST", url: "", headers: &kept, body: &content.bytes };
    let decoded = Cloudflare.decode(&Verified::restored(restored, verified.attribution(), NOW));
    Ok((verified.attribution(), decoded))
}

fn decoded(body: &Value) -> Decoded {
    received("application/json", &["Bearer token"], body.to_string().as_bytes()).unwrap().1
}

fn event(happening: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let mut payload = json!({"eventId": "event-1", "messageId": "message-1", "sender": "news@example.net", "recipient": "Jane@Example.com",
        "subject": "s", "terminal": true, "delivery": {"status": happening, "provider": "other", "smtpStatusCode": "550",
        "smtpEnhancedStatusCode": "5.1.1", "smtpResponse": "550 5.1.1 no such user"}});
    edit(&mut payload);
    json!({"type": format!("cf.email.sending.message.{happening}"), "source": {"type": "email.sending", "zoneId": "z", "domain": "example.net"},
        "payload": payload, "metadata": {"accountId": "a", "eventSubscriptionId": "s", "eventSchemaVersion": 1, "eventTimestamp": "2026-01-01T00:00:01.5Z"}})
}

fn only(body: &Value) -> Report {
    let mut decoded = decoded(body);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (1, 0), "{decoded:?}");
    decoded.reading.reports.remove(0)
}

#[test]
fn every_event_has_its_meaning() {
    let bounce = |word: &str| event("bounced", |it| it["bounce"] = json!({"type": word, "classification": "c", "reason": "gone"}));
    let rejection = |reason: &str| event("rejected", |it| it["rejection"] = json!({"reason": reason, "party": "recipient", "detail": "d"}));
    for (event, kind, bounce_type) in [
        (event("delivered", |_| {}), Kind::Delivered, None),
        (event("deferred", |_| {}), Kind::Delayed, None),
        (bounce("hard"), Kind::Bounce, Some(BounceType::Hard)),
        (bounce("Soft"), Kind::Bounce, Some(BounceType::Soft)),
        (bounce("other"), Kind::Bounce, Some(BounceType::Hard)),
        (rejection("suppressed"), Kind::Suppressed, None),
        (rejection("content"), Kind::Rejected, None),
        (event("failed", |it| it["failure"] = json!({"reason": "internal"})), Kind::Rejected, None),
        (event("complained", |it| it["complaint"] = json!({"type": "abuse"})), Kind::Complaint, None),
        (event("complained", |it| it["complaint"] = Value::Null), Kind::Complaint, None),
    ] {
        let report = only(&event);
        assert_eq!((report.kind, classify(&report, Rules::builtin()).bounce_type), (kind, bounce_type), "{event}");
    }
    assert_eq!(only(&rejection("suppressed")).claim.unwrap().reason, Some(Reason::Suppressed));
    let complaint = |word: &str| event("complained", |it| it["complaint"] = json!({"type": word}));
    assert_eq!(only(&complaint("fraud")).feedback_type, Some(FeedbackType::Fraud));
    for event in [complaint("not-spam"), event("opened", |_| {}), event("accepted", |_| {})] {
        assert_eq!((decoded(&event).reading.reports.len(), decoded(&event).unrecognised), (0, 0), "{event}");
    }
}

#[test]
fn everything_known_of_a_failure_is_taken() {
    let found = only(&event("bounced", |it| it["bounce"] = json!({"type": "hard", "reason": "gone"})));
    assert_eq!(
        (found.recipient.as_ref().unwrap().expose(), found.occurred_at),
        ("jane@example.com", Some(datetime!(2026-01-01 00:00:01.5 UTC)))
    );
    assert_eq!((found.provider_event_id.as_deref(), found.provider_message_id.as_deref()), (Some("event-1"), Some("message-1")));
    assert_eq!((found.status.unwrap().to_string().as_str(), found.reply.unwrap().code()), ("5.1.1", 550));
    assert_eq!(found.diagnostic.as_deref(), Some("550 5.1.1 no such user"));
    let without = only(&event("bounced", |it| (it["delivery"], it["bounce"]) = (Value::Null, json!({"type": "hard", "reason": "gone"}))));
    assert_eq!((without.diagnostic.as_deref(), without.status), (Some("gone"), None));
}

#[test]
fn a_bad_event_is_set_aside_and_one_still_in_its_message_is_read() {
    let wrapped = json!({"id": "q-1", "attempts": 1, "body": event("delivered", |_| {})});
    let body = json!([wrapped, event("dissolved", |_| {}), event("bounced", |it| it["recipient"] = Value::Null),
        event("bounced", |it| it["recipient"] = json!("jane")), {"type": "cf.kv.namespace.created"}, {}, 7]);
    let decoded = decoded(&body);
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 6, 0));
}

#[test]
fn a_mail_is_read_as_one_and_proves_nothing() {
    let mail = mime::sample(NOW);
    let (attribution, decoded) = received("message/rfc822", &["Bearer token"], mail.as_bytes()).unwrap();
    assert_eq!((attribution, decoded.reading.kind), (Attribution::Unattributed, Kind::Bounce));
    assert_eq!(decoded.reading.reports[0].status.unwrap().to_string(), "5.1.1");
    let (attribution, _) = received("application/json", &["Bearer token"], b"[]").unwrap();
    assert_eq!(attribution, Attribution::Authenticated);
    assert!(matches!(received("message/rfc822", &["Bearer token"], b" \r\n"), Err(Refusal::Malformed { .. })));
    assert_eq!(received("message/rfc822", &[], mail.as_bytes()).unwrap_err(), Refusal::Missing(Credential::Bearer));
}

#[test]
fn only_who_has_a_credential_is_let_in() {
    let verify = |values: &[&str], body: &[u8]| received("application/json", values, body).map(|it| it.0);
    assert_eq!(verify(&["Bearer tokem"], b"[]"), Err(Refusal::Mismatch(Credential::Bearer)));
    assert_eq!(verify(&["Bearer token"; 2], b"[]"), Err(Refusal::Repeated(Credential::Bearer)));
    assert_eq!(verify(&[], b"not json"), Err(Refusal::Missing(Credential::Bearer)));
    for body in [&b""[..], b"not json", b"null", b"{\"type\":", b"[[[", b"{\"a\":\"\xff\"}"] {
        assert_eq!(Cloudflare.refusal_status(&verify(&["Bearer token"], body).unwrap_err()), 400);
    }
    let post = Unverified { method: "POST", url: "/", headers: &[], body: b"[]" };
    assert!(matches!(post.verify(&Cloudflare, &Credentials::default(), NOW), Err(Refusal::NotConfigured(_))));
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    assert_eq!(post.verify(&Cloudflare, &insecure, NOW).unwrap().attribution(), Attribution::Unattributed);
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    let sample = Cloudflare.sample(&credentials(), NOW).unwrap();
    let (_, decoded) = received("application/json", &["Bearer token"], &sample.body).unwrap();
    let report = &decoded.reading.reports[0];
    assert!(is_test(&Cloudflare, report.recipient.as_ref().unwrap()));
    assert_eq!((classify(report, Rules::builtin()).bounce_type, report.occurred_at), (Some(BounceType::Hard), Some(NOW)));
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "type|payload|metadata|body", inner in "recipient|eventId|messageId|delivery|bounce|rejection|failure|complaint", happening in "bounced|rejected|failed|complained|delivered", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!({"type": text, "reason": number, "smtpResponse": text, "smtpStatusCode": text}), Value::Null, json!(true)] {
            let mut one = event(&happening, |it| it[inner.as_str()] = value.clone());
            let _ = decoded(&one);
            one[field.as_str()] = value;
            let _ = decoded(&one);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(content_type in "application/json|message/rfc822|\\PC{0,20}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = received(&content_type, &["Bearer token"], &body);
        let post = Unverified { method: "POST", url: "/", headers: &[], body: &body };
        let _ = Cloudflare.decode(&Verified::restored(post, Attribution::Authenticated, NOW));
    }
}
