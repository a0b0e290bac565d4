//! Everything about one address: what happened, what lists say, and why; and its erasure.

use std::sync::Arc;
use std::time::Instant;

use actix_web::web;
use bounce::address::Address;
use bounce::classify::meaning;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params, limit};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::AddressText;
use crate::http::story::known_word;
use crate::http::views::{ChangeView, EventView, Names, SuppressionView};
use crate::store::{Erasing, ErasureRequest, Known, List, ListId, ReceiptId, SubjectHistory};
use crate::telemetry::Erased;

/// How much of a history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMuch {
    /// Most events and most changes, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
}

/// The history of an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "address": "jane@example.org", "known": "known",
    "suppressions": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "provisional": false,
        "since": "2026-11-22T10:00:00Z", "event_id": "0199c0de-7a11-7000-8000-000000000002"}],
    "events": [{"event_id": "0199c0de-7a11-7000-8000-000000000002", "kind": "bounce", "bounce_type": "hard", "reason": "user_unknown",
        "status": "5.1.1", "reply": 550, "rule": "gmail.no_such_user", "explanation": "The local part does not exist.",
        "advice": "Remove the address."}],
    "changes": [{"change": "added", "list": "acme", "cause": "hard", "actor": "ses-prod"}]
}))]
pub(super) struct History {
    /// The address as lists know it.
    address: String,
    /// `never` heard of, `known`, or `erased`.
    #[schema(example = "known")]
    known: &'static str,
    /// What lists say of it, lifted and expired causes included.
    suppressions: Vec<SuppressionView>,
    /// What happened, newest first.
    events: Vec<Explained>,
    /// What lists said since when, and what people did; newest first.
    changes: Vec<ChangeView>,
}

/// An event and what it means.
#[derive(Debug, Serialize, ToSchema)]
struct Explained {
    #[serde(flatten)]
    event: EventView,
    /// What the reason means.
    explanation: Option<&'static str>,
    /// What to do about it.
    advice: Option<&'static str>,
}

/// Tells the history of an address, or of the entry of a domain, and why it stands where it stands.
///
/// A key that is confined to a list sees what happened on that list and below, and what blocks there.
#[utoipa::path(get, path = "/v1/addresses/{address}", tag = "addresses", security(("bearer" = ["read"])),
    params(("address" = AddressText, Path, example = "jane@example.org"), HowMuch),
    responses(
        (status = 200, description = "what is known", body = History),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_address(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    asked: Params<HowMuch>,
) -> Result<web::Json<History>, Problem> {
    let address = parameters::entry(&path)?;
    let mut history = state.store.history(&address, limit(asked.0.limit)?).await?;
    if let Some(list) = caller.confined_to() {
        confine(&state, list, &mut history).await?;
    }
    Ok(web::Json(view(&state, address.expose(), history).await?))
}

/// Leaves what a key confined to a list may see: what was said there and below, and what blocks there.
async fn confine(state: &State, own: &Arc<List>, history: &mut SubjectHistory) -> Result<(), Problem> {
    let below: Vec<ListId> = state.store.lists().await?.iter().filter(|it| it.lineage.contains(&own.id)).map(|it| it.id).collect();
    let blocks = |it: &ListId| below.contains(it) || own.lineage.contains(it);
    history.events.retain(|it| below.contains(&it.list));
    history.suppressions.retain(|it| blocks(&it.list));
    history.changes.retain(|it| blocks(&it.list));
    if history.events.is_empty() && history.suppressions.is_empty() && history.changes.is_empty() {
        // Nor may it learn that others have heard of the address.
        history.known = Known::Never;
    }
    Ok(())
}

async fn view(state: &State, address: &str, history: SubjectHistory) -> Result<History, Problem> {
    let SubjectHistory { known, events, suppressions, changes } = history;
    let lists = events.iter().map(|it| it.list).chain(suppressions.iter().map(|it| it.list)).chain(changes.iter().map(|it| it.list));
    let names = Names::look_up(&state.store, lists).await?;
    let (now, recipient) = (state.clock.now(), || Some(address.to_owned()));
    let explained = |event: crate::store::Event| {
        let meaning = event.testimony.reason.map(meaning::of);
        let (explanation, advice) = (meaning.map(|it| it.explanation.as_str()), meaning.map(|it| it.advice.as_str()));
        Explained { event: EventView::new(event, recipient(), &names), explanation, advice }
    };
    Ok(History {
        address: address.to_owned(),
        known: known_word(known),
        suppressions: suppressions.into_iter().map(|it| SuppressionView::new(it, &names, now)).collect(),
        events: events.into_iter().map(explained).collect(),
        changes: changes.into_iter().map(|it| ChangeView::new(it, recipient(), &names)).collect(),
    })
}

const fn word(known: Known) -> &'static str {
    match known {
        Known::Never => "never",
        Known::Known => "known",
        Known::Erased => "erased",
    }
}

/// How to erase.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Whether what lists say goes too; then the address may be mailed again. If false, which is the default, a check answers
    /// as before.
    #[serde(default)]
    #[param(example = false)]
    forget_block: bool,
    /// Where to go on searching what was not understood: `unread_next` of the answer before.
    #[param(value_type = Option<Uuid>, example = "0199c0de-7a11-7000-8000-000000000001")]
    unread_after: Option<Uuid>,
}

/// What an erasure did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "known": "known", "block": "kept", "receipts": 2, "events": 1, "notes": 0, "messages": 0,
    "unread": 0, "unread_next": null,
    "standing": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "provisional": false,
        "since": "2026-11-22T10:00:00Z", "event_id": "0199c0de-7a11-7000-8000-000000000002"}]
}))]
pub(crate) struct ErasureView {
    /// Whether the address was `known` before, `erased` already, or `never` heard of.
    #[schema(example = "known")]
    pub(crate) known: &'static str,
    /// What became of its blocks: `kept` or `forgotten`.
    #[schema(example = "kept")]
    pub(crate) block: &'static str,
    /// Receipts whose raw bytes were removed.
    pub(crate) receipts: usize,
    /// Events that quoted the address and do not any more; with `forget_block`, all that were removed.
    pub(crate) events: usize,
    /// Notes of people that quoted it; with `forget_block`, changes and acts that were removed.
    pub(crate) notes: usize,
    /// Messages waiting for the broker that were scrubbed; with `forget_block`, dropped.
    pub(crate) messages: usize,
    /// Receipts that were not understood and named the address, and lost their raw bytes.
    pub(crate) unread: usize,
    /// Where to go on, because there are too many of such receipts for one request: ask the same again with `unread_after`. Null
    /// when all were searched.
    pub(crate) unread_next: Option<Uuid>,
    /// What blocked the address, and goes on to do so unless `forget_block` was set.
    pub(crate) standing: Vec<SuppressionView>,
}

/// Erases an address: its plain form, the raw bytes of everything that told of it, and its mention in every text.
///
/// What lists say stays under a pseudonym, so that a check answers as before, unless `forget_block` is set. Doing it again
/// changes nothing. What erasure cannot reach is told in docs/privacy.md. Takes a key that is not confined to a list.
#[utoipa::path(delete, path = "/v1/addresses/{address}", tag = "addresses", security(("bearer" = ["admin"])),
    params(("address" = AddressText, Path, example = "jane@example.org"), How),
    responses(
        (status = 200, description = "erased, or nothing was known of it", body = ErasureView),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope admin, or is confined to a list", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away; nothing was erased", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_address(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    how: Params<How>,
) -> Result<web::Json<ErasureView>, Problem> {
    let block = if how.0.forget_block { Erased::Forgotten } else { Erased::Kept };
    let address = parameters::address(&path)?;
    Ok(web::Json(erase(&state, &caller, &address, block, how.0.unread_after.map(ReceiptId)).await?))
}

/// Erases an address.
pub(crate) async fn erase(
    state: &State,
    caller: &Caller,
    address: &Address,
    block: Erased,
    unread_after: Option<ReceiptId>,
) -> Result<ErasureView, Problem> {
    unconfined(caller)?;
    let request = ErasureRequest { address, block, actor: caller.name(), erasing: Erasing::Do };
    let now = state.clock.now();
    let done = state.store.erase(request, now).await?;
    if done.known != Known::Never {
        state.telemetry.subject_erased(block);
        state.nudge.notify_one();
    }
    let (unread, unread_next) = erase_unread(state, address, unread_after).await?;
    let names = Names::look_up(&state.store, done.standing.iter().map(|it| it.list)).await?;
    Ok(ErasureView {
        known: word(done.known),
        block: block.as_str(),
        receipts: done.receipts,
        events: done.events,
        notes: done.notes,
        messages: done.messages,
        unread,
        unread_next: unread_next.map(|it| it.0),
        standing: done.standing.into_iter().map(|it| SuppressionView::new(it, &names, now)).collect(),
    })
}

/// Searches what was not understood, for half of the time that a request has.
async fn erase_unread(state: &State, address: &Address, mut after: Option<ReceiptId>) -> Result<(usize, Option<ReceiptId>), Problem> {
    let (begun, time) = (Instant::now(), state.config.http.request_timeout / 2);
    let mut removed = 0;
    loop {
        let (gone, next) = state.store.erase_unread(address, after, Erasing::Do).await?;
        removed += gone;
        if next.is_none() || begun.elapsed() > time {
            return Ok((removed, next));
        }
        after = next;
    }
}

/// What is known of a person stands in every tree of lists; a key that sees one of them may not reach into the others.
pub(crate) fn unconfined(caller: &Caller) -> Result<(), Problem> {
    match caller.confined_to() {
        None => Ok(()),
        Some(_) => Err(Problem::new(ProblemKind::Forbidden, "this reaches every list; it takes a key that is not confined to one")),
    }
}
