//! From a mail to what it says: one [`Report`] for each recipient it speaks of. This module sorts a message (RFC 6522
//! walk), hands the machine part to its reader, and falls back to free-form dialects. It never fails: a broken field
//! costs that field, a broken group never its neighbours.

mod arf;
mod autoreply;
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
pub(crate) mod stage;
pub(crate) mod verp;

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::address::Address;
use crate::classify::reason::Reason;
use crate::kind::{Action, BounceType, FeedbackType, Kind};
use crate::limits;
use crate::mail::{Mail, Message};
use crate::mta::{self, Bounce};
use crate::report::finality::Outlook;
use crate::report::human::Human;
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
}

/// Reads a mail: bounces, delays, complaints, auto-replies, and what is none of these.
///
/// The order is that of what proves most: a machine part before words, words of a mail system before a responder's, since
/// mail servers mark real bounces as automatic replies.
#[must_use]
pub fn read(mail: &Mail<'_>) -> Reading {
    let mut reading = read_at(mail, Wrapping::Outer);
    reading.notes.extend(mail.notes().map(|it| Note(it.to_owned())));
    reading.notes.truncate(limits::NOTES);
    reading
}

/// Whether a mail is read for itself or as what another one wraps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Outer,
    Inner,
}

fn read_at(mail: &Mail<'_>, wrapping: Wrapping) -> Reading {
    let human = Human::new(mail.human());
    let returned = original::find(mail, &human);
    let mut reading = sorted(mail, &human, returned.as_ref(), wrapping);
    if let Some(returned) = &returned {
        tie(&mut reading.reports, returned);
    }
    reading
}

fn sorted(mail: &Mail<'_>, human: &Human<'_>, returned: Option<&Message<'_>>, wrapping: Wrapping) -> Reading {
    if let Some(it) = arf::read(mail, returned) {
        return Reading { kind: it.kind, dialect: it.dialect, reports: it.reports, notes: it.notes };
    }
    if let Some(report) = mdn::read(mail) {
        return Reading { kind: Kind::Mdn, dialect: "rfc8098", reports: vec![report], notes: Vec::new() };
    }
    if let Some(report) = autoreply::challenge(mail) {
        return Reading { kind: report.kind, dialect: "challenge", reports: vec![report], notes: Vec::new() };
    }
    let subject = mail.header("subject").unwrap_or_default();
    let bounce = Bounce { mail, human, returned, subject: &subject };
    if let Some(reading) = status_part(&bounce).and_then(|it| status(&bounce, it)) {
        return reading;
    }
    let is_bounce = mta::signs::is_bounce(mail);
    if is_bounce && let Some(reading) = words(&bounce, wrapping) {
        return reading;
    }
    if let Some(report) = autoreply::read(mail) {
        return Reading { kind: report.kind, dialect: "rfc3834", reports: vec![report], notes: Vec::new() };
    }
    let notes = if is_bounce {
        vec![Note("the mail looks like a bounce and names no recipient that could be read".to_owned())]
    } else {
        Vec::new()
    };
    Reading { kind: Kind::Other, dialect: "none", reports: Vec::new(), notes }
}

/// Reads a bounce without a machine part: what stands pasted in the text before prose, names before guesses.
fn words(bounce: &Bounce<'_>, wrapping: Wrapping) -> Option<Reading> {
    let pasted = bounce.human.pasted.and_then(|_| wrapped(bounce, wrapping));
    pasted
        .or_else(|| pasted_status(bounce.mail.human()).and_then(|it| status(bounce, dsn::read(it))))
        .or_else(|| prose(bounce, mta::read(bounce)))
        .or_else(|| wrapped(bounce, wrapping))
        .or_else(|| prose(bounce, mta::returned_to(bounce)))
}

/// A report that a gateway passed on inside a message of its own, which names nobody (RFC 6522 section 3 allows a report to
/// be forwarded). Only one level is opened.
fn wrapped(bounce: &Bounce<'_>, wrapping: Wrapping) -> Option<Reading> {
    if wrapping == Wrapping::Inner || !mta::signs::by_system(bounce.mail) {
        return None;
    }
    let octets = original::octets(bounce.mail, bounce.human)?;
    let inner = Mail::parse(&octets);
    if !mta::signs::by_system(&inner) || inner.part(dsn::TYPES).is_none() && !inner.headers().has("x-failed-recipients") {
        return None;
    }
    Some(read_at(&inner, Wrapping::Inner)).filter(|it| !it.reports.is_empty())
}

/// Note on a mail that names too many.
const TOO_MANY: &str = "there are more recipients than the limit; the rest was left out";

/// Completes what was read of a bounce that was written for people.
fn prose(bounce: &Bounce<'_>, read: Option<(&'static str, Vec<Report>)>) -> Option<Reading> {
    let (name, mut reports) = read?;
    let notes = if reports.len() > limits::RECIPIENTS { vec![Note(TOO_MANY.to_owned())] } else { Vec::new() };
    reports.truncate(limits::RECIPIENTS);
    let dialect = match name {
        "generic" | "qsbmf" | "bare" => dialect::of(bounce.mail, bounce.human).unwrap_or(name),
        name => name,
    };
    settle(bounce, dialect, &mut reports);
    Some(Reading { kind: gravest(&reports), dialect, reports, notes })
}

/// The delivery status of a mail that has one.
fn status_part(bounce: &Bounce<'_>) -> Option<dsn::Status> {
    let part = bounce.mail.part(dsn::TYPES)?;
    let status = dsn::read(&part.text(limits::REPORT_BYTES));
    // The blank line in front of the fields may be missing, so that they stand in the header of the part.
    Some(if status.reports.is_empty() { dsn::read(&part.header_text()) } else { status })
}

/// Completes what a delivery status says with what the rest of the mail tells.
fn status(bounce: &Bounce<'_>, mut status: dsn::Status) -> Option<Reading> {
    let mut notes = Vec::new();
    if status.cut {
        notes.push(Note(TOO_MANY.to_owned()));
    }
    let dialect = dialect::of(bounce.mail, bounce.human).unwrap_or("rfc3464");
    prefer_known(bounce, &mut status.reports);
    let groups = status.reports.len();
    name_recipients(bounce, &mut status.reports);
    if status.reports.len() < groups {
        notes.push(Note(format!("{} of {groups} recipient groups name nobody and were left out", groups - status.reports.len())));
    }
    if status.reports.is_empty() {
        return None;
    }
    for report in &mut status.reports {
        if let Some(id) = &status.message_id {
            report.message_id = Some(id.clone());
        }
    }
    settle(bounce, dialect, &mut status.reports);
    Some(Reading { kind: gravest(&status.reports), dialect, reports: status.reports, notes })
}

/// Where Original-Recipient and Final-Recipient differ, the To of the returned message may tell which one was mailed.
fn prefer_known(bounce: &Bounce<'_>, reports: &mut [Report]) {
    let to = bounce.returned.map(original::to).unwrap_or_default();
    for report in reports {
        let last = report.final_recipient.as_deref().and_then(recipient::from_text);
        if let (Some(chosen), Some(last)) = (&report.recipient, last)
            && !to.contains(chosen)
            && to.contains(&last)
        {
            report.recipient = Some(last);
        }
    }
}

/// Where the text for people holds the fields of a delivery status, for want of a part for them.
fn pasted_status(text: &str) -> Option<&str> {
    let field = |name: &str| if text.starts_with(name) { Some(0) } else { text.find(&format!("\n{name}")).map(|it| it + 1) };
    let last = field("Final-Recipient:")?;
    let first = ["Reporting-MTA:", "Original-Recipient:"].iter().filter_map(|it| field(it)).filter(|it| *it < last).min().unwrap_or(last);
    text.get(first..)
}

/// Fills in whom groups are about that do not name anybody, from what else the mail tells.
fn name_recipients(bounce: &Bounce<'_>, reports: &mut Vec<Report>) {
    let nameless = reports.iter().filter(|it| it.recipient.is_none()).count();
    if nameless == 0 {
        return;
    }
    let mut others: Vec<Address> = bounce.failed_recipients();
    if others.is_empty() && nameless == 1 {
        others = mta::read(bounce).map(|(_, found)| found.into_iter().filter_map(|it| it.recipient).collect()).unwrap_or_default();
    }
    others.retain(|it| !reports.iter().any(|report| report.recipient.as_ref() == Some(it)));
    if nameless == 1 && others.len() > 1 {
        others.truncate(1);
    }
    let mut others = others.into_iter();
    for report in reports.iter_mut().filter(|it| it.recipient.is_none()) {
        report.recipient = others.next();
    }
    reports.retain(|it| it.recipient.is_some());
}

/// Adds what the human part says about each recipient, and decides what is final.
fn settle(bounce: &Bounce<'_>, dialect: &str, reports: &mut [Report]) {
    let alone = reports.len() == 1;
    let whole = finality::Whole { human: Outlook::of(bounce.human.text), subject: Outlook::of(bounce.subject) };
    for report in reports.iter_mut() {
        let names =
            [report.recipient.as_ref().map(|it| it.expose().to_owned()), report.final_recipient.clone(), report.original_recipient.clone()];
        let known = names.iter().flatten().find(|it| bounce.human.about(it).is_some());
        if let Some(text) = known.and_then(|it| bounce.human.about(it)) {
            mta::describe(report, text);
        }
        if alone {
            mta::diagnose(report, bounce.human.text);
            if report.diagnostic.is_none() || report.text.is_none() {
                let story = bounce.human.story(known.map(String::as_str));
                let whole = human::capped(bounce.human.text.trim(), limits::DIAGNOSTIC_BYTES);
                let told = [report.text.as_deref().unwrap_or_default(), story, whole];
                let telling = told.into_iter().find(|it| mta::signs::names_a_cause(it)).unwrap_or(whole);
                report.text = (!telling.is_empty()).then(|| telling.to_owned());
            }
        }
        let told = [report.text.as_deref(), report.diagnostic.as_deref()];
        report.stage = report.stage.or_else(|| told.into_iter().flatten().find_map(|it| stage::find(&mta::reply::joined(it))));
        finality::settle(report, dialect, whole);
        drop_repetitions(report);
    }
}

/// Leaves `original_recipient` and `final_recipient` only where they say more than `recipient`.
fn drop_repetitions(report: &mut Report) {
    let repeats =
        |text: &Option<String>| text.as_deref().and_then(recipient::from_text).is_some_and(|it| Some(&it) == report.recipient.as_ref());
    if repeats(&report.original_recipient) {
        report.original_recipient = None;
    }
    if repeats(&report.final_recipient) {
        report.final_recipient = None;
    }
}

/// Ties reports to the message that came back.
fn tie(reports: &mut [Report], returned: &Message<'_>) {
    let id = original::message_id(returned);
    let hints = original::hints(returned);
    for report in reports {
        if report.message_id.is_none() {
            report.message_id.clone_from(&id);
        }
        if report.hints == Hints::default() {
            report.hints.clone_from(&hints);
        }
    }
}

/// The kind that the whole goes by: a failure counts more than a delay, a delay more than a success.
fn gravest(reports: &[Report]) -> Kind {
    [Kind::Bounce, Kind::Delayed, Kind::Complaint, Kind::Delivered]
        .into_iter()
        .find(|kind| reports.iter().any(|it| it.kind == *kind))
        .unwrap_or(Kind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn notes_hold_no_address() {
        let reading = bounce(
            "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; root\nAction: failed\n\nFinal-Recipient: rfc822; a@x.example\nAction: failed\n",
        );
        assert_eq!(reading.reports.len(), 1);
        assert!(!reading.notes.is_empty() && reading.notes.iter().all(|it| !it.0.contains('@')), "{:?}", reading.notes);
    }

    #[test]
    fn the_gravest_report_names_the_whole() {
        let kinds = |kinds: &[Kind]| gravest(&kinds.iter().map(|it| Report::new(*it, None)).collect::<Vec<_>>());
        assert_eq!(kinds(&[Kind::Delivered, Kind::Delayed, Kind::Bounce]), Kind::Bounce);
        assert_eq!(kinds(&[Kind::Delivered, Kind::Delayed]), Kind::Delayed);
        assert_eq!(kinds(&[]), Kind::Other);
    }
}
