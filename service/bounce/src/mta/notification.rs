//! Notifications of Amazon SES that come as mail: JSON in the text, bare or wrapped by SNS. They are read for what they
//! say, like any other unsigned mail; the signed way in is the provider's webhook.

use std::str::FromStr;

use serde_json::Value;

use super::Bounce;
use crate::kind::{FeedbackType, Kind};
use crate::report::{Report, dates, recipient};
use crate::status::EnhancedStatus;

/// Reads the notification, if the text is one.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    let text = bounce.mail.human();
    let (_, object) = text.split_once('{')?;
    // Braces stand in other bounces too, and an attempt at JSON costs a copy of the text.
    if !object.trim_start().starts_with('"') {
        return None;
    }
    let outer = json(text.get(text.len() - object.len() - 1..)?)?;
    let wrapped = outer.get("Message").and_then(Value::as_str).and_then(|it| serde_json::from_str::<Value>(it).ok());
    let notification = wrapped.unwrap_or(outer);
    let word = notification.get("notificationType").or_else(|| notification.get("eventType"))?.as_str()?;
    let (part, list, kind) = match word {
        "Bounce" => ("bounce", "bouncedRecipients", Kind::Bounce),
        "Complaint" => ("complaint", "complainedRecipients", Kind::Complaint),
        "Delivery" => ("delivery", "recipients", Kind::Delivered),
        "DeliveryDelay" => ("deliveryDelay", "delayedRecipients", Kind::Delayed),
        _ => return None,
    };
    let part = notification.get(part)?;
    let reports =
        part.get(list)?.as_array()?.iter().take(crate::limits::RECIPIENTS).filter_map(|it| report(&notification, part, it, kind)).collect();
    Some(reports)
}

/// The first JSON value of a text. Mail folds long lines, which may break strings in two.
fn json(text: &str) -> Option<Value> {
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next().and_then(Result::ok);
    first(text).or_else(|| first(&text.replace("\n ", "").replace('\n', "")))
}

fn report(notification: &Value, part: &Value, of: &Value, kind: Kind) -> Option<Report> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let named = of.as_str().map(str::to_owned).or_else(|| text(of, "emailAddress"))?;
    let mut report = Report::new(kind, Some(recipient::from_text(&named)?));
    report.status = text(of, "status").and_then(|it| EnhancedStatus::from_str(&it).ok());
    report.diagnostic = text(of, "diagnosticCode")
        .or_else(|| text(part, "smtpResponse"))
        .map(|it| it.strip_prefix("smtp;").map(str::trim).map_or(it.clone(), str::to_owned));
    if kind == Kind::Complaint {
        let word = text(part, "complaintFeedbackType").unwrap_or_default();
        report.feedback_type = Some(FeedbackType::from_str(&word).unwrap_or(FeedbackType::Abuse));
    }
    report.reporting_mta = text(part, "reportingMTA").map(|it| it.rsplit(';').next().unwrap_or_default().trim().to_owned());
    report.occurred_at = text(part, "timestamp").and_then(|it| dates::read(&it));
    report.provider_event_id = text(part, "feedbackId");
    report.provider_message_id = notification.get("mail").and_then(|it| text(it, "messageId"));
    report.message_id = notification
        .get("mail")
        .and_then(|it| it.get("commonHeaders"))
        .and_then(|it| text(it, "messageId"))
        .map(|it| crate::report::original::bare_message_id(&it));
    Some(report)
}
