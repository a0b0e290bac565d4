//! Release of many at once: first a look at what a selection means, then the release.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, web};
use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{DomainText, ListText};
use crate::http::suppressions::{note, tell};
use crate::http::views::{CauseWord, Moment, ReasonWord};
use crate::store::{BulkRelease, Change, Counts, List, ReleaseFilter, Selected};

/// Addresses shown of those that fit.
const SAMPLE: u64 = 10;

/// What to release. Everything that is set must fit, and something must be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cause": "hard", "reason": "user_unknown", "domains": ["corp.example"], "since": "2026-11-20T00:00:00Z",
    "dry_run": true, "note": "their server was broken on Friday"}))]
pub(super) struct Wanted {
    /// What stands for this cause. Left out, all automatic causes but `complaint` and `unsubscribe` are meant.
    #[serde(default)]
    #[schema(value_type = Option<CauseWord>)]
    cause: Option<Cause>,
    /// For this reason.
    #[serde(default)]
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    /// Of addresses in these domains.
    #[serde(default)]
    #[schema(value_type = Vec<DomainText>)]
    domains: Vec<String>,
    /// Standing since this moment or later.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<Moment>)]
    since: Option<OffsetDateTime>,
    /// Standing since before this moment.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<Moment>)]
    until: Option<OffsetDateTime>,
    /// Decided by an event that this rule judged.
    #[serde(default)]
    rule: Option<String>,
    /// Put by this import or bulk request.
    #[serde(default)]
    import_id: Option<Uuid>,
    /// Whether only to look. Say `false` to release.
    #[serde(default = "yes")]
    dry_run: bool,
    /// Why, for the audit.
    #[serde(default)]
    note: Option<String>,
}

const fn yes() -> bool {
    true
}

/// What fits, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"dry_run": true, "matched": 2, "by": [{"cause": "hard", "reason": "user_unknown", "count": 2}],
    "sample": [{"address": "jane@corp.example", "cause": "hard", "reason": "user_unknown", "since": "2026-11-20T10:00:00Z"}],
    "bulk_id": null, "released": 0, "more": false}))]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
pub(super) struct Released {
    /// Whether this was only a look.
    dry_run: bool,
    /// How many fit when it began.
    matched: u64,
    /// The same by cause and reason.
    by: Vec<Group>,
    /// Some of them.
    sample: Vec<SelectedView>,
    /// Id of the request in the audit, and for another release to select by; null of a look.
    bulk_id: Option<Uuid>,
    /// How many were released.
    released: u64,
    /// Whether some are left because time was up: send the same again.
    more: bool,
}

/// How many stand for a cause and a reason.
#[derive(Debug, Serialize, ToSchema)]
struct Group {
    #[schema(value_type = CauseWord)]
    cause: Cause,
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    count: u64,
}

/// One of those that fit.
#[derive(Debug, Serialize, ToSchema)]
struct SelectedView {
    /// The address; null once erased.
    address: Option<String>,
    #[schema(value_type = CauseWord)]
    cause: Cause,
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    /// Since when it stands.
    since: Moment,
}

/// Releases everything that stands on a list and fits a selection.
///
/// Without `"dry_run": false` it only says what it would release. Released is what stands on this very list; what stands on a list
/// above must be released there. What happened before no longer blocks; what happens from now on does.
#[utoipa::path(post, path = "/v1/lists/{list}/release", tag = "suppressions", security(("bearer" = ["write"])),
    params(("list" = ListText, Path, example = "acme")),
    request_body(content = Wanted),
    responses(
        (status = 200, description = "what fits, and what became of it", body = Released),
        (status = 400, description = "not what is asked for, or nothing is selected", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_body", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "not JSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away; the same again goes on where this ended", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_release(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Released>, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let body = body::read(&request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let wanted: Wanted = body::json(&request, &body)?;
    let selection = selection(&wanted)?;
    let looked = look(&state, &list, &selection).await?;
    if wanted.dry_run {
        return Ok(web::Json(looked));
    }
    let bulk = BulkRelease::new(list, &selection, caller.name(), note(wanted.note)?);
    Ok(web::Json(release(&state, bulk, looked).await?))
}

fn selection(wanted: &Wanted) -> Result<ReleaseFilter, Problem> {
    let domain = |it: &String| Address::parse_domain_entry(&format!("@{}", it.trim_start_matches('@'))).map(|it| it.domain().to_owned());
    let selection = ReleaseFilter {
        cause: wanted.cause,
        reason: wanted.reason,
        domains: wanted.domains.iter().map(domain).collect::<Result<_, _>>()?,
        since: wanted.since,
        until: wanted.until,
        rule: wanted.rule.clone(),
        import: wanted.import_id,
    };
    if selection.is_empty() {
        let nothing = "nothing is selected; set one of cause, reason, domains, since, until, rule, import_id";
        return Err(Problem::new(ProblemKind::InvalidBody, nothing));
    }
    Ok(selection)
}

async fn look(state: &State, list: &List, selection: &ReleaseFilter) -> Result<Released, Problem> {
    let now = state.clock.now();
    let counts: Counts = state.store.count_selected(list, selection, now).await?;
    let sample = state.store.sample_selected(list, selection, now, SAMPLE).await?;
    let view = |it: Selected| SelectedView { address: it.address, cause: it.cause, reason: it.reason, since: Moment(it.since) };
    Ok(Released {
        dry_run: true,
        matched: counts.values().sum(),
        by: counts.into_iter().map(|((cause, reason), count)| Group { cause, reason, count }).collect(),
        sample: sample.into_iter().map(view).collect(),
        bulk_id: None,
        released: 0,
        more: false,
    })
}

/// Releases step by step, for half of the time that a request has.
async fn release(state: &State, mut bulk: BulkRelease<'_>, looked: Released) -> Result<Released, Problem> {
    let (begun, time): (Instant, Duration) = (Instant::now(), state.config.http.request_timeout / 2);
    let mut done = Released { dry_run: false, bulk_id: Some(bulk.id), ..looked };
    while let Some(changes) = state.store.release_next(&mut bulk, state.clock.now()).await? {
        done.released += changes.iter().filter(|it| it.change == Change::Released).count() as u64;
        tell(state, &changes).await?;
        if begun.elapsed() > time {
            done.more = state.store.count_selected(&bulk.list, bulk.selection, state.clock.now()).await?.values().any(|it| *it > 0);
            break;
        }
    }
    Ok(done)
}
