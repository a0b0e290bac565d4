//! Sorts a mail and hands it to its reader. The order is that of what proves most: a machine part before words, words of a
//! mail system before a responder's, since mail servers mark real bounces as automatic replies.

use memchr::memmem;

use super::human::Human;
use super::{Note, Reading, arf, autoreply, complete, dsn, mdn, original};
use crate::kind::Kind;
use crate::limits;
use crate::mail::{Mail, Message};
use crate::mta::{self, Bounce};

/// Reads a mail.
pub(super) fn read(mail: &Mail<'_>) -> Reading {
    read_at(mail, Wrapping::Outer)
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
        complete::tie(&mut reading.reports, returned);
    }
    complete::tie_by_thread(&mut reading.reports, mail);
    complete::find_tokens(&mut reading.reports, mail, returned.as_ref());
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
    if let Some(reading) = status_part(&bounce).and_then(|it| complete::status(&bounce, it)) {
        return reading;
    }
    let is_bounce = mta::signs::is_bounce(mail) && !autoreply::is_plain(mail);
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
        .or_else(|| pasted_status(bounce.mail.human()).and_then(|it| complete::status(bounce, dsn::read(it))))
        .or_else(|| complete::prose(bounce, mta::read(bounce)))
        .or_else(|| wrapped(bounce, wrapping))
        .or_else(|| complete::prose(bounce, mta::returned_to(bounce)))
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

/// The delivery status of a mail that has one.
fn status_part(bounce: &Bounce<'_>) -> Option<dsn::Status> {
    let part = bounce.mail.part(dsn::TYPES)?;
    let status = dsn::read(&part.text(limits::REPORT_BYTES));
    // The blank line in front of the fields may be missing, so that they stand in the header of the part.
    Some(if status.reports.is_empty() { dsn::read(&part.header_text()) } else { status })
}

/// Where the text for people holds the fields of a delivery status, for want of a part for them.
fn pasted_status(text: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut places = memmem::find_iter(text.as_bytes(), name);
        places.find(|at| at.checked_sub(1).is_none_or(|before| text.as_bytes().get(before) == Some(&b'\n')))
    };
    let last = field("Final-Recipient:")?;
    let first = ["Reporting-MTA:", "Original-Recipient:"].iter().filter_map(|it| field(it)).filter(|it| *it < last).min().unwrap_or(last);
    text.get(first..)
}
