//! Complaints: feedback reports (RFC 5965, with RFC 6430 not-spam and RFC 6591 authentication failures), the form of
//! Microsoft that has no machine part, and the unsubscribe notes that Apple's mail program writes.

use std::str::FromStr;

use super::fields::{Group, groups, typed, without_comments};
use super::human::Human;
use super::{Note, Report, dates, original, recipient};
use crate::address::Address;
use crate::kind::{FeedbackType, Kind};
use crate::limits;
use crate::mail::{Mail, Message};

/// What a complaint says.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) kind: Kind,
    pub(super) dialect: &'static str,
    pub(super) reports: Vec<Report>,
    pub(super) notes: Vec<Note>,
}

/// Reads a complaint, if the mail is one.
pub(super) fn read(mail: &Mail<'_>, returned: Option<&Message<'_>>) -> Option<Complaint> {
    feedback(mail, returned).or_else(|| microsoft(mail, returned)).or_else(|| apple(mail))
}

fn feedback(mail: &Mail<'_>, returned: Option<&Message<'_>>) -> Option<Complaint> {
    let part = mail.part(&["message/feedback-report"]);
    if part.is_none() && mail.report_type() != Some("feedback-report") {
        return None;
    }
    let text = part.map(|it| it.text(limits::REPORT_BYTES)).unwrap_or_default();
    let mut group = Group::default();
    for more in groups(&text) {
        group.fields.extend(more.fields);
    }
    if group.fields.is_empty() {
        // Some put the fields into the first part, or have lost the machine part.
        group = groups(mail.human()).into_iter().find(|it| it.has(&["feedback-type"])).unwrap_or_default();
    }
    let mut notes = Vec::new();
    let word = group.get("feedback-type").map(str::to_ascii_lowercase).unwrap_or_default();
    let feedback_type = FeedbackType::from_str(&word).unwrap_or_else(|_| {
        notes.push(Note("the feedback type is not a registered one; read as other".to_owned()));
        FeedbackType::Other
    });
    let kind = match feedback_type {
        FeedbackType::NotSpam | FeedbackType::AuthFailure => Kind::Other,
        FeedbackType::OptOut | FeedbackType::OptOutList => Kind::Unsubscribe,
        _ => Kind::Complaint,
    };
    let redacted = group.has(&["redacted-address"]);
    let mut recipients: Vec<Address> =
        ["original-rcpt-to", "removal-recipient"].iter().flat_map(|it| group.all(it)).filter_map(recipient::from_typed).collect();
    recipients.dedup();
    recipients.truncate(limits::RECIPIENTS);
    if recipients.is_empty() && !redacted {
        let path = group.get("original-mail-from").and_then(recipient::from_typed);
        recipients.extend(returned.and_then(reader).or_else(|| path.and_then(|it| super::verp::recipient(&it))));
    }
    let mut reports: Vec<Report> = recipients.into_iter().map(|it| Report::new(kind, Some(it))).collect();
    if reports.is_empty() {
        reports.push(Report::new(kind, None));
    }
    for report in &mut reports {
        report.feedback_type = Some(feedback_type);
        report.reporting_mta = group.get("reporting-mta").map(|it| without_comments(typed(it).1).into_owned());
        report.occurred_at = group.get("arrival-date").or_else(|| group.get("received-date")).and_then(dates::read);
        report.envelope_id = group.get("original-envelope-id").map(str::to_owned);
        report.message_id = group.get("message-id").map(original::bare_message_id).filter(|it| !it.is_empty());
    }
    Some(Complaint { kind, dialect: "arf", reports, notes })
}

/// The person who complained, as the returned message tells: a header made for it, else the only To.
fn reader(returned: &Message<'_>) -> Option<Address> {
    let headers = returned.headers();
    let named = ["x-hmxmroriginalrecipient", "x-original-rcpt-to", "x-rcpt-to"]
        .iter()
        .find_map(|it| headers.first(it))
        .and_then(|it| recipient::from_text(&it));
    named.or_else(|| {
        let mut to = original::to(returned).into_iter();
        to.next().filter(|_| to.next().is_none())
    })
}

/// The form of Microsoft's Junk Mail Reporting Program: the returned message and nothing else.
fn microsoft(mail: &Mail<'_>, returned: Option<&Message<'_>>) -> Option<Complaint> {
    let returned = returned?;
    let subject = mail.header("subject").unwrap_or_default();
    let named = returned.headers().first("x-hmxmroriginalrecipient");
    if named.is_none() && !subject.to_ascii_lowercase().starts_with("complaint about message from") {
        return None;
    }
    let recipient = named.and_then(|it| recipient::from_text(&it)).or_else(|| reader(returned));
    let mut report = Report::new(Kind::Complaint, recipient);
    report.feedback_type = Some(FeedbackType::Abuse);
    Some(Complaint { kind: Kind::Complaint, dialect: "microsoft", reports: vec![report], notes: Vec::new() })
}

/// The note that Apple Mail sends for its Unsubscribe button.
fn apple(mail: &Mail<'_>) -> Option<Complaint> {
    if !mail.header("x-apple-unsubscribe").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return None;
    }
    let from = mail.header("from").unwrap_or_default();
    let recipient = Human::new(&from).mentions().last().and_then(|it| recipient::from_text(it.word));
    let report = Report::new(Kind::Unsubscribe, recipient);
    Some(Complaint { kind: Kind::Unsubscribe, dialect: "apple", reports: vec![report], notes: Vec::new() })
}
