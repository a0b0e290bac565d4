//! What stands on a list for one address, and what a person does to it.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bounce::address::Address;
use bounce::policy::{Act, Cause};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::views::{Names, SuppressionView};
use crate::store::{ActRequest, Acted, Answer, List, Scope};

/// Characters a note may have.
const NOTE_LIMIT: usize = 2000;

/// What stands on a list for an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "address": "jane@example.org", "list": "acme.weekly", "suppressed": true,
    "causes": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "provisional": false,
        "overrides_consent": false, "since": "2026-11-22T10:00:00Z", "expires_at": null, "released_at": null,
        "event_id": "0199c0de-7a11-7000-8000-000000000002", "note": null, "revision": 3}]
}))]
pub(super) struct Standing {
    /// The address as lists know it.
    address: String,
    /// The list that was asked.
    list: String,
    /// Whether the list may not mail it.
    suppressed: bool,
    /// Everything that stands for it on the list and on those above, lifted and expired causes included.
    causes: Vec<SuppressionView>,
}

/// A manual entry.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"action": "block", "note": "asked by telephone"}))]
pub(super) struct ManualEntry {
    /// Whether to block it or to mail it all the same.
    action: Action,
    /// Of an allow: whether it overrides complaint and unsubscribe too. Needs the scope `admin`.
    overrides_consent: bool,
    /// Why, for the audit.
    note: Option<String>,
}

/// What a manual entry does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
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
pub(super) struct Lift {
    /// `manual_block` or `manual_allow` for that entry only; if left out, everything that blocks: a manual block and what
    /// automatic causes have put.
    #[param(value_type = Option<String>, example = "manual_allow")]
    cause: Option<Manual>,
    /// Why, for the audit.
    note: Option<String>,
}

/// The causes that a person puts.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Manual {
    ManualBlock,
    ManualAllow,
}

/// Says what stands here for an address, or for a whole domain (`@example.org`).
#[utoipa::path(get, path = "/v1/lists/{list}/suppressions/{address}", tag = "suppressions", security(("bearer" = ["read"])),
    params(("list" = String, Path, example = "acme.weekly"), ("address" = String, Path, example = "jane@example.org")),
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
    params(("list" = String, Path, example = "acme.weekly"), ("address" = String, Path, example = "jane@example.org")),
    request_body(content = ManualEntry, description = "a block without a note, if left out"),
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
    let entry: ManualEntry = if body.is_empty() { ManualEntry::default() } else { body::json(&request, &body)? };
    let acts = acts_of(&state, &caller, &list, &address, &entry).await?;
    act(&state, &caller, ActRequest { list: list.clone(), address: &address, acts: &acts, actor: caller.name(), note: note(entry.note)? })
        .await?;
    Ok(web::Json(standing(&state, &list, &address).await?))
}

/// Lifts what blocks here: a manual block and what automatic causes have put.
///
/// What happened before no longer blocks; what happens from now on does. What stands on a list above must be lifted there.
#[utoipa::path(delete, path = "/v1/lists/{list}/suppressions/{address}", tag = "suppressions", security(("bearer" = ["write"])),
    params(("list" = String, Path, example = "acme"), ("address" = String, Path, example = "jane@example.org"), Lift),
    responses(
        (status = 200, description = "what stands here now", body = Standing),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list, or nothing stands here", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "it stands on a list above, which `list` names", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away; nothing was recorded", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_suppression(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    lift: Params<Lift>,
) -> Result<web::Json<Standing>, Problem> {
    let (list, address) = target(&state, &caller, &path).await?;
    let acts: &[Act] = match lift.0.cause {
        None => &[Act::Unblock, Act::Release],
        Some(Manual::ManualBlock) => &[Act::Unblock],
        Some(Manual::ManualAllow) => &[Act::Disallow],
    };
    act(&state, &caller, ActRequest { list: list.clone(), address: &address, acts, actor: caller.name(), note: note(lift.0.note)? })
        .await?;
    Ok(web::Json(standing(&state, &list, &address).await?))
}

async fn target(state: &State, caller: &Caller, path: &(String, String)) -> Result<(Arc<List>, Address), Problem> {
    let list = caller.list(&state.store, &path.0).await?;
    Ok((list, parameters::entry(&path.1)?))
}

async fn standing(state: &State, list: &Arc<List>, address: &Address) -> Result<Standing, Problem> {
    let now = state.clock.now();
    let answers = state.store.check(list, std::slice::from_ref(address), now).await?;
    let causes = state.store.standing(list, address).await?;
    let names = Names::look_up(&state.store, causes.iter().map(|it| it.list)).await?;
    Ok(Standing {
        address: address.expose().to_owned(),
        list: list.name.clone(),
        suppressed: answers.iter().any(|it| matches!(it, Answer::Suppressed(_))),
        causes: causes.into_iter().map(|it| SuppressionView::new(it, &names, now)).collect(),
    })
}

/// The acts that a manual entry takes. It comes in the place of its opposite, if that stands on the same list.
async fn acts_of(state: &State, caller: &Caller, list: &Arc<List>, address: &Address, entry: &ManualEntry) -> Result<Vec<Act>, Problem> {
    let (act, opposite, lift) = match (entry.action, entry.overrides_consent) {
        (Action::Block, false) => (Act::Block, Cause::ManualAllow, Act::Disallow),
        (Action::Allow, false) => (Act::Allow, Cause::ManualBlock, Act::Unblock),
        (Action::Allow, true) => {
            caller.require(Scope::Admin)?;
            (Act::AllowConsent, Cause::ManualBlock, Act::Unblock)
        }
        (Action::Block, true) => return Err(Problem::new(ProblemKind::InvalidBody, "`overrides_consent` goes with the action `allow`")),
    };
    let standing = state.store.standing(list, address).await?;
    let stands = standing.iter().any(|it| it.list == list.id && it.cause == opposite && it.released_at.is_none());
    Ok(if stands { vec![lift, act] } else { vec![act] })
}

/// Carries out what a person wants, counts what it changed, and wakes the relay.
async fn act(state: &State, caller: &Caller, request: ActRequest<'_>) -> Result<(), Problem> {
    let list = request.list.clone();
    match state.store.act(request, state.clock.now()).await? {
        Acted::Done { changes, .. } => {
            for change in &changes {
                let at = state.store.list_by_id(change.list).await?;
                let cause = change.cause.map_or("none", Cause::as_str);
                state.telemetry.suppression_changed(&at.name, cause, change.change.as_str());
            }
            state.nudge.notify_one();
            Ok(())
        }
        Acted::Inherited { from } => Err(inherited(caller, &list, from)),
        Acted::Nothing => {
            Err(Problem::new(ProblemKind::NotFound, format!("nothing of this kind stands on {} for this address", list.name)))
        }
    }
}

fn inherited(caller: &Caller, list: &List, from: String) -> Problem {
    let own = caller.confined_to().is_some_and(|it| !list.lineage.contains(&it.id) || it.name.len() > from.len());
    let how = if own { "this key does not reach that list" } else { "lift it there" };
    Problem::new(ProblemKind::Conflict, format!("it stands on {from}, above {}; {how}", list.name)).at_list(from)
}

fn note(text: Option<String>) -> Result<Option<String>, Problem> {
    let too_long = text.as_ref().is_some_and(|it| it.chars().count() > NOTE_LIMIT);
    if too_long {
        Err(Problem::new(ProblemKind::InvalidRequest, format!("the note has more than {NOTE_LIMIT} characters")))
    } else {
        Ok(text)
    }
}
