use serde_json::{Value, json};

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Report;

const SECRET: &str = "whsec_c2VjcmV0IG9mIG91cnM=";

fn report(event: &Value) -> Report {
    trial::report(&Generic, event)
}

fn whole() -> Value {
    json!({"event_id": "e-1", "type": "hard_bounce", "recipient": "Jane <Jane@Example.com>", "timestamp": "2026-01-01T00:00:00Z",
        "smtp_code": 550, "enhanced_status": "5.1.1", "diagnostic": "smtp; 550 5.1.1 no", "reason": "user_unknown", "provider_message_id": "p-1",
        "message_id": "<own@example.com>", "envelope_id": "env-1", "source": "mx1", "remote_mta": "mx.example.com", "tags": ["t"],
        "metadata": {"campaign": "c"}, "list": "acme.weekly", "list_id": "Weekly <weekly.example.org>"})
}

#[test]
fn every_field_is_read() {
    let report = report(&whole());
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    let claim = report.claim.unwrap();
    assert_eq!((report.kind, claim.bounce_type, claim.reason), (Kind::Bounce, Some(BounceType::Hard), Some(Reason::UserUnknown)));
    assert_eq!((report.status.unwrap().to_string().as_str(), report.reply.unwrap().code()), ("5.1.1", 550));
    assert_eq!(report.diagnostic.as_deref(), Some("550 5.1.1 no"));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("e-1"), Some("p-1")));
    assert_eq!((report.message_id.as_deref(), report.envelope_id.as_deref()), (Some("own@example.com"), Some("env-1")));
    assert_eq!((report.reporting_mta.as_deref(), report.remote_mta.as_deref()), (Some("mx1"), Some("mx.example.com")));
    assert_eq!((report.occurred_at, report.hints.list_id.as_deref()), (Some(NOW), Some("weekly.example.org")));
    let tag = |name: &str| report.hints.tags[name].as_str();
    assert_eq!([tag("tag"), tag("campaign"), tag("list")], ["t", "c", "acme.weekly"]);
}

#[test]
fn every_type_is_told_apart() {
    let of = |word: &str| {
        let report = report(&json!({"type": word, "recipient": "jane@example.com"}));
        (report.kind, report.claim.and_then(|it| it.bounce_type))
    };
    let bounce = |it| (Kind::Bounce, it);
    assert_eq!([of("hard_bounce"), of("Hard")], [bounce(Some(BounceType::Hard)); 2]);
    assert_eq!([of("soft_bounce"), of("soft")], [bounce(Some(BounceType::Soft)); 2]);
    assert_eq!(of("bounce"), bounce(None));
    for (word, kind) in [
        ("delayed", Kind::Delayed),
        ("complaint", Kind::Complaint),
        ("unsubscribe", Kind::Unsubscribe),
        ("delivered", Kind::Delivered),
        ("suppressed", Kind::Suppressed),
        ("rejected", Kind::Rejected),
    ] {
        assert_eq!(of(word), (kind, None));
    }
    let soft = report(&json!({"type": "bounce", "bounce_type": "soft", "recipient": "jane@example.com"}));
    assert_eq!(soft.claim.unwrap().bounce_type, Some(BounceType::Soft));
    let complaint = report(&json!({"type": "complaint", "feedback_type": "fraud", "recipient": "jane@example.com"}));
    assert_eq!(complaint.feedback_type, Some(FeedbackType::Fraud));
    trial::assert_nothing(&Generic, &json!({"type": "test"}));
}

#[test]
fn a_field_that_cannot_be_read_is_told_and_costs_itself_only() {
    for (field, value) in [
        ("timestamp", json!("yesterday")),
        ("smtp_code", json!(5500)),
        ("enhanced_status", json!("five")),
        ("reason", json!("bad_luck")),
        ("timestamp", json!(["2026"])),
        ("reason", json!({})),
    ] {
        let mut event = whole();
        event[field] = value.clone();
        let decoded = trial::decoded(&Generic, &event);
        assert_eq!((decoded.reading.reports.len(), decoded.reading.notes.len()), (1, 1), "{field} {value}");
    }
    assert!(trial::decoded(&Generic, &whole()).reading.notes.is_empty());
    assert_eq!(report(&json!({"type": "hard", "email": "j@example.com", "timestamp": 1_767_225_600})).occurred_at, Some(NOW));
}

#[test]
fn the_fields_of_listmonk_are_understood() {
    let event = json!({"subscriber_uuid": "s", "campaign_uuid": "c", "email": "jane@example.com", "source": "api", "type": "hard",
        "meta": "{\"note\": 1}", "created_at": "2026-01-01T00:00:00Z"});
    let report = report(&event);
    assert_eq!((report.kind, report.occurred_at, report.hints.tags["campaign_uuid"].as_str()), (Kind::Bounce, Some(NOW), "c"));
    let decoded = trial::decoded(&Generic, &json!([{"email": "jane@example.com", "type": "complaint", "meta": {"k": "v"}}, event]));
    assert_eq!(decoded.reading.reports.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Complaint, Kind::Bounce]);
}

#[test]
fn one_event_more_than_the_limit_is_refused() {
    let of = |count: usize| {
        let body = format!("[{}]", vec!["{\"type\":\"test\"}"; count].join(","));
        let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
        let insecure = Credentials { insecure: true, ..Credentials::default() };
        post.verify(&Generic, &insecure, NOW).map(|_| ()).map_err(|it| (Generic.refusal_status(&it), it))
    };
    assert_eq!(of(limits::GENERIC_EVENTS), Ok(()));
    assert_eq!(of(limits::GENERIC_EVENTS + 1), Err((413, Refusal::TooMany(limits::GENERIC_EVENTS))));
}

#[test]
fn each_bad_event_is_set_aside() {
    let decoded = trial::decoded(
        &Generic,
        &json!([{"type": "hard"}, {"type": "bounce", "email": "jane"}, {"type": "news", "email": "j@example.com"}, {}, 7,
        {"type": "hard", "recipient": 7, "email": "j@example.com"}, {"type": "hard", "recipient": "a@example.com, b@example.com"},
        {"type": "test"}, {"type": "delivered", "email": "j@example.com"}]),
    );
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (2, 6, 0));
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret(SECRET), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&Generic, &credentials);
    }
    let sample = Generic.sample(&trial::secret(SECRET), NOW).unwrap();
    trial::assert_signed(&Generic, &sample, &trial::secret(SECRET), &["webhook-id", "webhook-timestamp", "webhook-signature"]);
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&Generic);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        trial::bend_every_field(&Generic, &json!([whole()]), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&Generic, &body);
    }
}
