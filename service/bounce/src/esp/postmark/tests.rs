use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use base64::Engine;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::trials::{self, NOW, claimed, decode, only, stands, verify};
use crate::esp::{Credential, is_test};
use crate::kind::{BounceType, Kind};

fn bounce(name: &str, code: u64) -> Value {
    json!({"RecordType": "Bounce", "MessageStream": "weekly", "ID": 4_611_686_018_427_387_905_u64, "Type": name, "TypeCode": code, "Tag": "winter",
        "MessageID": "3f1c7a52-0f0e-4a7c-9f0e-6f3a5f1f2a10", "Metadata": {"customer": "c-7"}, "ServerID": 7, "Description": "unknown user",
        "Details": "smtp;550 no such user", "Email": "Jane@Example.com", "BouncedAt": "2026-01-01T01:00:00.1234567+01:00", "Inactive": false})
}

fn with(mut record: Value, fields: &Value) -> Value {
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record
}

#[test]
fn every_field_of_a_bounce_is_read() {
    let report = only(&Postmark, &bounce("HardBounce", 1));
    assert_eq!(report.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!((report.status.map(|it| it.to_string()), report.reply.map(crate::status::SmtpReply::code)), (None, Some(550)));
    assert_eq!((report.diagnostic_type.as_deref(), report.diagnostic.as_deref()), (Some("smtp"), Some("550 no such user")));
    assert_eq!(report.occurred_at, Some(datetime!(2026-01-01 00:00:00.123456 UTC)));
    assert_eq!(report.provider_event_id.as_deref(), Some("4611686018427387905"));
    assert_eq!(report.provider_message_id.as_deref(), Some("3f1c7a52-0f0e-4a7c-9f0e-6f3a5f1f2a10"));
    let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("customer", "c-7"), ("message_stream", "weekly"), ("tag", "winter")]);
    // What Postmark explains is no word of the receiver's.
    assert_eq!(report.text, None);
}

#[test]
fn every_bounce_type_has_its_meaning() {
    let hard = |reason| Some((Kind::Bounce, Some(BounceType::Hard), reason));
    let soft = |reason| Some((Kind::Bounce, Some(BounceType::Soft), reason));
    let only = |kind| Some((kind, None, None));
    for (name, code, expected) in [
        ("HardBounce", 1, hard(None)),
        ("Transient", 2, only(Kind::Delayed)),
        ("Unsubscribe", 16, only(Kind::Unsubscribe)),
        ("Subscribe", 32, None),
        ("AutoResponder", 64, None),
        ("AddressChange", 128, None),
        ("DnsError", 256, soft(Some(Reason::DnsError))),
        ("SpamNotification", 512, soft(Some(Reason::SpamContent))),
        ("OpenRelayTest", 1024, None),
        ("Unknown", 2048, only(Kind::Bounce)),
        ("SoftBounce", 4096, soft(None)),
        ("VirusNotification", 8192, soft(Some(Reason::VirusDetected))),
        ("ChallengeVerification", 16384, None),
        ("BadEmailAddress", 100_000, hard(Some(Reason::AddressSyntax))),
        ("SpamComplaint", 100_001, only(Kind::Complaint)),
        ("ManuallyDeactivated", 100_002, Some((Kind::Suppressed, Some(BounceType::Hard), Some(Reason::Suppressed)))),
        ("Unconfirmed", 100_003, only(Kind::Rejected)),
        ("Blocked", 100_006, soft(Some(Reason::PolicyRejected))),
        ("SMTPApiError", 100_007, only(Kind::Rejected)),
        ("InboundError", 100_008, None),
        ("DMARCPolicy", 100_009, soft(Some(Reason::AuthFailure))),
        ("TemplateRenderingFailed", 100_010, Some((Kind::Rejected, None, Some(Reason::MessageMalformed)))),
    ] {
        assert_eq!(claimed(&Postmark, &bounce(name, code)), expected, "{name}");
        assert_eq!(claimed(&Postmark, &bounce("", code)), expected, "{code}");
        assert_eq!(claimed(&Postmark, &bounce(name, 99)), expected, "{name}");
    }
}

#[test]
fn a_type_that_is_not_known_is_hard_only_where_the_address_was_deactivated() {
    let new = bounce("SomethingNew", 77);
    assert_eq!(claimed(&Postmark, &with(new.clone(), &json!({"Inactive": true}))).unwrap().1, Some(BounceType::Hard));
    assert_eq!(decode(&Postmark, "", new.to_string().as_bytes()).unrecognised, 1);
}

#[test]
fn other_records_have_their_meaning() {
    let of =
        |fields: &Value| with(json!({"MessageID": "m-1", "Recipient": "jane@example.com", "DeliveredAt": "2026-01-01T00:00:00Z"}), fields);
    let suppression = |on: bool, reason: Value| {
        let change = json!({"RecordType": "SubscriptionChange", "SuppressSending": on, "SuppressionReason": reason, "ChangedAt": "2026-01-01T00:00:00Z"});
        of(&change)
    };
    for (record, expected) in [
        (of(&json!({"RecordType": "Delivery", "Details": "250 ok"})), Some((Kind::Delivered, None, None))),
        (of(&json!({"RecordType": "SpamComplaint", "Type": "SpamComplaint", "TypeCode": 512})), Some((Kind::Complaint, None, None))),
        (of(&json!({"RecordType": "Open"})), None),
        (of(&json!({"RecordType": "Click"})), None),
        (suppression(true, json!("HardBounce")), Some((Kind::Bounce, Some(BounceType::Hard), None))),
        (suppression(true, json!("SpamComplaint")), Some((Kind::Complaint, None, None))),
        (suppression(true, json!("ManualSuppression")), Some((Kind::Unsubscribe, None, None))),
        (suppression(true, Value::Null), Some((Kind::Unsubscribe, None, None))),
        (suppression(false, Value::Null), None),
    ] {
        assert_eq!(claimed(&Postmark, &record), expected, "{record}");
    }
}

#[test]
fn a_record_without_its_type_is_told_by_its_fields() {
    let mut untyped = bounce("HardBounce", 1);
    untyped.as_object_mut().unwrap().remove("RecordType");
    assert_eq!(claimed(&Postmark, &untyped).unwrap().0, Kind::Bounce);
    let delivery = json!({"Recipient": "jane@example.com", "DeliveredAt": "2026-01-01T00:00:00Z"});
    assert_eq!(claimed(&Postmark, &delivery).unwrap().0, Kind::Delivered);
    let change = json!({"Recipient": "jane@example.com", "SuppressSending": true});
    assert_eq!(claimed(&Postmark, &change).unwrap().0, Kind::Unsubscribe);
    for nothing in [json!({"FirstOpen": true}), json!({"OriginalLink": "https://example.com"})] {
        assert_eq!(claimed(&Postmark, &nothing), None);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    let nobody = with(bounce("HardBounce", 1), &json!({"Email": "jane"}));
    let named_by_none = with(bounce("HardBounce", 1), &json!({"Email": null}));
    let new_reason =
        json!({"RecordType": "SubscriptionChange", "SuppressSending": true, "SuppressionReason": "News", "Recipient": "j@example.com"});
    for record in [
        json!({}),
        json!({"RecordType": "News"}),
        json!({"RecordType": 7}),
        json!({"RecordType": "SubscriptionChange"}),
        nobody,
        named_by_none,
        new_reason,
        json!({"RecordType": "Inbound"}),
    ] {
        let decoded = decode(&Postmark, "", record.to_string().as_bytes());
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.answer.status), (0, 1, 200), "{record}");
        assert!(decoded.reading.notes.iter().all(|it| !it.0.contains("News")), "{decoded:?}");
    }
}

#[test]
fn the_nil_id_is_none() {
    let nil = json!({"MessageID": "00000000-0000-0000-0000-000000000000"});
    assert_eq!(only(&Postmark, &with(bounce("HardBounce", 1), &nil)).provider_message_id, None);
}

#[test]
fn the_bounce_message_fills_in_what_the_record_leaves_out() {
    let dump = format!("{}\r\n", mime::sample(NOW).replace(TEST_RECIPIENT, "jane@example.com"));
    let report = only(&Postmark, &with(bounce("Unknown", 2048), &json!({"Content": dump, "Details": ""})));
    assert_eq!(
        (report.diagnostic.as_deref(), report.status.map(|it| it.to_string())),
        (Some("550 5.1.1 no such user (test)"), Some("5.1.1".to_owned()))
    );
    let kept = only(&Postmark, &with(bounce("Unknown", 2048), &json!({"Content": dump})));
    assert_eq!((kept.diagnostic.as_deref(), kept.status), (Some("550 no such user"), None));
    // What it says of somebody else is not about this one.
    let other = only(&Postmark, &with(bounce("Unknown", 2048), &json!({"Content": mime::sample(NOW), "Details": ""})));
    assert_eq!((other.diagnostic, other.status), (None, None));
}

/// A bounce as an inbound stream takes it apart.
fn received() -> Value {
    let status = "Reporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; jane@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Diagnostic-Code: smtp; 550 no such user\r\n";
    let returned = "From: news@example.net\r\nTo: jane@example.com\r\nMessage-ID: <own-1@example.net>\r\nSubject: News\r\n\r\nHello\r\n";
    json!({"From": "MAILER-DAEMON@mx.example.com", "FromFull": {"Email": "MAILER-DAEMON@mx.example.com", "Name": ""}, "To": "bounces@example.net",
        "OriginalRecipient": "b+token@in.example.net", "Subject": "Undelivered Mail Returned to Sender", "Date": "Thu, 1 Jan 2026 00:00:00 +0000",
        "MessageID": "22c74902-a0c1-4511-804f-aaaaaaaaaaaa", "MessageStream": "inbound", "TextBody": "Your message could not be delivered.", "HtmlBody": "",
        "Headers": [{"Name": "Return-Path", "Value": "<>"}, {"Name": "MIME-Version", "Value": "1.0"}, {"Name": "Message-ID", "Value": "<dsn@mx.example.com>"},
            {"Name": "Content-Type", "Value": "multipart/report; boundary=gone"}, {"Name": "X-Evil\r\nTo", "Value": "x"}, {"Name": "X-Two", "Value": "a\r\nTo: b"}],
        "Attachments": [
            {"Name": "details.txt", "ContentType": "message/delivery-status", "Content": STANDARD.encode(status)},
            {"Name": "mail.eml", "ContentType": "message/rfc822", "Content": STANDARD.encode(returned)},
            {"Name": "logo.png", "ContentType": "image/png", "Content": STANDARD.encode([0xff, 0, 1])},
            {"Name": "broken", "ContentType": "text/plain", "Content": "***"}, {"Name": "none"}, null, 7]})
}

#[test]
fn a_received_bounce_is_read_as_a_mail() {
    let report = only(&Postmark, &received());
    assert_eq!((report.kind, report.recipient.as_ref().unwrap().expose()), (Kind::Bounce, "jane@example.com"));
    assert_eq!((report.diagnostic.as_deref(), report.message_id.as_deref()), (Some("550 no such user"), Some("own-1@example.net")));
    assert_eq!(report.status.map(|it| it.to_string()).as_deref(), Some("5.1.1"));
}

#[test]
fn a_received_mail_is_put_together_without_room_for_forged_headers() {
    let message = String::from_utf8(inbound::message(Json::new(&received())).unwrap()).unwrap();
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    let names: Vec<_> = head.lines().map(|it| it.split_once(':').unwrap().0).collect();
    let expected = ["From", "To", "Subject", "Date", "X-Original-To", "Return-Path", "Message-ID", "X-Two", "MIME-Version", "Content-Type"];
    assert_eq!(names, expected);
    assert!(head.contains("multipart/report; report-type=delivery-status"), "{head}");
}

#[test]
fn a_bounce_in_prose_is_read_and_the_raw_mail_comes_first() {
    let prose = json!({"FromFull": {}, "From": "MAILER-DAEMON@mx.example.com", "Subject": "Undelivered Mail Returned to Sender",
        "TextBody": "I'm sorry to have to inform you that your message could not be delivered.\n\n<jane@example.com>: host mx.example.com said: 550 no such user\n"});
    assert_eq!(only(&Postmark, &prose).recipient.unwrap().expose(), "jane@example.com");
    let raw = with(prose, &json!({"RawEmail": mime::sample(NOW)}));
    assert!(is_test(&Postmark, only(&Postmark, &raw).recipient.as_ref().unwrap()));
}

#[test]
fn a_received_mail_is_unattributed_whatever_brought_it() {
    let credentials = Credentials { bearer: vec!["token".into()], ..Credentials::default() };
    let verify = |body: &Value| verify(&Postmark, &credentials, "/", &[("authorization", "Bearer token")], body.to_string().as_bytes());
    assert_eq!(verify(&bounce("HardBounce", 1)), Ok(Attribution::Authenticated));
    for body in [received(), json!({"RecordType": "Inbound"}), json!({"RawEmail": ""}), json!([bounce("HardBounce", 1), received()])] {
        assert_eq!(verify(&body), Ok(Attribution::Unattributed), "{body}");
    }
}

#[test]
fn ordinary_mail_is_kept_as_not_understood() {
    let mail = json!({"From": "jim@example.com", "FromFull": {}, "Subject": "Hello", "TextBody": "How are you?"});
    assert_eq!(decode(&Postmark, "", mail.to_string().as_bytes()).unrecognised, 1);
    let several = decode(&Postmark, "", json!([mail, received()]).to_string().as_bytes());
    assert_eq!((several.reading.reports.len(), several.set_aside.len()), (1, 1));
}

#[test]
fn only_what_will_never_be_right_stops_it() {
    let status = |refusal: &Refusal| Postmark.refusal_status(refusal);
    assert_eq!(status(&Refusal::Malformed { expected: "", found: String::new() }), 403);
    assert_eq!(status(&Refusal::Mismatch(Credential::Basic)), 401);
    assert_eq!((status(&Refusal::NotConfigured("key")), Postmark.busy_status()), (503, 503));
}

#[test]
fn the_words_are_weighed_against_the_label() {
    trials::weighs_words_against_a_hard_label(&Postmark, |words| with(bounce("HardBounce", 1), &json!({"Details": words})));
}

#[test]
fn posts_are_proved_by_what_comes_beside_them() {
    trials::asks_for_credentials(&Postmark, bounce("HardBounce", 1).to_string().as_bytes());
    trials::refuses_what_cannot_be_parsed(&Postmark);
    trials::has_a_sample(&Postmark);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        stands(&Postmark, "application/json", &body);
    }

    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(index in any::<prop::sample::Index>(), value in trials::any_value()) {
        for record in [bounce("HardBounce", 1), received(), with(bounce("Unknown", 2048), &json!({"Content": "x", "SuppressSending": true}))] {
            let name = record.as_object().unwrap().keys().nth(index.index(record.as_object().unwrap().len())).unwrap().clone();
            stands(&Postmark, "application/json", with(record, &json!({name: value.clone()})).to_string().as_bytes());
        }
        stands(&Postmark, "application/json", json!([value, {"RecordType": value}]).to_string().as_bytes());
    }

    #[test]
    fn any_attachment_and_header_is_put_together_without_a_panic(headers in trials::any_value(), name in "\\PC{0,10}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let attachment = json!({"ContentType": format!("message/{name}"), "Content": STANDARD.encode(bytes)});
        let record = json!({"TextBody": name, "Headers": [headers.clone(), {"Name": name, "Value": headers}], "Attachments": [attachment]});
        stands(&Postmark, "application/json", record.to_string().as_bytes());
    }
}
