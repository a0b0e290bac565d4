//! `--format text`: the same for people, with what each reason means and what to do about it.

use std::fmt::Write as _;

use bounce::classify::Verdict;
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;

use super::{Judged, view};
use crate::cli::page::{self, BAD, BOLD, DIM, GOOD, HEAD, WARN, field, plain, styled};

/// Columns before the fields of a recipient.
const INDENT: usize = 4;

/// What was understood of a message.
pub(super) fn message(path: &str, judged: &Judged) -> String {
    let Judged { reading, verdicts } = judged;
    let mut out = String::new();
    let dialect = if reading.dialect == "none" { String::new() } else { format!(", written by {}", reading.dialect) };
    let kind = view::kind(judged);
    let _ = writeln!(out, "{}  {}{}", styled(HEAD, &plain(path)), title(kind), styled(DIM, &dialect));
    for (report, verdict) in reading.reports.iter().zip(verdicts) {
        recipient(&mut out, report, verdict);
    }
    for note in &reading.notes {
        page::wrap(&mut out, "  note: ", 8, &note.0);
    }
    out.push('\n');
    out
}

/// A message that could not be read.
pub(super) fn error(path: &str, error: &str) -> String {
    format!("{}  {}\n\n", styled(HEAD, &plain(path)), styled(BAD, &plain(error)))
}

fn recipient(out: &mut String, report: &Report, verdict: &Verdict) {
    let name = report.recipient.as_ref().map_or_else(|| "nobody named".to_owned(), |it| plain(it.expose()));
    let _ = writeln!(out, "  {}  {}", styled(BOLD, &name), headline(verdict));
    let other = report.original_recipient.as_deref().or(report.final_recipient.as_deref());
    if let Some(other) = other.filter(|it| !it.eq_ignore_ascii_case(&name)) {
        field(out, INDENT, "also", other);
    }
    let codes = codes(verdict);
    if !codes.is_empty() {
        field(out, INDENT, "codes", &codes);
    }
    if let Some(said) = report.diagnostic.as_deref().or(report.text.as_deref()) {
        field(out, INDENT, "said", said);
    }
    if verdict.reason.is_some() {
        field(out, INDENT, "rule", &verdict.rule.0);
    }
    if let Some(meaning) = verdict.meaning() {
        field(out, INDENT, "means", &meaning.explanation);
        field(out, INDENT, "do", &meaning.advice);
        field(out, INDENT, "again", &meaning.retry);
    }
}

/// What became of the message to this recipient: `hard bounce, user_unknown (the recipient's side)`.
pub(in crate::cli) fn headline(verdict: &Verdict) -> String {
    let (style, what) = match (verdict.kind, verdict.bounce_type) {
        (Kind::Bounce, Some(BounceType::Hard)) => (BAD, "hard bounce".to_owned()),
        (Kind::Bounce, Some(BounceType::Soft)) => (WARN, "soft bounce".to_owned()),
        (Kind::Complaint | Kind::Unsubscribe, _) => (BAD, verdict.kind.to_string()),
        (Kind::Delivered, _) => (GOOD, verdict.kind.to_string()),
        (kind, _) => (WARN, title(kind).to_owned()),
    };
    let mut out = styled(style, &what);
    if let Some(reason) = verdict.reason {
        let _ = write!(out, ", {reason} (at fault: {})", reason.fault());
    }
    out
}

/// `550 5.1.1 at rcpt_to`, with what else the text tells.
pub(in crate::cli) fn codes(verdict: &Verdict) -> String {
    let reply = verdict.reply.map(|it| it.code().to_string());
    let status = verdict.status.map(|it| it.to_string());
    let stage = verdict.stage.map(|it| format!("at {it}"));
    let wait = verdict.retry_after.map(|it| format!("(asks to wait {} s)", it.whole_seconds()));
    let list = verdict.block_list.as_ref().map(|it| format!("(block list {it})"));
    [reply, status, stage, wait, list].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A kind in words.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::AutoReply => "automatic reply",
        Kind::ChallengeResponse => "challenge",
        Kind::Mdn => "read receipt",
        Kind::Other => "nothing to act on",
        Kind::Suppressed => "not tried by the provider",
        Kind::Rejected => "refused by the provider",
        Kind::Delayed => "delayed, still being tried",
        kind => kind.as_str(),
    }
}
