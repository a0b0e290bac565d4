//! What was recorded: events with filters, the newest first, and one event with everything that is known of it.

use actix_web::web;
use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use maud::{Markup, Render, html};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::console::elements::{Tone, address_link, badge, choice, empty, kind_badge, moment, words};
use crate::console::form::{Asked, Fields};
use crate::console::numbers::{Span, visible};
use crate::console::overview::fault_badge;
use crate::console::page::{Page, Place, nothing};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::codes::MeaningView;
use crate::http::keys::Caller;
use crate::http::views::Names;
use crate::http::{Problem, State};
use crate::store::{Event, EventFilter, EventId, EventPage, Scope, Visible, Who};

/// Events on one page.
const ON_A_PAGE: u64 = 50;

/// Events that fit.
pub(super) async fn get_events(state: web::Data<State>, visit: Visit, caller: Caller, asked: Asked) -> Result<Page, Problem> {
    let Asked(fields) = asked;
    let filter = filter(&fields, state.clock.now())?;
    let seen = match fields.get("list") {
        Some(name) => Visible::Below(caller.list(&state.store, name).await?),
        None => visible(&caller),
    };
    let page = state.store.browse_events(&filter, &seen, ON_A_PAGE).await?;
    let names = Names::look_up(&state.store, page.items.iter().map(|it| it.0.list)).await?;
    let lists: Vec<String> = state.store.lists().await?.iter().filter(|it| caller.reaches(it)).map(|it| it.name.clone()).collect();
    let content = html! {
        (filters(&state, &caller, &fields, &lists))
        (table(&page, &names))
        (pages(&page, &filter, &fields))
    };
    Ok(Page::new(&visit, Place::Events, "Events", &content))
}

fn filter(fields: &Fields, now: OffsetDateTime) -> Result<EventFilter, Problem> {
    let domain = fields.get("domain").map(|it| Address::parse_entry(&format!("@{}", it.trim_start_matches('@'))));
    let since = |span: Span| span.window(now).since;
    Ok(EventFilter {
        kind: fields.word("kind")?,
        bounce_type: fields.word("bounce_type")?,
        reason: fields.word("reason")?,
        source: fields.get("source").map(str::to_owned),
        domain: domain.transpose()?.map(|it| it.domain().to_owned()),
        attribution: fields.word("attribution")?,
        since: fields.word("span")?.map(since),
        before: fields.word::<Uuid>("before")?.map(EventId),
    })
}

fn filters(state: &State, caller: &Caller, fields: &Fields, lists: &[String]) -> Markup {
    let sources = state.config.sources.iter().map(|it| it.name.as_str()).chain([crate::config::API_SOURCE]);
    html! {
        form.filters method="get" action="/console/events" role="search" aria-label="Filter events" {
            (choice("kind", "Kind", "any", Kind::ALL.iter().map(|it| it.as_str()), fields))
            (choice("bounce_type", "Type", "any", BounceType::ALL.iter().map(|it| it.as_str()), fields))
            (choice("reason", "Reason", "any", Reason::ALL.iter().map(|it| it.as_str()), fields))
            label { "List"
                select name="list" {
                    option value="" { "any" }
                    @for it in lists { option value=(it) selected[fields.get("list") == Some(it)] { (it) } }
                }
            }
            @if caller.confined_to().is_none() {
                label { "Source"
                    select name="source" {
                        option value="" { "any" }
                        @for it in sources { option value=(it) selected[fields.get("source") == Some(it)] { (it) } }
                    }
                }
            }
            label { "Receiver" input type="text" name="domain" value=[fields.get("domain")] placeholder="example.org" spellcheck="false"; }
            (choice("attribution", "Attribution", "any", Attribution::ALL.iter().map(|it| it.as_str()), fields))
            (choice("span", "Time", "any", Span::ALL.iter().map(|it| it.as_str()), fields))
            div.actions { button.primary type="submit" { "Filter" } a.button href="/console/events" { "Clear" } }
        }
    }
}

fn table(page: &EventPage, names: &Names) -> Markup {
    html! {
        @if page.items.is_empty() {
            (empty("No event fits.", &html! {
                @if page.next.is_some() { "Nothing among the newest; go on below to look further back." }
                @else { "Clear the filter, or hand a bounce in: " code { "POST /v1/messages" } ". " a href="/docs" { "The API" } " tells how." }
            }))
        } @else {
            div.card.scroll tabindex="0" role="group" aria-label="Events" {
                table.events {
                    thead { tr {
                        th scope="col" { "Received" } th scope="col" { "What" } th scope="col" { "Address" } th scope="col" { "Reason" }
                        th scope="col" { "Codes" } th scope="col" { "List" } th scope="col" { "Source" }
                    } }
                    tbody { @for (event, who) in &page.items { (row(event, who, names)) } }
                }
            }
        }
    }
}

fn row(event: &Event, who: &Who, names: &Names) -> Markup {
    let said = &event.testimony;
    html! {
        tr {
            td.nowrap { a href={ "/console/events/" (event.id) } { (moment(event.received_at)) } }
            td.nowrap { (kind_badge(said.kind, said.bounce_type)) }
            td { (address_link(who.address.as_deref(), &event.subject.to_string())) }
            td { @match said.reason { Some(it) => (words(it.as_str())), None => span.quiet { "–" } } }
            td.nowrap.codes { (codes(event)) }
            td { (names.of(event.list).unwrap_or_default()) }
            td { (event.source) }
        }
    }
}

fn codes(event: &Event) -> Markup {
    let said = &event.testimony;
    html! {
        @if let Some(it) = said.reply { (it.code()) " " }
        @if let Some(it) = said.status { (it) }
    }
}

fn pages(page: &EventPage, filter: &EventFilter, fields: &Fields) -> Markup {
    html! {
        nav.pages aria-label="Pages" {
            @if filter.before.is_some() { a.button href={ "/console/events?" (fields.with("before", "")) } { "Newest" } }
            @if let Some(next) = page.next { a.button href={ "/console/events?" (fields.with("before", &next.to_string())) } rel="next" { "Older" } }
        }
    }
}

/// One event with everything that is known of it.
pub(super) async fn get_event(state: web::Data<State>, visit: Visit, caller: Caller, path: web::Path<String>) -> Result<Page, Problem> {
    let id = Uuid::try_parse(&path).map_err(|_| nothing("event"))?;
    let (event, who) = state.store.event(EventId(id)).await?.ok_or_else(|| nothing("event"))?;
    let list = state.store.list_by_id(event.list).await?;
    if !caller.reaches(&list) {
        return Err(nothing("event"));
    }
    let content = html! {
        div.card {
            p.lead { (kind_badge(event.testimony.kind, event.testimony.bounce_type)) " " (address_link(who.address.as_deref(), &event.subject.to_string())) }
            @if let Some(text) = &event.testimony.diagnostic { (quoted("What the receiver said", text)) }
            (facts(&event, &list.name))
        }
        @if let Some(reason) = event.testimony.reason { (meaning(reason)) }
        div.actions {
            @if visit.may(Scope::Admin) { a.button href={ "/console/receipts/" (event.receipt) "/raw" } { "Download the raw message" } }
        }
    };
    Ok(Page::new(&visit, Place::Events, "Event", &content))
}

/// Words of others, as they were said.
pub(super) fn quoted(title: impl Render, text: &str) -> Markup {
    html! { figure.quote { figcaption { (title) } pre tabindex="0" { (shown(text)) } } }
}

fn facts(event: &Event, list: &str) -> Markup {
    let said = &event.testimony;
    let tone = if event.attribution == Attribution::Unattributed { Tone::Watch } else { Tone::Good };
    let lines: [(&str, Option<&str>); 5] = [
        ("Reporting host", said.reporting_mta.as_deref()),
        ("Receiving host", said.remote_mta.as_deref()),
        ("Message-ID", said.message_id.as_deref()),
        ("Provider's id", said.provider_event_id.as_deref()),
        ("Feedback", said.feedback_type.map(bounce::kind::FeedbackType::as_str)),
    ];
    html! {
        dl.facts {
            dt { "Happened" } dd { (moment(event.occurred_at)) }
            dt { "Received" } dd { (moment(event.received_at)) " from " (event.source) }
            dt { "List" } dd { a href={ "/console/lists/" (list) } { (list) } }
            @if let Some(it) = said.reason { dt { "Reason" } dd { (words(it.as_str())) " " (fault_badge(it.fault())) } }
            dt { "Codes" } dd { @if said.reply.is_none() && said.status.is_none() { "none" } (codes(event)) @if let Some(it) = said.stage { " at " (it) } }
            dt { "Judged by" } dd { code { (said.rule) } " (rules " (said.rules_version) ")" }
            dt { "Attribution" } dd { (badge(tone, event.attribution.as_str())) " weighs " (words(event.weight.as_str())) }
            @for (name, value) in lines { @if let Some(value) = value { dt { (name) } dd { (shown(value)) } } }
            dt { "Event" } dd { code { (event.id) } }
        }
    }
}

/// What a reason means and what to do.
pub(super) fn meaning(reason: Reason) -> Markup {
    let it = MeaningView::of(reason);
    html! {
        section.card aria-labelledby="meaning" {
            h2 #meaning { "What it means" }
            p { (it.explanation) }
            dl.facts {
                dt { "Who has to act" } dd { (it.who) }
                dt { "What to do" } dd { (it.advice) }
                dt { "Trying again" } dd { (it.retry) }
            }
        }
    }
}
