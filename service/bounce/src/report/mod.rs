//! From a mail to what it says: one [`Report`] for each recipient it speaks of. This module sorts a message (RFC 6522
//! walk), hands the machine part to its reader, and falls back to free-form dialects. It never fails: a broken field
//! costs that field, a broken group never its neighbours.

mod arf;
mod autoreply;
mod complete;
pub(crate) mod dates;
mod dialect;
mod dsn;
pub(crate) mod fields;
pub(crate) mod finality;
pub(crate) mod human;
mod mdn;
pub(crate) mod original;
pub(crate) mod phrases;
pub(crate) mod recipient;
mod sort;
pub(crate) mod stage;
pub(crate) mod verp;

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::address::Address;
use crate::classify::reason::Reason;
use crate::kind::{Action, BounceType, FeedbackType, Kind};
use crate::mail::Mail;
use crate::status::{EnhancedStatus, SmtpReply, Stage};

/// What was understood of one input, mail or provider's post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What the whole is: the kind of its gravest report, or why there is none.
    pub kind: Kind,
    /// Who wrote it, as far as known: `postfix`, `exim`, `rfc3464`, `ses` …
    pub dialect: &'static str,
    /// One for each recipient spoken of.
    pub reports: Vec<Report>,
    /// What was odd, for the operator. Never holds a whole address.
    pub notes: Vec<Note>,
}

/// Something odd about an input that did not keep it from being read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Note(pub String);

/// What one input says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub kind: Kind,
    /// Whom it is about, as the lists will know it; `None` where the report names nobody (a redacted complaint).
    pub recipient: Option<Address>,
    /// The address the sender used, where the report tells it apart from `final_recipient`, as written.
    pub original_recipient: Option<String>,
    /// The address that failed in the end, as written, where it differs from `recipient`.
    pub final_recipient: Option<String>,
    /// Action field, RFC 3464 section 2.3.3.
    pub action: Option<Action>,
    /// Status field, RFC 3464 section 2.3.4: what the reporter says, before the diagnostic is weighed.
    pub status: Option<EnhancedStatus>,
    /// A reply code stated apart from the diagnostic text.
    pub reply: Option<SmtpReply>,
    /// The command the reply answered, where stated.
    pub stage: Option<Stage>,
    /// Type of the diagnostic in lower case: `smtp`, `x-unix` …
    pub diagnostic_type: Option<String>,
    /// What the refusing side said, unfolded.
    pub diagnostic: Option<String>,
    /// What the report's human part says about this recipient, where the diagnostic says less.
    pub text: Option<String>,
    /// Name of the host that tried, RFC 3464 section 2.2.2.
    pub reporting_mta: Option<String>,
    /// Name of the host that refused, RFC 3464 section 2.3.5.
    pub remote_mta: Option<String>,
    /// When it happened, as the report says; not to be trusted beyond order.
    pub occurred_at: Option<OffsetDateTime>,
    /// Until when the queue goes on trying, RFC 3464 section 2.3.9.
    pub retry_until: Option<OffsetDateTime>,
    /// Of a complaint: which.
    pub feedback_type: Option<FeedbackType>,
    /// Canonical Message-ID of the message that failed, without angle brackets.
    pub message_id: Option<String>,
    /// Envelope id that the sender gave (RFC 3461 ENVID), decoded.
    pub envelope_id: Option<String>,
    /// The provider's id of the message.
    pub provider_message_id: Option<String>,
    /// The provider's id of this event, for telling repetitions.
    pub provider_event_id: Option<String>,
    /// What a provider's own label says, weighed against the receiver's words by `classify`.
    pub claim: Option<Claim>,
    /// Hints at which list the message belonged to.
    pub hints: Hints,
}

impl Report {
    /// A report of which nothing is known but the kind and the recipient.
    #[must_use]
    pub fn new(kind: Kind, recipient: Option<Address>) -> Self {
        Self {
            kind,
            recipient,
            original_recipient: None,
            final_recipient: None,
            action: None,
            status: None,
            reply: None,
            stage: None,
            diagnostic_type: None,
            diagnostic: None,
            text: None,
            reporting_mta: None,
            remote_mta: None,
            occurred_at: None,
            retry_until: None,
            feedback_type: None,
            message_id: None,
            envelope_id: None,
            provider_message_id: None,
            provider_event_id: None,
            claim: None,
            hints: Hints::default(),
        }
    }

    /// The recipient and the other names that the report gives for it.
    #[must_use]
    pub fn named(&self) -> Vec<Address> {
        let stated = [&self.original_recipient, &self.final_recipient].into_iter().flatten().filter_map(|it| recipient::from_text(it));
        self.recipient.iter().cloned().chain(stated).collect()
    }

    /// Whom the To of the returned message names: the recipient, if the message had but one.
    #[must_use]
    pub fn returned_to(&self) -> Vec<Address> {
        self.hints.headers.get("to").map(|it| original::addresses(it)).unwrap_or_default()
    }
}

/// What a provider's label states about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Hard or soft, if the label says.
    pub bounce_type: Option<BounceType>,
    /// The reason, if the label says.
    pub reason: Option<Reason>,
}

/// Where a message hints at the list it was sent for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// `List-Id` of the returned message, without brackets and phrase (RFC 2919).
    pub list_id: Option<String>,
    /// Further headers of the returned message that a source may be told to look at, name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Tags and custom fields of a provider, by name.
    pub tags: BTreeMap<String, String>,
    /// What may be tokens of ours ([`crate::token`]): in the address that the report came to, and in the return path and the
    /// header [`crate::token::HEADER`] of the returned message. Nothing is proved of them yet.
    pub tokens: Vec<String>,
}

/// Reads a mail: bounces, delays, complaints, auto-replies, and what is none of these.
///
/// ```
/// use bounce::{kind::Kind, mail::Mail, report};
///
/// let raw = b"From: MAILER-DAEMON@corp.example\n\n<jane@corp.example>:\n550 5.1.1 no such user\n";
/// let reading = report::read(&Mail::parse(raw));
/// assert_eq!(reading.kind, Kind::Bounce);
/// assert_eq!(reading.reports[0].diagnostic.as_deref(), Some("550 5.1.1 no such user"));
/// ```
#[must_use]
pub fn read(mail: &Mail<'_>) -> Reading {
    let mut reading = sort::read(mail);
    reading.notes.extend(mail.notes().map(|it| Note(it.to_owned())));
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn bounce(text: &str) -> Reading {
        let raw = format!("Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nTo: us@y.example\nSubject: failure notice\n\n{text}");
        read(&Mail::parse(raw.as_bytes()))
    }

    #[test]
    fn one_recipient_more_than_the_limit_is_left_out_of_prose_too() {
        let text = |count: usize| (0..count).fold(String::new(), |all, it| all + &format!("<a{it}@x.example>:\n550 no\n\n"));
        let fits = bounce(&text(limits::RECIPIENTS));
        assert_eq!((fits.reports.len(), fits.notes.len()), (limits::RECIPIENTS, 0));
        let over = bounce(&text(limits::RECIPIENTS + 1));
        assert_eq!((over.reports.len(), over.notes.len()), (limits::RECIPIENTS, 1));
        assert!(bounce(&text(limits::MENTIONS + 1)).reports.len() <= limits::RECIPIENTS);
    }

    #[test]
    fn what_is_over_the_limit_of_a_machine_part_is_left_out() {
        let status = |padding: usize| {
            let last = "\nFinal-Recipient: rfc822; b@x.example\nAction: failed\n";
            let first = "Final-Recipient: rfc822; a@x.example\nAction: failed\n";
            format!("Content-Type: message/delivery-status\n\n{first}X: {}\n{last}", "y".repeat(padding - first.len() - last.len() - 4))
        };
        let count = |padding: usize| read(&Mail::parse(status(padding).as_bytes())).reports.iter().filter(|it| it.action.is_some()).count();
        assert_eq!((count(limits::REPORT_BYTES), count(limits::REPORT_BYTES + 40)), (2, 1));
    }

    #[test]
    fn notes_hold_no_address() {
        let reading = bounce(
            "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; root\nAction: failed\n\nFinal-Recipient: rfc822; a@x.example\nAction: failed\n",
        );
        assert_eq!(reading.reports.len(), 1);
        assert!(!reading.notes.is_empty() && reading.notes.iter().all(|it| !it.0.contains('@')), "{:?}", reading.notes);
    }

    #[test]
    fn the_gravest_report_names_the_whole() {
        let kinds = |kinds: &[Kind]| complete::gravest(&kinds.iter().map(|it| Report::new(*it, None)).collect::<Vec<_>>());
        assert_eq!(kinds(&[Kind::Delivered, Kind::Delayed, Kind::Bounce]), Kind::Bounce);
        assert_eq!(kinds(&[Kind::Delivered, Kind::Delayed]), Kind::Delayed);
        assert_eq!(kinds(&[]), Kind::Other);
    }
}
