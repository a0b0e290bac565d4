//! Completes what one part of a mail says with what the others tell: who is meant, what people are told about each
//! recipient, whether it is final, and to which message it belongs.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashMap;

use super::finality;
use super::{Hints, Note, Reading, Report, dialect, dsn, human, original, recipient, stage};
use crate::address::Address;
use crate::kind::Kind;
use crate::limits;
use crate::mail::{Headers, Mail, Message};
use crate::mta::{self, Bounce};
use crate::token;

/// Note on a mail that names too many.
const TOO_MANY: &str = "there are more recipients than the limit; the rest was left out";

/// Completes what was read of a bounce that was written for people.
pub(super) fn prose(bounce: &Bounce<'_>, read: Option<(&'static str, Vec<Report>)>) -> Option<Reading> {
    let (name, mut reports) = read?;
    let notes = if reports.len() > limits::RECIPIENTS { vec![Note(TOO_MANY.to_owned())] } else { Vec::new() };
    reports.truncate(limits::RECIPIENTS);
    if let [report] = reports.as_mut_slice()
        && let Some(reply) = mta::reply::summed_up(bounce.human.text)
    {
        report.diagnostic = Some(mta::reply::joined(reply).into_owned());
    }
    let dialect = match name {
        "generic" | "qsbmf" | "bare" => dialect::of(bounce.mail, bounce.human).unwrap_or(name),
        name => name,
    };
    settle(bounce, dialect, &mut reports);
    Some(Reading { kind: gravest(&reports), dialect, reports, notes })
}

/// Completes what a delivery status says with what the rest of the mail tells.
pub(super) fn status(bounce: &Bounce<'_>, mut status: dsn::Status) -> Option<Reading> {
    let mut notes = Vec::new();
    if status.cut {
        notes.push(Note(TOO_MANY.to_owned()));
    }
    let dialect = dialect::of(bounce.mail, bounce.human).unwrap_or("rfc3464");
    prefer_known(bounce, &mut status.reports);
    name_members(bounce, &mut status.reports);
    let groups = status.reports.len();
    // Whom such a group means cannot be told, and whoever else the mail names is somebody else.
    status.reports.retain(|it| it.recipient.is_some() || !names_somebody(it));
    let unreadable = groups - status.reports.len();
    name_recipients(bounce, &mut status.reports);
    if status.reports.len() < groups {
        notes.push(Note(format!("{} of {groups} recipient groups name nobody and were left out", groups - status.reports.len())));
    }
    if status.reports.is_empty() {
        return (unreadable > 0).then_some(Reading { kind: Kind::Other, dialect, reports: Vec::new(), notes });
    }
    for report in &mut status.reports {
        if let Some(id) = &status.message_id {
            report.message_id = Some(id.clone());
        }
    }
    settle(bounce, dialect, &mut status.reports);
    Some(Reading { kind: gravest(&status.reports), dialect, reports: status.reports, notes })
}

/// Whether a group names a recipient, readable or not. A program, a file or a host alone (Exim, Sendmail) is nobody.
fn names_somebody(report: &Report) -> bool {
    let named = |it: &&String| it.contains('@') && !it.trim_start_matches(['<', '"', ' ']).starts_with(['|', '/', '@']);
    [&report.final_recipient, &report.original_recipient].into_iter().flatten().any(|it| named(&it))
}

/// Where Original-Recipient and Final-Recipient differ, the To of the returned message may tell which one was mailed.
fn prefer_known(bounce: &Bounce<'_>, reports: &mut [Report]) {
    let to = LazyCell::new(|| bounce.returned.map(original::to).unwrap_or_default());
    for report in reports {
        let last = report.final_recipient.as_deref().and_then(recipient::from_text);
        if let (Some(chosen), Some(last)) = (&report.recipient, last)
            && last != *chosen
            && !to.contains(chosen)
            && to.contains(&last)
        {
            report.recipient = Some(last);
        }
    }
}

/// Exim names an expanded alias in every group and its members only in the text: each group that shares its recipient with
/// another takes the member whose text holds its diagnostic.
fn name_members(bounce: &Bounce<'_>, reports: &mut [Report]) {
    if reports.len() < 2 {
        return;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for alias in reports.iter().filter_map(|it| it.recipient.as_ref()) {
        *seen.entry(alias.expose().to_owned()).or_default() += 1;
    }
    if !seen.values().any(|it| *it > 1) {
        return;
    }
    let members = mta::members(bounce);
    for report in reports.iter_mut().take(MEMBERS) {
        let Some(alias) = report.recipient.clone().filter(|it| seen.get(it.expose()).is_some_and(|it| *it > 1)) else { continue };
        let made_from = |it: &&Report| it.original_recipient.as_deref().and_then(recipient::from_text).as_ref() == Some(&alias);
        let member = members.iter().filter(made_from).find(|it| it.diagnostic == report.diagnostic);
        if let Some(member) = member.and_then(|it| it.recipient.clone()) {
            report.original_recipient = Some(alias.expose().to_owned());
            report.recipient = Some(member);
        }
    }
}

/// How many groups are looked up among the members.
const MEMBERS: usize = 100;

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
    let whole = finality::Whole::new(bounce.human.text, bounce.subject);
    for report in reports.iter_mut() {
        let names =
            [report.recipient.as_ref().map(Address::expose), report.final_recipient.as_deref(), report.original_recipient.as_deref()];
        let place = names.into_iter().flatten().find_map(|it| bounce.human.place(it));
        if let Some(place) = place {
            mta::describe(report, bounce.human.paragraph(place));
        }
        if alone {
            mta::diagnose(report, bounce.human.text);
            if report.diagnostic.is_none() || report.text.is_none() {
                let story = place.map(|it| bounce.human.story(it)).unwrap_or_default();
                let whole = human::capped(bounce.human.text.trim(), limits::DIAGNOSTIC_BYTES);
                let above = place.and_then(|it| bounce.human.introduced(it)).unwrap_or_default();
                let told = [above, report.text.as_deref().unwrap_or_default(), story, whole];
                let telling = told.into_iter().find(|it| mta::signs::names_a_cause(it)).unwrap_or(whole);
                report.text = (!telling.is_empty()).then(|| telling.to_owned());
            }
        }
        let told = [report.text.as_deref(), report.diagnostic.as_deref()];
        report.stage = report.stage.or_else(|| told.into_iter().flatten().find_map(|it| stage::find(&mta::reply::joined(it))));
        finality::settle(report, dialect, &whole);
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
pub(super) fn tie(reports: &mut [Report], returned: &Message<'_>) {
    let id = original::message_id(returned);
    for report in reports.iter_mut().filter(|it| it.message_id.is_none()) {
        report.message_id.clone_from(&id);
    }
    let mut without: Vec<&mut Report> = reports.iter_mut().filter(|it| it.hints == Hints::default()).collect();
    if let Some((last, others)) = without.split_last_mut() {
        last.hints = original::hints(returned);
        for report in others {
            report.hints.clone_from(&last.hints);
        }
    }
}

/// Ties failures to the message that the mail answers, as Gmail has it, where nothing closer tells.
pub(super) fn tie_by_thread(reports: &mut [Report], mail: &Mail<'_>) {
    let untied = |it: &&mut Report| it.message_id.is_none() && matches!(it.kind, Kind::Bounce | Kind::Delayed | Kind::Delivered);
    if !reports.iter_mut().any(|it| untied(&it)) {
        return;
    }
    let last = |it: String| it.split_whitespace().next_back().map(original::bare_message_id).filter(|it| it.contains('@'));
    let id = ["in-reply-to", "references"].iter().find_map(|it| mail.header(it).map(Cow::into_owned).and_then(last));
    for report in reports.iter_mut().filter(untied) {
        report.message_id.clone_from(&id);
    }
}

/// Headers that name where a mail was delivered; most servers write one of them.
const DELIVERED: &[&str] = &["delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to"];
/// Headers of the returned message where a token of ours may stand.
const RETURNED: &[&str] = &[token::HEADER, "return-path", "x-envelope-from"];

/// Collects what may be tokens of ours, for every report alike: the mail carries them, not the recipient.
pub(super) fn find_tokens(reports: &mut [Report], mail: &Mail<'_>, returned: Option<&Message<'_>>) {
    if reports.is_empty() {
        return;
    }
    let mut found: Vec<String> = Vec::new();
    let mut take = |headers: &Headers<'_>, names: &[&str]| {
        for value in names.iter().flat_map(|name| headers.all(name)) {
            for text in value.split([',', ' ', '\t']).take(limits::TOKENS).filter_map(token::candidate) {
                if found.len() < limits::TOKENS && !found.iter().any(|it| it.eq_ignore_ascii_case(text)) {
                    found.push(text.to_owned());
                }
            }
        }
    };
    take(&mail.headers(), DELIVERED);
    take(&mail.headers(), &[token::HEADER]);
    if let Some(returned) = returned {
        take(&returned.headers(), RETURNED);
    }
    for report in reports {
        report.hints.tokens.extend(found.iter().cloned());
    }
}

/// The kind that the whole goes by: a failure counts more than a delay, a delay more than a success.
pub(super) fn gravest(reports: &[Report]) -> Kind {
    [Kind::Bounce, Kind::Delayed, Kind::Complaint, Kind::Delivered]
        .into_iter()
        .find(|kind| reports.iter().any(|it| it.kind == *kind))
        .unwrap_or(Kind::Other)
}
