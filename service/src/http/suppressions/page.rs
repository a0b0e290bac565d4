//! What stands on a list, page by page: for people who look, and for programs that look for something. A mirror reads the feed of
//! changes instead, and whoever wants all of it the export.

use actix_web::web;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::parameters::{Params, limit};
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::{ListText, StandingCursor};
use crate::http::views::{CauseWord, Names, ReasonWord, SuppressionView};
use crate::store::{BadCursor, StandingFilter, StandingPlace, StandingRow, Whence};

/// Which of what stands on a list. Everything that is set must fit.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Asked {
    /// Only for this cause.
    #[param(value_type = Option<CauseWord>, example = "hard")]
    cause: Option<Cause>,
    /// Only for this reason.
    #[param(value_type = Option<ReasonWord>, example = "user_unknown")]
    reason: Option<Reason>,
    /// `true`: only what holds now; `false`: only what was lifted or has ended; both if left out.
    #[param(example = true)]
    holds: Option<bool>,
    /// `true`: only what another day must confirm; `false`: only what is sure; both if left out.
    #[param(example = false)]
    provisional: Option<bool>,
    /// `true`: only what stands on this very list, not on those above it.
    #[serde(default)]
    #[param(example = false)]
    own: bool,
    /// `next` of the page before; from the beginning if left out.
    #[param(value_type = Option<StandingCursor>, example = "s0199c0de7a1170008000000000000005.28dba94685e8032b8667719a1449c84a.hard")]
    after: Option<String>,
    /// Most entries of the page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
}

/// A page of what stands on a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{"address": "jane@example.org", "subject_id": "28dba94685e8032b8667719a1449c84a", "list": "acme", "cause": "hard",
        "reason": "user_unknown", "holds": true, "by_domain": false, "provisional": false, "overrides_consent": false,
        "since": "2026-11-22T10:00:00Z", "expires_at": null, "released_at": null, "event_id": "0199c0de-7a11-7000-8000-000000000002",
        "note": null, "revision": 3}],
    "next": "s0199c0de7a1170008000000000000005.28dba94685e8032b8667719a1449c84a.hard"}))]
pub(in crate::http) struct SuppressionPage {
    /// What stands on the list itself, then on each above it, in the order of `subject_id`.
    items: Vec<SuppressionItem>,
    /// Where to go on: `after` of the next page; null at the end.
    next: Option<String>,
}

/// One of what stands on a list.
#[derive(Debug, Serialize, ToSchema)]
struct SuppressionItem {
    /// The address, or the entry of a whole domain (`@example.org`); null once erased.
    address: Option<String>,
    /// The pseudonym of the address, the same in every event, change and message about it, erased or not.
    #[schema(example = "28dba94685e8032b8667719a1449c84a")]
    subject_id: String,
    #[serde(flatten)]
    suppression: SuppressionView,
}

/// What stands on a list, page by page: on the list itself and on those above it, lifted and expired causes included.
///
/// One item for each address, list and cause, in an order that stays the same: go on with `after` until `next` is null. An entry that
/// is put meanwhile may come before the place where you are. To keep a copy read `GET /v1/changes`; to get all of a list at
/// once take `GET /v1/lists/{list}/export`; whether an address may be mailed says `GET /v1/check`.
#[utoipa::path(get, path = "/v1/lists/{list}/suppressions", tag = "suppressions", security(("bearer" = ["read"])),
    params(("list" = ListText, Path, example = "acme.weekly"), Asked),
    responses(
        (status = 200, description = "a page", body = SuppressionPage),
        (status = 400, description = "not a cursor of this list, or not what can be asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(in crate::http) async fn get_suppressions(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    asked: Params<Asked>,
) -> Result<web::Json<SuppressionPage>, Problem> {
    let Params(Asked { cause, reason, holds, provisional, own, after, limit: most }) = asked;
    let list = caller.list(&state.store, &path).await?;
    let filter = StandingFilter { cause, reason, holds, provisional, whence: if own { Whence::Own } else { Whence::Lineage } };
    let after = after.map(|it| it.parse::<StandingPlace>()).transpose()?;
    if after.is_some_and(|it| !filter.reads(&list, it)) {
        return Err(BadCursor.into());
    }
    let (most, now) = (limit(most)?, state.clock.now());
    let found = state.store.standing_after(&list, filter, after, most, now).await?;
    let next = found.last().filter(|_| found.len() as u64 == most).map(|it| it.place().to_string());
    let names = Names::look_up(&state.store, found.iter().map(|it| it.suppression.list)).await?;
    let item = |it: StandingRow| {
        let by_domain = it.address.as_ref().is_some_and(|it| it.starts_with('@'));
        let suppression = SuppressionView::new(it.suppression, &names, now);
        let suppression = if by_domain { suppression.of_domain() } else { suppression };
        SuppressionItem { address: it.address, subject_id: it.subject.to_string(), suppression }
    };
    Ok(web::Json(SuppressionPage { items: found.into_iter().map(item).collect(), next }))
}
