//! What stands on a list, page by page, and what a person adds to it or takes from it.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use maud::{Markup, html};
use time::OffsetDateTime;

use crate::console::address::act;
use crate::console::elements::{Tone, address_link, badge, choice, day, done, empty, number, token_field, words};
use crate::console::form::{Asked, Fields, Form};
use crate::console::page::{Page, Place, see};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::keys::Caller;
use crate::http::views::Names;
use crate::http::{Problem, State, parameters, suppressions};
use crate::listing::Format;
use crate::store::{BadCursor, ENTRIES_LOOKED_AT, List, Scope, StandingFilter, StandingPage, StandingPlace, StandingRow, Whence};

/// Entries on one page.
const ON_A_PAGE: u64 = 50;

/// What stands on a list, and above it.
pub(super) async fn get_entries(
    state: web::Data<State>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
    asked: Asked,
) -> Result<Page, Problem> {
    let list = caller.list(&state.store, &path).await?;
    page(&state, &visit, &list, &asked.0, None).await
}

async fn page(state: &State, visit: &Visit, list: &Arc<List>, fields: &Fields, said: Option<&Markup>) -> Result<Page, Problem> {
    let whence = if fields.get("own").is_some() { Whence::Own } else { Whence::Lineage };
    let holds = if fields.get("all").is_some() { None } else { Some(true) };
    let filter = StandingFilter { cause: fields.word("cause")?, reason: fields.word("reason")?, holds, provisional: None, whence };
    let after = fields.get("after").map(str::parse::<StandingPlace>).transpose()?;
    if after.is_some_and(|it| !filter.reads(list, it)) {
        return Err(BadCursor.into());
    }
    let now = state.clock.now();
    let found = state.store.browse_standing(list, filter, after, ON_A_PAGE, now).await?;
    let names = Names::look_up(&state.store, found.items.iter().map(|it| it.suppression.list)).await?;
    let here = format!("/console/lists/{}", list.name);
    let content = html! {
        @if let Some(said) = said { (done(said)) }
        div.actions {
            @for format in [Format::Csv, Format::Ndjson] { a.button href={ (here) "/export?format=" (format) } { "Export " (format.as_str().to_uppercase()) } }
            @if visit.may(Scope::Write) { a.button href={ (here) "/import" } { "Import" } }
            a.button href={ "/console/imports?list=" (list.name) } { "Its imports" }
        }
        @if visit.may(Scope::Write) { (adding(visit, &here)) }
        (search(visit, &here, fields))
        (table(&found, &names, now))
        nav.pages aria-label="Pages" {
            @if after.is_some() { a.button href={ (here) "?" (fields.with("after", "")) } { "First" } }
            @if let Some(next) = found.next { a.button href={ (here) "?" (fields.with("after", &next.to_string())) } rel="next" { "Next" } }
        }
    };
    Ok(Page::new(visit, Place::Lists, &list.name, &content))
}

fn adding(visit: &Visit, here: &str) -> Markup {
    html! {
        details.card {
            summary { "Add or take away an address" }
            form.fields method="post" action={ (here) "/add" } {
                (token_field(visit))
                label { "Address, or @domain" input type="text" name="address" required autocomplete="off" spellcheck="false"; }
                label { "Note" input type="text" name="note" maxlength="2000" placeholder="why, for whoever asks later"; }
                label { "Days (empty: for good)" input type="number" name="days" min="1" max="3650" inputmode="numeric"; }
                div.actions {
                    button type="submit" name="act" value="block" { "Block" }
                    button type="submit" name="act" value="allow" { "Allow" }
                    button type="submit" name="act" value="release" formaction={ (here) "/remove" } { "Take away" }
                }
            }
        }
    }
}

fn search(visit: &Visit, here: &str, fields: &Fields) -> Markup {
    html! {
        form.filters method="post" action="/console/address" role="search" aria-label="Find an address" {
            (token_field(visit))
            label { "Find an address" input type="text" name="address" required autocomplete="off" spellcheck="false"; }
            div.actions { button type="submit" { "Find" } }
        }
        form.filters method="get" action=(here) aria-label="Filter entries" {
            (choice("cause", "Cause", "any", Cause::ALL.iter().map(|it| it.as_str()), fields))
            (choice("reason", "Reason", "any", Reason::ALL.iter().map(|it| it.as_str()), fields))
            label.check { input type="checkbox" name="own" value="yes" checked[fields.get("own").is_some()]; " this list alone" }
            label.check { input type="checkbox" name="all" value="yes" checked[fields.get("all").is_some()]; " what is over, too" }
            div.actions { button.primary type="submit" { "Filter" } a.button href=(here) { "Clear" } }
        }
    }
}

fn table(found: &StandingPage, names: &Names, now: OffsetDateTime) -> Markup {
    html! {
        @if found.items.is_empty() && found.next.is_some() {
            (empty("Nothing here fits so far.", &html! { "One page looks through " (number(ENTRIES_LOOKED_AT)) " entries; \"Next\" goes on below." }))
        } @else if found.items.is_empty() {
            (empty("Nothing stands here.", &html! { "Entries come from bounces and complaints by themselves; or add an address, or import a list." }))
        } @else {
            div.card.scroll tabindex="0" role="group" aria-label="Entries" {
                table {
                    thead { tr {
                        th scope="col" { "Address" } th scope="col" { "Cause" } th scope="col" { "State" } th scope="col" { "On" }
                        th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Note" }
                    } }
                    tbody { @for it in &found.items { (row(it, names, now)) } }
                }
            }
        }
    }
}

fn row(row: &StandingRow, names: &Names, now: OffsetDateTime) -> Markup {
    let it = &row.suppression;
    html! {
        tr {
            th scope="row" { (address_link(row.address.as_deref(), &row.subject.to_string())) }
            td.nowrap { (words(it.cause.as_str())) @if let Some(reason) = it.reason { br; small { (words(reason.as_str())) } } }
            td {
                @match (it.holds_at(now), it.cause) {
                    (true, Cause::ManualAllow) => (badge(Tone::Good, "allows")),
                    (true, _) => (badge(Tone::Bad, "blocks")),
                    (false, _) => (badge(Tone::Plain, "over")),
                }
                @if it.provisional { " " (badge(Tone::Watch, "provisional")) }
            }
            td { (names.of(it.list).unwrap_or_default()) }
            td.nowrap { (day(it.since)) }
            td.nowrap { @match (it.released_at, it.expires_at) { (Some(at), _) | (None, Some(at)) => (day(at)), (None, None) => "for good" } }
            td { @if let Some(note) = &it.note { (shown(note)) } }
        }
    }
}

/// Adds an address to a list, by a person's word.
pub(super) async fn post_add(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    form: Form,
) -> Result<HttpResponse, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let address = parameters::entry(form.0.require("address")?)?;
    act(&state, &caller, &list, &address, &form.0).await?;
    Ok(see(&format!(
        "/console/lists/{}?cause={}&own=yes",
        list.name,
        if form.0.get("act") == Some("allow") { "manual_allow" } else { "manual_block" }
    )))
}

/// Takes an address from a list: lifts whatever may be lifted.
pub(super) async fn post_remove(
    state: web::Data<State>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
    form: Form,
) -> Result<Page, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let address = parameters::entry(form.0.require("address")?)?;
    act(&state, &caller, &list, &address, &form.0).await?;
    let standing = suppressions::standing(&state, &list, &address).await?;
    let said = html! {
        (shown(address.expose())) ": "
        @if standing.suppressed { "lifted what stood here; something else still blocks it." } @else { "it may be mailed again." }
    };
    page(&state, &visit, &list, &Fields::default(), Some(&said)).await
}
