//! Feedback reports (RFC 5965) as a log record holds them, already taken apart.

use std::borrow::Cow;

use crate::esp::batch::Meaning;
use crate::esp::json::{Json, Notes};
use crate::esp::kumomta::payload::{about_each, common};
use crate::kind::{FeedbackType, Kind};
use crate::limits;
use crate::mail::Message;
use crate::report::{Report, original};

/// The meaning of a record of a feedback report.
pub(super) fn meaning(record: Json<'_>, notes: &mut Notes) -> Meaning {
    let feedback = record.at("feedback_report");
    if !feedback.is_some() {
        return Meaning::Unknown("a feedback record has no report");
    }
    let feedback_type: Option<FeedbackType> = feedback.word("feedback_type").parse().ok();
    let kind = match feedback_type {
        // The opposite of a complaint, and a matter of the sender's domain.
        Some(FeedbackType::NotSpam | FeedbackType::AuthFailure) => return Meaning::Nothing,
        Some(FeedbackType::OptOut | FeedbackType::OptOutList) => Kind::Unsubscribe,
        _ => Kind::Complaint,
    };
    let report = Report {
        feedback_type,
        envelope_id: feedback.text("original_envelope_id"),
        reporting_mta: feedback.at("reporting_mta").text("name"),
        ..common(record, kind)
    };
    let octets = octets(feedback.at("original_message"));
    let returned = (!octets.is_empty()).then(|| Message::parse(octets));
    let report = returned.as_ref().map_or(report.clone(), |it| with_returned(report, it));
    // The record's own recipient is the mailbox that the report came to.
    let traced = feedback.at("supplemental_trace").at("recipient");
    let named = [traced, feedback.at("original_rcpto_to"), feedback.at("extensions").at("removal-recipient")];
    match named.into_iter().find(|it| it.items().next().is_some()) {
        Some(named) => about_each(&report, named.items(), notes),
        None => match returned.as_ref().map(original::to).as_deref() {
            Some([only]) => Report { recipient: Some(only.clone()), ..report }.into(),
            _ => Meaning::Unknown("a feedback report does not say who complained"),
        },
    }
}

/// What the returned message adds: which message it was, and of which list.
fn with_returned(report: Report, returned: &Message<'_>) -> Report {
    let mut hints = original::hints(returned);
    hints.list_id = hints.list_id.or(report.hints.list_id);
    hints.tags = report.hints.tags;
    Report { message_id: original::message_id(returned).or(report.message_id), hints, ..report }
}

/// The returned message: text, or a list of bytes where it is no UTF-8. Only its beginning matters.
fn octets(message: Json<'_>) -> Cow<'_, [u8]> {
    match message.verbatim() {
        Some(text) => Cow::Borrowed(text.as_bytes()),
        None => message.items().take(limits::HEADER_BYTES).map_while(|it| it.own_text()?.parse::<u8>().ok()).collect::<Vec<_>>().into(),
    }
}
