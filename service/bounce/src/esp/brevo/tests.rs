use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::Credential;
use crate::esp::trials::{self, claimed, decode, only, stands, verify};
use crate::kind::{BounceType, Kind};

fn event(fields: &Value) -> Value {
    let mut event = json!({"event": "hard_bounce", "email": "Jane@Example.com", "id": 7, "date": "2026-01-01 02:00:00", "ts": 1_767_232_800,
        "message-id": "<own-1@example.net>", "ts_event": 1_767_225_601, "ts_epoch": 1_767_225_600_123_u64, "subject": "News", "tag": "[\"winter\"]",
        "tags": ["winter", "news"], "X-Mailin-custom": "{\"list\": \"weekly\"}", "template_id": 3, "sending_ip": "192.0.2.1", "reason": "550 no such user"});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

#[test]
fn every_field_is_read() {
    let report = only(&Brevo, &event(&json!({})));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("550 no such user")));
    // The `id` is the webhook's.
    assert_eq!((report.message_id.as_deref(), report.provider_event_id), (Some("own-1@example.net"), None));
    let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("list", "weekly"), ("tag", "winter"), ("template_id", "3")]);
}

#[test]
fn the_time_is_the_surest_that_is_there() {
    let of = |fields: Value| only(&Brevo, &event(&fields)).occurred_at.unwrap();
    assert_eq!(of(json!({})), datetime!(2026-01-01 00:00:00.123 UTC));
    assert_eq!(of(json!({"ts_epoch": 1_767_225_600})), datetime!(2026-01-01 00:00 UTC));
    assert_eq!(of(json!({"ts_epoch": null})), datetime!(2026-01-01 00:00:01 UTC));
    assert_eq!(of(json!({"ts_epoch": 0, "ts_event": "", "ts": null})), datetime!(2026-01-01 02:00 UTC));
}

#[test]
fn tags_and_custom_fields_come_in_several_forms() {
    let tags = |fields: Value| only(&Brevo, &event(&fields)).hints.tags;
    let bare = json!({"tags": null, "template_id": null, "X-Mailin-custom": "some_custom_header", "tag": "one"});
    let expected = [("X-Mailin-custom".to_owned(), "some_custom_header".to_owned()), ("tag".to_owned(), "one".to_owned())];
    assert_eq!(tags(bare), BTreeMap::from(expected));
    assert_eq!(tags(json!({"tags": [], "tag": "[\"two\"]"}))["tag"], "two");
    assert_eq!(tags(json!({"camp_id": 12, "list_id": [4, 5]}))["list_id"], "4");
}

#[test]
fn every_event_has_its_meaning_in_both_spellings() {
    let bounce = |bounce_type, reason| Some((Kind::Bounce, Some(bounce_type), reason));
    let only = |kind| Some((kind, None, None));
    for (name, other, expected) in [
        ("hard_bounce", "hardBounce", bounce(BounceType::Hard, None)),
        ("soft_bounce", "softBounce", bounce(BounceType::Soft, None)),
        ("invalid_email", "invalid", bounce(BounceType::Hard, Some(Reason::AddressSyntax))),
        ("blocked", "Blocked", Some((Kind::Suppressed, Some(BounceType::Hard), Some(Reason::Suppressed)))),
        ("deferred", "deferred", only(Kind::Delayed)),
        ("delivered", "delivered", only(Kind::Delivered)),
        ("error", "error", only(Kind::Rejected)),
        ("spam", "complaint", only(Kind::Complaint)),
        ("unsubscribe", "unsubscribed", only(Kind::Unsubscribe)),
        ("request", "sent", None),
        ("opened", "unique_opened", None),
        ("proxy_open", "unique_proxy_open", None),
        ("click", "list_addition", None),
    ] {
        for name in [name, other] {
            assert_eq!(claimed(&Brevo, &event(&json!({"event": name}))), expected, "{name}");
        }
    }
}

#[test]
fn a_batch_is_read_in_any_form() {
    let two = json!([event(&json!({})), event(&json!({"event": "spam"}))]);
    for body in [two.clone(), json!({"events": two}), json!({"batch": two, "count": 2})] {
        let decoded = decode(&Brevo, "application/json", body.to_string().as_bytes());
        assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (2, 0, 0), "{body}");
    }
    for unclear in [json!({"a": two, "b": two}), json!({}), json!({"a": {"b": two}})] {
        assert_eq!(decode(&Brevo, "application/json", unclear.to_string().as_bytes()).unrecognised, 1, "{unclear}");
    }
}

#[test]
fn received_mail_is_refused() {
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    let refused = verify(&Brevo, &insecure, "/", &[], b"{\"items\": [{\"Uuid\": [\"x\"]}]}").unwrap_err();
    assert_eq!((Brevo.refusal_status(&refused), refused.label()), (400, "malformed"));
}

#[test]
fn each_bad_event_is_set_aside() {
    let body = json!([event(&json!({})), {}, null, "x", {"items": []}, event(&json!({"event": "news"})), event(&json!({"email": ""}))]);
    let decoded = decode(&Brevo, "application/json", body.to_string().as_bytes());
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 6, 0), "{decoded:?}");
}

#[test]
fn what_may_become_right_comes_again() {
    assert_eq!(Brevo.busy_status(), 429);
    for refusal in [Refusal::NotConfigured("key"), Refusal::Missing(Credential::Basic), Refusal::Mismatch(Credential::Basic)] {
        assert_eq!(Brevo.refusal_status(&refusal), 429, "{refusal}");
    }
    assert_eq!(Brevo.refusal_status(&Refusal::TooMany(1)), 413);
}

#[test]
fn the_words_are_weighed_against_the_label() {
    trials::weighs_words_against_a_hard_label(&Brevo, |words| event(&json!({"reason": words})));
}

#[test]
fn posts_are_proved_by_what_comes_beside_them() {
    trials::asks_for_credentials(&Brevo, event(&json!({})).to_string().as_bytes());
    trials::refuses_what_cannot_be_parsed(&Brevo);
    trials::has_a_sample(&Brevo);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        stands(&Brevo, "application/json", &body);
    }

    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(index in any::<prop::sample::Index>(), value in trials::any_value()) {
        let plain = event(&json!({"camp_id": 1, "list_id": 1}));
        let name = plain.as_object().unwrap().keys().nth(index.index(plain.as_object().unwrap().len())).unwrap();
        let changed = event(&json!({name: value.clone()}));
        for body in [changed.clone(), json!([changed, value]), json!({"events": [changed, value]}), json!({"events": value})] {
            stands(&Brevo, "application/json", body.to_string().as_bytes());
        }
    }
}
