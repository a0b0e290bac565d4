use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, classify};
use crate::esp::{Credential, is_test};
use crate::kind::{BounceType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:30 UTC);
const TOPIC: &str = "arn:scw:sns:fr-par:project-1:tem";
const SUBSCRIBE_URL: &str =
    "https://sns.mnq.fr-par.example.com/?Action=ConfirmSubscription&TopicArn=arn:scw:sns:fr-par:project-1:tem&Token=2";

fn credentials() -> Credentials {
    Credentials {
        url_secret: Some("s3cret".to_owned()),
        topic_arns: vec!["arn:scw:sns:fr-par:project-1:other".to_owned(), TOPIC.to_owned()],
        confirm_hosts: vec!["sns.mnq.fr-par.example.com".to_owned()],
        ..Credentials::default()
    }
}

fn post_with(credentials: &Credentials, headers: &[(&str, &str)], body: &str) -> Result<(Attribution, Decoded), Refusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let post = Unverified { method: "POST", url: "/webhooks/scaleway/s3cret", headers: &headers, body: body.as_bytes() };
    let verified = post.verify(&Scaleway, credentials, NOW)?;
    Ok((verified.attribution(), Scaleway.decode(&verified)))
}

fn post(body: &Value) -> Result<(Attribution, Decoded), Refusal> {
    post_with(&credentials(), &[], &body.to_string())
}

fn envelope(message: &str) -> Value {
    json!({"Type": "Notification", "MessageId": "sns-1", "TopicArn": TOPIC, "Message": message, "Timestamp": "2026-01-01T00:00:00Z",
        "SignatureVersion": "1", "Signature": "bm9uZQ==", "SigningCertURL": "https://unknown.example/cert.pem"})
}

fn confirmation(edit: impl FnOnce(&mut Value)) -> Value {
    let mut body = envelope("You have chosen to subscribe.");
    body["Type"] = json!("SubscriptionConfirmation");
    body["Token"] = json!("2");
    body["SubscribeURL"] = json!(SUBSCRIBE_URL);
    edit(&mut body);
    body
}

fn event(kind: &str, code: u16, text: &str) -> Value {
    json!({"id": "event-1", "type": kind, "organization_id": "o", "project_id": "p", "domain_id": "d", "domain_name": "example.net",
        "created_at": "2026-01-01T00:00:01.500Z", "email_id": "mail-1", "email_from": "news@example.net", "email_to": "Jane@Example.com",
        "email_headers": [{"key": "Message-ID", "value": "<own-1@example.net>"}, {"key": "List-Id", "value": "<weekly.example.net>"}],
        "email_response_code": code, "email_response_message": text, "email_try_count": 1})
}

fn only(event: &Value) -> Report {
    let (attribution, mut decoded) = post(&envelope(&event.to_string())).unwrap();
    assert_eq!((attribution, decoded.reading.reports.len(), decoded.unrecognised), (Attribution::Authenticated, 1, 0), "{decoded:?}");
    decoded.reading.reports.remove(0)
}

#[test]
fn every_event_has_its_meaning() {
    use BounceType::{Hard, Soft};
    for (kind, code, text, expected) in [
        ("email_delivered", 250, "2.0.0 OK", (Kind::Delivered, None, None)),
        ("email_deferred", 451, "4.7.1 later", (Kind::Delayed, None, None)),
        ("email_dropped", 550, "5.1.1 no", (Kind::Bounce, Some(Hard), None)),
        ("email_dropped", 550, "no", (Kind::Bounce, Some(Hard), None)),
        ("email_dropped", 451, "expired", (Kind::Bounce, Some(Soft), None)),
        ("email_dropped", 552, "5.2.2 full", (Kind::Bounce, Some(Soft), None)),
        ("email_mailbox_not_found", 550, "no", (Kind::Bounce, Some(Hard), Some(Reason::UserUnknown))),
        ("email_spam", 554, "spam", (Kind::Bounce, Some(Soft), Some(Reason::SpamContent))),
        ("email_blocklisted", 0, "", (Kind::Suppressed, None, Some(Reason::Suppressed))),
    ] {
        let report = only(&event(kind, code, text));
        let found = (report.kind, classify(&report, Rules::builtin()).bounce_type, report.claim.and_then(|it| it.reason));
        assert_eq!(found, expected, "{kind} {code} {text}");
    }
    for kind in ["email_queued", "blocklist_created", "unknown_type"] {
        let (_, decoded) = post(&envelope(&event(kind, 0, "").to_string())).unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{kind}");
    }
}

#[test]
fn everything_known_of_a_failure_is_taken() {
    let found = only(&event("email_dropped", 550, "5.1.1 no such user"));
    assert_eq!(
        (found.recipient.as_ref().unwrap().expose(), found.occurred_at),
        ("jane@example.com", Some(datetime!(2026-01-01 00:00:01.5 UTC)))
    );
    assert_eq!((found.provider_event_id.as_deref(), found.provider_message_id.as_deref()), (Some("event-1"), Some("mail-1")));
    assert_eq!((found.message_id.as_deref(), found.hints.list_id.as_deref()), (Some("own-1@example.net"), Some("weekly.example.net")));
    assert_eq!((found.reply.unwrap().code(), found.diagnostic.as_deref()), (550, Some("5.1.1 no such user")));
    assert_eq!(found.hints.tags["domain_name"], "example.net");
    let mut old = event("email_dropped", 550, "");
    (old["email_response_message"], old["email_error"]) = (Value::Null, json!("550 no"));
    assert_eq!(only(&old).diagnostic.as_deref(), Some("550 no"));
}

#[test]
fn what_is_not_understood_is_accepted_and_kept() {
    let nobody = json!({"type": "email_dropped", "email_to": null}).to_string();
    for message in
        ["hello", "", "[]", "{}", "{\"type\":\"email_dissolved\"}", "{\"type\":\"email_dropped\",\"email_to\":\"jane\"}", &nobody]
    {
        let (_, decoded) = post(&envelope(message)).unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.answer.status), (0, 1, 200), "{message}");
    }
}

#[test]
fn the_topic_and_the_credential_must_both_be_right() {
    let body = envelope("{}");
    let foreign = edited(&body, |it| it["TopicArn"] = json!("arn:scw:sns:fr-par:project-2:tem"));
    assert_eq!(post(&foreign).unwrap_err(), Refusal::NotAllowed("the topic"));
    let any = Credentials { topic_arns: Vec::new(), ..credentials() };
    assert_eq!(post_with(&any, &[], &foreign.to_string()).unwrap().0, Attribution::Authenticated);
    let verify = |credentials: &Credentials, url: &str| {
        let body = body.to_string();
        Unverified { method: "POST", url, headers: &[], body: body.as_bytes() }
            .verify(&Scaleway, credentials, NOW)
            .map(|it| it.attribution())
    };
    assert_eq!(verify(&credentials(), "/webhooks/scaleway/s3creT"), Err(Refusal::Mismatch(Credential::UrlSecret)));
    let topics_only = Credentials { url_secret: None, ..credentials() };
    assert!(matches!(verify(&topics_only, "/"), Err(Refusal::NotConfigured(_))));
    assert_eq!(verify(&Credentials { insecure: true, ..topics_only }, "/"), Ok(Attribution::Unattributed));
    let twice = [("x-amz-sns-topic-arn", TOPIC); 2];
    assert!(matches!(post_with(&credentials(), &twice, &body.to_string()), Err(Refusal::Malformed { .. })));
    let other = [("x-amz-sns-message-type", "SubscriptionConfirmation")];
    assert!(matches!(post_with(&credentials(), &other, &body.to_string()), Err(Refusal::Malformed { .. })));
    for body in ["", "not json", "null", "[[[", "{}", "{\"Type\":"] {
        assert_eq!(Scaleway.refusal_status(&post_with(&credentials(), &[], body).unwrap_err()), 400, "{body}");
    }
}

#[test]
fn without_an_envelope_the_topic_stands_in_a_header() {
    let body = event("email_dropped", 550, "5.1.1 no").to_string();
    let found = post_with(&credentials(), &[("x-amz-sns-topic-arn", TOPIC)], &body).unwrap().1;
    assert_eq!(found.reading.reports, [only(&event("email_dropped", 550, "5.1.1 no"))]);
    for headers in [&[][..], &[("x-amz-sns-topic-arn", "arn:x")], &[("x-amz-sns-topic-arn", TOPIC); 2]] {
        assert_eq!(post_with(&credentials(), headers, &body).unwrap_err(), Refusal::NotAllowed("the topic"));
    }
}

fn edited(body: &Value, edit: impl FnOnce(&mut Value)) -> Value {
    let mut body = body.clone();
    edit(&mut body);
    body
}

#[test]
fn a_subscription_is_confirmed_only_on_a_host_and_for_a_topic_of_the_source() {
    let decoded = post(&confirmation(|_| {})).unwrap().1;
    assert_eq!(decoded.requests, [Request::Confirm { url: SUBSCRIBE_URL.to_owned() }]);
    assert!(Scaleway.may_confirm(SUBSCRIBE_URL, &credentials()) && !Scaleway.may_confirm(SUBSCRIBE_URL, &Credentials::default()));
    for url in [
        "https://evil.example/?Action=ConfirmSubscription&Token=2".to_owned(),
        SUBSCRIBE_URL.replace("https", "http"),
        SUBSCRIBE_URL.replace("Confirm", "Un"),
        SUBSCRIBE_URL.replace(":tem", ":other"),
        SUBSCRIBE_URL.replace("example.com", "example.com:8443"),
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription".to_owned(),
    ] {
        let refused = post(&confirmation(|it| it["SubscribeURL"] = json!(url))).unwrap_err();
        assert_eq!(refused, Refusal::NotAllowed("the host or action of SubscribeURL"), "{url}");
    }
    assert!(matches!(post(&confirmation(|it| it["SubscribeURL"] = Value::Null)), Err(Refusal::Malformed { .. })));
    // What the operator may still add is asked for again.
    for incomplete in [Credentials { confirm_hosts: Vec::new(), ..credentials() }, Credentials { topic_arns: Vec::new(), ..credentials() }]
    {
        let refused = post_with(&incomplete, &[], &confirmation(|_| {}).to_string()).unwrap_err();
        assert_eq!(Scaleway.refusal_status(&refused), 503, "{refused}");
    }
    for at in ["2025-12-31T22:29:59Z", "2026-01-01T02:30:01Z", "once"] {
        let stale = post(&confirmation(|it| it["Timestamp"] = json!(at))).unwrap().1;
        assert_eq!((stale.requests.len(), stale.reading.notes.len()), (0, 1), "{at}");
    }
    let insecure = Credentials { insecure: true, url_secret: None, ..credentials() };
    let (attribution, unproved) = post_with(&insecure, &[], &confirmation(|_| {}).to_string()).unwrap();
    assert_eq!((attribution, unproved.requests.len(), unproved.reading.notes.len()), (Attribution::Unattributed, 0, 1));
    let ended = post(&edited(&confirmation(|_| {}), |it| it["Type"] = json!("UnsubscribeConfirmation"))).unwrap().1;
    assert_eq!((ended.requests.len(), ended.reading.notes.len(), ended.unrecognised), (0, 1, 0));
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    let sample = Scaleway.sample(&credentials(), NOW).unwrap();
    let body = String::from_utf8(sample.body).unwrap();
    let (_, decoded) = post_with(&Credentials { topic_arns: credentials().topic_arns[..1].into(), ..credentials() }, &[], &body).unwrap();
    let report = &decoded.reading.reports[0];
    assert!(is_test(&Scaleway, report.recipient.as_ref().unwrap()));
    assert_eq!((report.kind, classify(report, Rules::builtin()).bounce_type), (Kind::Bounce, Some(BounceType::Hard)));
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "Type|MessageId|TopicArn|Message|Timestamp|SubscribeURL", inner in "type|id|created_at|email_id|email_to|email_headers|email_response_code|email_response_message|domain_name", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!([{"key": text, "value": number}]), json!({"a": text}), Value::Null, json!(true)] {
            let one = edited(&event("email_dropped", 550, "5.1.1 no"), |it| it[inner.as_str()] = value.clone());
            let _ = post(&envelope(&one.to_string()));
            let _ = post(&confirmation(|it| it[field.as_str()] = value));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let post = Unverified { method: "POST", url: "/s3cret", headers: &[], body: &body };
        let _ = post.verify(&Scaleway, &credentials(), NOW);
        let _ = Scaleway.decode(&Verified::restored(post, Attribution::Authenticated, NOW));
    }
}
