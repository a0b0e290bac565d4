//! How the tour looks: eighty columns, in colour where that is wanted.

use std::fmt::Write as _;
use std::io::{self, Write};

use bounce::classify::meaning;
use bounce::classify::reason::Reason;
use bounce::policy::Policy;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::client::{ChangeView, Checked, EventView, Suppressed};
use super::steps::{CHECKED, METRICS, Post, Step};
use super::tour::{Seen, Wrong};
use super::{Demo, LIST};
use crate::cli::Exit;
use crate::cli::page::{self, BAD, BOLD, DIM, GOOD, HEAD, WARN, field, plain, styled, wrap};

/// Columns before what a step says.
const INDENT: usize = 3;

/// Where the tour is shown.
pub(super) struct Screen {
    out: Box<dyn Write>,
}

impl Screen {
    pub(super) fn stdout() -> Self {
        Self { out: Box::new(page::stdout()) }
    }

    fn show(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What is about to be seen.
    pub(super) fn welcome(&mut self, demo: &Demo) -> io::Result<()> {
        let mut out = String::from("\n");
        wrap(&mut out, &format!("{}  ", styled(HEAD, "Rebound")), 9, "turns mail that comes back into lists of addresses to stop mailing.");
        out.push('\n');
        let text = format!(
            "The real service is running at {} on a temporary database, with a list \"{LIST}\", a source for bounce mails and one for \
             Amazon SES. Now bounces come in over HTTP; what you see is what its API says of them.",
            demo.client.base()
        );
        wrap(&mut out, "", 0, &text);
        self.show(&out)
    }

    /// One step: what came in, what was understood, what the list did and why.
    pub(super) fn step(&mut self, number: usize, step: &Step, seen: &Seen, wrong: &[Wrong]) -> io::Result<()> {
        let mut out = format!("\n{}\n", styled(HEAD, &format!("{number}  {}", step.title)));
        wrap(&mut out, "   ", INDENT, step.about);
        let posted = &seen.posted;
        let status = styled(if posted.status.is_success() { GOOD } else { BAD }, posted.status.as_str());
        let request = format!("POST {}, {} bytes of {}", posted.path, posted.bytes, posted.content_type);
        let _ = writeln!(out, "   {}  {status}", styled(DIM, &request));
        for event in &seen.events {
            let change = seen.changes.iter().find(|it| it.recipient == event.recipient);
            fact(&mut out, event, change);
        }
        if matches!(step.post, Post::SesAgain) && seen.events.is_empty() {
            let text =
                "Known already: the same post from the same source. Answered like the first, counted as a duplicate, and nothing changes.";
            wrap(&mut out, "\n   ", INDENT, text);
        }
        misses(&mut out, wrong);
        self.show(&out)
    }

    /// What a newsletter system sees.
    pub(super) fn checked(&mut self, checked: &Checked, wrong: Option<&Wrong>) -> io::Result<()> {
        let mut out = format!("\n{}\n", styled(HEAD, "What a newsletter system sees before it sends"));
        let _ = writeln!(out, "   {}\n", styled(DIM, &format!("POST /v1/check, {} addresses for {LIST}", CHECKED.len())));
        for (address, _) in CHECKED {
            let answer = checked.suppressed.iter().find(|it| it.address == *address);
            let _ = writeln!(out, "   {address:26}{}", answer.map_or_else(|| styled(GOOD, "mail it"), stop));
        }
        misses(&mut out, wrong.map(std::slice::from_ref).unwrap_or_default());
        self.show(&out)
    }

    /// What a mirror of the lists reads.
    pub(super) fn changes(&mut self, changes: &[ChangeView], wrong: Option<&Wrong>) -> io::Result<()> {
        let mut out = format!("\n{}\n", styled(HEAD, "What a system reads that keeps a copy of the lists"));
        let _ = writeln!(out, "   {}\n", styled(DIM, "GET /v1/changes (the same goes to RabbitMQ, where one is configured)"));
        for it in changes {
            let (cause, recipient) = (it.cause.as_deref().unwrap_or_default(), it.recipient.as_deref().unwrap_or_default());
            let _ = writeln!(out, "   {:9}{cause:12}{:26}on {}", it.change, plain(recipient), it.list);
        }
        misses(&mut out, wrong.map(std::slice::from_ref).unwrap_or_default());
        self.show(&out)
    }

    /// What Prometheus sees.
    pub(super) fn metrics(&mut self, wrong: &[Wrong]) -> io::Result<()> {
        let mut out = format!("\n{}\n", styled(HEAD, "What Prometheus sees"));
        let _ = writeln!(out, "   {}\n", styled(DIM, "GET /metrics (some of it)"));
        for (name, labels, value) in METRICS {
            let labels: Vec<&str> = labels.iter().map(|it| it.split('"').nth(1).unwrap_or(it)).collect();
            let _ = writeln!(out, "   {name:36} {value}  {}", styled(DIM, &labels.join(", ")));
        }
        misses(&mut out, wrong);
        self.show(&out)
    }

    /// Whether all was well.
    pub(super) fn verdict(&mut self, exit: Exit) -> io::Result<()> {
        let text = if exit == Exit::Success {
            styled(GOOD, "Every step came out as it should.")
        } else {
            styled(BAD, "Not every step came out as it should: see the red lines above.")
        };
        self.show(&format!("\n{text}\n"))
    }

    /// What can be tried now.
    pub(super) fn stays_up(&mut self, demo: &Demo) -> io::Result<()> {
        let mut out = format!("\n{}\n", styled(HEAD, "Your turn"));
        let text = "The service stays up until you press Ctrl-C. In another terminal:";
        wrap(&mut out, "   ", INDENT, text);
        let _ = writeln!(out, "\nURL={} KEY={}", demo.client.base(), demo.client.key());
        for (about, command) in TRY {
            let _ = writeln!(out, "\n{}\n{command}", styled(DIM, &format!("# {about}")));
        }
        let _ = writeln!(out, "\n   In a browser: {}/console; sign in with the KEY above.", demo.client.base());
        let _ = write!(out, "\n{}\n", styled(DIM, "# addresses to try"));
        for (address, _) in CHECKED {
            let _ = writeln!(out, "#   {address}");
        }
        let _ = writeln!(out, "\n   The API with examples: {}/docs", demo.client.base());
        self.show(&out)
    }
}

/// Commands to copy.
const TRY: &[(&str, &str)] = &[
    (
        "may this address be mailed?",
        "curl -sG $URL/v1/check -H \"Authorization: Bearer $KEY\" \\\n     -d list=demo.news -d address=grace@example.com",
    ),
    ("everything known of it, and why", "curl -s $URL/v1/addresses/grace@example.com -H \"Authorization: Bearer $KEY\""),
    (
        "a person's word wins: release it",
        "curl -s -X DELETE -H \"Authorization: Bearer $KEY\" \\\n     $URL/v1/lists/demo/suppressions/grace@example.com",
    ),
    (
        "what does this answer of a mail server mean?",
        "curl -s $URL/v1/diagnose -H \"Authorization: Bearer $KEY\" \\\n     -H 'Content-Type: text/plain' \\\n     -d '550 5.7.26 Unauthenticated email is not accepted'",
    ),
    (
        "hand in another bounce",
        "curl -s \"$URL/v1/messages?list=demo.news\" -H \"Authorization: Bearer $KEY\" \\\n     -H 'Content-Type: message/rfc822' --data-binary @docs/bounce.eml",
    ),
    ("all that is measured", "curl -s $URL/metrics | grep ^rebound"),
];

/// What was understood of one recipient, and what the list did.
fn fact(out: &mut String, event: &EventView, change: Option<&ChangeView>) {
    let recipient = plain(event.recipient.as_deref().unwrap_or("somebody"));
    let (style, kind) = match (event.kind.as_str(), event.bounce_type.as_deref()) {
        ("bounce", Some("hard")) => (BAD, "hard bounce".to_owned()),
        ("bounce", Some(soft)) => (WARN, format!("{soft} bounce")),
        ("complaint", _) => (BAD, "complaint".to_owned()),
        (kind, _) => (WARN, kind.replace('_', " ")),
    };
    let reason = event.reason.as_deref().map(|it| format!(", {it}")).unwrap_or_default();
    let _ = writeln!(out, "\n   {}  {}{reason}", styled(BOLD, &recipient), styled(style, &kind));
    let indent = INDENT + 2;
    let reply = event.reply.map(|it| it.to_string());
    let stage = event.stage.as_deref().map(|it| format!("at {it}"));
    let codes: Vec<String> = [reply, event.status.clone(), stage].into_iter().flatten().collect();
    if !codes.is_empty() {
        field(out, indent, "codes", &format!("{}, decided by rule {}", codes.join(" "), event.rule));
    }
    if let Some(said) = &event.diagnostic {
        field(out, indent, "said", said);
    }
    if let Some(reason) = event.reason.as_deref().and_then(|it| it.parse::<Reason>().ok()) {
        field(out, indent, "means", &meaning::of(reason).explanation);
        field(out, indent, "advice", &meaning::of(reason).advice);
    }
    match event.kind.as_str() {
        "complaint" => field(out, indent, "means", "The reader does not want this mail and said so to the provider."),
        "auto_reply" => field(out, indent, "means", "A program answered for the reader. The message was delivered."),
        _ => {}
    }
    field(out, indent, "the list", &why(event, change));
}

/// What the list did, and why.
fn why(event: &EventView, change: Option<&ChangeView>) -> String {
    let Some(change) = change else { return why_not(event) };
    let blocks = format!("blocks it: \"{}\" and every list below.", change.list);
    match (change.provisional, event.attribution.as_str(), change.expires_at.as_deref()) {
        (true, "unattributed", Some(end)) => format!(
            "{blocks} Provisionally, until {}: anybody can write such a mail. A report on another day makes it permanent.",
            unbroken(end)
        ),
        (true, _, Some(end)) => format!("{blocks} Provisionally, until {}; a report on another day makes it permanent.", unbroken(end)),
        (false, "signed", None) => format!("{blocks} For good, at once: the signature proves who says so."),
        (_, _, Some(end)) => format!("{blocks} Until {}.", unbroken(end)),
        (_, _, None) => format!("{blocks} For good."),
    }
}

/// Why a list did nothing.
fn why_not(event: &EventView) -> String {
    let reason = event.reason.as_deref().and_then(|it| it.parse::<Reason>().ok());
    match (event.kind.as_str(), reason) {
        ("delayed", _) => "does nothing: the message is still on its way.".to_owned(),
        ("auto_reply", _) => "does nothing: whoever answers has a mailbox that works.".to_owned(),
        ("bounce", Some(reason)) if reason.fault().is_senders() => {
            format!("does nothing, however often: the fault is the sender's ({}), not the address's.", reason.fault())
        }
        ("bounce", Some(reason)) => {
            let policy = Policy::default().of(reason);
            let (strikes, days, window) = (policy.strikes, policy.least_span.whole_days(), policy.window.whole_days());
            let span = if days > 0 { format!(", the first and the last at least {days} days apart") } else { String::new() };
            format!("counts a first strike. {strikes} of them on different days within {window} days{span}, would block it.")
        }
        _ => "does nothing.".to_owned(),
    }
}

/// Why an address may not be mailed, and for how long.
fn stop(it: &Suppressed) -> String {
    let reason = it.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let until = match (it.expires_at.as_deref(), it.provisional) {
        (None, _) => "for good".to_owned(),
        (Some(end), true) => format!("for now, to {}", written(end, format_description!("[day padding:none] [month repr:short]"))),
        (Some(end), false) => format!("to {}", day(end)),
    };
    format!("{}  {}{}, {until}", styled(BAD, "stop"), it.cause, plain(&reason))
}

/// What did not come out as it should.
fn misses(out: &mut String, wrong: &[Wrong]) {
    for it in wrong {
        let list = |it: &[String]| if it.is_empty() { "nothing".to_owned() } else { it.join("; ") };
        let _ = writeln!(out, "\n   {}", styled(BAD, &format!("Not as it should be: {}", it.what)));
        field(out, INDENT + 2, "expected", &list(&it.expected));
        field(out, INDENT + 2, "got", &list(&it.got));
    }
}

/// The day of a time on the wire.
fn day(at: &str) -> String {
    written(at, format_description!("[day padding:none] [month repr:short] [year]"))
}

fn written(at: &str, form: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::parse(at, &Rfc3339).ok().and_then(|it| it.format(form).ok()).unwrap_or_else(|| plain(at))
}

/// The same, for a text that is wrapped.
fn unbroken(at: &str) -> String {
    day(at).replace(' ', "\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::steps::SES_RECIPIENT;

    fn event(kind: &str, bounce_type: Option<&str>, reason: Option<&str>, attribution: &str) -> EventView {
        EventView {
            recipient: Some("anna.berger@example.com".to_owned()),
            kind: kind.to_owned(),
            bounce_type: bounce_type.map(str::to_owned),
            reason: reason.map(str::to_owned),
            status: Some("5.1.1".to_owned()),
            reply: Some(550),
            stage: Some("rcpt_to".to_owned()),
            diagnostic: Some(format!("550 5.1.1 {}", "User unknown ".repeat(9))),
            attribution: attribution.to_owned(),
            rule: "user.unknown".to_owned(),
        }
    }

    fn change(expires_at: Option<&str>) -> ChangeView {
        ChangeView {
            recipient: None,
            change: "added".to_owned(),
            cause: Some("hard".to_owned()),
            list: "demo".to_owned(),
            provisional: expires_at.is_some(),
            expires_at: expires_at.map(str::to_owned),
        }
    }

    #[test]
    fn everything_fits_eighty_columns() {
        let suppressed = Suppressed {
            address: String::new(),
            cause: "complaint".to_owned(),
            reason: Some("mailbox_unavailable".to_owned()),
            provisional: true,
            expires_at: Some("2026-11-29T08:00:00Z".to_owned()),
        };
        let answer = anstream::adapter::strip_str(&stop(&suppressed)).to_string();
        assert_eq!(answer, "stop  complaint (mailbox_unavailable), for now, to 29 Nov");
        assert!(CHECKED.iter().all(|it| it.0.len() < 26));
        let mut out = String::new();
        fact(&mut out, &event("bounce", Some("hard"), Some("user_unknown"), "unattributed"), Some(&change(Some("2026-11-29T08:00:00Z"))));
        let wrong = Wrong { what: "facts".to_owned(), expected: vec!["a b".repeat(40)], got: vec![] };
        misses(&mut out, &[wrong]);
        let plain = anstream::adapter::strip_str(&out).to_string();
        assert!(plain.lines().all(|it| it.chars().count() <= page::WIDTH), "{plain}");
        for (about, command) in TRY {
            assert!(command.lines().all(|it| it.len() < page::WIDTH) && about.len() < page::WIDTH, "{command}");
        }
        assert!(TRY.iter().any(|it| it.1.contains(SES_RECIPIENT)));
    }

    #[test]
    fn every_decision_has_its_reason() {
        let blocked = |attribution, until| why(&event("bounce", Some("hard"), Some("user_unknown"), attribution), Some(&change(until)));
        assert!(blocked("unattributed", Some("2026-11-29T08:00:00Z")).contains("until 29\u{a0}Nov\u{a0}2026: anybody can write"));
        assert!(blocked("signed", None).contains("For good, at once: the signature proves"));
        let nothing = |kind, bounce_type, reason| why(&event(kind, bounce_type, reason, "unattributed"), None);
        assert!(nothing("bounce", Some("soft"), Some("spam_content")).contains("the fault is the sender's (content)"));
        let strike = nothing("bounce", Some("soft"), Some("mailbox_full"));
        assert!(strike.contains("5 of them on different days within 60 days, the first and the last at least 21 days apart,"), "{strike}");
        assert!(nothing("delayed", None, Some("network_error")).contains("still on its way"));
        assert!(nothing("auto_reply", None, None).contains("works"));
    }
}
