//! Whatever comes, nothing panics and nobody gets in.

use proptest::prelude::*;

use super::*;
use crate::limits;

/// Names that are looked at, for making JSON of them.
const NAMES: &str = "Type MessageId TopicArn Message Timestamp Signature SignatureVersion SigningCertURL SubscribeURL Token eventType notificationType bounce complaint \
     delivery deliveryDelay reject failure subscription mail bounceType bouncedRecipients complainedRecipients recipients delayedRecipients \
     emailAddress destination headers name value tags commonHeaders messageId timestamp newTopicPreferences unsubscribeAll diagnosticCode status";

/// Texts that are looked for.
const TEXTS: &str = "Notification|SubscriptionConfirmation|Bounce|Complaint|Delivery|DeliveryDelay|Reject|Rendering Failure|Subscription|Permanent|Transient|\
     jane@example.com|<|smtp;|;|2026-01-01T00:00:00Z|1|2||arn:aws:sns:eu-west-1:111122223333:ses";

/// Any JSON, with the names that are looked at.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(NAMES.split_whitespace().collect::<Vec<_>>());
    let text = prop::sample::select(TEXTS.split('|').collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let entry = (name.clone(), inner.clone()).prop_map(|(name, value)| (name.to_owned(), value));
        let object = prop::collection::vec(entry, 0..10).prop_map(|it| Value::Object(it.into_iter().collect()));
        prop_oneof![prop::collection::vec(inner, 0..6).prop_map(Value::from), object]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let post = Unverified { method: "POST", url: "/", headers: &[], body: &body };
        prop_assert!(post.verify(&Ses, &AMAZON.credentials(), NOW).is_err());
        let _ = Ses.decode(&Verified::restored(post, Attribution::Signed, NOW));
    }

    #[test]
    fn any_json_is_read_without_a_panic(body in any_json(), event in any_json()) {
        for body in [body.to_string(), event.to_string(), json!({"Type": "Notification", "MessageId": "i", "TopicArn": TOPIC, "Message": event.to_string(),
            "Timestamp": "t", "Signature": "", "SignatureVersion": "1", "SigningCertURL": CERTIFICATE_URL}).to_string()] {
            let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
            prop_assert!(post.verify(&Ses, &AMAZON.credentials(), NOW).is_err());
            let decoded = Ses.decode(&Verified::restored(post, Attribution::Signed, NOW));
            prop_assert!(decoded.reading.notes.len() <= limits::POST_NOTES + 1);
            prop_assert!(decoded.reading.reports.iter().all(|it| it.recipient.is_some()));
        }
    }
}
