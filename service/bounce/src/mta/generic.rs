//! The generic reader: finds in prose whom a bounce is about. Candidates are the addresses that the text names; those of
//! the people and systems that wrote and got the mail are left out, and the rest is judged by how the text speaks of them.

use std::collections::HashSet;

use super::{Bounce, address, failure, reply};
use crate::address::Address;
use crate::report::Report;
use crate::report::human::Mention;
use crate::report::original;

/// Words of failure near an address, in lower case.
const FAILURE: &[&str] = &[
    "fail",
    "unknown",
    "undeliver",
    "not deliver",
    "cannot",
    "could not",
    "can't",
    "couldn't",
    "unable",
    "does not exist",
    "doesn't exist",
    "no such",
    "not found",
    "reject",
    "invalid",
    "full",
    "quota",
    "refused",
    "denied",
    "not listed",
    "expired",
    "unreachable",
    "disabled",
    "not exist",
    "bounced",
    "not known",
    "not a valid",
    "delayed",
    "no mailbox",
    "inactive",
    "unavailable",
    "error",
    "fatal",
    "temporar",
    "over limit",
    "exceed",
    "blocked",
    "spam",
    "not allowed",
    "not permitted",
    "suspended",
    "not accept",
    "nicht",
    "unbekannt",
    "non ",
    "inconnu",
    "desconocid",
    "sconosciut",
    "nie ",
    "не ",
    "não",
    "niet",
    "退",
    "不",
    "できません",
    "存在",
    "undelivered",
    "delivery",
    "giving up",
    "returned",
    "timed out",
    "wasn't able",
    "no account",
    "too large",
    "too big",
];

/// Reads any bounce that names its recipient.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    let failed = bounce.failed_recipients();
    if !failed.is_empty() {
        return Some(failed.into_iter().map(|it| about(bounce, it)).collect());
    }
    let strangers = candidates(bounce);
    let chosen = chosen(bounce, &strangers);
    let reports: Vec<Report> = chosen.into_iter().map(|it| about(bounce, it)).collect();
    if !reports.is_empty() {
        return Some(reports);
    }
    fallback(bounce).map(|it| vec![failure(it, bounce.human.text)])
}

/// A report with what the text says about an address, or all of the text if it says nothing of it.
pub(super) fn about(bounce: &Bounce<'_>, address: Address) -> Report {
    let own = bounce.human.about(address.expose());
    let text = own.filter(|it| it.len() > address.expose().len() + 12 || bounce.human.mentions().len() > 20).unwrap_or(bounce.human.text);
    let mut report = failure(address, own.unwrap_or(text));
    if report.diagnostic.is_none() {
        report.text = None;
        super::describe(&mut report, crate::report::human::capped(text, crate::limits::DIAGNOSTIC_BYTES));
    }
    report
}

struct Candidate<'m> {
    mention: Mention<'m>,
    address: Address,
    paragraph: &'m str,
}

/// The addresses named that are not those of the writer, of the addressee and of systems.
fn candidates<'m>(bounce: &Bounce<'m>) -> Vec<Candidate<'m>> {
    let insiders = insiders(bounce);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for mention in bounce.human.mentions() {
        let Some(address) = address(mention.word) else { continue };
        if insiders.contains(&address)
            || is_system(&address)
            || is_id(bounce.human.text, mention)
            || !seen.insert((address.clone(), mention.leads))
        {
            continue;
        }
        found.push(Candidate { mention: *mention, address, paragraph: bounce.human.paragraph(mention) });
        if found.len() >= crate::limits::RECIPIENTS {
            break;
        }
    }
    found
}

/// Who wrote the bounce, who got it, and who wrote the message it is about.
fn insiders(bounce: &Bounce<'_>) -> HashSet<Address> {
    let headers = bounce.mail.headers();
    let mut all: Vec<Address> = Vec::new();
    for name in ["from", "to", "reply-to", "sender", "return-path", "delivered-to", "x-original-to", "envelope-to", "errors-to"] {
        all.extend(headers.all(name).take(10).flat_map(|it| original::addresses(&it)));
    }
    if let Some(returned) = bounce.returned {
        let headers = returned.headers();
        for name in ["from", "reply-to", "sender", "return-path", "errors-to"] {
            all.extend(headers.all(name).take(10).flat_map(|it| original::addresses(&it)));
        }
        let to: HashSet<Address> = original::to(returned).into_iter().collect();
        all.retain(|it| !to.contains(it));
    }
    all.into_iter().collect()
}

fn is_system(address: &Address) -> bool {
    let local = address.local();
    ["postmaster", "mailer-daemon", "mailerdaemon", "mail-daemon", "noreply", "no-reply", "abuse", "helpdesk", "support", "root"]
        .contains(&local)
        && !local.is_empty()
}

/// Whether a word with an `@` is a message id.
fn is_id(text: &str, mention: &Mention<'_>) -> bool {
    let before = text.get(..mention.at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default().to_lowercase();
    line.contains("message-id") || line.contains("message id") || line.contains("messageid") || line.contains("message identifier")
}

/// The candidates that the text speaks of as failed: leading their paragraph first, then beside words of failure.
fn chosen(bounce: &Bounce<'_>, candidates: &[Candidate<'_>]) -> Vec<Address> {
    let returned_to: HashSet<Address> = bounce.returned.map(original::to).unwrap_or_default().into_iter().collect();
    let fails = |it: &&Candidate<'_>| reply::find(it.paragraph).is_some() || speaks_of_failure(it.paragraph);
    let unique = |list: Vec<&Candidate<'_>>| {
        let mut seen = HashSet::new();
        list.into_iter().map(|it| it.address.clone()).filter(|it| seen.insert(it.clone())).collect::<Vec<_>>()
    };
    if !speaks_of_failure(bounce.human.text) && !speaks_of_failure(bounce.subject) {
        return Vec::new();
    }
    let leading = unique(candidates.iter().filter(|it| it.mention.leads).filter(fails).collect());
    if !leading.is_empty() {
        return leading;
    }
    let known = unique(candidates.iter().filter(|it| returned_to.contains(&it.address)).collect());
    if !known.is_empty() {
        return known;
    }
    let leading = unique(candidates.iter().filter(|it| it.mention.leads).collect());
    if !leading.is_empty() {
        return leading;
    }
    unique(candidates.iter().filter(fails).collect())
}

fn speaks_of_failure(text: &str) -> bool {
    let text = text.to_lowercase();
    FAILURE.iter().any(|it| text.contains(it))
}

/// Whom the returned message was for, where the text names nobody.
fn fallback(bounce: &Bounce<'_>) -> Option<Address> {
    if !speaks_of_failure(bounce.human.text) {
        return None;
    }
    let mut to = bounce.returned.map(original::to).unwrap_or_default().into_iter();
    to.next().filter(|_| to.next().is_none())
}
