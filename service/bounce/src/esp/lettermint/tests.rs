use serde_json::Value;

use super::*;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

fn event(word: &str, response: &Value) -> Value {
    json!({"id": "ev-1", "event": word, "timestamp": "2026-01-01T00:00:00.000Z", "data": {"message_id": "m-1", "subject": "s",
        "recipient": "Jane <Jane@Example.com>", "response": response, "metadata": {"campaign": "c"}, "tag": "weekly"}})
}

#[test]
fn every_field_is_read() {
    let response = json!({"status_code": 550, "enhanced_status_code": "5.1.1", "content": "no such user"});
    let report = trial::report(&Lettermint, &event("message.hard_bounced", &response));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.reply.unwrap().code(), report.status.unwrap().to_string().as_str()), (550, "5.1.1"));
    assert_eq!(report.diagnostic.as_deref(), Some("no such user"));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("ev-1"), Some("m-1")));
    assert_eq!(report.occurred_at, Some(NOW));
    assert_eq!((report.hints.tags["tag"].as_str(), report.hints.tags["campaign"].as_str()), ("weekly", "c"));
}

#[test]
fn the_types_are_told_apart() {
    let response = json!({"status_code": 550, "enhanced_status_code": "5.1.1", "content": "no such user"});
    let of = |word: &str, response: &Value| trial::verdict(&Lettermint, &event(word, response));
    assert_eq!(of("message.hard_bounced", &response), (Kind::Bounce, Some(BounceType::Hard)));
    assert_eq!(of("message.hard_bounced", &Value::Null), (Kind::Bounce, Some(BounceType::Hard)));
    assert_eq!(of("message.soft_bounced", &response), (Kind::Bounce, Some(BounceType::Soft)));
    assert_eq!(of("message.failed", &response), (Kind::Bounce, Some(BounceType::Hard)));
    let kinds = ["message.spam_complaint", "message.suppressed", "message.unsubscribed", "message.delivered", "message.failed"];
    let expected = [Kind::Complaint, Kind::Suppressed, Kind::Unsubscribe, Kind::Delivered, Kind::Rejected];
    assert_eq!(kinds.map(|it| of(it, &Value::Null).0), expected);
    for word in [
        "message.created",
        "message.sent",
        "message.opened",
        "message.clicked",
        "message.inbound",
        "message.policy_rejected",
        "webhook.test",
        "suppression.added",
    ] {
        trial::assert_nothing(&Lettermint, &event(word, &response));
    }
    for unknown in
        [event("message.lost", &response), event("", &response), json!({"event": "message.hard_bounced", "data": {"recipient": 7}})]
    {
        trial::assert_unknown(&Lettermint, &unknown);
    }
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret("own"), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&Lettermint, &credentials);
    }
    let sample = Lettermint.sample(&trial::secret("own"), NOW).unwrap();
    trial::assert_signed(&Lettermint, &sample, &trial::secret("own"), &[signature::HEADER]);
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&Lettermint);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        let response = json!({"status_code": 550, "enhanced_status_code": "5.1.1", "content": "no"});
        trial::bend_every_field(&Lettermint, &event("message.hard_bounced", &response), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&Lettermint, &body);
    }
}
