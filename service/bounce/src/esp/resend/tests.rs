use serde_json::Value;
use time::Duration;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trial::{self, NOW};
use crate::kind::{BounceType, Kind};

const SECRET: &str = "whsec_c2VjcmV0IG9mIG91cnM=";

fn event(word: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({"type": word, "created_at": "2026-01-01T00:00:00.000Z", "data": {"email_id": "e-1", "message_id": "<own@example.com>",
        "from": "News <news@example.org>", "to": ["\"Roe, Jane\" <Jane@Example.com>"], "created_at": "2025-12-31T23:59:00Z", "tags": {"campaign": "c"}}});
    edit(&mut event["data"]);
    event
}

fn bounced(bounce: &Value) -> Value {
    event("email.bounced", |data| data["bounce"] = bounce.clone())
}

fn verdict(event: &Value) -> (Kind, Option<BounceType>) {
    trial::verdict(&Resend, event)
}

const HARD: (Kind, Option<BounceType>) = (Kind::Bounce, Some(BounceType::Hard));
const SOFT: (Kind, Option<BounceType>) = (Kind::Bounce, Some(BounceType::Soft));

#[test]
fn every_field_is_read() {
    let bounce = json!({"type": "Permanent", "subType": "NoEmail", "message": "No such mailbox.", "diagnosticCode": ["smtp; 550 5.1.1 no such user"]});
    let report = trial::report(
        &Resend,
        &event("email.bounced", |data| {
            data["bounce"] = bounce;
            data["headers"] = json!([{"name": "List-Id", "value": "<weekly.example.org>"}, {"name": "X-Campaign", "value": "7"}]);
            data["broadcast_id"] = json!("b-1");
        }),
    );
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.diagnostic.as_deref(), report.diagnostic_type.as_deref()), (Some("550 5.1.1 no such user"), Some("smtp")));
    assert_eq!((report.reply.unwrap().code(), report.text.as_deref()), (550, Some("No such mailbox.")));
    assert_eq!(report.claim.unwrap().reason, Some(Reason::UserUnknown));
    assert_eq!((report.message_id.as_deref(), report.provider_message_id.as_deref()), (Some("own@example.com"), Some("e-1")));
    assert_eq!((report.occurred_at, report.hints.list_id.as_deref()), (Some(NOW), Some("weekly.example.org")));
    assert_eq!((report.hints.tags["campaign"].as_str(), report.hints.tags["broadcast_id"].as_str()), ("c", "b-1"));
    assert_eq!(report.hints.headers["x-campaign"], "7");
}

#[test]
fn the_types_of_bounces_are_those_of_ses() {
    let of = |word: &str, sub: &str| verdict(&bounced(&json!({"type": word, "subType": sub, "message": "m"})));
    assert_eq!([of("Permanent", "General"), of("Permanent", "NoEmail")], [HARD; 2]);
    assert_eq!([of("Permanent", "Suppressed"), of("Permanent", "OnAccountSuppressionList")], [(Kind::Suppressed, None); 2]);
    for sub in ["General", "MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected", "SomethingNew"] {
        assert_eq!(of("Transient", sub), SOFT, "{sub}");
    }
    assert_eq!([of("Undetermined", "Undetermined"), of("New", "New")], [SOFT; 2]);
}

#[test]
fn old_bounces_are_told_by_their_prose() {
    let of = |message: &str| verdict(&bounced(&json!({"message": message})));
    assert_eq!(of("The provider sent a hard bounce message."), HARD);
    assert_eq!(of("SES has suppressed sending to this address."), (Kind::Suppressed, None));
    assert_eq!(
        [of("It came back as the recipient's inbox was full."), of("The provider sent a general bounce message."), of("?")],
        [SOFT; 3]
    );
    assert_eq!(verdict(&event("email.bounced", |_| {})), SOFT);
}

#[test]
fn the_other_types_are_told_apart() {
    for (word, kind) in [
        ("email.suppressed", Kind::Suppressed),
        ("email.delivery_delayed", Kind::Delayed),
        ("email.complained", Kind::Complaint),
        ("email.delivered", Kind::Delivered),
        ("email.failed", Kind::Rejected),
    ] {
        assert_eq!(trial::report(&Resend, &event(word, |_| {})).kind, kind, "{word}");
    }
    let failed = trial::report(&Resend, &event("email.failed", |data| data["failed"] = json!({"reason": "reached_daily_quota"})));
    assert_eq!(failed.text.as_deref(), Some("reached_daily_quota"));
    for word in [
        "email.sent",
        "email.scheduled",
        "email.opened",
        "email.clicked",
        "email.received",
        "domain.updated",
        "contact.created",
        "suppression.added",
    ] {
        trial::assert_nothing(&Resend, &event(word, |_| {}));
    }
    for word in ["email.recalled", "weather.changed"] {
        trial::assert_unknown(&Resend, &event(word, |_| {}));
    }
    trial::assert_unknown(&Resend, &json!({"data": {}}));
}

#[test]
fn of_several_recipients_none_is_blamed_unless_it_is_named() {
    let several = |word: &str, code: &str| {
        event(word, |data| {
            data["to"] = json!(["jane@example.com", "Mary Jane <mary.jane@example.com>"]);
            data["cc"] = json!("jim@example.org");
            data["bounce"] = json!({"type": "Permanent", "subType": "General", "diagnosticCode": code});
        })
    };
    trial::assert_unknown(&Resend, &several("email.bounced", "550 5.1.1 no such user"));
    trial::assert_unknown(&Resend, &several("email.complained", ""));
    trial::assert_nothing(&Resend, &several("email.delivered", ""));
    for (code, expected) in
        [("550 5.1.1 <jane@example.com>: unknown", "jane@example.com"), ("smtp; 550 No mary.jane@example.com.", "mary.jane@example.com")]
    {
        let report = trial::report(&Resend, &several("email.bounced", code));
        assert_eq!(report.recipient.unwrap().expose(), expected);
    }
    trial::assert_unknown(&Resend, &several("email.bounced", "550 jane@example.com.au and xjim@example.org"));
    trial::assert_unknown(&Resend, &several("email.bounced", "550 jane@example.com jim@example.org"));
    // The same person twice is one, and one that cannot be read may be the one that failed.
    let twice = event("email.complained", |data| data["cc"] = json!(["jane@example.com"]));
    assert_eq!(trial::report(&Resend, &twice).kind, Kind::Complaint);
    trial::assert_unknown(&Resend, &event("email.complained", |data| data["cc"] = json!(["nonsense"])));
    trial::assert_unknown(&Resend, &event("email.complained", |data| data["to"] = json!([])));
    trial::assert_unknown(&Resend, &event("email.complained", |data| data["to"] = json!([7, "jane"])));
}

#[test]
fn the_sample_is_believed_and_every_bit_of_it_counts() {
    for credentials in [trial::secret(SECRET), Credentials { insecure: true, ..Credentials::default() }] {
        trial::assert_sample(&Resend, &credentials);
    }
    let sample = Resend.sample(&trial::secret(SECRET), NOW).unwrap();
    trial::assert_signed(&Resend, &sample, &trial::secret(SECRET), &["svix-id", "svix-timestamp", "svix-signature"]);
    let at = |seconds: i64| trial::verify(&Resend, &sample, &trial::secret(SECRET), NOW + Duration::seconds(seconds)).map(|_| ());
    assert_eq!([at(300), at(-300)], [Ok(()), Ok(())]);
    assert_eq!([at(301), at(-301)], [Err(Refusal::Stale(300)), Err(Refusal::Stale(300))]);
}

#[test]
fn the_id_of_the_event_is_that_of_the_header() {
    let sample = Resend.sample(&trial::secret(SECRET), NOW).unwrap();
    let decoded = trial::verify(&Resend, &sample, &trial::secret(SECRET), NOW).unwrap();
    assert_eq!(decoded.reading.reports[0].provider_event_id.as_deref(), Some("msg_rebound_test_1767225600"));
}

#[test]
fn junk_is_refused() {
    trial::assert_junk_is_refused(&Resend);
}

proptest::proptest! {
    // Each case bends every field in a dozen ways.
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        let whole = event("email.bounced", |data| data["bounce"] = json!({"type": "Permanent", "subType": "General", "message": "m", "diagnosticCode": ["550"]}));
        trial::bend_every_field(&Resend, &whole, &trial::values(&text, number));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = trial::raw(&Resend, &body);
    }
}

#[test]
fn a_stored_receipt_still_has_the_id_that_came_in_a_header() {
    let body = json!({"type": "email.bounced", "data": {"email_id": "e-1", "to": ["jane@example.com"], "bounce": {"type": "Permanent"}}})
        .to_string();
    let headers = [("svix-signature".to_owned(), "v1,x".to_owned()), ("svix-id".to_owned(), "msg_1".to_owned())];
    let content = Resend.content(&Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() });
    let stored = [("content-type".to_owned(), content.media_type.into_owned())];
    let post = Unverified { method: "POST", url: "", headers: &stored, body: &content.bytes };
    let decoded = Resend.decode(&Verified::restored(post, crate::kind::Attribution::Signed, NOW));
    assert_eq!(decoded.reading.reports[0].provider_event_id.as_deref(), Some("msg_1"));
}
