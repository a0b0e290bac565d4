//! `rebound reprocess`: stored receipts through today's reader, rules and policy. Shows what would change; `--apply` does it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::app;
use crate::cli::keys::text;
use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::intake::{Chosen, Progress, Reprocess, Sources, Summary};
use crate::store::{Difference, ReceiptId, ReceiptState, Said, Selection};

/// Name under which the audit keeps what is done here.
const ACTOR: &str = "rebound reprocess";
/// Differences shown to people.
const SHOWN: usize = 100;

/// Reads stored receipts again, by today's reader, rules and policy, and shows what would change.
///
/// Nothing changes without --apply. Every address that a chosen receipt tells of is judged anew from all receipts about it; what
/// people did stays, so a release sticks. Receipts whose raw bytes are gone keep what was read from them. Batches commit one
/// by one: after an interruption go on with --after, or begin again, which does no harm.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only receipts accepted since then: a date, a time (RFC 3339), or how long ago (7d).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only receipts of this source.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only receipts that led to an event which this rule decided.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only receipts in this state: processed, unrecognised, quarantined. Several, with commas or by giving this again.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<ReceiptState>,
    /// Go on after this receipt.
    #[arg(long, value_name = "ID")]
    after: Option<Uuid>,
    /// Change what the difference shows.
    #[arg(long)]
    apply: bool,
    /// Show the difference only; this is the default.
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// How to print the difference.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// The difference as it is printed.
#[derive(Debug, Serialize)]
struct SummaryView<'a> {
    applied: bool,
    receipts_read: usize,
    receipts_other_state: usize,
    receipts_without_bytes: usize,
    receipts_without_source: usize,
    receipts_failed: usize,
    events_new: usize,
    events_changed: usize,
    events_withdrawn: usize,
    suppressions: Vec<DifferenceView<'a>>,
}

#[derive(Debug, Serialize)]
struct DifferenceView<'a> {
    /// `appears`, `vanishes` or `changes`.
    difference: &'static str,
    address: Option<&'a str>,
    subject_id: String,
    list: &'a str,
    cause: &'static str,
    before: Option<SaidView>,
    after: Option<SaidView>,
}

#[derive(Debug, Serialize)]
struct SaidView {
    reason: Option<&'static str>,
    provisional: bool,
    since: String,
    expires_at: Option<String>,
}

/// Reads again.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    let since = args.since.as_deref().map(|it| since(it, clock.now())).transpose()?;
    let which = Selection { since, source: args.source.clone(), rule: args.rule.clone(), states: args.state.clone(), only: Vec::new() };
    let chosen = Chosen { after: args.after.map(ReceiptId), ..Chosen::all(which, ACTOR) };
    setup::block_on(async {
        let store = Arc::new(setup::store(&config, &clock).await?);
        let reprocess = Reprocess {
            sources: Sources::open(&store, &config, clock.now()).await?,
            rules: Arc::new(app::load_rules(&config)?),
            max_fact_age: config.intake.max_fact_age,
            store,
            clock,
        };
        let mut last = None;
        let progress = |it: Progress| {
            last = Some(it.last);
            told(it);
        };
        let done = if args.apply { reprocess.apply(&chosen, progress).await } else { reprocess.foresee(&chosen, progress).await };
        if let (Err(_), Some(last), true) = (&done, last, args.apply) {
            writeln!(io::stderr().lock(), "Everything up to receipt {last} is done; go on with --after {last}")?;
        }
        let summary = done?;
        let view = SummaryView { applied: args.apply, ..view(&summary) };
        let text = match args.format {
            Output::Json => serde_json::to_string_pretty(&view)? + "\n",
            Output::Text => page(&view),
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(Exit::Success)
    })
}

/// A line that overwrites itself, for whoever looks on.
fn told(progress: Progress) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        // Where standard error is closed nobody looks on.
        let _ = write!(err, "\r{} receipts looked at", progress.receipts).and_then(|()| err.flush());
    }
}

fn since(text: &str, now: OffsetDateTime) -> anyhow::Result<OffsetDateTime> {
    if let Some(ago) = parse_duration(text) {
        return Ok(now - ago);
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    match Date::parse(text, &Iso8601::DATE) {
        Ok(day) => Ok(day.midnight().assume_utc()),
        Err(_) => anyhow::bail!("--since {text:?} is none of 2026-11-22, 2026-11-22T10:00:00Z and 7d"),
    }
}

fn view(summary: &Summary) -> SummaryView<'_> {
    SummaryView {
        applied: false,
        receipts_read: summary.read,
        receipts_other_state: summary.other_state,
        receipts_without_bytes: summary.without_bytes,
        receipts_without_source: summary.without_source,
        receipts_failed: summary.failed,
        events_new: summary.new,
        events_changed: summary.changed,
        events_withdrawn: summary.withdrawn,
        suppressions: summary.differences.iter().map(difference).collect(),
    }
}

fn difference(it: &Difference) -> DifferenceView<'_> {
    let said = |it: &Said| SaidView {
        reason: it.reason.map(bounce::classify::reason::Reason::as_str),
        provisional: it.provisional,
        since: text(it.since),
        expires_at: it.expires_at.map(text),
    };
    DifferenceView {
        difference: match (&it.before, &it.after) {
            (None, _) => "appears",
            (_, None) => "vanishes",
            _ => "changes",
        },
        address: it.address.as_deref(),
        subject_id: it.subject.to_string(),
        list: &it.list,
        cause: it.cause.as_str(),
        before: it.before.as_ref().map(said),
        after: it.after.as_ref().map(said),
    }
}

/// The difference for people.
fn page(view: &SummaryView<'_>) -> String {
    let mut out = format!(
        "{} receipts read again, {} in another state. Not readable: {} without their raw bytes, {} of sources that are not configured, \
         {} at which the reader failed.\n{} events new, {} changed, {} withdrawn.\n",
        view.receipts_read,
        view.receipts_other_state,
        view.receipts_without_bytes,
        view.receipts_without_source,
        view.receipts_failed,
        view.events_new,
        view.events_changed,
        view.events_withdrawn,
    );
    let count = |word: &str| view.suppressions.iter().filter(|it| it.difference == word).count();
    let line = format!("{} suppressions appear, {} vanish, {} change.\n", count("appears"), count("vanishes"), count("changes"));
    out.push_str(&line);
    if !view.suppressions.is_empty() {
        let head = ["", "ADDRESS", "LIST", "CAUSE", "BEFORE", "AFTER"].map(str::to_owned).to_vec();
        let rows = view.suppressions.iter().take(SHOWN).map(|it| {
            let whom = it.address.map_or_else(|| format!("erased {}", it.subject_id), str::to_owned);
            let (before, after) = (it.before.as_ref().map_or_else(dash, words), it.after.as_ref().map_or_else(dash, words));
            vec![it.difference.to_owned(), whom, it.list.to_owned(), it.cause.to_owned(), before, after]
        });
        out.push('\n');
        out.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    }
    if let Some(more) = view.suppressions.len().checked_sub(SHOWN + 1) {
        let line = format!("and {} more; --format json has them all\n", more + 1);
        out.push_str(&line);
    }
    if !view.applied {
        out.push_str("\nNothing was changed; --apply does it.\n");
    }
    out
}

fn dash() -> String {
    "-".to_owned()
}

fn words(said: &SaidView) -> String {
    let provisional = if said.provisional { ", provisionally" } else { "" };
    let end = said.expires_at.as_deref().map_or_else(|| "for good".to_owned(), |it| format!("until {it}"));
    format!("{} {end}{provisional}", said.reason.unwrap_or("no reason"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    #[test]
    fn a_beginning_is_a_date_a_time_or_an_age() {
        for (text, at) in [
            ("2026-11-01", datetime!(2026-11-01 00:00 UTC)),
            ("2026-11-01T12:00:00+02:00", datetime!(2026-11-01 10:00 UTC)),
            ("7d", datetime!(2026-11-15 10:00 UTC)),
        ] {
            assert_eq!(since(text, NOW).unwrap(), at, "{text}");
        }
        assert!(since("yesterday", NOW).is_err());
    }

    #[test]
    fn a_difference_is_a_line() {
        let said = |reason| SaidView { reason: Some(reason), provisional: false, since: String::new(), expires_at: None };
        let view = SummaryView {
            applied: false,
            receipts_read: 3,
            receipts_other_state: 1,
            receipts_without_bytes: 2,
            receipts_without_source: 0,
            receipts_failed: 0,
            events_new: 1,
            events_changed: 0,
            events_withdrawn: 0,
            suppressions: vec![DifferenceView {
                difference: "appears",
                address: Some("jane@example.org"),
                subject_id: "00".to_owned(),
                list: "acme",
                cause: "hard",
                before: None,
                after: Some(said("user_unknown")),
            }],
        };
        let page = page(&view);
        assert!(page.contains("appears  jane@example.org  acme  hard   -       user_unknown for good\n"), "{page}");
        assert!(page.contains("1 suppressions appear, 0 vanish, 0 change.") && page.contains("--apply does it"), "{page}");
    }
}
