use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, classify};
use crate::esp::{Credential, is_test};
use crate::kind::{Attribution, BounceType, FeedbackType, Kind};
use crate::limits;
use crate::report::Report;
use crate::status::Stage;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn credentials() -> Credentials {
    Credentials { bearer: vec!["token".to_owned()], ..Credentials::default() }
}

fn decoded(body: &Value) -> Decoded {
    let body = body.to_string();
    let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
    KumoMta.decode(&Verified::restored(post, Attribution::Authenticated, NOW))
}

fn only(record: &Value) -> Report {
    let mut decoded = decoded(record);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (1, 0), "{decoded:?}");
    decoded.reading.reports.remove(0)
}

fn record(kind: &str, classification: &str, code: u16, enhanced: (u16, u16, u16), content: &str) -> Value {
    json!({"type": kind, "id": "spool-1", "sender": "news@example.net", "recipient": "Jane@Example.com", "queue": "weekly:acme@example.com",
        "site": "s->mx", "size": 1000, "response": {"code": code, "content": content, "command": "RCPT TO:<jane@example.com>",
        "enhanced_code": {"class": enhanced.0, "subject": enhanced.1, "detail": enhanced.2}}, "peer_address": {"name": "mx.example.com.",
        "addr": "192.0.2.1"}, "timestamp": 1_767_225_600, "event_time": "2026-01-01T00:00:00.440526026Z", "num_attempts": 1,
        "bounce_classification": classification, "feedback_report": null, "meta": {"campaign": "winter", "n": 7, "deep": {}},
        "headers": {"Message-ID": "<own-1@example.net>", "List-Id": ["Weekly <weekly.example.net>"], "Subject": "s", "To": "x"},
        "delivery_protocol": "ESMTP", "reception_protocol": "ESMTP", "nodeid": "n"})
}

#[test]
fn every_type_of_record_has_its_meaning() {
    for (kind, expected) in [
        ("Delivery", Kind::Delivered),
        ("Bounce", Kind::Bounce),
        ("OOB", Kind::Bounce),
        ("TransientFailure", Kind::Delayed),
        ("Expiration", Kind::Bounce),
        ("AdminBounce", Kind::Rejected),
    ] {
        assert_eq!(only(&record(kind, "Uncategorized", 550, (5, 0, 0), "no")).kind, expected, "{kind}");
    }
    for kind in ["Reception", "Rejection", "Delay", "Delayed", "AdminRebind", "DeferredInjectionRebind", "XferIn", "XferOut"] {
        let decoded = decoded(&record(kind, "Uncategorized", 250, (2, 0, 0), "OK"));
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{kind}");
    }
    let mut of_log = record("Bounce", "InvalidRecipient", 550, (5, 1, 1), "no");
    of_log["reception_protocol"] = json!("LogRecord");
    assert_eq!((decoded(&of_log).reading.reports.len(), decoded(&of_log).unrecognised), (0, 0));
    for kind in ["SomethingNew", ""] {
        assert_eq!(decoded(&record(kind, "", 550, (5, 0, 0), "no")).unrecognised, 1, "{kind}");
    }
}

#[test]
fn the_receivers_words_decide_and_the_classification_where_they_are_vague() {
    use BounceType::{Hard, Soft};
    for (classification, code, enhanced, content, bounce_type, reason) in [
        ("InvalidRecipient", 550, (5, 1, 1), "user unknown", Hard, Reason::UserUnknown),
        ("InvalidRecipient", 550, (5, 0, 0), "no", Hard, Reason::UserUnknown),
        ("BadDomain", 550, (5, 0, 0), "no", Hard, Reason::DomainUnknown),
        ("InactiveMailbox", 550, (5, 0, 0), "no", Hard, Reason::MailboxInactive),
        ("SpamBlock", 550, (5, 7, 1), "blocked", Soft, Reason::ReputationBlock),
        ("SpamContent", 554, (5, 7, 1), "no", Soft, Reason::SpamContent),
        ("PolicyRelated", 554, (5, 7, 1), "no", Soft, Reason::PolicyRejected),
        ("ProhibitedAttachment", 554, (5, 0, 0), "no", Soft, Reason::ContentRejected),
        ("VirusRelated", 554, (5, 0, 0), "no", Soft, Reason::VirusDetected),
        ("QuotaIssues", 552, (5, 2, 2), "over", Soft, Reason::MailboxFull),
        ("AuthenticationFailed", 550, (5, 0, 0), "no", Soft, Reason::AuthFailure),
        ("TooManyRecipients", 550, (5, 0, 0), "no", Soft, Reason::RateLimited),
        ("RelayDenied", 550, (5, 0, 0), "no", Soft, Reason::RelayDenied),
        ("BadConfiguration", 550, (5, 0, 0), "no", Soft, Reason::ServerError),
        ("ProtocolErrors", 550, (5, 0, 0), "no", Soft, Reason::ProtocolError),
        ("RoutingErrors", 550, (5, 0, 0), "no", Soft, Reason::DnsError),
        ("DNSFailure", 550, (5, 0, 0), "no", Soft, Reason::DnsError),
        ("InvalidSender", 550, (5, 0, 0), "no", Soft, Reason::SenderRejected),
        ("MessageExpired", 550, (5, 0, 0), "no", Soft, Reason::Expired),
        ("NoAnswerFromHost", 550, (5, 0, 0), "no", Soft, Reason::NetworkError),
        ("Uncategorized", 550, (5, 1, 1), "no", Hard, Reason::UserUnknown),
        ("acme-own", 550, (5, 1, 1), "no", Hard, Reason::UserUnknown),
        ("SpamBlock", 550, (5, 1, 1), "no such user here", Hard, Reason::UserUnknown),
        ("InvalidRecipient", 552, (5, 2, 2), "mailbox full", Soft, Reason::MailboxFull),
    ] {
        for kind in ["Bounce", "OOB"] {
            let verdict = classify(&only(&record(kind, classification, code, enhanced, content)), Rules::builtin());
            assert_eq!((verdict.bounce_type, verdict.reason), (Some(bounce_type), Some(reason)), "{kind} {classification} {content}");
        }
    }
    let expired = only(&record("Expiration", "Uncategorized", 551, (5, 4, 7), "Next delivery time would be after expiration"));
    assert_eq!(expired.claim.unwrap().bounce_type, Some(Soft));
    assert_eq!(only(&record("OOB", "AutoReply", 550, (5, 0, 0), "away")).kind, Kind::AutoReply);
    assert_eq!(only(&record("OOB", "ChallengeResponse", 550, (5, 0, 0), "who")).kind, Kind::ChallengeResponse);
}

#[test]
fn everything_known_of_a_failure_is_taken() {
    let found = only(&record("Bounce", "InvalidRecipient", 550, (5, 1, 1), "user unknown"));
    assert_eq!(found.recipient.as_ref().unwrap().expose(), "jane@example.com");
    assert_eq!(found.occurred_at, Some(datetime!(2026-01-01 00:00:00.440526 UTC)));
    assert_eq!((found.provider_message_id.as_deref(), found.provider_event_id.as_deref()), (Some("spool-1"), None));
    assert_eq!((found.message_id.as_deref(), found.hints.list_id.as_deref()), (Some("own-1@example.net"), Some("weekly.example.net")));
    assert_eq!((found.status.unwrap().to_string().as_str(), found.reply.unwrap().code()), ("5.1.1", 550));
    assert_eq!((found.diagnostic.as_deref(), found.stage), (Some("user unknown"), Some(Stage::RcptTo)));
    assert_eq!(found.remote_mta.as_deref(), Some("mx.example.com"));
    let tags: Vec<_> = found.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("campaign", "winter"), ("n", "7")]);
    let by_mail = only(&record("OOB", "InvalidRecipient", 550, (5, 1, 1), "smtp; 550 5.1.1 user unknown"));
    assert_eq!((by_mail.diagnostic_type.as_deref(), by_mail.remote_mta), (Some("smtp"), None));
    let mut old = record("Bounce", "", 550, (5, 1, 1), "no");
    old["event_time"] = Value::Null;
    assert_eq!(only(&old).occurred_at, Some(NOW));
}

#[test]
fn each_command_is_a_stage() {
    for (command, stage) in [
        (json!("MAIL FROM"), Some(Stage::MailFrom)),
        (json!("DATA"), Some(Stage::Data)),
        (json!("."), Some(Stage::EndOfData)),
        (json!("EHLO mx"), Some(Stage::Ehlo)),
        (json!("STARTTLS"), Some(Stage::StartTls)),
        (json!("AUTH PLAIN"), Some(Stage::Auth)),
        (json!("XCLIENT"), None),
        (Value::Null, None),
    ] {
        let mut record = record("Bounce", "", 550, (5, 0, 0), "no");
        record["response"]["command"] = command.clone();
        assert_eq!(only(&record).stage, stage, "{command}");
    }
}

#[test]
fn a_record_may_be_about_several_and_a_post_of_several_records() {
    let mut several = record("Bounce", "InvalidRecipient", 550, (5, 1, 1), "no");
    several["recipient"] = json!(["a@example.com", 7, "<b@example.com>", "nobody"]);
    let nobody = json!({"type": "Bounce", "recipient": []});
    let decoded = decoded(&json!([several, record("Delivery", "", 250, (2, 0, 0), "OK"), nobody, 5]));
    let recipients: Vec<_> = decoded.reading.reports.iter().map(|it| it.recipient.as_ref().unwrap().expose()).collect();
    assert_eq!(recipients, ["a@example.com", "b@example.com", "jane@example.com"]);
    assert_eq!((decoded.set_aside.len(), decoded.unrecognised), (2, 0));
}

#[test]
fn recipients_of_one_record_are_bounded() {
    let of = |count: usize| {
        let mut record = record("Bounce", "", 550, (5, 1, 1), "no");
        record["recipient"] = (0..count).map(|it| format!("r{it}@example.com")).collect();
        let decoded = decoded(&record);
        (decoded.reading.reports.len(), decoded.reading.notes.len())
    };
    assert_eq!(of(limits::EVENT_RECIPIENTS), (limits::EVENT_RECIPIENTS, 0));
    assert_eq!(of(limits::EVENT_RECIPIENTS + 1), (limits::EVENT_RECIPIENTS, 1));
}

fn feedback(edit: impl FnOnce(&mut Value)) -> Decoded {
    let mut record = record("Feedback", "", 250, (2, 0, 0), "OK");
    record["recipient"] = json!("fbl@example.net");
    record["headers"] = json!({});
    record["feedback_report"] = json!({"feedback_type": "abuse", "user_agent": "a/1", "version": "1",
        "original_mail_from": "<bounce@example.net>", "reporting_mta": {"mta_type": "dns", "name": "mail.example.com"},
        "original_rcpto_to": ["<jane@example.com>"], "extensions": {}, "supplemental_trace": null,
        "original_message": "Message-ID: <own-2@example.net>\r\nList-Id: <weekly.example.net>\r\nX-Campaign: c\r\nTo: john@example.com\r\n\r\nx"});
    edit(&mut record["feedback_report"]);
    decoded(&record)
}

fn complainers(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    feedback(edit).reading.reports.iter().map(|it| it.recipient.as_ref().unwrap().expose().to_owned()).collect()
}

#[test]
fn a_feedback_report_names_the_complainer_inside() {
    let found = feedback(|_| {});
    let [report] = found.reading.reports.as_slice() else { panic!("{found:?}") };
    assert_eq!((report.kind, report.feedback_type), (Kind::Complaint, Some(FeedbackType::Abuse)));
    assert_eq!((report.message_id.as_deref(), report.reporting_mta.as_deref()), (Some("own-2@example.net"), Some("mail.example.com")));
    assert_eq!((report.hints.list_id.as_deref(), report.hints.headers["x-campaign"].as_str()), (Some("weekly.example.net"), "c"));
    assert_eq!((report.hints.tags["campaign"].as_str(), report.remote_mta.as_deref()), ("winter", None));
    assert_eq!(complainers(|_| {}), ["jane@example.com"]);
    assert_eq!(complainers(|it| it["supplemental_trace"] = json!({"recipient": "jim@example.com"})), ["jim@example.com"]);
    assert_eq!(complainers(|it| it["supplemental_trace"] = json!({"recipient": ["a@example.com", "b@example.com"]})).len(), 2);
    let without = |it: &mut Value| it["original_rcpto_to"] = json!([]);
    assert_eq!(complainers(without), ["john@example.com"]);
    assert_eq!(
        complainers(|it| (it["original_rcpto_to"], it["extensions"]) = (Value::Null, json!({"removal-recipient": ["r@example.com"]}))),
        ["r@example.com"]
    );
    let bytes: Vec<u8> = b"Message-Id: <own-3@example.net>\nTo: \xe9@\n\nx".to_vec();
    assert_eq!(feedback(|it| it["original_message"] = json!(bytes)).reading.reports[0].message_id.as_deref(), Some("own-3@example.net"));
}

#[test]
fn not_every_feedback_is_a_complaint() {
    let of = |word: Value| feedback(|it| it["feedback_type"] = word);
    for word in ["not-spam", "Not-Spam", "auth-failure"] {
        let decoded = of(json!(word));
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{word}");
    }
    assert_eq!(of(json!("opt-out")).reading.kind, Kind::Unsubscribe);
    assert_eq!([of(json!("something-new")).reading.kind, of(Value::Null).reading.kind], [Kind::Complaint; 2]);
    let nobody = feedback(|it| (it["original_rcpto_to"], it["original_message"]) = (Value::Null, Value::Null));
    assert_eq!((nobody.reading.reports.len(), nobody.unrecognised), (0, 1));
    assert_eq!(decoded(&record("Feedback", "", 250, (2, 0, 0), "OK")).unrecognised, 1);
}

#[test]
fn only_who_has_a_credential_is_let_in() {
    let body = record("Delivery", "", 250, (2, 0, 0), "OK").to_string();
    let verify = |credentials: &Credentials, values: &[&str], body: &str| {
        let headers: Vec<_> = values.iter().map(|it| ("authorization".to_owned(), (*it).to_owned())).collect();
        let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
        post.verify(&KumoMta, credentials, NOW).map(|it| it.attribution())
    };
    assert_eq!(verify(&credentials(), &["Bearer token"], &body), Ok(Attribution::Authenticated));
    assert_eq!(verify(&credentials(), &["Bearer tokem"], &body), Err(Refusal::Mismatch(Credential::Bearer)));
    assert_eq!(verify(&credentials(), &["Bearer token"; 2], &body), Err(Refusal::Repeated(Credential::Bearer)));
    assert_eq!(verify(&credentials(), &[], "not json"), Err(Refusal::Missing(Credential::Bearer)));
    assert!(matches!(verify(&Credentials::default(), &[], &body), Err(Refusal::NotConfigured(_))));
    let empty = Credentials { bearer: vec![String::new()], ..Credentials::default() };
    assert!(matches!(verify(&empty, &["Bearer "], &body), Err(Refusal::NotConfigured(_))));
    assert_eq!(verify(&Credentials { insecure: true, ..Credentials::default() }, &[], &body), Ok(Attribution::Unattributed));
    for body in ["", "not json", "null", "{\"type\":", "[[[", "7"] {
        let refusal = verify(&credentials(), &["Bearer token"], body).unwrap_err();
        assert_eq!(KumoMta.refusal_status(&refusal), 400, "{body}");
    }
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    let mut sample = KumoMta.sample(&credentials(), NOW).unwrap();
    sample.headers.push(("authorization".to_owned(), "Bearer token".to_owned()));
    let post = Unverified { method: sample.method, url: "/", headers: &sample.headers, body: &sample.body };
    let decoded = KumoMta.decode(&post.verify(&KumoMta, &credentials(), NOW).unwrap());
    let report = &decoded.reading.reports[0];
    assert!(is_test(&KumoMta, report.recipient.as_ref().unwrap()));
    assert_eq!(classify(report, Rules::builtin()).bounce_type, Some(BounceType::Hard));
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "type|id|recipient|response|peer_address|timestamp|event_time|bounce_classification|feedback_report|meta|headers", inner in "feedback_type|original_rcpto_to|original_message|supplemental_trace|extensions|reporting_mta", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text, number]), json!({"a": text}), json!({"content": text, "code": number, "command": text, "enhanced_code": {"class": number}}), Value::Null, json!(true)] {
            let mut one = record("Bounce", "InvalidRecipient", 550, (5, 1, 1), "no");
            one[field.as_str()] = value.clone();
            let _ = decoded(&one);
            let _ = feedback(|it| it[inner.as_str()] = value.clone());
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let post = Unverified { method: "POST", url: "/", headers: &[], body: &body };
        let _ = post.verify(&KumoMta, &Credentials { insecure: true, ..Credentials::default() }, NOW);
        let _ = KumoMta.decode(&Verified::restored(post, Attribution::Authenticated, NOW));
    }
}
