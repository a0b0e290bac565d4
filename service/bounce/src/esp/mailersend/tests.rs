use serde_json::Value;

use super::*;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

fn event(activity: &str, morph: &Value) -> Value {
    json!({"type": format!("activity.{activity}"), "domain_id": "d", "created_at": "2026-01-02T00:00:00.000000Z", "webhook_id": "w", "url": "https://hooks.example/",
        "data": {"object": "activity", "id": "a-1", "type": activity, "created_at": "2026-01-01T00:00:00.000000Z",
            "email": {"object": "email", "id": "e-1", "from": "news@example.org", "subject": "s", "status": "rejected", "tags": ["weekly", "second"],
                "headers": [{"name": "Message-ID", "value": "<own@example.org>"}],
                "message": {"object": "message", "id": "m-1"}, "recipient": {"object": "recipient", "id": "r", "email": "Jane@Example.com"}},
            "morph": morph}})
}

fn test_call(word: &str, secret: &str) -> Sample {
    let mut sample =
        Sample::json(&json!({"type": word, "data": {"type": "hard_bounced", "email": {"recipient": {"email": "jane@example.com"}}}}));
    let mac = mac::sign(Hash::Sha256, secret.as_bytes(), &[&sample.body]);
    sample.headers.push((SIGNATURE.to_owned(), mac::to_hex(&mac)));
    sample
}

#[test]
fn every_field_is_read() {
    let morph = json!({"object": "recipient_bounce", "id": "b", "reason": "550 5.1.1 no such user", "readable_reason": "The mailbox is not there."});
    let report = trial::report(&MailerSend, &event("hard_bounced", &morph));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!(report.kind, Kind::Bounce);
    assert_eq!((report.diagnostic.as_deref(), report.reply.unwrap().code()), (Some("550 5.1.1 no such user"), 550));
    assert_eq!(report.text.as_deref(), Some("The mailbox is not there."));
    assert_eq!((report.provider_event_id.as_deref(), report.provider_message_id.as_deref()), (Some("a-1"), Some("m-1")));
    assert_eq!((report.message_id.as_deref(), report.occurred_at), (Some("own@example.org"), Some(NOW)));
    assert_eq!(report.hints.tags["tag"], "weekly");
    let readable = trial::report(&MailerSend, &event("soft_bounced", &json!({"readable_reason": "Later."})));
    assert_eq!((readable.diagnostic.as_deref(), readable.text), (Some("Later."), None));
}

#[test]
fn the_types_are_told_apart() {
    let of = |activity: &str| trial::verdict(&MailerSend, &event(activity, &Value::Null));
    assert_eq!(of("hard_bounced"), (Kind::Bounce, Some(BounceType::Hard)));
    assert_eq!(of("soft_bounced"), (Kind::Bounce, Some(BounceType::Soft)));
    let kinds = ["deferred", "delivered", "spam_complaint", "unsubscribed"].map(|it| of(it).0);
    assert_eq!(kinds, [Kind::Delayed, Kind::Delivered, Kind::Complaint, Kind::Unsubscribe]);
    for activity in ["queued", "sent", "opened", "opened_unique", "clicked", "clicked_unique", "survey_opened", "survey_submitted"] {
        trial::assert_nothing(&MailerSend, &event(activity, &Value::Null));
    }
    for word in [
        "sender_identity.verified",
        "maintenance.start",
        "inbound_forward.failed",
        "email_single.verified",
        "bulk_email.completed",
        "sms.failed",
    ] {
        trial::assert_nothing(&MailerSend, &json!({"type": word, "data": {"type": "hard_bounced"}}));
    }
    trial::assert_unknown(&MailerSend, &event("rejected", &Value::Null));
    for unknown in [json!({}), json!({"type": "weather.changed"}), json!({"type": "activity."}), json!({"type": "activity.hard_bounced"})] {
        trial::assert_unknown(&MailerSend, &unknown);
    }
    // Without the outer type the inner one counts.
    let mut inner = event("hard_bounced", &Value::Null);
    inner["type"] = Value::Null;
    assert_eq!(trial::report(&MailerSend, &inner).kind, Kind::Bounce);
}

#[test]
fn a_label_of_hard_gives_way_to_words_that_tell_more() {
    let of = |reason: &str| trial::verdict(&MailerSend, &event("hard_bounced", &json!({"reason": reason}))).1.unwrap();
    assert_eq!(["550 no", "Host or domain name not found", "550 5.1.1 no such user"].map(of), [BounceType::Hard; 3]);
    assert_eq!(["550 5.7.1 Message rejected as spam", "552 5.2.2 mailbox full"].map(of), [BounceType::Soft; 2]);
}

#[test]
fn the_secret_that_everybody_knows_proves_the_test_call_only() {
    let own = trial::secret("own");
    let accepted = trial::verify(&MailerSend, &test_call(TEST_EVENT, TEST_SECRET), &own, NOW).unwrap();
    assert_eq!((accepted.reading.reports.len(), accepted.unrecognised), (0, 0));
    for word in ["activity.hard_bounced", "", "webhook.testing"] {
        let refusal = trial::verify(&MailerSend, &test_call(word, TEST_SECRET), &own, NOW).unwrap_err();
        assert_eq!(refusal, Refusal::Mismatch(Credential::Signature), "{word}");
    }
    assert!(trial::verify(&MailerSend, &test_call(TEST_EVENT, "guess"), &own, NOW).is_err());
    // What else is configured must hold for the test call as well.
    let with_password = Credentials { url_secret: Some("u".to_owned()), ..trial::secret("own") };
    let refusal = trial::verify(&MailerSend, &test_call(TEST_EVENT, TEST_SECRET), &with_password, NOW).unwrap_err();
    assert_eq!(refusal, Refusal::Mismatch(Credential::UrlSecret));
    assert!(trial::verify(&MailerSend, &test_call(TEST_EVENT, TEST_SECRET), &trial::secret(""), NOW).is_err());
    // Signed with the source's own secret it is an event of which nothing is recorded, too.
    assert!(trial::verify(&MailerSend, &test_call(TEST_EVENT, "own"), &own, NOW).unwrap().reading.reports.is_empty());
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret("own"), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&MailerSend, &credentials);
    }
    let sample = MailerSend.sample(&trial::secret("own"), NOW).unwrap();
    trial::assert_signed(&MailerSend, &sample, &trial::secret("own"), &[SIGNATURE]);
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&MailerSend);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        trial::bend_every_field(&MailerSend, &event("hard_bounced", &json!({"reason": "550 no", "readable_reason": "r"})), &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&MailerSend, &body);
    }
}
