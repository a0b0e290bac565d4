use serde_json::Value;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, classify};
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

fn bounce(category: &str, response: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let mut bounce = json!({"email_id": "e-1", "list_id": "<weekly.example.org>", "list_unsubscribe": "<https://example.org/u>", "feedback_id": "c:example",
        "recipient": "Jane@Example.com", "message": "It did not work.", "response": response, "response_code": 550, "truth_source": "google.com",
        "bounce": {"action": "reject", "message": "m", "category": category, "code": 550, "status": "5.1.1", "line": 1},
        "headers": {"Message-ID": "<own@example.org>", "X-Campaign": "7"}, "bounced_at": "2026-01-01T00:00:00.000Z"});
    edit(&mut bounce);
    bounce
}

fn verdict(bounce: &Value) -> (Kind, Option<BounceType>, Option<Reason>) {
    let verdict = classify(&trial::report(&ForwardEmail, bounce), Rules::builtin());
    (verdict.kind, verdict.bounce_type, verdict.reason)
}

#[test]
fn every_field_is_read() {
    let report = trial::report(&ForwardEmail, &bounce("recipient", "550 5.1.1 no such user", |_| {}));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.diagnostic.as_deref(), report.text.as_deref()), (Some("550 5.1.1 no such user"), Some("It did not work.")));
    assert_eq!((report.reply.unwrap().code(), report.status.unwrap().to_string().as_str()), (550, "5.1.1"));
    assert_eq!((report.provider_event_id, report.provider_message_id.as_deref()), (None, Some("e-1")));
    assert_eq!((report.message_id.as_deref(), report.occurred_at), (Some("own@example.org"), Some(NOW)));
    assert_eq!((report.hints.list_id.as_deref(), report.remote_mta.as_deref()), (Some("weekly.example.org"), Some("google.com")));
    assert_eq!((report.hints.headers["x-campaign"].as_str(), report.hints.tags["feedback_id"].as_str()), ("7", "c:example"));
}

#[test]
fn a_status_may_be_anything() {
    for status in [json!(false), json!(5), json!({}), Value::Null, json!("none")] {
        let report = trial::report(&ForwardEmail, &bounce("recipient", "550 no", |it| it["bounce"]["status"] = status.clone()));
        assert_eq!((report.status, report.reply.unwrap().code()), (None, 550), "{status}");
    }
}

#[test]
fn only_the_category_of_recipients_blames_the_address() {
    let of = |category: &str, response: &str| verdict(&bounce(category, response, |it| it["bounce"]["status"] = Value::Null));
    assert_eq!(of("recipient", "550 5.1.1").1, Some(BounceType::Hard));
    let categories = ["block", "blocklist", "spam", "virus", "capacity", "policy", "network", "dmarc", "greylist", "protocol"];
    for category in categories {
        assert_eq!(of(category, "550 rejected").1, Some(BounceType::Soft), "{category}");
    }
    assert_eq!(of("spam", "550 rejected").2, Some(Reason::SpamContent));
    // The receiver's words count for more than the category, and alone where it says nothing.
    assert_eq!(of("recipient", "550 5.7.1 message rejected as spam").1, Some(BounceType::Soft));
    assert_eq!(of("other", "550 5.1.1 no such user").1, Some(BounceType::Hard));
    assert_eq!(of("other", "552 5.2.2 mailbox full").1, Some(BounceType::Soft));
    assert_eq!(of("", "").1, Some(BounceType::Soft));
}

#[test]
fn a_code_that_no_server_gave_says_nothing_of_the_address() {
    let gave_up = bounce("other", "", |it| {
        it["response"] = Value::Null;
        it["message"] = json!("This message has been retried for the maximum period of 5 days and has permanently failed.");
        it["bounce"]["status"] = json!(false);
    });
    assert_eq!(verdict(&gave_up), (Kind::Bounce, Some(BounceType::Soft), Some(Reason::Expired)));
    let silent = bounce("other", "", |it| it["message"] = json!("Something went wrong."));
    let report = trial::report(&ForwardEmail, &silent);
    assert_eq!((report.reply, report.status, report.diagnostic.as_deref()), (None, None, Some("Something went wrong.")));
    assert_eq!(verdict(&silent).1, Some(BounceType::Soft));
}

#[test]
fn what_is_put_off_is_a_delay_and_what_is_no_bounce_is_kept() {
    assert_eq!(verdict(&bounce("network", "451 later", |it| it["bounce"]["action"] = json!("defer"))).0, Kind::Delayed);
    for unknown in [
        json!({}),
        json!({"recipient": "jane@example.com"}),
        bounce("recipient", "550", |it| it["recipient"] = json!(["jane@example.com"])),
    ] {
        trial::assert_unknown(&ForwardEmail, &unknown);
    }
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret("own"), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&ForwardEmail, &credentials);
    }
    let sample = ForwardEmail.sample(&trial::secret("own"), NOW).unwrap();
    trial::assert_signed(&ForwardEmail, &sample, &trial::secret("own"), &[SIGNATURE]);
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&ForwardEmail);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        trial::bend_every_field(&ForwardEmail, &bounce("recipient", "550 5.1.1 no", |_| {}), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&ForwardEmail, &body);
    }
}
