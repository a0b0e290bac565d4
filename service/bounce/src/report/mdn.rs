//! Disposition notifications (RFC 8098): somebody's program says what became of a message it got. Never a bounce.

use super::fields::{Group, groups};
use super::{Report, original, recipient};
use crate::kind::Kind;
use crate::limits;
use crate::mail::Mail;

const TYPES: &[&str] = &["message/disposition-notification", "message/global-disposition-notification"];

/// Reads a disposition notification, if the mail is one.
pub(super) fn read(mail: &Mail<'_>) -> Option<Report> {
    let part = mail.part(TYPES);
    if part.is_none() && mail.report_type() != Some("disposition-notification") {
        return None;
    }
    let text = part.map(|it| it.text(limits::REPORT_BYTES)).unwrap_or_default();
    let mut group = Group::default();
    for more in groups(&text) {
        group.fields.extend(more.fields);
    }
    let named = |name: &str| group.get(name).and_then(recipient::from_typed);
    let from = || original::addresses(&mail.header("from").unwrap_or_default()).into_iter().next();
    let mut report = Report::new(Kind::Mdn, named("original-recipient").or_else(|| named("final-recipient")).or_else(from));
    report.message_id = group.get("original-message-id").map(original::bare_message_id).filter(|it| !it.is_empty());
    report.text = group.get("disposition").map(str::to_owned);
    Some(report)
}
