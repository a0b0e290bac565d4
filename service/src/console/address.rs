//! One address: what lists say of it, the whole story of how that came, and what a person may do about it.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use bounce::address::Address;
use bounce::policy::Cause;
use data_encoding::HEXLOWER_PERMISSIVE;
use maud::{Markup, html};
use time::OffsetDateTime;

use crate::console::elements::{Tone, badge, choice, done, empty, kind_badge, moment, number, octets, token_field, words};
use crate::console::events::quoted;
use crate::console::form::{Fields, Form};
use crate::console::page::{Page, Place, nothing, see};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::keys::Caller;
use crate::http::story::{ChapterView, StoryView};
use crate::http::suppressions::{self, Action, Lift, ManualEntry};
use crate::http::views::SuppressionView;
use crate::http::{Problem, ProblemKind, State, addresses, parameters};
use crate::store::{List, Scope, SubjectId};
use crate::telemetry::Erased;

/// Chapters of a story that a page tells, the newest.
const CHAPTERS: usize = 300;

/// The page where one asks for an address.
pub(super) async fn get_look_up(visit: Visit) -> Page {
    let content = html! {
        form.card method="post" action="/console/address" {
            (token_field(&visit))
            label for="address" { "Mail address, or @domain for the entry of a domain" }
            input #address type="text" name="address" required autocomplete="off" spellcheck="false";
            button.primary type="submit" { "Look up" }
        }
        p.quiet { "You will see what lists say of it, and everything that led to it." }
    };
    Page::new(&visit, Place::Address, "Addresses", &content)
}

/// Looks an address up. Where something is known of it, its page has a path of its own, in which its pseudonym stands.
pub(super) async fn post_look_up(state: web::Data<State>, visit: Visit, caller: Caller, form: Form) -> Result<HttpResponse, Problem> {
    let address = match parameters::entry(form.0.get("address").unwrap_or_default()) {
        Ok(it) => it,
        Err(error) => {
            let content = html! {
                p.wrong role="alert" { "That is no mail address: " (error) "." }
                p { a.button href="/console/address" { "Try another" } }
            };
            let page = Page::new(&visit, Place::Address, "Addresses", &content);
            return Ok(page.with(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY).answer());
        }
    };
    let story = tell(&state, &caller, &address).await?;
    if story.known == "known" {
        return Ok(see(&format!("/console/address/{}", story.subject_id)));
    }
    Ok(page(&state, &visit, &caller, &address, &story, None).await?.answer())
}

/// The page of an address by its pseudonym.
pub(super) async fn get_address(state: web::Data<State>, visit: Visit, caller: Caller, path: web::Path<String>) -> Result<Page, Problem> {
    let bytes = HEXLOWER_PERMISSIVE.decode(path.as_bytes()).map_err(|_| nothing("address"))?;
    let subject = SubjectId(bytes.try_into().map_err(|_| nothing("address"))?);
    let Some(address) = state.store.address_of(subject).await? else {
        // What others know of it, a key that is confined learns from nothing.
        if caller.confined_to().is_some() {
            return Err(nothing("address"));
        }
        // Of somebody erased only those learn that there is something who know the address.
        return Err(Problem::new(ProblemKind::NotFound, "there is no such address, or it was erased; look it up by itself"));
    };
    let address = parameters::entry(&address)?;
    let story = tell(&state, &caller, &address).await?;
    // A key that sees nothing of it does not learn whose pseudonym it is.
    if story.known == "never" { Err(nothing("address")) } else { page(&state, &visit, &caller, &address, &story, None).await }
}

async fn tell(state: &State, caller: &Caller, address: &Address) -> Result<StoryView, Problem> {
    Ok(StoryView::tell(&state.store, address, None, caller.confined_to(), state.clock.now()).await?)
}

/// Releases, blocks or allows an address on a list.
pub(super) async fn post_act(state: web::Data<State>, visit: Visit, caller: Caller, form: Form) -> Result<HttpResponse, Problem> {
    let Form(fields) = form;
    let address = parameters::entry(fields.require("address")?)?;
    let list = caller.list(&state.store, fields.require("list")?).await?;
    act(&state, &caller, &list, &address, &fields).await?;
    let story = tell(&state, &caller, &address).await?;
    let said = html! { "Done. What lists say of this address is up to date below." };
    Ok(page(&state, &visit, &caller, &address, &story, Some(&said)).await?.answer())
}

/// Does what the fields of a form say to an address on a list.
pub(super) async fn act(state: &State, caller: &Caller, list: &Arc<List>, address: &Address, fields: &Fields) -> Result<(), Problem> {
    let note = fields.get("note").map(str::to_owned);
    let entry = |action, overrides_consent| -> Result<ManualEntry, Problem> {
        Ok(ManualEntry { action, overrides_consent, expires_at: expiry(fields, state.clock.now())?, note: note.clone() })
    };
    match fields.require("act")? {
        "release" => suppressions::release(state, caller, list, address, Lift { cause: fields.word::<Cause>("cause")?, note }).await,
        "block" => suppressions::put(state, caller, list, address, entry(Action::Block, false)?).await,
        "allow" => suppressions::put(state, caller, list, address, entry(Action::Allow, false)?).await,
        "allow_consent" => suppressions::put(state, caller, list, address, entry(Action::Allow, true)?).await,
        _ => Err(Problem::new(ProblemKind::InvalidRequest, "that is nothing that can be done to an address")),
    }
}

/// The end of an entry, in days from now; for good where none are named.
fn expiry(fields: &Fields, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Problem> {
    let days: Option<u16> = fields.word("days")?;
    Ok(days.filter(|it| *it > 0).map(|it| now + time::Duration::days(it.into())))
}

/// Erases an address.
pub(super) async fn post_erase(state: web::Data<State>, visit: Visit, caller: Caller, form: Form) -> Result<Page, Problem> {
    let Form(fields) = form;
    let address = parameters::address(fields.require("address")?)?;
    if fields.get("sure") != Some("yes") {
        return Err(Problem::new(ProblemKind::InvalidRequest, "tick that you are sure; nothing was erased"));
    }
    let block = if fields.get("forget_block").is_some() { Erased::Forgotten } else { Erased::Kept };
    let erased = addresses::erase(&state, &caller, &address, block, None).await?;
    let content = html! {
        (done(&html! { "The address is erased." }))
        div.card {
            dl.facts {
                dt { "Was" } dd { (erased.known) }
                dt { "Its blocks" } dd { (erased.block) }
                dt { "Receipts without their bytes now" } dd { (erased.receipts + erased.unread) }
                dt { "Events scrubbed" } dd { (erased.events) }
            }
            @if erased.unread_next.is_some() {
                p.wrong role="alert" { "There are too many receipts that were not understood to search all at once; erase it again to go on." }
            }
        }
    };
    Ok(Page::new(&visit, Place::Address, "Erased", &content))
}

async fn page(
    state: &State,
    visit: &Visit,
    caller: &Caller,
    address: &Address,
    story: &StoryView,
    said: Option<&Markup>,
) -> Result<Page, Problem> {
    let lists: Vec<String> = state.store.lists().await?.iter().filter(|it| caller.reaches(it)).map(|it| it.name.clone()).collect();
    let holding: Vec<&SuppressionView> = story.causes.iter().filter(|it| it.holds).collect();
    let (allows, blocks): (Vec<_>, Vec<_>) = holding.iter().copied().partition(|it| it.cause == Cause::ManualAllow);
    let content = html! {
        @if let Some(said) = said { (done(said)) }
        div.card {
            p.lead.address { (shown(address.expose())) }
            p {
                @if !blocks.is_empty() { (badge(Tone::Bad, "suppressed")) " " (standing(&blocks)) }
                @if !allows.is_empty() { (badge(Tone::Good, "allowed")) " " (standing(&allows)) }
                @if holding.is_empty() && story.known != "never" { (badge(Tone::Good, "may be mailed")) " Nothing stands against it." }
                @if story.known == "never" { (badge(Tone::Plain, "unknown")) " Nothing was ever heard of it; it may be mailed." }
                @if story.known == "erased" { " " (badge(Tone::Watch, "erased")) " It is kept under its pseudonym alone." }
            }
            p.quiet { "Pseudonym " code { (story.subject_id) } }
        }
        @if !story.causes.is_empty() { (causes(visit, address, &story.causes)) }
        @if visit.may(Scope::Write) { (acts(visit, address, &lists)) }
        section aria-labelledby="story" { h2 #story { "The story" } (told(visit, story)) }
        @if visit.may(Scope::Admin) && caller.confined_to().is_none() && !address.is_domain_entry() { (erasure(visit, address)) }
    };
    Ok(Page::new(visit, Place::Address, "Address", &content))
}

fn standing(causes: &[&SuppressionView]) -> Markup {
    html! {
        @for (at, it) in causes.iter().enumerate() {
            @if at > 0 { "; " }
            strong { (words(it.cause.as_str())) }
            @if let Some(reason) = it.reason { " (" (words(reason.as_str())) ")" }
            " on " (it.list.as_deref().unwrap_or_default())
            @if let Some(at) = it.expires_at { ", until " (moment(at.0)) }
        }
        ". "
    }
}

fn causes(visit: &Visit, address: &Address, causes: &[SuppressionView]) -> Markup {
    html! {
        section.card aria-labelledby="causes" {
            h2 #causes { "What lists say" }
            div.scroll tabindex="0" role="group" aria-labelledby="causes" {
                table {
                    thead { tr {
                        th scope="col" { "Cause" } th scope="col" { "List" } th scope="col" { "State" }
                        @if visit.may(Scope::Write) { th scope="col" { span.hidden { "Release" } } }
                        th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Note" }
                    } }
                    tbody { @for it in causes { (cause(visit, address, it)) } }
                }
            }
        }
    }
}

fn cause(visit: &Visit, address: &Address, it: &SuppressionView) -> Markup {
    let list = it.list.as_deref().unwrap_or_default();
    html! {
        tr {
            th scope="row" { (words(it.cause.as_str())) @if let Some(reason) = it.reason { br; small { (words(reason.as_str())) } } }
            td { (list) }
            td {
                @match (it.holds, it.cause) {
                    (true, Cause::ManualAllow) => (badge(Tone::Good, "allows")),
                    (true, _) => (badge(Tone::Bad, "holds")),
                    (false, _) if it.released_at.is_some() => (badge(Tone::Plain, "released")),
                    _ => (badge(Tone::Plain, "expired")),
                }
                @if it.provisional { " " (badge(Tone::Watch, "provisional")) }
                @if it.overrides_consent { " " (badge(Tone::Watch, "overrides consent")) }
            }
            @if visit.may(Scope::Write) {
                td {
                    @if it.holds {
                        form method="post" action="/console/address/act" {
                            (token_field(visit))
                            input type="hidden" name="address" value=(address.expose());
                            input type="hidden" name="list" value=(list);
                            input type="hidden" name="cause" value=(it.cause);
                            button type="submit" name="act" value="release" aria-label={ "Release " (words(it.cause.as_str())) " on " (list) } { "Release" }
                        }
                    }
                }
            }
            td.nowrap { (moment(it.since.0)) }
            td.nowrap { @match (it.released_at, it.expires_at) { (Some(at), _) | (None, Some(at)) => (moment(at.0)), (None, None) => "for good" } }
            td { @if let Some(note) = &it.note { (shown(note)) } }
        }
    }
}

fn acts(visit: &Visit, address: &Address, lists: &[String]) -> Markup {
    html! {
        details.card {
            summary { "Block, allow or release" }
            form.fields method="post" action="/console/address/act" {
                (token_field(visit))
                input type="hidden" name="address" value=(address.expose());
                label { "List" select name="list" required { @for it in lists { option { (it) } } } }
                label { "Note" input type="text" name="note" maxlength="2000" placeholder="why, for whoever asks later"; }
                label { "Days (empty: for good)" input type="number" name="days" min="1" max="3650" inputmode="numeric"; }
                (choice("cause", "Release only", "every cause that may be", Cause::ALL.iter().map(|it| it.as_str()), &Fields::default()))
                div.actions {
                    button type="submit" name="act" value="block" { "Block" }
                    button type="submit" name="act" value="allow" { "Allow" }
                    button type="submit" name="act" value="release" { "Release" }
                    @if visit.may(Scope::Admin) { button type="submit" name="act" value="allow_consent" { "Allow against complaint and unsubscribe" } }
                }
            }
        }
    }
}

fn told(visit: &Visit, story: &StoryView) -> Markup {
    html! {
        @if story.story.is_empty() {
            (empty("Nothing happened yet.", &html! { "Bounces, complaints, releases and imports about this address will stand here." }))
        } @else {
            ol.story { @for it in story.story.iter().rev().take(CHAPTERS) { (chapter(visit, it)) } }
            @if story.story.len() > CHAPTERS {
                p.quiet { "The newest " (CHAPTERS) " of " (number(story.story.len() as u64)) " things that happened. " code { "rebound why" } " and the API tell all." }
            }
        }
    }
}

fn chapter(visit: &Visit, it: &ChapterView) -> Markup {
    let tone = match it.effect.as_ref().map(|it| it.effect) {
        Some("put") => Tone::Bad,
        Some("lifted") => Tone::Good,
        Some("strike") => Tone::Watch,
        _ => Tone::Plain,
    };
    html! {
        li class=(tone.class()) {
            div.when { (moment(it.at.0)) " " (badge(Tone::Plain, it.what)) @if let Some(list) = &it.list { " " span.quiet { (list) } } }
            (happening(it))
            @if let Some(text) = it.event.as_ref().and_then(|it| it.diagnostic.as_ref()) { (quoted("The receiver said", text)) }
            @if let Some(effect) = &it.effect { p.effect { (badge(tone, effect_word(effect.effect))) " " (shown(&effect.summary)) } }
            p.links {
                @if let Some(event) = &it.event { a href={ "/console/events/" (event.event_id) } { "Event" } " " }
                @if let Some(receipt) = it.receipt.as_ref().filter(|_| visit.may(Scope::Admin)) {
                    a href={ "/console/receipts/" (receipt.receipt_id) "/raw" } { "Raw message" }
                }
            }
        }
    }
}

/// What happened, in a line.
fn happening(it: &ChapterView) -> Markup {
    html! {
        p {
            @if let Some(event) = &it.event {
                (kind_badge(event.kind, event.bounce_type)) " "
                @if let Some(reason) = event.reason { strong { (words(reason.as_str())) } " " }
                @if let Some(code) = event.reply { (code) " " }
                @if let Some(status) = &event.status { (status) " " }
                span.quiet { "by " (event.source) ", " (event.attribution) ", judged by " code { (event.rule) } }
            } @else if let Some(receipt) = &it.receipt {
                (shown(&receipt.media_type)) " of " (octets(receipt.size)) " from " (receipt.source) ", " (receipt.attribution) ", " (receipt.state)
            } @else {
                (shown(&it.summary))
            }
        }
    }
}

/// What a fact led to, in a word.
fn effect_word(effect: &'static str) -> &'static str {
    match effect {
        "put" => "blocks",
        "stands" => "no change",
        "lifted" => "lifts",
        other => other,
    }
}

fn erasure(visit: &Visit, address: &Address) -> Markup {
    html! {
        details.card.danger {
            summary { "Erase this address" }
            p { "Its plain form, the raw bytes of everything that told of it, and its mention in every text go. What lists say stays under its pseudonym, so that it is not mailed again. This cannot be undone." }
            form.fields method="post" action="/console/address/erase" {
                (token_field(visit))
                input type="hidden" name="address" value=(address.expose());
                label.check { input type="checkbox" name="forget_block" value="yes"; " Forget its blocks too; then it may be mailed again" }
                label.check { input type="checkbox" name="sure" value="yes" required; " I am sure" }
                div.actions { button.danger type="submit" { "Erase" } }
            }
        }
    }
}
