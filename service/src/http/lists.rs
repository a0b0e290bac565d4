//! The lists there are.

use actix_web::{HttpRequest, web};
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::ListName;
use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{AutomaticCauseWord, ListText};
use crate::http::views::{CauseWord, ReasonWord};
use crate::store::List;

/// The lists that a key reaches.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"lists": [{"name": "acme", "honours": null}, {"name": "acme.receipts", "honours": ["hard", "unsubscribe"]}]}))]
pub(super) struct Lists {
    /// By name.
    lists: Vec<ListView>,
}

/// A list.
#[derive(Debug, Serialize, ToSchema)]
struct ListView {
    /// Its name. `acme.weekly` is a child of `acme`; nothing crosses from one root to another.
    name: String,
    /// Automatic causes that block here; null for all. A manual block always blocks.
    #[schema(value_type = Option<Vec<CauseWord>>)]
    honours: Option<Vec<Cause>>,
}

/// Names the lists that the key reaches.
#[utoipa::path(get, path = "/v1/lists", tag = "suppressions", security(("bearer" = ["read"])), responses(
    (status = 200, description = "the lists", body = Lists),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_lists(state: web::Data<State>, caller: Caller) -> Result<web::Json<Lists>, Problem> {
    let lists = state.store.lists().await?;
    let reached = lists.iter().filter(|it| caller.reaches(it));
    Ok(web::Json(Lists { lists: reached.map(|it| ListView { name: it.name.clone(), honours: it.honours.clone() }).collect() }))
}

/// A list and what stands on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "acme.weekly", "above": ["acme"], "honours": null,
    "standing": [{"cause": "unsubscribe", "reason": null, "count": 117}]}))]
pub(super) struct ListDetail {
    /// Its name.
    name: String,
    /// The lists above it, nearest first. What stands there holds here.
    above: Vec<String>,
    /// Automatic causes that block here; null for all. A manual block always blocks.
    #[schema(value_type = Option<Vec<CauseWord>>)]
    honours: Option<Vec<Cause>>,
    /// What stands on this very list now, by cause and reason.
    standing: Vec<Standing>,
}

/// How many addresses stand on a list for a cause and a reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StandingCount)]
struct Standing {
    #[schema(value_type = CauseWord)]
    cause: Cause,
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    count: u64,
}

/// What a list is to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"honours": ["hard", "unsubscribe", "provider", "import"]}))]
pub(super) struct ListWanted {
    /// Automatic causes that block here; all if left out or null. A transactional list may leave out `complaint`.
    #[schema(value_type = Option<Vec<AutomaticCauseWord>>)]
    honours: Option<Vec<Cause>>,
}

/// Tells what a list honours and how many addresses stand on it.
#[utoipa::path(get, path = "/v1/lists/{list}", tag = "suppressions", security(("bearer" = ["read"])),
    params(("list" = ListText, Path, example = "acme.weekly")),
    responses(
        (status = 200, description = "the list", body = ListDetail),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_list(state: web::Data<State>, caller: Caller, path: web::Path<String>) -> Result<web::Json<ListDetail>, Problem> {
    let list = caller.list(&state.store, &path).await?;
    Ok(web::Json(detail(&state, &caller, &list).await?))
}

/// Makes a list, and those above it; or changes what one honours.
///
/// A list never moves and never goes. One that the configuration declares honours what stands there again at the next start.
#[utoipa::path(put, path = "/v1/lists/{list}", tag = "suppressions", security(("bearer" = ["admin"])),
    params(("list" = ListText, Path, example = "acme.receipts")),
    request_body(content = Option<ListWanted>, description = "a list that honours everything, if left out"),
    responses(
        (status = 200, description = "the list as it is now", body = ListDetail),
        (status = 400, description = "not the name of a list, or not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope admin", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "the key is confined to another list", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_body", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "not JSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_list(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<ListDetail>, Problem> {
    let form = "words of a-z, 0-9, '-' and '_' with single dots between, at most 150 octets";
    let invalid = || Problem::new(ProblemKind::InvalidRequest, format!("`list` is not the name of a list: {form}"));
    let name = ListName::parse(&path).ok_or_else(invalid)?;
    let own = caller.confined_to().and_then(|it| ListName::parse(&it.name));
    if own.is_some_and(|own| !name.is_within(&own)) {
        // As if it were not there: a key learns nothing of lists that it does not reach.
        return Err(crate::store::StoreError::UnknownList(name.as_str().to_owned()).into());
    }
    let body = body::read(&request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let wanted: ListWanted = body::json_or_default(&request, &body)?;
    if wanted.honours.iter().flatten().any(|it| !it.is_automatic()) {
        return Err(Problem::new(ProblemKind::InvalidBody, "`honours` names automatic causes; what a person puts always holds"));
    }
    let list = state.store.ensure_list(name.as_str(), wanted.honours.as_deref(), state.clock.now()).await?;
    Ok(web::Json(detail(&state, &caller, &list).await?))
}

async fn detail(state: &State, caller: &Caller, list: &List) -> Result<ListDetail, Problem> {
    let counts = state.store.count_standing(list, state.clock.now()).await?;
    let mut above = Vec::new();
    for id in list.lineage.iter().skip(1) {
        let it = state.store.list_by_id(*id).await?;
        if caller.reaches(&it) {
            above.push(it.name.clone());
        }
    }
    let standing = counts.into_iter().map(|((cause, reason), count)| Standing { cause, reason, count }).collect();
    Ok(ListDetail { name: list.name.clone(), above, honours: list.honours.clone(), standing })
}
