//! What was not understood and what the broker did not take, to be tried again.

use actix_web::web;
use maud::{Markup, html};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::console::elements::{Tone, ago, at_least, badge, counted, done, empty, moment, number, octets, token_field};
use crate::console::form::{Asked, Form};
use crate::console::numbers::visible;
use crate::console::page::{Page, Place};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::addresses::unconfined;
use crate::http::keys::Caller;
use crate::http::{Problem, ProblemKind, State};
use crate::intake::{Chosen as ChosenReceipts, Reprocess, Summary};
use crate::store::{Chosen, OUTBOX_UP_TO, ReceiptId, ReceiptState, Scope, Selection, UnreadReceipt, Waiting};

const ON_A_PAGE: u64 = 50;
const STATES: [ReceiptState; 2] = [ReceiptState::Quarantined, ReceiptState::Unrecognised];

/// What waits to be understood or published.
pub(super) async fn get_quarantine(state: web::Data<State>, visit: Visit, caller: Caller, asked: Asked) -> Result<Page, Problem> {
    let before = asked.0.word::<Uuid>("before")?.map(ReceiptId);
    page(&state, &visit, &caller, before, None).await
}

async fn page(state: &State, visit: &Visit, caller: &Caller, before: Option<ReceiptId>, said: Option<&Markup>) -> Result<Page, Problem> {
    let found = state.store.unread_receipts(&STATES, &visible(caller), before, ON_A_PAGE).await?;
    let next = found.last().filter(|_| found.len() as u64 == ON_A_PAGE).map(|it| it.id);
    let outbox = match caller.confined_to() {
        None => Some((state.store.outbox_glance().await?.depth, state.store.outbox_refusals(ON_A_PAGE).await?)),
        Some(_) => None,
    };
    let now = state.clock.now();
    let content = html! {
        @if let Some(said) = said { (done(said)) }
        section aria-labelledby="receipts" {
            h2 #receipts { "Receipts" }
            p { "What came in and could not be read. Nothing of it is lost: when the rules or the reader have learned it, read it again." }
            (receipts(visit, caller, &found))
            nav.pages aria-label="Pages" { @if let Some(next) = next { a.button href={ "/console/quarantine?before=" (next) } rel="next" { "Older" } } }
        }
        @if let Some((waiting, refused)) = &outbox {
            section aria-labelledby="outbox" { h2 #outbox { "Outbox" } (messages(visit, *waiting, refused, now)) }
        }
    };
    Ok(Page::new(visit, Place::Quarantine, "Quarantine", &content))
}

/// Whether somebody may have receipts read again, which reaches every list that tells of the same addresses.
fn may_retry(visit: &Visit, caller: &Caller) -> bool {
    visit.may(Scope::Write) && caller.confined_to().is_none()
}

fn receipts(visit: &Visit, caller: &Caller, found: &[UnreadReceipt]) -> Markup {
    let may_retry = may_retry(visit, caller);
    html! {
        @if found.is_empty() {
            (empty("Nothing is in quarantine.", &html! { "Everything that came in was understood." }))
        } @else {
            form method="post" action="/console/quarantine/retry" {
                (token_field(visit))
                div.card.scroll tabindex="0" role="group" aria-label="Receipts" {
                    table {
                        thead { tr {
                            @if may_retry { th scope="col" { span.hidden { "Choose" } } }
                            th scope="col" { "Received" } th scope="col" { "State" } th scope="col" { "Why" } th scope="col" { "Source" }
                            th scope="col" { "List" } th scope="col" { "What" } th.number scope="col" { "Size" }
                            @if visit.may(Scope::Admin) { th scope="col" { span.hidden { "Raw message" } } }
                        } }
                        tbody { @for it in found { (receipt(visit, caller, it)) } }
                    }
                }
                @if may_retry { div.actions { button.primary type="submit" { "Read the chosen ones again" } } }
            }
        }
    }
}

fn receipt(visit: &Visit, caller: &Caller, it: &UnreadReceipt) -> Markup {
    let tone = if it.state == ReceiptState::Quarantined { Tone::Bad } else { Tone::Watch };
    html! {
        tr {
            @if may_retry(visit, caller) { td { input type="checkbox" name="receipt" value=(it.id) aria-label={ "Receipt " (it.id) } checked; } }
            td.nowrap { (moment(it.received_at)) }
            td { (badge(tone, it.state.as_str())) }
            td { @match &it.error { Some(why) => (shown(why)), None => span.quiet { "it reports no failure" } } }
            td { (it.source) }
            td { (it.list.name) }
            td { (shown(&it.media_type)) }
            td.number { (octets(it.size)) }
            @if visit.may(Scope::Admin) { td { a href={ "/console/receipts/" (it.id) "/raw" } { "Raw" } } }
        }
    }
}

fn messages(visit: &Visit, waiting: u64, refused: &[Waiting], now: OffsetDateTime) -> Markup {
    html! {
        p { (at_least(waiting, OUTBOX_UP_TO, "message waits", "messages wait")) " for the broker." }
        @if refused.is_empty() {
            (empty(if waiting < OUTBOX_UP_TO { "The broker refused none of them." } else { "The broker refused none of the oldest." }, &html! { "A message that comes back or is not confirmed stands here with what the broker said." }))
        } @else {
            div.card.scroll tabindex="0" role="group" aria-label="Refused messages" {
                table {
                    thead { tr { th scope="col" { "Written" } th scope="col" { "Type" } th scope="col" { "Routing key" } th.number scope="col" { "Attempts" } th scope="col" { "What the broker said" } } }
                    tbody { @for it in refused {
                        tr {
                            td.nowrap { (ago(it.created_at, now)) }
                            td { (it.message_type) }
                            td { code { (shown(&it.routing_key)) } }
                            td.number { (it.attempts) }
                            td { @if let Some(error) = &it.last_error { (shown(error)) } }
                        }
                    } }
                }
            }
            @if visit.may(Scope::Write) {
                form method="post" action="/console/outbox/retry" { (token_field(visit)) button.primary type="submit" { "Try all of them again now" } }
            }
        }
    }
}

/// Reads chosen receipts again, by the rules and the reader of now.
pub(super) async fn post_retry(state: web::Data<State>, visit: Visit, caller: Caller, form: Form) -> Result<Page, Problem> {
    unconfined(&caller)?;
    let wrong = |_| Problem::new(ProblemKind::InvalidRequest, "that is no receipt");
    let only: Vec<ReceiptId> =
        form.0.all("receipt").map(|it| Uuid::try_parse(it).map(ReceiptId)).collect::<Result<_, _>>().map_err(wrong)?;
    if only.is_empty() || only.len() as u64 > ON_A_PAGE {
        return Err(Problem::new(ProblemKind::InvalidRequest, format!("choose between 1 and {ON_A_PAGE} receipts")));
    }
    let reprocess = Reprocess {
        store: state.store.clone(),
        sources: state.sources.clone(),
        rules: state.rules.now(),
        max_fact_age: state.config.intake.max_fact_age,
        clock: state.clock.clone(),
    };
    let which = Selection { only, states: STATES.to_vec(), ..Selection::default() };
    let chosen = ChosenReceipts::all(which, caller.name());
    // To its end even if whoever asked goes away: each batch commits as a whole.
    let reading = tokio::spawn(async move { reprocess.apply(&chosen, |_| ()).await });
    let summary: Summary = reading.await.map_err(Problem::internal)??;
    state.nudge.notify_one();
    let said = html! {
        "Read again: " (number(summary.read as u64)) " understood, " (number((summary.other_state + summary.failed) as u64)) " in another state or failed. "
        (counted(summary.new as u64, "new event", "new events")) ", " (summary.changed) " changed."
    };
    page(&state, &visit, &caller, None, Some(&said)).await
}

/// Has the relay try at once what the broker did not take.
pub(super) async fn post_outbox_retry(state: web::Data<State>, visit: Visit, caller: Caller, _form: Form) -> Result<Page, Problem> {
    unconfined(&caller)?;
    let hurried = state.store.outbox_retry(&Chosen::Refused(1)).await?;
    state.nudge.notify_one();
    let said = html! { (counted(hurried, "message", "messages")) " will be tried again at once." };
    page(&state, &visit, &caller, None, Some(&said)).await
}
