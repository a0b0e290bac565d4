use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trials::{self, claimed, decode, only, stands};
use crate::kind::{BounceType, FeedbackType, Kind};

fn event(fields: &Value) -> Value {
    let mut event = json!({"event": "bounce", "time": 1_767_225_600, "MessageID": 93_449_692_684_977_140_u64, "Message_GUID": "1b0e2d47-aaaa",
        "email": "Jane@Example.com", "mj_campaign_id": 7, "mj_contact_id": 9, "customcampaign": "winter", "CustomID": "c-7",
        "Payload": "{\"list\": \"weekly\"}", "blocked": false, "hard_bounce": true, "error_related_to": "recipient", "error": "user unknown",
        "comment": "550 no such user"});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

#[test]
fn every_field_is_read() {
    let report = only(&Mailjet, &event(&json!({})));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("550 no such user")));
    assert_eq!((report.provider_message_id.as_deref(), report.provider_event_id), (Some("93449692684977140"), None));
    assert_eq!(report.occurred_at, Some(datetime!(2026-01-01 00:00 UTC)));
    let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("CustomID", "c-7"), ("customcampaign", "winter"), ("list", "weekly")]);
}

#[test]
fn empty_fields_and_old_ids_are_read() {
    let fields = json!({"MessageID": null, "mj_message_id": "19421777835146490", "customcampaign": "", "CustomID": "", "Payload": "weekly", "comment": ""});
    let report = only(&Mailjet, &event(&fields));
    assert_eq!((report.provider_message_id.as_deref(), report.diagnostic.as_deref()), (Some("19421777835146490"), None));
    assert_eq!(report.hints.tags.into_iter().collect::<Vec<_>>(), [("Payload".to_owned(), "weekly".to_owned())]);
}

#[test]
fn the_flag_counts_where_the_error_may_be_for_good() {
    let of = |hard: Value, error: &str| claimed(&Mailjet, &event(&json!({"hard_bounce": hard, "error": error}))).unwrap();
    for (error, reason) in [
        ("user unknown", Some(Reason::UserUnknown)),
        ("mailbox inactive", Some(Reason::MailboxInactive)),
        ("invalid domain", Some(Reason::DomainUnknown)),
        ("no mail host", Some(Reason::DomainNoMail)),
        ("relay/access denied", Some(Reason::RelayDenied)),
        ("content blocked", Some(Reason::SpamContent)),
        ("sender blocked", Some(Reason::SenderRejected)),
        ("policy issue", Some(Reason::PolicyRejected)),
        ("connection issue", Some(Reason::NetworkError)),
        ("system issue", Some(Reason::ServerError)),
        ("protocol issue", Some(Reason::ProtocolError)),
        ("news", None),
        ("", None),
    ] {
        assert_eq!(of(json!(true), error), (Kind::Bounce, Some(BounceType::Hard), reason), "{error}");
        assert_eq!(of(json!(false), error), (Kind::Bounce, Some(BounceType::Soft), reason), "{error}");
        assert_eq!(of(Value::Null, error), (Kind::Bounce, None, reason), "{error}");
    }
    assert_eq!(of(json!(true), "quota exceeded"), (Kind::Bounce, None, Some(Reason::MailboxFull)));
    assert_eq!(of(json!(false), "Greylisted"), (Kind::Delayed, None, Some(Reason::Greylisted)));
    assert_eq!(of(json!(true), "greylisted"), (Kind::Bounce, None, Some(Reason::Greylisted)));
    assert_eq!(of(json!("1"), "user unknown").1, Some(BounceType::Hard));
}

#[test]
fn a_block_is_of_the_address_or_of_the_message() {
    let of =
        |error: &str, related: &str| claimed(&Mailjet, &event(&json!({"event": "blocked", "error": error, "error_related_to": related})));
    let suppressed = Some((Kind::Suppressed, Some(BounceType::Hard), Some(Reason::Suppressed)));
    for (error, related) in [("preblocked", "mailjet"), ("preblocked", ""), ("user unknown", "recipient"), ("typofix", "domain")] {
        assert_eq!(of(error, related), suppressed, "{error}");
    }
    for (error, related) in [
        ("duplicate in campaign", "mailjet"),
        ("duplicate in campaign", "recipient"),
        ("bad or empty template", "content"),
        ("content blocked", "spam"),
        ("system issue", "system"),
        ("", ""),
    ] {
        assert_eq!(of(error, related).unwrap().0, Kind::Rejected, "{error}");
    }
    let reporter = json!({"event": "blocked", "error": "spam reporter", "error_related_to": "recipient"});
    assert_eq!(only(&Mailjet, &event(&reporter)).feedback_type, Some(FeedbackType::Abuse));
}

#[test]
fn other_events_have_their_meaning() {
    let of = |name: &str| claimed(&Mailjet, &event(&json!({"event": name}))).map(|it| it.0);
    assert_eq!(["sent", "spam", "unsub"].map(of), [Some(Kind::Delivered), Some(Kind::Complaint), Some(Kind::Unsubscribe)]);
    assert_eq!(["open", "click"].map(of), [None, None]);
    let sent = only(&Mailjet, &event(&json!({"event": "sent", "comment": null, "smtp_reply": "sent (250 2.0.0 OK)"})));
    assert_eq!(sent.diagnostic.as_deref(), Some("sent (250 2.0.0 OK)"));
    let spam = only(&Mailjet, &event(&json!({"event": "spam", "source": "fbl-7"})));
    assert_eq!(spam.reporting_mta.as_deref(), Some("fbl-7"));
    let unsub = only(&Mailjet, &event(&json!({"event": "unsub", "mj_list_id": 12})));
    assert_eq!(unsub.hints.tags["mj_list_id"], "12");
}

#[test]
fn each_bad_event_is_set_aside() {
    let body = json!([
        event(&json!({})),
        {},
        null,
        "x",
        event(&json!({"event": "news"})),
        event(&json!({"email": "jane"})),
        event(&json!({"email": 7}))
    ]);
    let decoded = decode(&Mailjet, "application/json", body.to_string().as_bytes());
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 6, 0), "{decoded:?}");
    let empty = decode(&Mailjet, "application/json", b"[]");
    assert_eq!((empty.reading.reports.len(), empty.unrecognised, empty.answer.status), (0, 0, 200));
}

#[test]
fn the_words_are_weighed_against_the_label() {
    trials::weighs_words_against_a_hard_label(&Mailjet, |words| event(&json!({"comment": words, "error": ""})));
}

#[test]
fn posts_are_proved_by_what_comes_beside_them() {
    trials::asks_for_credentials(&Mailjet, b"[]");
    trials::refuses_what_cannot_be_parsed(&Mailjet);
    trials::has_a_sample(&Mailjet);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        stands(&Mailjet, "application/json", &body);
    }

    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(index in any::<prop::sample::Index>(), value in trials::any_value()) {
        let plain = event(&json!({"mj_list_id": 1, "source": "x", "smtp_reply": "x"}));
        let name = plain.as_object().unwrap().keys().nth(index.index(plain.as_object().unwrap().len())).unwrap();
        for body in [event(&json!({name: value.clone()})), json!([event(&json!({name: value.clone()})), value])] {
            stands(&Mailjet, "application/json", body.to_string().as_bytes());
        }
    }
}
