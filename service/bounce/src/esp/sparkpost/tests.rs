use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trials::{self, NOW, claimed, decode, only, stands, verify};
use crate::kind::{BounceType, FeedbackType, Kind};

fn event(fields: &Value) -> Value {
    let mut event = json!({"type": "bounce", "bounce_class": "10", "error_code": "550", "raw_reason": "550 no such user", "reason": "550 no …",
        "event_id": "13776123456789012345", "rcpt_to": "jane@example.com", "raw_rcpt_to": "Jane@Example.com", "rcpt_meta": {"customer": "c-7"},
        "rcpt_tags": ["winter"], "campaign_id": "news", "transmission_id": "65832150921904777", "message_id": "0000aaaa", "timestamp": "1767225600"});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"msys": {"message_event": event}})
}

#[test]
fn every_field_is_read() {
    let report = only(&SparkPost, &json!([event(&json!({}))]));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("550 no such user")));
    assert_eq!(
        (report.provider_event_id.as_deref(), report.provider_message_id.as_deref()),
        (Some("13776123456789012345"), Some("65832150921904777"))
    );
    assert_eq!(report.occurred_at, Some(datetime!(2026-01-01 00:00 UTC)));
    let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("campaign_id", "news"), ("customer", "c-7"), ("tag", "winter")]);
}

#[test]
fn what_may_be_spelled_otherwise_or_missing_is_read() {
    let fields = json!({"timestamp": 1_767_225_600, "error_code": 452, "raw_rcpt_to": null, "rcpt_meta": null, "transmission_id": null, "raw_reason": ""});
    let report = only(&SparkPost, &event(&fields));
    assert_eq!((report.occurred_at, report.reply.unwrap().code()), (Some(datetime!(2026-01-01 00:00 UTC)), 452));
    assert_eq!((report.recipient.unwrap().expose(), report.provider_message_id.as_deref()), ("jane@example.com", Some("0000aaaa")));
    assert_eq!(report.diagnostic.as_deref(), Some("550 no …"));
}

#[test]
fn every_bounce_class_has_its_meaning() {
    let hard = |reason| Some((Kind::Bounce, Some(BounceType::Hard), reason));
    let soft = |reason| Some((Kind::Bounce, Some(BounceType::Soft), reason));
    for (class, expected) in [
        (1, soft(None)),
        (10, hard(Some(Reason::UserUnknown))),
        (20, soft(None)),
        (21, soft(Some(Reason::DnsError))),
        (22, soft(Some(Reason::MailboxFull))),
        (23, soft(Some(Reason::MessageTooLarge))),
        (24, soft(Some(Reason::Expired))),
        (25, Some((Kind::Rejected, None, None))),
        (26, Some((Kind::Rejected, None, None))),
        (30, hard(None)),
        (40, soft(None)),
        (50, soft(Some(Reason::PolicyRejected))),
        (51, soft(Some(Reason::ReputationBlock))),
        (52, soft(Some(Reason::SpamContent))),
        (53, soft(Some(Reason::ContentRejected))),
        (54, soft(Some(Reason::RelayDenied))),
        (60, None),
        (70, soft(None)),
        (80, None),
        (90, Some((Kind::Unsubscribe, None, None))),
        (100, None),
        (999, Some((Kind::Bounce, None, None))),
    ] {
        for name in ["bounce", "out_of_band"] {
            assert_eq!(claimed(&SparkPost, &event(&json!({"type": name, "bounce_class": class.to_string()}))), expected, "{class}");
            assert_eq!(claimed(&SparkPost, &event(&json!({"type": name, "bounce_class": class}))), expected, "{class}");
        }
    }
}

#[test]
fn every_type_has_its_meaning() {
    let suppressed = Some((Kind::Suppressed, Some(BounceType::Hard), Some(Reason::Suppressed)));
    let text = json!({"raw_reason": "554 5.7.1 recipient address was suppressed due to customer policy"});
    for (name, expected) in [
        ("delay", Some(Kind::Delayed)),
        ("policy_rejection", Some(Kind::Rejected)),
        ("generation_failure", Some(Kind::Rejected)),
        ("generation_rejection", Some(Kind::Rejected)),
        ("spam_complaint", Some(Kind::Complaint)),
        ("list_unsubscribe", Some(Kind::Unsubscribe)),
        ("link_unsubscribe", Some(Kind::Unsubscribe)),
        ("delivery", Some(Kind::Delivered)),
        ("injection", None),
        ("open", None),
        ("initial_open", None),
        ("click", None),
        ("amp_open", None),
        ("amp_click", None),
    ] {
        assert_eq!(claimed(&SparkPost, &event(&json!({"type": name}))).map(|it| it.0), expected, "{name}");
        let mut listed = event(&text);
        listed["msys"]["message_event"]["type"] = json!(name);
        let of_list = expected == Some(Kind::Rejected);
        assert_eq!(claimed(&SparkPost, &listed), if of_list { suppressed } else { expected.map(|it| (it, None, None)) }, "{name}");
    }
    let mut class_25 = event(&text);
    class_25["msys"]["message_event"]["bounce_class"] = json!("25");
    assert_eq!(claimed(&SparkPost, &class_25), suppressed);
}

#[test]
fn a_complaint_says_which() {
    let complaint = |fbtype: &str| event(&json!({"type": "spam_complaint", "fbtype": fbtype, "report_by": "fbl.example.com"}));
    let report = only(&SparkPost, &complaint("abuse"));
    assert_eq!((report.feedback_type, report.reporting_mta.as_deref()), (Some(FeedbackType::Abuse), Some("fbl.example.com")));
    assert_eq!(only(&SparkPost, &complaint("news")).feedback_type, None);
    assert_eq!(claimed(&SparkPost, &complaint("not-spam")), None);
}

#[test]
fn the_question_whether_the_address_works_is_answered_200() {
    for ping in ["[{\"msys\":{}}]", "[]", "{\"msys\":{}}"] {
        let decoded = decode(&SparkPost, "application/json", ping.as_bytes());
        assert_eq!((decoded.answer.status, decoded.reading.reports.len(), decoded.unrecognised), (200, 0, 0), "{ping}");
    }
}

#[test]
fn each_bad_event_is_set_aside() {
    let nobody = event(&json!({"raw_rcpt_to": "jane", "rcpt_to": "j@example.com"}));
    let new_class = json!({"msys": {"news_event": {"type": "bounce", "bounce_class": "10", "rcpt_to": "j@example.com"}}});
    let body = json!([event(&json!({})), {}, 7, {"msys": 1}, {"msys": {"message_event": {}}}, event(&json!({"type": "news"})), nobody,
        {"msys": {"relay_message": {}}}, {"msys": {}}, new_class]);
    let decoded = decode(&SparkPost, "application/json", body.to_string().as_bytes());
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (2, 7, 0), "{decoded:?}");
}

fn relay(text: &str) -> Value {
    relay_of(text, &json!(false))
}

fn relay_encoded(text: &str) -> Value {
    relay_of(text, &json!(true))
}

fn relay_of(text: &str, is_base64: &Value) -> Value {
    json!({"msys": {"relay_message": {"content": {"email_rfc822": text, "email_rfc822_is_base64": is_base64, "headers": [], "text": "x"},
        "friendly_from": "MAILER-DAEMON@example.com", "msg_from": "", "rcpt_to": "b+token@in.example.net", "webhook_id": "7", "protocol": "smtp"}}})
}

#[test]
fn a_relayed_mail_is_read_as_a_mail() {
    let message = mime::sample(NOW);
    let encoded = STANDARD.encode(&message);
    let folded = encoded.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect::<Vec<_>>().join("\r\n");
    for body in [json!([relay(&message)]), json!([relay_encoded(&encoded)]), relay_encoded(&folded)] {
        let report = only(&SparkPost, &body);
        assert_eq!(
            (report.recipient.as_ref().unwrap().expose(), report.diagnostic.as_deref()),
            (TEST_RECIPIENT, Some("550 5.1.1 no such user (test)"))
        );
    }
    let several = decode(&SparkPost, "", json!([relay_encoded(&encoded), relay_encoded("***"), relay(&message)]).to_string().as_bytes());
    assert_eq!((several.reading.reports.len(), several.set_aside.len()), (2, 1));
}

#[test]
fn the_envelope_becomes_headers_that_hold_no_others() {
    let mut event = relay("Subject: x\r\n\r\ny");
    let of = |event: &Value| String::from_utf8(payload::relayed(Json::new(event)).unwrap()).unwrap();
    assert_eq!(of(&event), "Return-Path: <>\r\nX-Original-To: b+token@in.example.net\r\nSubject: x\r\n\r\ny");
    event["msys"]["relay_message"]["msg_from"] = json!("a@example.com\r\nTo: b");
    assert!(of(&event).starts_with("Return-Path: <a@example.com  To: b>\r\nX-Original-To: "));
}

#[test]
fn a_post_with_a_relayed_mail_is_unattributed() {
    let credentials = Credentials { bearer: vec!["token".into()], ..Credentials::default() };
    let verify = |body: &Value| verify(&SparkPost, &credentials, "/", &[("authorization", "Bearer token")], body.to_string().as_bytes());
    assert_eq!(verify(&json!([event(&json!({}))])), Ok(Attribution::Authenticated));
    assert_eq!(verify(&json!([{"msys": {}}])), Ok(Attribution::Authenticated));
    for body in [json!([relay("x")]), json!([event(&json!({})), relay("x")]), json!([{"msys": {"relay_message": 7}}])] {
        assert_eq!(verify(&body), Ok(Attribution::Unattributed), "{body}");
    }
}

#[test]
fn the_words_are_weighed_against_the_label() {
    trials::weighs_words_against_a_hard_label(&SparkPost, |words| {
        event(&json!({"bounce_class": "10", "error_code": null, "raw_reason": words, "reason": words}))
    });
}

#[test]
fn posts_are_proved_by_what_comes_beside_them() {
    trials::asks_for_credentials(&SparkPost, b"[{\"msys\":{}}]");
    trials::refuses_what_cannot_be_parsed(&SparkPost);
    trials::has_a_sample(&SparkPost);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        stands(&SparkPost, "application/json", &body);
    }

    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(index in any::<prop::sample::Index>(), value in trials::any_value()) {
        let plain = event(&json!({"fbtype": "abuse"}));
        let fields = plain["msys"]["message_event"].as_object().unwrap();
        let name = fields.keys().nth(index.index(fields.len())).unwrap();
        let mut mail = relay_encoded("x");
        mail["msys"]["relay_message"]["content"]["email_rfc822"] = value.clone();
        let bodies = [event(&json!({name: value.clone()})), mail, json!({"msys": {"relay_message": value}}), json!({"msys": value}), value];
        for body in &bodies {
            stands(&SparkPost, "application/json", body.to_string().as_bytes());
        }
        stands(&SparkPost, "application/json", json!(bodies).to_string().as_bytes());
    }
}
