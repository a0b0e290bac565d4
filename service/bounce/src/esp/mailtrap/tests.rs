use serde_json::Value;

use super::*;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

fn event(word: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({"event": word, "email": "Jane@Example.com", "timestamp": 1_767_225_600, "message_id": "m-1", "event_id": "e-1",
        "sending_stream": "bulk", "category": "weekly", "custom_variables": {"campaign": "c", "number": 7}, "sending_domain_name": "example.org"});
    edit(&mut event);
    event
}

fn bounce(category: &str, response: &str, code: u16) -> Value {
    event("bounce", |it| {
        it["bounce_category"] = json!(category);
        it["response"] = json!(response);
        it["response_code"] = json!(code);
    })
}

const HARD: (Kind, Option<BounceType>) = (Kind::Bounce, Some(BounceType::Hard));
const SOFT: (Kind, Option<BounceType>) = (Kind::Bounce, Some(BounceType::Soft));

#[test]
fn every_field_is_read() {
    let report = trial::report(&Mailtrap, &bounce("badmailbox", "bounced (550 5.1.1 no such user)", 550));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.diagnostic.as_deref(), report.reply.unwrap().code()), (Some("bounced (550 5.1.1 no such user)"), 550));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("e-1"), Some("m-1")));
    assert_eq!(report.occurred_at, Some(NOW));
    let tag = |name: &str| report.hints.tags[name].as_str();
    assert_eq!(
        [tag("tag"), tag("category"), tag("campaign"), tag("number"), tag("sending_stream")],
        ["weekly", "weekly", "c", "7", "bulk"]
    );
}

#[test]
fn a_bounce_is_hard_where_the_address_is_to_blame() {
    let of = |category: &str, response: &str, code: u16| trial::verdict(&Mailtrap, &bounce(category, response, code));
    assert_eq!(of("badmailbox", "550 5.1.1 no such user", 550), HARD);
    assert_eq!(of("bad-mailbox", "550 nope", 550), HARD);
    assert_eq!(of("baddomain", "", 0), HARD);
    assert_eq!(of("", "550 5.1.1 no such user", 550), HARD);
    assert_eq!(of("spam", "550 5.7.1 rejected", 550), SOFT);
    assert_eq!(of("quota-issues", "552 5.2.2 mailbox full", 552), SOFT);
    assert_eq!(of("", "550 5.7.1 your host is listed by a block list", 550), SOFT);
    assert_eq!(of("badmailbox", "554 5.7.1 message rejected as spam", 554), SOFT);
    // Where nothing else is said, Mailtrap's word has to do.
    assert_eq!([of("", "550 nope", 550), of("other", "failed", 0)], [HARD; 2]);
    assert_eq!(trial::verdict(&Mailtrap, &event("bounce", |_| {})), HARD);
}

#[test]
fn the_types_are_told_apart() {
    let of = |word: &str, reason: &str| trial::report(&Mailtrap, &event(word, |it| it["reason"] = json!(reason))).kind;
    let words = ["soft bounce", "soft_bounce", "delivery", "spam", "unsubscribe", "reject", "suspension"];
    let kinds = [Kind::Delayed, Kind::Delayed, Kind::Delivered, Kind::Complaint, Kind::Unsubscribe, Kind::Rejected, Kind::Rejected];
    assert_eq!(words.map(|it| of(it, "limit")), kinds);
    assert_eq!(of("reject", "Recipient in suppression list. Reason: hard bounce"), Kind::Suppressed);
    for word in ["open", "click", "activity_log.user.updated", "audit_log.x"] {
        trial::assert_nothing(&Mailtrap, &event(word, |_| {}));
    }
    for unknown in [event("lost", |_| {}), event("", |_| {}), json!({}), event("spam", |it| it["email"] = json!("nobody"))] {
        trial::assert_unknown(&Mailtrap, &unknown);
    }
}

#[test]
fn every_form_of_a_body_says_the_same() {
    let one = event("spam", |_| {}).to_string();
    let forms = [
        one.clone(),
        format!("[{one}]"),
        format!("{{\"events\":[{one}]}}"),
        format!("{one}\n"),
        format!("\n\r\n{one}\r\n\n"),
        format!("{one}\n{{\"event\":\"open\"}}\n"),
        serde_json::to_string_pretty(&json!({"events": [event("spam", |_| {})]})).unwrap(),
        format!("\u{feff}{one}\n{{\"event\":\"open\"}}"),
    ];
    for form in forms {
        let decoded = trial::raw(&Mailtrap, form.as_bytes());
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.set_aside.len()), (1, 0, 0), "{form}");
    }
    let decoded = trial::raw(&Mailtrap, format!("{one}\nnonsense\n{one}\n{{\"event\":\"news\"}}").as_bytes());
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len()), (2, 2));
    // A set-aside event is a post of its own.
    for aside in &decoded.set_aside {
        assert_eq!(trial::raw(&Mailtrap, &aside.bytes).unrecognised, 1);
    }
    let none = trial::raw(&Mailtrap, b"{\"events\":[]}");
    assert_eq!((none.reading.reports.len(), none.unrecognised), (0, 0));
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret("own"), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&Mailtrap, &credentials);
    }
    let sample = Mailtrap.sample(&trial::secret("own"), NOW).unwrap();
    trial::assert_signed(&Mailtrap, &sample, &trial::secret("own"), &[SIGNATURE]);
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&Mailtrap);
    for body in ["{\"events\":7}", "nope\nneither", "{\"event\":\n7,,\n}", "1\n2"] {
        let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
        let insecure = Credentials { insecure: true, ..Credentials::default() };
        assert!(matches!(post.verify(&Mailtrap, &insecure, NOW), Err(Refusal::Malformed { .. })), "{body}");
    }
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        trial::bend_every_field(&Mailtrap, &json!({"events": [bounce("badmailbox", "550 no", 550)]}), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&Mailtrap, &body);
    }
}
