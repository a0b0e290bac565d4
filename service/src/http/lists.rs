//! The lists there are.

use actix_web::web;
use bounce::policy::Cause;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::CauseWord;

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

/// Names the lists that the key reaches. Lists are made by configuration.
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
