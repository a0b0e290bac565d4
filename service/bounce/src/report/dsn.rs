//! Delivery status notifications: message/delivery-status (RFC 3464) and message/global-delivery-status (RFC 6533), with
//! the deviations that real servers show. One report for each recipient group; a broken field costs that field only.

use std::str::FromStr;

use super::fields::{Field, Group, groups, typed, without_comments};
use super::human::capped;
use super::{Report, dates, recipient};
use crate::address::Address;
use crate::kind::{Action, Kind};
use crate::limits;
use crate::status::{Class, EnhancedStatus, SmtpReply};

/// Media types of a delivery status; the third is a misspelling seen in the wild.
pub(super) const TYPES: &[&str] = &["message/delivery-status", "message/global-delivery-status", "message/xdelivery-status"];

const PER_MESSAGE: &[&str] = &["reporting-mta", "original-envelope-id", "dsn-gateway", "received-from-mta"];
const PER_RECIPIENT: &[&str] = &["original-recipient", "final-recipient"];
const OUTCOME: &[&str] = &["action", "status", "diagnostic-code"];

/// What a delivery status says.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// One for each recipient group; those without a legible address too.
    pub(super) reports: Vec<Report>,
    /// `X-Original-Message-ID`, which Gmail writes.
    pub(super) message_id: Option<String>,
    /// Whether groups were left out because there are too many.
    pub(super) cut: bool,
}

/// Reads the text of a delivery status.
pub(super) fn read(text: &str) -> Status {
    let (message, recipients) = arranged(groups(text));
    let message_id = message.get("x-original-message-id").map(super::original::bare_message_id);
    let cut = recipients.len() > limits::RECIPIENTS;
    let mut reports: Vec<Report> = recipients.iter().take(limits::RECIPIENTS).map(|group| report(&message, group)).collect();
    prefer_members_of_an_alias(&mut reports);
    Status { reports, message_id, cut }
}

/// Sorts fields into those of the message and those of each recipient, where blank lines are missing or too many.
fn arranged(groups: Vec<Group<'_>>) -> (Group<'_>, Vec<Group<'_>>) {
    let mut message = Group::default();
    let mut recipients: Vec<Group<'_>> = Vec::new();
    for group in groups {
        for part in split(group) {
            let names_somebody = part.has(PER_RECIPIENT);
            if !names_somebody && (part.has(PER_MESSAGE) || !part.has(OUTCOME) && recipients.is_empty()) {
                message.fields.extend(part.fields);
            } else if let Some(last) =
                recipients.last_mut().filter(|it| !names_somebody && !OUTCOME.iter().any(|name| it.has(&[name]) && part.has(&[name])))
            {
                // A blank line in the middle of a group.
                last.fields.extend(part.fields);
            } else if names_somebody || part.has(OUTCOME) {
                recipients.push(part);
            }
        }
    }
    (message, recipients)
}

/// Splits a group where a second recipient begins, or where the fields of the message end.
fn split(group: Group<'_>) -> Vec<Group<'_>> {
    let mut parts = Vec::new();
    let mut current = Group::default();
    for field in group.fields {
        if begins_recipient(&current, &field) && !current.fields.is_empty() {
            parts.push(std::mem::take(&mut current));
        }
        current.fields.push(field);
    }
    parts.push(current);
    parts
}

fn begins_recipient(current: &Group<'_>, field: &Field<'_>) -> bool {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    if is("final-recipient") || is("original-recipient") {
        let follows_final = current.fields.last().is_some_and(|it| it.name.eq_ignore_ascii_case("final-recipient"));
        let complete = !follows_final && current.has(&["final-recipient"]) && current.has(&["action", "status"]);
        current.has(&[field.name])
            || (is("original-recipient") && complete)
            || (current.has(PER_MESSAGE) && !current.has(PER_RECIPIENT) && !current.has(OUTCOME))
    } else {
        // Exim writes Action first; where the blank line is missing a second Action tells the next group.
        is("action") && (current.has(&["action"]) || (current.has(PER_MESSAGE) && !current.has(PER_RECIPIENT)))
    }
}

fn report(message: &Group<'_>, group: &Group<'_>) -> Report {
    let original = group.get("original-recipient").and_then(recipient::from_typed);
    let last = group.get("final-recipient").and_then(recipient::from_typed);
    let actual = group.get("x-actual-recipient").and_then(recipient::from_typed);
    let mut report = Report::new(Kind::Other, original.clone().or_else(|| last.clone()).or_else(|| actual.clone()));
    report.original_recipient = group.get("original-recipient").map(|it| typed(it).1.to_owned());
    let written = group.get("final-recipient").map(|it| typed(it).1.to_owned());
    report.final_recipient = match (&actual, &last) {
        (Some(actual), last) if last.as_ref() != Some(actual) => group.get("x-actual-recipient").map(|it| typed(it).1.to_owned()),
        _ => written,
    };
    let status_text = group.get("status").unwrap_or_default();
    report.status = status(status_text);
    report.reply = leading_reply(status_text);
    report.action = group.get("action").or_else(|| group.get("ction")).and_then(action);
    if let Some(value) = diagnostic(group) {
        let (kind, text) = typed(&value);
        let looks_typed = !kind.is_empty() && !kind.starts_with(|it: char| it.is_ascii_digit());
        let text = if looks_typed { text } else { value.as_str() };
        report.diagnostic_type = looks_typed.then_some(kind);
        // `X-Unix; 255` is an exit status: the words are in the human part.
        report.diagnostic = text.contains(|it: char| it.is_alphabetic()).then(|| capped(text, limits::DIAGNOSTIC_BYTES).to_owned());
    }
    let either = |name: &str| group.get(name).or_else(|| message.get(name));
    report.reporting_mta = either("reporting-mta").and_then(host);
    report.remote_mta = group.get("remote-mta").and_then(host);
    report.occurred_at = group.get("last-attempt-date").and_then(dates::read).or_else(|| either("arrival-date").and_then(dates::read));
    report.retry_until = group.get("will-retry-until").and_then(dates::read);
    report.envelope_id = either("original-envelope-id").map(|it| recipient::xtext(it).into_owned());
    report.kind = kind(&report);
    report
}

/// All diagnostics of a group; some servers write one field for each line of the reply.
fn diagnostic(group: &Group<'_>) -> Option<String> {
    let mut all = group.all("diagnostic-code");
    let mut text = all.next()?.to_owned();
    for more in all.take(20) {
        text.push(' ');
        text.push_str(typed(more).1);
    }
    Some(text)
}

/// The name of a host without its type and comments.
fn host(value: &str) -> Option<String> {
    let name = without_comments(typed(value).1);
    let name = name.split_whitespace().next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// Reads an action with the words that servers invented beside the five of RFC 3464 section 2.3.3.
pub(super) fn action(value: &str) -> Option<Action> {
    let word = value.split(|it: char| !it.is_ascii_alphanumeric()).find(|it| !it.is_empty())?.to_ascii_lowercase();
    match word.as_str() {
        "expired" | "undeliverable" | "error" | "failure" | "bounced" | "fail" => Some(Action::Failed),
        "deliverable" => Some(Action::Delivered),
        "deferred" | "delay" => Some(Action::Delayed),
        word => Action::from_str(word).ok(),
    }
}

/// Reads a status, which may be followed by a comment, preceded by a reply code, or written without dots.
pub(super) fn status(value: &str) -> Option<EnhancedStatus> {
    let mut words =
        value.split(|it: char| it.is_whitespace() || matches!(it, '(' | ')' | ',' | ';' | '#')).filter(|it| !it.is_empty()).take(8);
    let first = words.clone().next()?;
    words.find_map(|it| it.trim_end_matches('.').parse().ok()).or_else(|| undotted(first))
}

/// `511` for `5.1.1`, as some servers write; only the numbers that are not reply codes of RFC 5321.
fn undotted(word: &str) -> Option<EnhancedStatus> {
    let &[class, subject, detail] = word.as_bytes() else { return None };
    let known = matches!((subject, detail), (b'1', b'1'..=b'3') | (b'4', b'0'..=b'4'));
    let class = Class::from_digit(class.checked_sub(b'0')?)?;
    known.then(|| EnhancedStatus::new(class, u16::from(subject - b'0'), u16::from(detail - b'0')))
}

/// The reply code in front of a status (`550 5.1.1 …`).
fn leading_reply(value: &str) -> Option<SmtpReply> {
    value.split_whitespace().next().filter(|it| it.len() == 3 && value.len() > 3).and_then(|it| it.parse().ok())
}

/// The kind that follows from the action, or from the status where there is none (RFC 3464 section 2.3.3 and 2.3.4).
fn kind(report: &Report) -> Kind {
    match report.action {
        Some(Action::Failed) => Kind::Bounce,
        Some(Action::Delayed) => Kind::Delayed,
        Some(Action::Delivered | Action::Relayed) => Kind::Delivered,
        Some(Action::Expanded) => Kind::Other,
        None => match report.status.map(|it| it.class) {
            Some(Class::Success) => Kind::Delivered,
            _ => Kind::Bounce,
        },
    }
}

/// Where several groups share an Original-Recipient, it is an alias that was expanded: one member that failed says nothing
/// of the alias, so each report is about its member.
fn prefer_members_of_an_alias(reports: &mut [Report]) {
    if reports.len() < 2 {
        return;
    }
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for address in reports.iter().filter_map(|it| it.recipient.as_ref()) {
        *seen.entry(address.expose().to_owned()).or_default() += 1;
    }
    for report in reports {
        let shared = report.recipient.as_ref().is_some_and(|it| seen.get(it.expose()).is_some_and(|count| *count > 1));
        let member = report.final_recipient.as_deref().and_then(recipient::from_text);
        if let Some(member) = member.filter(|it| shared && Some(it) != report.recipient.as_ref()) {
            if report.original_recipient.is_none() {
                report.original_recipient = report.recipient.as_ref().map(|it: &Address| it.expose().to_owned());
            }
            report.recipient = Some(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(text: &str) -> Vec<Option<String>> {
        read(text).reports.into_iter().map(|it| it.recipient.map(|it| it.expose().to_owned())).collect()
    }

    #[test]
    fn actions_are_read_with_the_words_servers_invented() {
        for (value, expected) in [
            ("failed", Some(Action::Failed)),
            ("FAILED (bad mailbox)", Some(Action::Failed)),
            ("undeliverable", Some(Action::Failed)),
            ("expired", Some(Action::Failed)),
            ("deliverable", Some(Action::Delivered)),
            ("delayed", Some(Action::Delayed)),
            ("relayed", Some(Action::Relayed)),
            ("expanded", Some(Action::Expanded)),
            ("pending", None),
            ("", None),
        ] {
            assert_eq!(action(value), expected, "{value}");
        }
    }

    #[test]
    fn a_status_is_read_with_what_stands_around_it() {
        for (value, expected) in [
            ("5.1.1", Some("5.1.1")),
            ("5.1.1 (bad destination)", Some("5.1.1")),
            ("5.1.1.", Some("5.1.1")),
            ("#5.1.1", Some("5.1.1")),
            ("550 5.7.1 no", Some("5.7.1")),
            ("511", Some("5.1.1")),
            ("541", Some("5.4.1")),
            ("550", None),
            ("6.1.1", None),
            ("", None),
        ] {
            assert_eq!(status(value).map(|it| it.to_string()).as_deref(), expected, "{value}");
        }
        assert_eq!(leading_reply("550 5.7.1 no").map(SmtpReply::code), Some(550));
        assert_eq!(leading_reply("550"), None);
    }

    #[test]
    fn groups_are_told_apart_without_blank_lines() {
        let text = "Reporting-MTA: dns; a.example\nFinal-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\n\
            Original-Recipient: rfc822; b@x.example\nFinal-Recipient: rfc822; b@x.example\nAction: delayed\nStatus: 4.2.2\n";
        let status = read(text);
        assert_eq!(status.reports.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Bounce, Kind::Delayed]);
        assert_eq!(recipients(text), [Some("a@x.example".to_owned()), Some("b@x.example".to_owned())]);
    }

    #[test]
    fn action_may_come_first_and_original_last() {
        let text = "Reporting-MTA: dns; a.example\n\nAction: failed\nFinal-Recipient: rfc822; a@x.example\n\
            Original-Recipient: rfc822; o@x.example\nDiagnostic-Code: smtp; 550 no\nStatus: 5.1.1\n";
        assert_eq!(recipients(text), [Some("o@x.example".to_owned())]);
        assert_eq!(read(text).reports[0].diagnostic.as_deref(), Some("550 no"));
    }

    #[test]
    fn several_diagnostics_are_one() {
        let text = "Final-Recipient: rfc822; a@x.example\nAction: failed\nDiagnostic-Code: smtp; 550-one\nDiagnostic-Code: smtp; 550 two\n";
        assert_eq!(read(text).reports[0].diagnostic.as_deref(), Some("550-one 550 two"));
    }

    #[test]
    fn one_recipient_more_than_the_limit_is_left_out() {
        let groups = |count: usize| {
            (0..count).fold(String::new(), |all, it| all + &format!("Final-Recipient: rfc822; a{it}@x.example\nAction: failed\n\n"))
        };
        let fits = read(&groups(limits::RECIPIENTS));
        assert_eq!((fits.reports.len(), fits.cut), (limits::RECIPIENTS, false));
        let over = read(&groups(limits::RECIPIENTS + 1));
        assert_eq!((over.reports.len(), over.cut), (limits::RECIPIENTS, true));
    }

    #[test]
    fn a_diagnostic_is_cut_at_the_limit() {
        let text = format!(
            "Final-Recipient: rfc822; a@x.example\nAction: failed\nDiagnostic-Code: smtp; 550 {}\n",
            "x".repeat(limits::DIAGNOSTIC_BYTES)
        );
        assert_eq!(read(&text).reports[0].diagnostic.as_ref().map(String::len), Some(limits::DIAGNOSTIC_BYTES));
    }
}
