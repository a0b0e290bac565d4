use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::{Credential, HeaderSecret, is_test};
use crate::kind::{Attribution, BounceType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const URL: &str = "https://hooks.example/webhooks/azure?code=s3cret";

fn credentials() -> Credentials {
    Credentials { url_secret: Some("s3cret".to_owned()), ..Credentials::default() }
}

fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What becomes of a post: proved, put into a receipt, and read out of it again.
fn received(headers: &[(&str, &str)], body: &str) -> Result<Decoded, Refusal> {
    let headers = pairs(headers);
    let post = Unverified { method: "POST", url: URL, headers: &headers, body: body.as_bytes() };
    let verified = post.verify(&Azure, &credentials(), NOW)?;
    let content = Azure.content(&post);
    let kept = pairs(&[("content-type", &content.media_type)]);
    let restored = Unverified { method: "POST", url: "", headers: &kept, body: &content.bytes };
    let decoded = Azure.decode(&Verified::restored(restored, verified.attribution(), NOW));
    assert_eq!(Azure.decode(&verified), decoded);
    Ok(decoded)
}

fn event(status: &str, text: &str) -> Value {
    json!({"id": "event-1", "topic": "t", "subject": "s", "eventType": "Microsoft.Communication.EmailDeliveryReportReceived",
        "eventTime": "2026-01-01T00:00:09Z", "data": {"sender": "news@example.net", "recipient": "Jane <Jane@Example.com>",
        "messageId": "operation-1", "internetMessageId": "<own-1@example.net>", "status": status,
        "deliveryAttemptTimeStamp": "2026-01-01T00:00:01.1234567+00:00",
        "deliveryStatusDetails": {"statusMessage": text, "recipientMailServerHostName": "mx.example.com"}}})
}

fn report(status: &str, text: &str) -> Report {
    let mut decoded = received(&[], &json!([event(status, text)]).to_string()).unwrap();
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (1, 0), "{decoded:?}");
    decoded.reading.reports.remove(0)
}

#[test]
fn every_status_has_its_meaning() {
    use BounceType::{Hard, Soft};
    for (status, text, kind, bounce_type) in [
        ("Delivered", "No error.", Kind::Delivered, None),
        ("Bounced", "", Kind::Bounce, Some(Hard)),
        ("bounced", "550 5.1.1 unknown", Kind::Bounce, Some(Hard)),
        ("Bounced", "550 5.4.1 failed", Kind::Bounce, Some(Hard)),
        ("Bounced", "552 5.2.2 over quota", Kind::Bounce, None),
        ("Bounced", "451 4.7.1 later", Kind::Bounce, None),
        ("Failed", "550 5.4.1 failed", Kind::Bounce, Some(Hard)),
        ("Failed", "host said: 550 5.1.1.", Kind::Bounce, Some(Hard)),
        ("Failed", "550 5.7.1 blocked", Kind::Bounce, None),
        ("Failed", "451 4.4.1 timeout", Kind::Bounce, None),
        ("Failed", "", Kind::Bounce, None),
        ("Suppressed", "", Kind::Suppressed, None),
        ("Quarantined", "", Kind::Bounce, Some(Soft)),
        ("FilteredSpam", "", Kind::Bounce, Some(Soft)),
    ] {
        let report = report(status, text);
        assert_eq!((report.kind, report.claim.and_then(|it| it.bounce_type)), (kind, bounce_type), "{status} {text}");
    }
    for status in ["Expanded", "OutForDelivery"] {
        let decoded = received(&[], &event(status, "").to_string()).unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{status}");
    }
    assert_eq!(report("Quarantined", "").claim.unwrap().reason, Some(Reason::SpamContent));
}

#[test]
fn everything_known_of_a_failure_is_taken() {
    let found = report("Bounced", "550 5.1.1 no such user");
    assert_eq!(found.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!(found.occurred_at, Some(datetime!(2026-01-01 00:00:01.123456 UTC)));
    assert_eq!((found.message_id.as_deref(), found.provider_message_id.as_deref()), (Some("own-1@example.net"), Some("operation-1")));
    assert_eq!((found.provider_event_id.as_deref(), found.remote_mta.as_deref()), (Some("event-1"), Some("mx.example.com")));
    assert_eq!((found.reply.unwrap().code(), found.diagnostic.as_deref()), (550, Some("550 5.1.1 no such user")));
}

#[test]
fn the_time_has_three_spellings() {
    let at = |edit: fn(&mut Value)| {
        let mut event = event("Bounced", "");
        event["data"]["deliveryAttemptTimeStamp"] = Value::Null;
        edit(&mut event);
        received(&[], &event.to_string()).unwrap().reading.reports[0].occurred_at
    };
    let other = |it: &mut Value| it["data"]["deliveryAttemptTimestamp"] = json!("2026-01-01T00:00:02Z");
    assert_eq!(at(other), Some(datetime!(2026-01-01 00:00:02 UTC)));
    assert_eq!(at(|_| {}), Some(datetime!(2026-01-01 00:00:09 UTC)));
    assert_eq!(at(|it| it["eventTime"] = json!("now")), None);
}

#[test]
fn the_three_shapes_of_cloudevents_say_the_same() {
    let old = event("Bounced", "550 5.1.1 no");
    let expected = received(&[], &old.to_string()).unwrap();
    let new = json!({"specversion": "1.0", "type": old["eventType"], "source": "t", "id": "event-1", "time": "2026-01-01T00:00:09Z",
        "data": old["data"]});
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    assert_eq!(received(&structured, &new.to_string()).unwrap(), expected);
    let batch = [("content-type", "application/cloudevents-batch+json")];
    assert_eq!(received(&batch, &json!([new]).to_string()).unwrap(), expected);
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "Microsoft.Communication.EmailDeliveryReportReceived"),
        ("ce-source", "/a%22b}\\"),
        ("ce-id", "event-1"),
        ("ce-time", "2026-01-01T00:00:09Z"),
        ("ce-data", "{}"),
    ];
    assert_eq!(received(&binary, &old["data"].to_string()).unwrap(), expected);
    for body in ["", "no", "{", "\"\u{1}"] {
        assert!(matches!(received(&binary, body), Err(Refusal::Malformed { .. })), "{body}");
    }
    let twice = [binary[2], binary[2], binary[4]];
    assert!(matches!(received(&twice, "{}"), Err(Refusal::Malformed { .. })));
}

#[test]
fn the_address_is_validated_with_exactly_200_and_only_with_the_secret() {
    let body = json!([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "a\"b",
        "validationUrl": "https://rp.example:553/validate"}, "eventTime": "2026-01-01T00:00:00Z"}])
    .to_string();
    let decoded = received(&[("aeg-event-type", "SubscriptionValidation")], &body).unwrap();
    assert_eq!((decoded.answer.status, decoded.requests.len(), decoded.unrecognised), (200, 0, 0));
    assert_eq!(decoded.answer.headers, [("content-type", "application/json".to_owned())]);
    assert_eq!(decoded.answer.body, br#"{"validationResponse":"a\"b"}"#);
    let post = Unverified { method: "POST", url: "/webhooks/azure?code=nope", headers: &[], body: body.as_bytes() };
    assert_eq!(post.verify(&Azure, &credentials(), NOW).unwrap_err(), Refusal::Mismatch(Credential::UrlSecret));
    let without = received(&[], &body.replace("validationCode", "x")).unwrap();
    assert_eq!((without.unrecognised, without.answer), (1, Answer::ok()));
}

#[test]
fn options_is_answered_to_who_has_the_secret() {
    let ask = |url: &str, headers: &[(&str, &str)]| {
        let headers = pairs(headers);
        Unverified { method: "OPTIONS", url, headers: &headers, body: b"" }.handshake(&Azure, &credentials())
    };
    let origin = [("webhook-request-origin", "eventgrid.azure.net"), ("webhook-request-rate", "120")];
    let answer = ask(URL, &origin).unwrap().unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains(&("webhook-allowed-origin", "eventgrid.azure.net".to_owned())));
    assert!(answer.headers.contains(&("webhook-allowed-rate", "*".to_owned())));
    assert_eq!(ask("/webhooks/azure", &origin), Err(Refusal::Mismatch(Credential::UrlSecret)));
    for (url, headers) in [(URL, &[][..]), (URL, &[("webhook-request-origin", "a\r\nx: y")]), (URL, &[("webhook-request-origin", "é")])] {
        assert_eq!(ask(url, headers), Ok(None));
    }
    let post = Unverified { method: "POST", url: URL, headers: &[], body: b"" };
    assert_eq!(post.handshake(&Azure, &credentials()), Ok(None));
}

#[test]
fn the_secret_comes_in_the_address_or_in_a_header() {
    let body = json!([event("Bounced", "")]).to_string();
    let check = |credentials: &Credentials, url: &str, headers: &[(&str, &str)]| {
        let headers = pairs(headers);
        Unverified { method: "POST", url, headers: &headers, body: body.as_bytes() }
            .verify(&Azure, credentials, NOW)
            .map(|it| it.attribution())
    };
    assert_eq!(check(&credentials(), URL, &[]), Ok(Attribution::Authenticated));
    for at in 0.."s3cret".len() * 8 {
        let mut secret = b"s3cret".to_vec();
        secret[at / 8] ^= 1 << (at % 8);
        let url = secret.iter().fold("/webhooks/azure?code=".to_owned(), |url, it| format!("{url}%{it:02x}"));
        assert_eq!(check(&credentials(), &url, &[]), Err(Refusal::Mismatch(Credential::UrlSecret)), "bit {at}");
    }
    let header = Some(HeaderSecret { name: "X-Secret".into(), value: "s".into() });
    let by_header = Credentials { header, ..Credentials::default() };
    assert_eq!(check(&by_header, "/", &[("x-secret", "s")]), Ok(Attribution::Authenticated));
    assert_eq!(check(&by_header, "/", &[("x-secret", "s"), ("x-secret", "s")]), Err(Refusal::Repeated(Credential::Header)));
    assert_eq!(check(&by_header, "/", &[]), Err(Refusal::Missing(Credential::Header)));
    assert!(matches!(check(&Credentials::default(), URL, &[]), Err(Refusal::NotConfigured(_))));
    let empty = Credentials { url_secret: Some(String::new()), ..Credentials::default() };
    assert!(matches!(check(&empty, "/?code=", &[]), Err(Refusal::NotConfigured(_))));
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    assert_eq!(check(&insecure, "/", &[]), Ok(Attribution::Unattributed));
}

#[test]
fn a_bad_event_is_set_aside_and_what_does_not_matter_is_nothing() {
    let of = |kind: &str| json!({"id": "1", "eventType": kind, "data": {}});
    let body = json!([
        event("Bounced", ""), of("Microsoft.Communication.EmailEngagementTrackingReportReceived"), of("Microsoft.Communication.SMSReceived"),
        of("Microsoft.Communication.EmailSomethingNew"), of("Microsoft.Storage.BlobCreated"), event("Dissolved", ""), 7, {"data": 5},
        {"eventType": "Microsoft.Communication.EmailDeliveryReportReceived", "data": {"status": "Bounced", "recipient": "jane"}},
        {"eventType": "Microsoft.Communication.EmailDeliveryReportReceived", "data": {"status": "Bounced"}},
        of("Microsoft.EventGrid.SubscriptionDeletedEvent"),
    ]);
    let decoded = received(&[], &body.to_string()).unwrap();
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 7, 0));
    for aside in &decoded.set_aside[..2] {
        let again = Unverified { method: "POST", url: "", headers: &[], body: &aside.bytes };
        assert_eq!(Azure.decode(&Verified::restored(again, Attribution::Authenticated, NOW)).unrecognised, 1);
    }
}

#[test]
fn what_is_no_event_is_refused_for_good() {
    for body in ["", "not json", "null", "[[[", "{\"a\":"] {
        let refusal = received(&[], body).unwrap_err();
        assert_eq!(Azure.refusal_status(&refusal), 400, "{body}");
    }
    assert_eq!(received(&[], "[]").map(|it| it.reading.reports.len()), Ok(0));
    assert_eq!((Azure.refusal_status(&Refusal::NotConfigured("x")), Azure.busy_status()), (503, 503));
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    let sample = Azure.sample(&credentials(), NOW).unwrap();
    let post = Unverified { method: sample.method, url: URL, headers: &sample.headers, body: &sample.body };
    let decoded = Azure.decode(&post.verify(&Azure, &credentials(), NOW).unwrap());
    assert!(is_test(&Azure, decoded.reading.reports[0].recipient.as_ref().unwrap()));
    assert_eq!(decoded.reading.kind, Kind::Bounce);
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "id|eventType|type|eventTime|time|data|topic", inner in "recipient|status|messageId|internetMessageId|deliveryStatusDetails|deliveryAttemptTimeStamp|validationCode", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!({"statusMessage": text}), json!({"a": [text]}), Value::Null, json!(true)] {
            let mut one = event("Failed", "550 5.1.1");
            one["data"][inner.as_str()] = value.clone();
            let _ = received(&[], &one.to_string());
            one[field.as_str()] = value;
            let _ = received(&[], &one.to_string());
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(kind in "(application/cloudevents\\+json)?", ce in "\\PC{0,20}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let headers = pairs(&[("content-type", &kind), ("ce-type", &ce), ("ce-id", &ce)]);
        for headers in [&headers[..1], &headers] {
            let post = Unverified { method: "POST", url: URL, headers, body: &body };
            let _ = post.verify(&Azure, &credentials(), NOW);
            let _ = Azure.content(&post);
            let _ = Azure.decode(&Verified::restored(post, Attribution::Authenticated, NOW));
        }
    }
}
