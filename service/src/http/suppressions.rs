//! What stands on a list for one address, and what a person does to it.

pub(super) mod page;

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bounce::address::Address;
use bounce::policy::{Act, Cause, Deed};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{EntryText, ListText};
use crate::http::views::{CauseWord, Moment, Names, SuppressionView};
use crate::store::{ActRequest, Acted, Answer, Blocked, List, Scope, SuppressionChange, lifting};

/// Characters a note may have.
const NOTE_LIMIT: usize = 2000;

/// What stands on a list for an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "address": "jane@example.org", "list": "acme.weekly", "suppressed": true,
    "decided_by": {"cause": "hard", "list": "acme", "by_domain": false},
    "causes": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "by_domain": false, "provisional": false,
        "overrides_consent": false, "since": "2026-11-22T10:00:00Z", "expires_at": null, "released_at": null,
        "event_id": "0199c0de-7a11-7000-8000-000000000002", "note": null, "revision": 3}]
}))]
pub(crate) struct Standing {
    /// The address as lists know it.
    pub(crate) address: String,
    /// The list that was asked.
    pub(crate) list: String,
    /// Whether the list may not mail it.
    pub(crate) suppressed: bool,
    /// The weightiest cause why, if it may not.
    pub(crate) decided_by: Option<Decided>,
    /// Everything that stands for it on the list and on those above, and for its domain; lifted and expired causes included.
    pub(crate) causes: Vec<SuppressionView>,
}

/// What decides that an address may not be mailed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    /// The cause.
    #[schema(value_type = CauseWord)]
    pub(crate) cause: Cause,
    /// The list where it stands: the one asked for or one above it.
    pub(crate) list: String,
    /// Whether it is the entry of the whole domain.
    pub(crate) by_domain: bool,
}

fn decided(answer: Answer) -> Option<Decided> {
    match answer {
        Answer::Clear => None,
        Answer::Suppressed(Blocked { cause, list, by_domain, .. }) => Some(Decided { cause, list, by_domain }),
    }
}

/// A manual entry.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"action": "block", "note": "asked by telephone"}))]
pub(crate) struct ManualEntry {
    /// Whether to block it or to mail it all the same.
    pub(crate) action: Action,
    /// Of an allow: whether it overrides complaint and unsubscribe too. Needs the scope `admin`.
    pub(crate) overrides_consent: bool,
    /// Until when; for good if left out.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<Moment>)]
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// Why, for the audit.
    pub(crate) note: Option<String>,
}

/// What a manual entry does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Never mail it.
    #[default]
    Block,
    /// Mail it whatever the machines say.
    Allow,
}

/// What to lift.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Lift {
    /// Only this cause; if left out, everything that blocks: a manual block and what automatic causes have put.
    #[param(value_type = Option<CauseWord>, example = "hard")]
    pub(crate) cause: Option<Cause>,
    /// Why, for the audit.
    #[param(example = "asked by telephone")]
    pub(crate) note: Option<String>,
}

/// Says what stands here for an address, or for a whole domain (`@example.org`).
#[utoipa::path(get, path = "/v1/lists/{list}/suppressions/{address}", tag = "suppressions", security(("bearer" = ["read"])),
    params(("list" = ListText, Path, example = "acme.weekly"), ("address" = EntryText, Path, example = "jane@example.org")),
    responses(
        (status = 200, description = "what stands here, if anything", body = Standing),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_suppression(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<web::Json<Standing>, Problem> {
    let (list, address) = target(&state, &caller, &path).await?;
    Ok(web::Json(standing(&state, &list, &address).await?))
}

/// Puts a manual entry, in place of one that says the opposite.
///
/// A manual block outweighs everything. A manual allow outweighs what failures have put, but complaint and unsubscribe
/// only with `overrides_consent`.
#[utoipa::path(put, path = "/v1/lists/{list}/suppressions/{address}", tag = "suppressions", security(("bearer" = ["write"])),
    params(("list" = ListText, Path, example = "acme.weekly"), ("address" = EntryText, Path, example = "jane@example.org")),
    request_body(content = Option<ManualEntry>, description = "a block without a note, if left out"),
    responses(
        (status = 200, description = "what stands here now", body = Standing),
        (status = 400, description = "not an address, or not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write, or admin for overrides_consent", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list; lists are made by configuration", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away; nothing was recorded", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_suppression(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Standing>, Problem> {
    let (list, address) = target(&state, &caller, &path).await?;
    let body = body::read(&request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let entry: ManualEntry = body::json_or_default(&request, &body)?;
    put(&state, &caller, &list, &address, entry).await?;
    Ok(web::Json(standing(&state, &list, &address).await?))
}

/// Puts a manual block or allow.
pub(crate) async fn put(state: &State, caller: &Caller, list: &Arc<List>, address: &Address, entry: ManualEntry) -> Result<(), Problem> {
    let acts = acts_of(state, caller, list, address, &entry).await?;
    act(state, ActRequest { list: list.clone(), address, acts: &acts, actor: caller.name(), note: note(entry.note)? }).await
}

/// Lifts what blocks here: a manual block and what automatic causes have put.
///
/// What happened before no longer blocks; what happens from now on does. What stands on a list above must be lifted there.
#[utoipa::path(delete, path = "/v1/lists/{list}/suppressions/{address}", tag = "suppressions", security(("bearer" = ["write"])),
    params(("list" = ListText, Path, example = "acme"), ("address" = EntryText, Path, example = "jane@example.org"), Lift),
    responses(
        (status = 200, description = "what stands here now", body = Standing),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list, or nothing stands here", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "it stands on a list above, or the whole domain is blocked; `list` names where", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away; nothing was recorded", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_suppression(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    lift: Params<Lift>,
) -> Result<web::Json<Standing>, Problem> {
    let (list, address) = target(&state, &caller, &path).await?;
    release(&state, &caller, &list, &address, lift.0).await?;
    Ok(web::Json(standing(&state, &list, &address).await?))
}

/// Lifts what stands.
pub(crate) async fn release(state: &State, caller: &Caller, list: &Arc<List>, address: &Address, lift: Lift) -> Result<(), Problem> {
    let acts = lift.cause.map_or_else(|| vec![Act::Unblock.into(), Act::Release.into()], |it| vec![lifting(it)]);
    act(state, ActRequest { list: list.clone(), address, acts: &acts, actor: caller.name(), note: note(lift.note)? }).await
}

async fn target(state: &State, caller: &Caller, path: &(String, String)) -> Result<(Arc<List>, Address), Problem> {
    let list = caller.list(&state.store, &path.0).await?;
    Ok((list, parameters::entry(&path.1)?))
}

pub(crate) async fn standing(state: &State, list: &Arc<List>, address: &Address) -> Result<Standing, Problem> {
    let now = state.clock.now();
    let answers = state.store.check(list, std::slice::from_ref(address), now).await?;
    let causes = state.store.standing(list, address).await?;
    let of_domain = if address.is_domain_entry() { Vec::new() } else { state.store.standing(list, &address.domain_entry()).await? };
    let names = Names::look_up(&state.store, causes.iter().chain(&of_domain).map(|it| it.list)).await?;
    let view = |it| SuppressionView::new(it, &names, now);
    let domain = of_domain.into_iter().map(|it| view(it).of_domain());
    Ok(Standing {
        address: address.expose().to_owned(),
        list: list.name.clone(),
        suppressed: answers.iter().any(|it| matches!(it, Answer::Suppressed(_))),
        decided_by: answers.into_iter().find_map(decided),
        causes: causes.into_iter().map(view).chain(domain).collect(),
    })
}

/// The acts that a manual entry takes. It comes in the place of its opposite, if that stands on the same list.
async fn acts_of(state: &State, caller: &Caller, list: &Arc<List>, address: &Address, entry: &ManualEntry) -> Result<Vec<Deed>, Problem> {
    let (act, opposite, lift) = match (entry.action, entry.overrides_consent) {
        (Action::Block, false) => (Act::Block, Cause::ManualAllow, Act::Disallow),
        (Action::Allow, false) => (Act::Allow, Cause::ManualBlock, Act::Unblock),
        (Action::Allow, true) => {
            caller.require(Scope::Admin)?;
            (Act::AllowConsent, Cause::ManualBlock, Act::Unblock)
        }
        (Action::Block, true) => return Err(Problem::new(ProblemKind::InvalidBody, "`overrides_consent` goes with the action `allow`")),
    };
    if entry.expires_at.is_some_and(|it| it <= state.clock.now()) {
        return Err(Problem::new(ProblemKind::InvalidBody, "`expires_at` is over already"));
    }
    let act = Deed { expires_at: entry.expires_at, ..act.into() };
    let standing = state.store.standing(list, address).await?;
    let stands = standing.iter().any(|it| it.list == list.id && it.cause == opposite && it.released_at.is_none());
    Ok(if stands { vec![lift.into(), act] } else { vec![act] })
}

/// Carries out what a person wants, counts what it changed, and wakes the relay.
async fn act(state: &State, request: ActRequest<'_>) -> Result<(), Problem> {
    let (list, address) = (request.list.clone(), request.address.clone());
    match state.store.act(request, state.clock.now()).await? {
        Acted::Done { changes, .. } => tell(state, &changes).await,
        Acted::Inherited { from } => {
            let detail = format!("it stands on {from}, above {}; lift it there", list.name);
            Err(Problem::new(ProblemKind::Conflict, detail).at_list(from))
        }
        Acted::Nothing => {
            // Whoever wants the address free is told what holds it.
            let answers = state.store.check(&list, std::slice::from_ref(&address), state.clock.now()).await?;
            if let Some(Decided { by_domain: true, list, .. }) = answers.into_iter().find_map(decided) {
                let detail = format!("the entry @{} on {list} blocks the whole domain; lift it, or allow the address", address.domain());
                return Err(Problem::new(ProblemKind::Conflict, detail).at_list(list));
            }
            Err(Problem::new(ProblemKind::NotFound, format!("nothing of this kind stands on {} for this address", list.name)))
        }
    }
}

/// Counts what changed, and wakes the relay.
pub(super) async fn tell(state: &State, changes: &[SuppressionChange]) -> Result<(), Problem> {
    for change in changes {
        let at = state.store.list_by_id(change.list).await?;
        let cause = change.cause.map_or("none", Cause::as_str);
        state.telemetry.suppression_changed(&at.name, cause, change.change.as_str());
    }
    state.nudge.notify_one();
    Ok(())
}

pub(super) fn note(text: Option<String>) -> Result<Option<String>, Problem> {
    let too_long = text.as_ref().is_some_and(|it| it.chars().count() > NOTE_LIMIT);
    if too_long {
        Err(Problem::new(ProblemKind::InvalidRequest, format!("the note has more than {NOTE_LIMIT} characters")))
    } else {
        Ok(text)
    }
}
