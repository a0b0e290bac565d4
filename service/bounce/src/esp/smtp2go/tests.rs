use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trials::{self, NOW, claimed, decode, only, stands, verify};
use crate::kind::{Attribution, BounceType, Kind};
use crate::status::Stage;

fn event(fields: &Value) -> Value {
    let mut event = json!({"event": "bounce", "bounce": "hard", "time": "2026-01-01T00:00:00Z", "sendtime": "2025-12-31T23:59:00.199324+00:00",
        "sender": "news@example.net", "from": "News <news@example.net>", "rcpt": "Jane@Example.com", "recipients": ["jane@example.com", "jim@example.com"],
        "auth": "api-7", "host": "mx.example.com [192.0.2.1]", "message": "550 no such user", "context": "RCPT TO:<jane@example.com>",
        "email_id": "1aaaaa-0001-BB", "id": "e-1", "subject": "News", "Message-Id": "<own-1@example.net>", "X-Campaign": "winter", "List-ID": "News <Weekly.example.net>"});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

const FORM: &str = "event=bounce&bounce=hard&time=2026-01-01T00%3A00%3A00Z&rcpt=Jane%2Bx%40Example.com&recipients=a%40example.com&recipients=b%40example.com\
    &message=550+no+such+user&context=RCPT+TO%3A%3Cjane%40example.com%3E&email_id=1aaaaa-0001-BB&Message-Id=%3Cown-1%40example.net%3E";

#[test]
fn every_field_is_read() {
    let report = only(&Smtp2Go, &event(&json!({})));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("550 no such user")));
    assert_eq!((report.stage, report.remote_mta.as_deref()), (Some(Stage::RcptTo), Some("mx.example.com [192.0.2.1]")));
    assert_eq!((report.message_id.as_deref(), report.provider_message_id.as_deref()), (Some("own-1@example.net"), Some("1aaaaa-0001-BB")));
    assert_eq!((report.provider_event_id.as_deref(), report.occurred_at), (Some("e-1"), Some(datetime!(2026-01-01 00:00 UTC))));
    assert_eq!((report.hints.list_id.as_deref(), report.hints.headers["x-campaign"].as_str()), (Some("weekly.example.net"), "winter"));
    assert_eq!(report.hints.tags["auth"], "api-7");
}

#[test]
fn a_form_is_read_as_json_is() {
    let parts = [
        ("event", "bounce"),
        ("bounce", "hard"),
        ("rcpt", "Jane+x@Example.com"),
        ("message", "550 no such user"),
        ("email_id", "1aaaaa-0001-BB"),
    ];
    let parts = parts.map(|(name, value)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")).concat()
        + "--b--\r\n";
    for (content_type, body) in
        [("application/x-www-form-urlencoded", FORM), ("application/json", FORM), ("multipart/form-data; boundary=b", parts.as_str())]
    {
        let decoded = decode(&Smtp2Go, content_type, body.as_bytes());
        let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
        assert_eq!(
            (report.recipient.as_ref().unwrap().expose(), report.diagnostic.as_deref()),
            ("jane+x@example.com", Some("550 no such user"))
        );
        assert_eq!(
            (report.claim.unwrap().bounce_type, report.provider_message_id.as_deref()),
            (Some(BounceType::Hard), Some("1aaaaa-0001-BB"))
        );
    }
    // A receipt does not keep the boundary.
    let headers = [("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())];
    let content = Smtp2Go.content(&Unverified { method: "POST", url: "/", headers: &headers, body: parts.as_bytes() });
    assert_eq!(content.media_type, "application/json");
    assert_eq!(decode(&Smtp2Go, "application/json", &content.bytes), decode(&Smtp2Go, &headers[0].1, parts.as_bytes()));
    let json = decode(&Smtp2Go, "application/x-www-form-urlencoded", event(&json!({})).to_string().as_bytes());
    assert_eq!(json.reading.reports.len(), 1);
}

#[test]
fn a_form_without_an_event_is_refused() {
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    let verify = |content_type: &str, body: &[u8]| verify(&Smtp2Go, &insecure, "/", &[("content-type", content_type)], body);
    assert_eq!(verify("application/x-www-form-urlencoded", FORM.as_bytes()), Ok(Attribution::Unattributed));
    for (content_type, body) in
        [("", "rcpt=jane%40example.com"), ("", "&&&"), ("multipart/form-data", "x"), ("multipart/form-data; boundary=b", FORM)]
    {
        assert!(matches!(verify(content_type, body.as_bytes()), Err(Refusal::Malformed { .. })), "{content_type} {body}");
    }
    let many = format!("{}event=open", "a=b&".repeat(10_000));
    assert_eq!(verify("", many.as_bytes()), Ok(Attribution::Unattributed));
}

#[test]
fn every_event_has_its_meaning() {
    let bounce = |bounce_type| Some((Kind::Bounce, Some(bounce_type), None));
    let only = |kind| Some((kind, None, None));
    for (fields, expected) in [
        (json!({"bounce": "hard"}), bounce(BounceType::Hard)),
        (json!({"bounce": "Soft"}), bounce(BounceType::Soft)),
        (json!({"bounce": null}), only(Kind::Bounce)),
        (json!({"event": "hard_bounced", "bounce": null}), bounce(BounceType::Hard)),
        (json!({"event": "soft_bounced", "bounce": null}), bounce(BounceType::Soft)),
        (json!({"event": "spam"}), only(Kind::Complaint)),
        (json!({"event": "spam_complaint"}), only(Kind::Complaint)),
        (json!({"event": "unsubscribe"}), only(Kind::Unsubscribe)),
        (json!({"event": "unsubscribed"}), only(Kind::Unsubscribe)),
        (json!({"event": "reject"}), Some((Kind::Suppressed, Some(BounceType::Hard), Some(Reason::Suppressed)))),
        (json!({"event": "delivered"}), only(Kind::Delivered)),
        (json!({"event": "processed"}), None),
        (json!({"event": "open"}), None),
        (json!({"event": "clicked"}), None),
        (json!({"event": "resubscribe"}), None),
        (json!({"event": "sms-failed"}), None),
    ] {
        assert_eq!(claimed(&Smtp2Go, &event(&fields)), expected, "{fields}");
    }
}

#[test]
fn the_context_is_a_command_or_the_words() {
    let of = |context: &str| {
        let report = only(&Smtp2Go, &event(&json!({"message": null, "context": context})));
        (report.stage, report.diagnostic)
    };
    for (context, stage) in [
        ("RCPT TO:<jane@example.com>", Stage::RcptTo),
        ("MAIL FROM:<news@example.net>", Stage::MailFrom),
        ("EHLO mx", Stage::Ehlo),
        ("STARTTLS", Stage::StartTls),
        ("DATA", Stage::Data),
        ("end of data", Stage::EndOfData),
    ] {
        assert_eq!(of(context), (Some(stage), None), "{context}");
    }
    assert_eq!(of("550 no such user"), (None, Some("550 no such user".to_owned())));
    assert_eq!((of("Unavailable"), of("")), ((None, None), (None, None)));
}

#[test]
fn whom_it_is_about_is_not_guessed() {
    let alone = json!({"rcpt": null, "recipients": ["jim@example.com"]});
    assert_eq!(only(&Smtp2Go, &event(&alone)).recipient.unwrap().expose(), "jim@example.com");
    for fields in [
        json!({"rcpt": null}),
        json!({"rcpt": "jane"}),
        json!({"rcpt": "", "recipients": null}),
        json!({"rcpt": "jane", "recipients": ["jim@example.com"]}),
        json!({"event": null}),
        json!({"event": "news"}),
    ] {
        assert_eq!(decode(&Smtp2Go, "", event(&fields).to_string().as_bytes()).unrecognised, 1, "{fields}");
    }
}

#[test]
fn the_words_are_weighed_against_the_label() {
    trials::weighs_words_against_a_hard_label(&Smtp2Go, |words| event(&json!({"message": words})));
}

#[test]
fn posts_are_proved_by_what_comes_beside_them() {
    trials::asks_for_credentials(&Smtp2Go, event(&json!({})).to_string().as_bytes());
    trials::asks_for_credentials(&Smtp2Go, FORM.as_bytes());
    trials::refuses_what_cannot_be_parsed(&Smtp2Go);
    trials::has_a_sample(&Smtp2Go);
    assert!(Smtp2Go.sample(&Credentials::default(), NOW).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(content_type in "|application/x-www-form-urlencoded|multipart/form-data; boundary=b", body in prop::collection::vec(any::<u8>(), 0..200)) {
        stands(&Smtp2Go, &content_type, &body);
        stands(&Smtp2Go, &content_type, &[b"event=bounce&rcpt=", body.as_slice()].concat());
    }

    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(index in any::<prop::sample::Index>(), value in trials::any_value()) {
        let plain = event(&json!({}));
        let name = plain.as_object().unwrap().keys().nth(index.index(plain.as_object().unwrap().len())).unwrap();
        for body in [event(&json!({name: value.clone()})), json!([event(&json!({name: value.clone()})), value])] {
            stands(&Smtp2Go, "application/json", body.to_string().as_bytes());
        }
    }
}
