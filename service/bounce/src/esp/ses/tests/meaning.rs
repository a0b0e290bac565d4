//! What each notification of SES means, through signature and all.

use super::*;
use crate::address::Address;
use crate::classify::reason::Reason;
use crate::classify::{Rules, classify};
use crate::kind::{Action, BounceType, FeedbackType, Kind};
use crate::limits;
use crate::report::{Hints, Report};

#[test]
fn every_bounce_type_has_its_meaning() {
    use BounceType::{Hard, Soft};
    let suppressed = (Kind::Suppressed, Some(Hard), Some(Reason::Suppressed), 0);
    for (bounce_type, sub_type, expected) in [
        ("Undetermined", "Undetermined", (Kind::Bounce, Some(Soft), None, 0)),
        ("Permanent", "General", (Kind::Bounce, Some(Hard), None, 0)),
        ("Permanent", "NoEmail", (Kind::Bounce, Some(Hard), Some(Reason::UserUnknown), 0)),
        ("PERMANENT", "noemail", (Kind::Bounce, Some(Hard), Some(Reason::UserUnknown), 0)),
        ("Permanent", "Suppressed", suppressed),
        ("Permanent", "OnAccountSuppressionList", suppressed),
        ("Permanent", "UnsubscribedRecipient", suppressed),
        ("Permanent", "EmailValidationSuppressed", suppressed),
        ("Permanent", "SomethingNew", (Kind::Bounce, Some(Hard), None, 1)),
        ("Transient", "General", (Kind::Bounce, Some(Soft), None, 0)),
        ("Transient", "MailboxFull", (Kind::Bounce, Some(Soft), Some(Reason::MailboxFull), 0)),
        ("Transient", "MessageTooLarge", (Kind::Bounce, Some(Soft), Some(Reason::MessageTooLarge), 0)),
        ("Transient", "ContentRejected", (Kind::Bounce, Some(Soft), Some(Reason::ContentRejected), 0)),
        ("Transient", "AttachmentRejected", (Kind::Bounce, Some(Soft), Some(Reason::ContentRejected), 0)),
        ("Transient", "CustomTimeoutExceeded", (Kind::Bounce, Some(Soft), Some(Reason::Expired), 0)),
        ("Transient", "SomethingNew", (Kind::Bounce, Some(Soft), None, 1)),
        ("SomethingNew", "General", (Kind::Bounce, Some(Soft), None, 1)),
        ("", "", (Kind::Bounce, Some(Soft), None, 1)),
    ] {
        let mut event = bounce(bounce_type, sub_type);
        event["bounce"]["bouncedRecipients"] = json!([{"emailAddress": "jane@example.com"}]);
        let decoded = decoded(&event);
        let report = &decoded.reading.reports[0];
        let claim = report.claim.unwrap();
        let found = (report.kind, claim.bounce_type, claim.reason, decoded.reading.notes.len());
        assert_eq!(found, expected, "{bounce_type} {sub_type}");
        assert_eq!((decoded.reading.kind, decoded.unrecognised), (expected.0, 0));
    }
    assert_eq!(report(&bounce("Permanent", "UnsubscribedRecipient")).feedback_type, Some(FeedbackType::OptOut));
}

#[test]
fn the_receivers_words_go_before_the_label() {
    use BounceType::{Hard, Soft};
    for (bounce_type, sub_type, status, text, expected, reason) in [
        ("Transient", "General", "5.4.4", "smtp; 550 5.4.4 Host not found", Hard, Reason::DomainUnknown),
        ("Transient", "General", "4.4.7", "smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes", Soft, Reason::Expired),
        ("Transient", "General", "4.0.0", "smtp; 452 later", Soft, Reason::ServerError),
        ("Transient", "MailboxFull", "5.2.2", "smtp; 552 5.2.2 mailbox full", Soft, Reason::MailboxFull),
        ("Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown", Hard, Reason::UserUnknown),
        ("Permanent", "General", "5.2.2", "smtp; 552 5.2.2 mailbox full", Soft, Reason::MailboxFull),
        ("Permanent", "General", "5.7.1", "smtp; 554 5.7.1 blocked as spam", Soft, Reason::SpamContent),
        ("Permanent", "General", "5.0.0", "smtp; 550 no", Hard, Reason::MailboxUnavailable),
        ("Undetermined", "Undetermined", "5.1.1", "smtp; 550 5.1.1 user unknown", Soft, Reason::UserUnknown),
    ] {
        let mut event = bounce(bounce_type, sub_type);
        event["bounce"]["bouncedRecipients"] = json!([{"emailAddress": "jane@example.com", "status": status, "diagnosticCode": text}]);
        let verdict = classify(&report(&event), Rules::builtin());
        assert_eq!((verdict.bounce_type, verdict.reason), (Some(expected), Some(reason)), "{bounce_type} {sub_type} {text}");
    }
}

#[test]
fn everything_known_of_a_bounce_is_taken() {
    let expected = Report {
        action: Some(Action::Failed),
        status: "5.1.1".parse().ok(),
        reply: "550".parse().ok(),
        diagnostic_type: Some("smtp".into()),
        diagnostic: Some("550 5.1.1 no such user".into()),
        reporting_mta: Some("a1.smtp-out.eu-west-1.amazonses.com".into()),
        occurred_at: Some(datetime!(2026-01-01 00:00:00 UTC)),
        message_id: Some("own-1@example.net".into()),
        provider_message_id: Some("ses-1".into()),
        provider_event_id: Some("sns-1".into()),
        // The receiver's words say it all, so the label does not count.
        claim: None,
        hints: Hints {
            list_id: Some("weekly.example.net".into()),
            headers: [("from", "news@example.net"), ("list-id", "Weekly news <Weekly.example.net>"), ("x-campaign", "winter")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            tags: [("list".into(), "weekly".into()), ("ses:configuration-set".into(), "main".into())].into(),
            ..Hints::default()
        },
        ..Report::new(Kind::Bounce, Address::parse("jane@example.com").ok())
    };
    assert_eq!(report(&bounce("Permanent", "General")), expected);
}

#[test]
fn both_formats_of_one_failure_are_the_same_fact() {
    let event = bounce("Permanent", "General");
    let mut feedback = event.clone();
    feedback["notificationType"] = feedback["eventType"].take();
    assert_eq!(decoded(&feedback), decoded(&event));
}

#[test]
fn a_bad_recipient_costs_itself_only() {
    let mut event = bounce("Permanent", "General");
    event["mail"]["destination"] = json!(["jane@example.com", "John <john@example.com>", "third@example.com"]);
    event["bounce"]["bouncedRecipients"] = json!([
        {"emailAddress": "\"Doe, Jane\" <jane@example.com>", "status": 7, "action": [], "diagnosticCode": null},
        {"emailAddress": "ja\0ne@example.com"},
        {"emailAddress": 5},
        null,
        {"emailAddress": "a".repeat(10_000) + "@example.com"},
        {"emailAddress": "John@EXAMPLE.com", "status": "5.1", "diagnosticCode": "x".repeat(100_000)},
    ]);
    let decoded = decoded(&event);
    let recipients: Vec<_> = decoded.reading.reports.iter().map(|it| it.recipient.as_ref().unwrap().expose()).collect();
    assert_eq!(recipients, ["jane@example.com", "john@example.com"]);
    assert_eq!(decoded.reading.reports[1].diagnostic.as_ref().unwrap().len(), limits::POST_FIELD_BYTES);
    assert!(
        decoded
            .reading
            .notes
            .iter()
            .any(|it| it.0 == "recipient 2 of 6 was left out: the local part (before the @) has a character that may not stand there")
    );
    assert!(decoded.reading.notes.iter().all(|it| !it.0.contains('@') || !it.0.contains("example")));
}

#[test]
fn nul_is_dropped_with_a_note() {
    let mut event = bounce("Permanent", "General");
    event["bounce"]["bouncedRecipients"][0]["diagnosticCode"] = json!("smtp; 550 \0no\0 such\0 user\0");
    let decoded = decoded(&event);
    assert_eq!(decoded.reading.reports[0].diagnostic.as_deref(), Some("550 no such user"));
    assert_eq!(decoded.reading.notes.len(), 1);
}

#[test]
fn recipients_of_one_event_are_bounded() {
    let of = |count: usize| {
        let recipients: Vec<_> = (0..count).map(|it| json!({"emailAddress": format!("r{it}@example.com")})).collect();
        let mut event = bounce("Transient", "General");
        event["bounce"]["bouncedRecipients"] = recipients.into();
        let decoded = decoded(&event);
        (decoded.reading.reports.len(), decoded.reading.notes.len())
    };
    assert_eq!(of(limits::EVENT_RECIPIENTS), (limits::EVENT_RECIPIENTS, 0));
    assert_eq!(of(limits::EVENT_RECIPIENTS + 1), (limits::EVENT_RECIPIENTS, 1));
}

#[test]
fn hints_are_bounded() {
    let of = |count: usize, length: usize| {
        let mut event = bounce("Transient", "General");
        event["mail"]["headers"] = (0..count).map(|it| json!({"name": format!("X-{it}"), "value": "v".repeat(length)})).collect();
        event["mail"]["tags"] =
            (0..count).map(|it| (format!("t{it}"), json!("v".repeat(length)))).collect::<serde_json::Map<_, _>>().into();
        let hints = report(&event).hints;
        (hints.headers.len(), hints.tags.len(), hints.headers["x-0"].len(), hints.tags["t0"].len())
    };
    assert_eq!(
        of(limits::POST_HINTS, limits::POST_HINT_BYTES),
        (limits::POST_HINTS, limits::POST_HINTS, limits::POST_HINT_BYTES, limits::POST_HINT_BYTES)
    );
    assert_eq!(
        of(limits::POST_HINTS + 1, limits::POST_HINT_BYTES + 1),
        (limits::POST_HINTS, limits::POST_HINTS, limits::POST_HINT_BYTES, limits::POST_HINT_BYTES)
    );
}

#[test]
fn the_only_recipient_stands_in_for_a_missing_list() {
    let mut event = bounce("Permanent", "General");
    event["bounce"]["bouncedRecipients"] = json!([]);
    assert_eq!(report(&event).recipient.unwrap().expose(), "jane@example.com");
    event["mail"]["destination"] = json!(["jane@example.com", "john@example.com"]);
    let decoded = decoded(&event);
    assert_eq!((decoded.reading.reports.len(), decoded.reading.notes.len(), decoded.unrecognised), (0, 1, 1));
}

#[test]
fn a_forwarded_message_tells_where_it_was_sent() {
    let mut event = bounce("Permanent", "General");
    event["mail"]["destination"] = json!(["Alias <alias@example.org>"]);
    let report = report(&event);
    assert_eq!(report.recipient.unwrap().expose(), "jane@example.com");
    assert_eq!(report.original_recipient.as_deref(), Some("Alias <alias@example.org>"));
}

fn complaint(edit: impl FnOnce(&mut Value)) -> Decoded {
    let mut event = json!({"notificationType": "Complaint", "mail": {"messageId": "ses-1"}, "complaint": {
        "complainedRecipients": [{"emailAddress": "jane@example.com"}], "feedbackId": "feedback-2", "timestamp": "2026-01-01T00:00:00Z"}});
    edit(&mut event["complaint"]);
    decoded(&event)
}

#[test]
fn every_complaint_has_its_meaning() {
    for (word, expected) in [
        (json!("abuse"), Some(FeedbackType::Abuse)),
        (json!("Fraud"), Some(FeedbackType::Fraud)),
        (json!("virus"), Some(FeedbackType::Virus)),
        (json!("other"), Some(FeedbackType::Other)),
        (json!("auth-failure"), Some(FeedbackType::AuthFailure)),
        (json!("something-new"), None),
        (Value::Null, None),
    ] {
        let found = complaint(|it| it["complaintFeedbackType"] = word.clone());
        assert_eq!((found.reading.kind, found.reading.reports[0].feedback_type), (Kind::Complaint, expected), "{word}");
        assert_eq!(found.reading.notes.len(), usize::from(word == "something-new"));
    }
    let not_spam = complaint(|it| it["complaintFeedbackType"] = json!("not-spam"));
    assert_eq!((not_spam.reading.reports.len(), not_spam.unrecognised), (0, 0));
    let suppressed = complaint(|it| it["complaintSubType"] = json!("OnAccountSuppressionList")).reading.reports.remove(0);
    assert_eq!((suppressed.kind, suppressed.claim.unwrap().reason), (Kind::Suppressed, Some(Reason::Suppressed)));
    let several =
        complaint(|it| it["complainedRecipients"] = json!([{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com"}]));
    assert_eq!((several.reading.reports.len(), several.reading.notes.len()), (2, 1));
}

#[test]
fn a_delivery_and_a_delay_are_read() {
    let delivered = report(&json!({"eventType": "Delivery", "mail": {"timestamp": "2018-10-08T14:05:45 +0000"}, "delivery": {
        "recipients": ["jane@example.com"], "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "a1.amazonses.com", "remoteMtaIp": "192.0.2.1"}}));
    assert_eq!((delivered.kind, delivered.reply.map(crate::status::SmtpReply::code)), (Kind::Delivered, Some(250)));
    assert_eq!((delivered.reporting_mta.as_deref(), delivered.remote_mta.as_deref()), (Some("a1.amazonses.com"), Some("192.0.2.1")));
    assert_eq!(delivered.occurred_at, Some(datetime!(2026-01-01 00:00:01 UTC)));
    assert_eq!(delivered.provider_event_id.as_deref(), Some("sns-1"));
    for (word, reason) in [
        ("MailboxFull", Some(Reason::MailboxFull)),
        ("SpamDetected", Some(Reason::SpamContent)),
        ("RecipientServerError", Some(Reason::ServerError)),
        ("IPFailure", Some(Reason::ReputationBlock)),
        ("TransientCommunicationFailure", Some(Reason::NetworkError)),
        ("BYOIPHostNameLookupUnavailable", Some(Reason::ReverseDns)),
        ("InternalFailure", None),
        ("SendingDeferral", None),
        ("General", None),
        ("Undetermined", None),
    ] {
        let delayed = report(
            &json!({"eventType": "DeliveryDelay", "deliveryDelay": {"delayType": word, "expirationTime": "2026-01-01T14:00:00.000Z",
            "delayedRecipients": [{"emailAddress": "jane@example.com", "status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1 no answer"}]}}),
        );
        assert_eq!((delayed.kind, delayed.claim.and_then(|it| it.reason)), (Kind::Delayed, reason), "{word}");
        assert_eq!(delayed.retry_until, Some(datetime!(2026-01-01 14:00:00 UTC)));
        assert_eq!(delayed.status.map(|it| it.to_string()).as_deref(), Some("4.4.1"));
    }
}

#[test]
fn a_refusal_by_ses_is_about_every_recipient() {
    let mail = json!({"messageId": "ses-1", "destination": ["jane@example.com", "john@example.com"]});
    let rejected = decoded(&json!({"eventType": "Reject", "reject": {"reason": "Bad content"}, "mail": mail}));
    assert_eq!((rejected.reading.kind, rejected.reading.reports.len()), (Kind::Rejected, 2));
    assert_eq!(rejected.reading.reports[1].claim.unwrap().reason, Some(Reason::VirusDetected));
    let failure = json!({"errorMessage": "Attribute 'name' is not present", "templateName": "t"});
    let failed = decoded(&json!({"eventType": "Rendering Failure", "failure": failure, "mail": mail}));
    assert_eq!((failed.reading.kind, failed.reading.reports[0].claim), (Kind::Rejected, None));
    assert_eq!(failed.reading.reports[0].diagnostic.as_deref(), Some("Attribute 'name' is not present"));
}

#[test]
fn a_change_of_the_contact_list_may_be_an_unsubscription() {
    let event = |wishes: Value, destination: Value| json!({"eventType": "Subscription", "mail": {"destination": destination}, "subscription": {"contactList": "news", "newTopicPreferences": wishes}});
    let topic =
        |status: &str| json!({"unsubscribeAll": false, "topicSubscriptionStatus": [{"topicName": "weekly", "subscriptionStatus": status}]});
    let all = report(&event(json!({"unsubscribeAll": true}), json!(["jane@example.com"])));
    assert_eq!((all.kind, all.hints.tags["contact_list"].as_str()), (Kind::Unsubscribe, "news"));
    assert_eq!(report(&event(topic("OptOut"), json!(["jane@example.com"]))).hints.tags["topic"], "weekly");
    assert_eq!(decoded(&event(topic("OptIn"), json!(["jane@example.com"]))).reading.reports, []);
    let unknown = decoded(&event(topic("OptOut"), json!(["jane@example.com", "john@example.com"])));
    assert_eq!((unknown.reading.reports.len(), unknown.unrecognised), (0, 1));
}
