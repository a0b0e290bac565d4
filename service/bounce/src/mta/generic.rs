//! The generic reader: finds in prose whom a bounce is about. Candidates are the addresses that the text names; those of
//! the people and systems that wrote and got the mail are left out, and the rest is judged by how the text speaks of them.

use std::collections::HashSet;
use std::ops::Range;

use super::{Bounce, address, failure, reply, signs};
use crate::address::Address;
use crate::report::Report;
use crate::report::human::{Human, Mention, Shape};
use crate::report::phrases::Phrases;
use crate::report::{original, verp};

/// Reads any bounce that names its recipient.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    let chosen = match bounce.failed_recipients() {
        failed if failed.is_empty() => chosen(bounce, &candidates(bounce)),
        // Where header and text disagree, the text is closer to what happened: a header may name an alias.
        failed if failed.iter().any(|it| bounce.human.about(it.expose()).is_some()) => failed,
        failed => {
            let listed = leading(&candidates(bounce));
            if listed.is_empty() { failed } else { listed }
        }
    };
    let reports: Vec<Report> = chosen.into_iter().map(|it| about(bounce, it)).collect();
    (!reports.is_empty()).then_some(reports)
}

/// A report with what the text says about an address, or all of the text if it says nothing of it.
fn about(bounce: &Bounce<'_>, address: Address) -> Report {
    let own = bounce.human.about(address.expose());
    failure(address, own.unwrap_or_else(|| crate::report::human::capped(bounce.human.text, crate::limits::DIAGNOSTIC_BYTES)))
}

struct Candidate<'m> {
    mention: Mention<'m>,
    shape: Shape<'m>,
    address: Address,
    paragraph: &'m str,
}

impl Candidate<'_> {
    fn fails(&self) -> bool {
        reply::find(self.paragraph).is_some() || signs::speaks_of_failure(self.paragraph)
    }
}

/// The addresses named that are not those of the writer and of the addressee; those of systems only if no other is named.
fn candidates<'m>(bounce: &Bounce<'m>) -> Vec<Candidate<'m>> {
    let insiders = insiders(bounce);
    let ids: Vec<Range<usize>> = IDS.places_in(bounce.human.text).collect();
    let mut found = Vec::new();
    for mention in bounce.human.mentions() {
        let Some(address) = address(mention.word) else { continue };
        if insiders.contains(&address) || is_example(bounce.human, mention) || is_id(&ids, mention) {
            continue;
        }
        let shape = bounce.human.shape(mention);
        found.push(Candidate { mention: *mention, shape, address, paragraph: bounce.human.paragraph(mention) });
        if found.len() >= crate::limits::RECIPIENTS {
            break;
        }
    }
    if found.iter().any(|it| !is_system(&it.address)) {
        found.retain(|it| !is_system(&it.address));
    }
    found
}

/// Who wrote the bounce, who got it, and who wrote the message it is about.
fn insiders(bounce: &Bounce<'_>) -> HashSet<Address> {
    let headers = bounce.mail.headers();
    let mut all: Vec<Address> = Vec::new();
    for name in ["from", "to", "reply-to", "sender", "return-path", "delivered-to", "envelope-to", "errors-to"] {
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
    const NAMES: &[&str] =
        &["postmaster", "mailer-daemon", "mailerdaemon", "mail-daemon", "noreply", "no-reply", "abuse", "helpdesk", "support", "root"];
    // Addresses that manage mailing lists, RFC 2142 section 6.
    const ROLES: &[&str] = &["-owner", "-request", "-bounces", "-admin", "-subscribe", "-unsubscribe"];
    NAMES.contains(&address.local()) || ROLES.iter().any(|it| address.local().ends_with(it))
}

/// Whether an address only shows what one may look like.
fn is_example(human: &Human<'_>, mention: &Mention<'_>) -> bool {
    let mut words = human.text_before(mention).split_whitespace().rev().take(4).map(str::to_lowercase).peekable();
    words.peek().is_some_and(|it| it == "if" || it == "try")
        || words.any(|it| matches!(it.trim_matches(['(', ',', ':']), "e.g." | "e.g" | "example" | "instance" | "z.b." | "exemple"))
}

/// Words in front of a message id, in lower case.
static IDS: Phrases = Phrases::new(&["message-id", "message id", "messageid", "message identifier"]);

/// Whether a word with an `@` is a message id: the last of the words for one in front of it stands in its line.
fn is_id(ids: &[Range<usize>], mention: &Mention<'_>) -> bool {
    let before = ids.partition_point(|it| it.end <= mention.at);
    before.checked_sub(1).and_then(|it| ids.get(it)).is_some_and(|it| it.start >= mention.line)
}

/// The candidates that the text speaks of as failed: those that lead their paragraph first, then those the returned message
/// was for, then any beside words of failure.
fn chosen(bounce: &Bounce<'_>, candidates: &[Candidate<'_>]) -> Vec<Address> {
    // A reply speaks in any language.
    let fails = |text: &str| signs::speaks_of_failure(text) || reply::find(text).is_some();
    if !fails(bounce.human.text) && !signs::speaks_of_failure(bounce.subject) {
        return Vec::new();
    }
    if !is_sure(bounce) {
        let fits = |it: &&Candidate<'_>| it.mention.leads || is_introduced(bounce.human.before(&it.mention));
        let causes = signs::by_subject(bounce.mail) && signs::names_a_cause(bounce.human.text);
        return if causes { unique(candidates.iter().filter(fits)) } else { Vec::new() };
    }
    let listed = leading(candidates);
    if candidates.iter().any(|it| it.mention.leads && it.fails()) {
        return listed;
    }
    let returned_to: HashSet<Address> = bounce.returned.map(original::to).unwrap_or_default().into_iter().collect();
    let known = unique(candidates.iter().filter(|it| returned_to.contains(&it.address)));
    if !known.is_empty() {
        return known;
    }
    if !listed.is_empty() {
        return listed;
    }
    let failing = unique(candidates.iter().filter(|it| it.fails()));
    if !failing.is_empty() || !signs::by_system(bounce.mail) {
        return failing;
    }
    candidates.iter().find(|it| is_introduced(bounce.human.before(&it.mention))).map(|it| it.address.clone()).into_iter().collect()
}

/// Whether a text is about mail that failed beyond doubt: it quotes a reply or the message, or a mail system wrote it and
/// speaks of delivery. Parcels fail too, and mail systems send more than bounces.
fn is_sure(bounce: &Bounce<'_>) -> bool {
    bounce.returned.is_some()
        || signs::by_text(bounce.mail)
        || reply::find(bounce.human.text).is_some()
        || signs::by_system(bounce.mail) && (signs::by_subject(bounce.mail) || signs::speaks_of_delivery(bounce.human.text))
}

/// Whether words in front of an address say that something was meant for it.
fn is_introduced(before: &str) -> bool {
    let before = before.to_lowercase();
    ["addressed", "recipient", "deliver", "mailbox", "user", "rcpt"].iter().any(|it| before.contains(it))
}

/// The candidates that lead their line in the way the first failing one does.
fn leading(candidates: &[Candidate<'_>]) -> Vec<Address> {
    let shape = candidates
        .iter()
        .filter(|it| it.mention.leads)
        .find(|it| it.fails())
        .or_else(|| candidates.iter().find(|it| it.mention.leads))
        .map(|it| it.shape);
    unique(candidates.iter().filter(|it| it.mention.leads && Some(it.shape) == shape))
}

fn unique<'c, 'm: 'c>(candidates: impl Iterator<Item = &'c Candidate<'m>>) -> Vec<Address> {
    let mut seen = HashSet::new();
    candidates.map(|it| it.address.clone()).filter(|it| seen.insert(it.clone())).collect()
}

/// Whom the returned message was for, or whom the return path tells, where the text speaks of failure and names nobody.
pub(super) fn returned_to(bounce: &Bounce<'_>) -> Option<Report> {
    if !signs::speaks_of_failure(bounce.human.text) {
        return None;
    }
    let only = bounce.returned.filter(|it| !original::is_discussion(it)).and_then(|it| {
        let mut to = original::to(it).into_iter();
        to.next().filter(|_| to.next().is_none())
    });
    let address = only.or_else(|| signs::by_system(bounce.mail).then(|| from_return_path(bounce)).flatten())?;
    Some(failure(address, bounce.human.text))
}

/// The recipient that the address the bounce was sent to carries (VERP).
fn from_return_path(bounce: &Bounce<'_>) -> Option<Address> {
    let headers = bounce.mail.headers();
    let paths = ["to", "delivered-to", "x-original-to", "envelope-to"].into_iter().filter_map(|it| headers.first(it));
    paths.flat_map(|it| original::addresses(&it)).find_map(|it| verp::recipient(&it))
}

#[cfg(test)]
mod tests {
    use crate::mail::Mail;
    use crate::report;

    fn recipients(text: &str) -> Vec<String> {
        let mail = format!("Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nSubject: failure notice\n\n{text}\n");
        let reading = report::read(&Mail::parse(mail.as_bytes()));
        reading.reports.iter().filter_map(|it| it.recipient.as_ref()).map(|it| it.expose().to_owned()).collect()
    }

    #[test]
    fn an_id_is_no_recipient_however_long_its_line() {
        for filler in ["", &"word ".repeat(1_000)] {
            let (id, line_end) = (format!("Mail failed. Message-ID {filler}"), format!("Mail failed. Message-ID {filler}\n"));
            assert_eq!(recipients(&format!("{id}<a1@x.example> b@x.example")), [""; 0], "{filler}");
            assert_eq!(recipients(&format!("{line_end}Not delivered to <a@x.example>: unknown")), ["a@x.example"], "{filler}");
        }
    }

    #[test]
    fn an_example_is_no_recipient() {
        assert_eq!(recipients("Not delivered: write to e.g. <a@x.example>"), [""; 0]);
    }
}
