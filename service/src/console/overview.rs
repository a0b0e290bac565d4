//! The overview: what needs somebody, what happened lately, and how the pipeline is.

use actix_web::web;
use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{BounceType, Kind};
use maud::{Markup, html};
use time::OffsetDateTime;

use crate::config::{API_SOURCE, SourceConfig};
use crate::console::chart::{Series, stacked};
use crate::console::elements::{Tone, ago, at_least, badge, bar, counted, empty, number, since, words};
use crate::console::form::Asked;
use crate::console::numbers::{Counted, Numbers, Span, visible};
use crate::console::page::{Page, Place, capital};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::keys::Caller;
use crate::http::{Problem, State};
use crate::store::{OUTBOX_UP_TO, OutboxState, RECEIVERS_AMONG, ReceiptState, SOURCES_AMONG, SourceFigure, UNREAD_UP_TO};
use crate::telemetry::{Lately, RelayState, SpoolFigures};

/// Posts of an hour that nothing proved, from which on they are worth a word; strays are none.
const UNPROVED_FROM: u64 = 20;

/// Reasons that have bars of their own.
const OWN_BARS: usize = 3;

bounce::vocabulary! {
    /// What the bars tell.
    #[derive(Default)]
    pub enum By, "division" {
        /// What happened.
        #[default]
        Type = "type",
        /// Why it bounced.
        Reason = "reason",
    }
}

/// What only a key that sees everything sees.
struct Pipeline {
    outbox: OutboxState,
    relay: RelayState,
    spool: Option<SpoolFigures>,
    database_away: bool,
    sources: Vec<SourceFigure>,
    /// Sources with many posts within the last hour that nothing proved, and how many.
    unproved: Vec<(String, u64)>,
}

/// The overview of a day, a week or a month.
pub(super) async fn get_overview(
    state: web::Data<State>,
    numbers: web::Data<Numbers>,
    visit: Visit,
    caller: Caller,
    asked: Asked,
) -> Result<Page, Problem> {
    let (span, by) = (asked.0.word("span")?.unwrap_or(Span::Day), asked.0.word("by")?.unwrap_or_default());
    let now = state.clock.now();
    let counted = numbers.of(span, &caller, &state.store, now).await?;
    let quarantined = state.store.unread_count(ReceiptState::Quarantined, &visible(&caller)).await?;
    let unrecognised = state.store.unread_count(ReceiptState::Unrecognised, &visible(&caller)).await?;
    let pipeline = if caller.confined_to().is_none() { Some(pipeline(&state).await?) } else { None };
    let content = html! {
        (attention(quarantined, unrecognised, &counted, pipeline.as_ref(), now))
        (spans(span, by))
        (tiles(span, &counted))
        div.card {
            (chart(span, by, &counted))
            @if counted.missing() > 0 {
                p.wrong role="status" { "There was no time to count all: the oldest " (counted.missing()) " of " (counted.window.pieces) " bars are missing. Load the page again to go on." }
            }
        }
        div.columns {
            section.card aria-labelledby="reasons" { h2 #reasons { "Top reasons" } (reasons(span, &counted)) }
            section.card aria-labelledby="receivers" { h2 #receivers { "Top receivers" } (receivers(span, &counted)) }
        }
        @if let Some(it) = &pipeline {
            section.card aria-labelledby="sources" { h2 #sources { "Sources" } (sources(&state, it, now)) }
            section.card aria-labelledby="pipeline" { h2 #pipeline { "Pipeline" } (pipes(it, now)) }
        }
    };
    Ok(Page::new(&visit, Place::Overview, "Overview", &content))
}

async fn pipeline(state: &State) -> Result<Pipeline, Problem> {
    let sources = state.store.source_figures().await?;
    let names = state.config.sources.iter().map(|it| it.name.as_str()).chain([API_SOURCE]);
    Ok(Pipeline {
        unproved: names.filter_map(|it| Some((it.to_owned(), unproved(state.telemetry.lately(it))?))).collect(),
        outbox: state.store.outbox_glance().await?,
        relay: *state.relay.borrow(),
        spool: state.telemetry.spool_figures(),
        database_away: state.intake.presence().is_some_and(|(it, _)| !it.is_there()),
        sources,
    })
}

/// Posts to a source that nothing proved, if they are many, and many beside those that were taken in the same time: the alert of
/// them (`ReboundForgedPosts`) counts so, too.
fn unproved(it: Lately) -> Option<u64> {
    (it.unproved >= UNPROVED_FROM && it.unproved > it.taken / 9).then_some(it.unproved)
}

impl Counted {
    fn count(&self, which: impl Fn(Kind, Option<BounceType>, Option<Reason>) -> bool) -> u64 {
        self.figures().map(|it| it.1).filter(|it| which(it.kind, it.bounce_type, it.reason)).map(|it| it.count).sum()
    }

    /// Failures for which the sender has to act.
    fn senders(&self) -> u64 {
        self.count(|kind, _, reason| {
            matches!(kind, Kind::Bounce | Kind::Delayed | Kind::Rejected) && reason.is_some_and(|it| it.fault().is_senders())
        })
    }

    fn over_time(&self, which: impl Fn(Kind, Option<BounceType>, Option<Reason>) -> bool) -> Vec<u64> {
        let mut values = vec![0; usize::from(self.window.pieces)];
        for (piece, it) in self.figures().filter(|it| which(it.1.kind, it.1.bounce_type, it.1.reason)) {
            if let Some(value) = values.get_mut(piece) {
                *value += it.count;
            }
        }
        values
    }
}

fn attention(quarantined: u64, unrecognised: u64, counted_: &Counted, pipeline: Option<&Pipeline>, now: OffsetDateTime) -> Markup {
    let unread = |count: u64| at_least(count, UNREAD_UP_TO, "receipt", "receipts");
    let mut items: Vec<(Tone, &str, String, &str)> = Vec::new();
    if let Some(it) = pipeline {
        if it.database_away {
            items.push((Tone::Bad, "database", "The database is away; what comes in goes to the spool.".to_owned(), "/console#pipeline"));
        }
        if it.relay == RelayState::Disconnected {
            items.push((
                Tone::Bad,
                "broker",
                "The broker cannot be reached; messages wait in the outbox.".to_owned(),
                "/console/quarantine#outbox",
            ));
        }
        for (source, count) in &it.unproved {
            let text = format!("{} to {source} proved by nothing within the last hour.", counted(*count, "post", "posts"));
            items.push((Tone::Watch, "refused", text, "/console#sources"));
        }
        if let Some(oldest) = it.outbox.oldest.filter(|at| now - *at > time::Duration::minutes(5)) {
            let text = format!(
                "{} in the outbox, the oldest for {}.",
                at_least(it.outbox.depth, OUTBOX_UP_TO, "message", "messages"),
                since(now - oldest)
            );
            items.push((Tone::Watch, "outbox", text, "/console/quarantine#outbox"));
        }
        if let Some(spool) = it.spool.filter(|it| it.entries > 0) {
            items.push((
                Tone::Watch,
                "spool",
                format!("{} in the spool.", counted(spool.entries as u64, "receipt", "receipts")),
                "/console#pipeline",
            ));
        }
    }
    if quarantined > 0 {
        items.push((Tone::Bad, "quarantine", format!("{} in quarantine.", unread(quarantined)), "/console/quarantine"));
    }
    if unrecognised > 0 {
        items.push((Tone::Watch, "unrecognised", format!("{} not understood.", unread(unrecognised)), "/console/quarantine"));
    }
    let senders = counted_.senders();
    if senders > 0 {
        items.push((Tone::Watch, "sending", format!("{} that you can mend.", counted(senders, "failure", "failures")), "/console/faults"));
    }
    html! {
        section.card.attention aria-labelledby="attention" {
            h2 #attention { "Needs attention" }
            @if items.is_empty() {
                p { (badge(Tone::Good, "all well")) " Nothing waits for you." }
            } @else {
                ul.plain { @for (tone, what, text, place) in &items { li { (badge(*tone, what)) " " a href=(place) { (text) } } } }
            }
        }
    }
}

fn spans(span: Span, by: By) -> Markup {
    html! {
        nav.switch aria-label="Time span" {
            @for it in Span::ALL { a href={ "/console?span=" (it) "&by=" (by) } aria-current=[(*it == span).then_some("true")] { (it.words()) } }
        }
    }
}

fn tiles(span: Span, counted: &Counted) -> Markup {
    let tile = |name: &str, count: u64, place: &str, about: &str| {
        html! { a.tile href={ (place) "span=" (span) } { span.name { (name) } span.count { (number(count)) } span.quiet { (about) } } }
    };
    let hard = counted.count(|kind, kind_of, _| kind == Kind::Bounce && kind_of == Some(BounceType::Hard));
    let soft = counted.count(|kind, kind_of, _| kind == Kind::Bounce && kind_of != Some(BounceType::Hard));
    html! {
        div.tiles {
            (tile("Hard bounces", hard, "/console/events?kind=bounce&bounce_type=hard&", "the address fails for good"))
            (tile("Soft bounces", soft, "/console/events?kind=bounce&bounce_type=soft&", "it may work another day"))
            (tile("Complaints", counted.count(|it, _, _| it == Kind::Complaint), "/console/events?kind=complaint&", "marked as spam"))
            (tile("Unsubscribes", counted.count(|it, _, _| it == Kind::Unsubscribe), "/console/events?kind=unsubscribe&", "asked to get no more"))
            (tile("Sender faults", counted.senders(), "/console/faults?", "for you to mend"))
        }
    }
}

fn chart(span: Span, by: By, counted: &Counted) -> Markup {
    let label = |piece: u16| {
        let at = counted.window.begin(piece);
        match span {
            Span::Day => format!("{:02}:00", at.hour()),
            Span::Week => format!("{:02}-{:02} {:02}h", u8::from(at.month()), at.day(), at.hour()),
            Span::Month => format!("{:02}-{:02}", u8::from(at.month()), at.day()),
        }
    };
    let labels: Vec<String> = (0..counted.window.pieces).map(label).collect();
    let (title, series) = match by {
        By::Type => (format!("Events of the last {}", span.words()), by_type(counted)),
        By::Reason => (format!("Bounces of the last {}, by reason", span.words()), by_reason(counted)),
    };
    html! {
        nav.switch aria-label="What the bars tell" {
            @for it in By::ALL {
                a href={ "/console?span=" (span) "&by=" (it) } aria-current=[(*it == by).then_some("true")] { "By " (it) }
            }
        }
        (stacked(&title, &labels, &series))
    }
}

fn by_type(counted: &Counted) -> Vec<Series> {
    let series = |name: &str, values| Series { name: name.to_owned(), values };
    let hard = Some(BounceType::Hard);
    vec![
        series("Hard", counted.over_time(|kind, it, _| kind == Kind::Bounce && it == hard)),
        series("Soft", counted.over_time(|kind, it, _| kind == Kind::Bounce && it != hard)),
        series("Complaints", counted.over_time(|kind, _, _| kind == Kind::Complaint)),
        series("Other", counted.over_time(|kind, _, _| !matches!(kind, Kind::Bounce | Kind::Complaint))),
    ]
}

/// The most frequent reasons, and the others together.
fn by_reason(counted: &Counted) -> Vec<Series> {
    let top: Vec<Reason> = top_reasons(counted).into_iter().map(|it| it.0).take(OWN_BARS).collect();
    let own = top.iter().map(|reason| Series {
        name: capital(&words(reason.as_str())),
        values: counted.over_time(|kind, _, it| kind == Kind::Bounce && it == Some(*reason)),
    });
    let is_other = |it: Option<Reason>| it.is_none_or(|it| !top.contains(&it));
    let others = Series { name: "Other".to_owned(), values: counted.over_time(|kind, _, it| kind == Kind::Bounce && is_other(it)) };
    own.chain([others]).collect()
}

/// The reasons of bounces, the most frequent first.
fn top_reasons(counted: &Counted) -> Vec<(Reason, u64)> {
    let count = |reason: Reason| counted.count(|kind, _, it| kind == Kind::Bounce && it == Some(reason));
    let mut reasons: Vec<(Reason, u64)> = Reason::ALL.iter().map(|it| (*it, count(*it))).filter(|it| it.1 > 0).collect();
    reasons.sort_by_key(|it| std::cmp::Reverse(it.1));
    reasons
}

fn reasons(span: Span, counted: &Counted) -> Markup {
    let mut reasons = top_reasons(counted);
    reasons.truncate(10);
    let most = reasons.first().map_or(0, |it| it.1);
    html! {
        @if reasons.is_empty() {
            (empty("No bounces in this time.", &html! { "What a bounce would mean you can see under " a href="/console/diagnose" { "Diagnose" } "." }))
        } @else {
            div.scroll tabindex="0" role="group" aria-labelledby="reasons" {
                table {
                    thead { tr { th scope="col" { "Reason" } th scope="col" { "Who has to act" } th.number scope="col" { "Bounces" } th.graph { span.hidden { "Share" } } } }
                    tbody {
                        @for (reason, count) in &reasons {
                            tr {
                                th scope="row" { a href={ "/console/events?kind=bounce&reason=" (reason) "&span=" (span) } { (words(reason.as_str())) } }
                                td { (fault_badge(reason.fault())) }
                                td.number { (number(*count)) }
                                td.graph { (bar(*count, most)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Who has to act, as a badge.
pub(super) fn fault_badge(fault: Fault) -> Markup {
    badge(if fault.is_senders() { Tone::Watch } else { Tone::Plain }, if fault.is_senders() { "you" } else { fault.as_str() })
}

fn receivers(span: Span, counted_: &Counted) -> Markup {
    let most = counted_.receivers.first().map_or(0, |it| it.1);
    html! {
        @if counted_.receivers.is_empty() {
            (empty("No bounces in this time.", &html! { "Receivers show up here with their first bounce." }))
        } @else {
            div.scroll tabindex="0" role="group" aria-labelledby="receivers" {
                table {
                    thead { tr { th scope="col" { "Domain" } th.number scope="col" { "Bounces" } th.graph { span.hidden { "Share" } } } }
                    tbody {
                        @for (domain, count) in counted_.receivers.iter() {
                            tr {
                                th scope="row" { a href={ "/console/events?kind=bounce&domain=" (domain) "&span=" (span) } { (shown(domain)) } }
                                td.number { (number(*count)) }
                                td.graph { (bar(*count, most)) }
                            }
                        }
                    }
                }
            }
            @if counted_.receivers.iter().map(|it| it.1).sum::<u64>() >= RECEIVERS_AMONG {
                p.quiet { "Among the newest " (number(RECEIVERS_AMONG)) " bounces." }
            }
        }
    }
}

fn sources(state: &State, pipeline: &Pipeline, now: OffsetDateTime) -> Markup {
    let of = |name: &str| pipeline.sources.iter().find(|it| it.source == name);
    let is_configured = |name: &str| state.config.sources.iter().any(|it| it.name == name);
    html! {
        @if state.config.sources.is_empty() && pipeline.sources.is_empty() {
            (empty("No source is configured.", &html! { "Add a " code { "[[source]]" } " to the configuration for each provider and mailbox that reports bounces, or hand messages in by " code { "POST /v1/messages" } "." }))
        } @else {
            div.scroll tabindex="0" role="group" aria-labelledby="sources" {
                table {
                    thead { tr {
                        th scope="col" { "Source" } th.number scope="col" { "Receipts" } th scope="col" { "Last" }
                        th scope="col" { "Refused since start" } th scope="col" { "Provider" } th scope="col" { "List" }
                    } }
                    tbody {
                        @for it in &state.config.sources { (source(state, &it.name, Some(it), of(&it.name), now)) }
                        // What nobody is configured to send any more, and what was handed in by the API.
                        @for it in pipeline.sources.iter().filter(|it| !is_configured(&it.source)) { (source(state, &it.source, None, Some(it), now)) }
                    }
                }
            }
            p.quiet { "Counted among the newest " (number(SOURCES_AMONG)) " receipts." }
        }
    }
}

fn source(state: &State, name: &str, config: Option<&SourceConfig>, figure: Option<&SourceFigure>, now: OffsetDateTime) -> Markup {
    let refused = if config.is_some() || name == API_SOURCE { state.telemetry.refused_of(name) } else { Vec::new() };
    html! {
        tr {
            th scope="row" { a href={ "/console/events?source=" (name) } { (name) } }
            td.number { (number(figure.map_or(0, |it| it.receipts))) }
            td { @match figure { Some(it) => (ago(it.last, now)), None => span.quiet { "nothing lately" } } }
            td {
                @if refused.is_empty() { span.quiet { "none" } }
                @for (why, count) in &refused { (badge(Tone::Watch, &format!("{} {}", number(*count), words(why.as_str())))) " " }
            }
            @match config {
                Some(it) => { td { (it.provider) } td { (it.list) } },
                None => { td { span.quiet { @if name == API_SOURCE { "handed in" } @else { "not configured now" } } } td {} },
            }
        }
    }
}

fn pipes(it: &Pipeline, now: OffsetDateTime) -> Markup {
    let (tone, broker) = match it.relay {
        RelayState::Off => (Tone::Plain, "none configured; the feeds are the same messages"),
        RelayState::Standby => (Tone::Good, "another replica publishes"),
        RelayState::Disconnected => (Tone::Bad, "away"),
        RelayState::Connected => (Tone::Good, "connected"),
    };
    html! {
        dl.facts {
            dt { "Broker" } dd { (badge(tone, it.relay.as_str())) " " (broker) }
            dt { "Outbox" }
            dd { (at_least(it.outbox.depth, OUTBOX_UP_TO, "message waits", "messages wait")) @if let Some(at) = it.outbox.oldest { ", the oldest for " (since(now - at)) } }
            dt { "Spool" }
            dd {
                @match it.spool {
                    None => "off",
                    Some(spool) if spool.entries == 0 => "empty",
                    Some(spool) => { (counted(spool.entries as u64, "receipt", "receipts")) @if let Some(age) = spool.oldest { ", the oldest for " (since(time::Duration::try_from(age).unwrap_or_default())) } }
                }
            }
            dt { "Database" }
            dd { @if it.database_away { (badge(Tone::Bad, "away")) } @else { (badge(Tone::Good, "there")) } }
        }
    }
}
