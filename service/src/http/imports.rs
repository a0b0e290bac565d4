//! Lists on their way in, and out again.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bounce::policy::Cause;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::{Params, limit};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{AnyJson, ListText, RawBody};
use crate::http::views::{CauseWord, FormatWord, ImportStateWord, Moment};
use crate::listing::{Format, Spooled};
use crate::store::{Import, ImportId, ImportMode, ImportState, List, Scope, Undo, Visible};
use crate::transfer::{Consent, Order, Ordered, Reach};

/// How to import.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportHow {
    /// How the file is written; recognised by its header if left out.
    #[param(value_type = Option<FormatWord>, example = "sendgrid")]
    format: Option<Format>,
    /// The cause of rows that name none: `import` if left out. Naming one also takes bounces that a server blames on the sender.
    #[param(value_type = Option<CauseWord>, example = "unsubscribe")]
    cause: Option<Cause>,
    /// Only show what would happen.
    #[serde(default)]
    #[param(example = true)]
    dry_run: bool,
}

/// Which imports.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportsAsked {
    /// Only those into this list and those below it.
    #[param(value_type = Option<ListText>, example = "acme")]
    list: Option<String>,
    /// `next` of the page before; from the newest if left out.
    #[param(value_type = Option<Uuid>, example = "0199c0de-7a11-7000-8000-000000000004")]
    before: Option<Uuid>,
    /// Most imports of the page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
}

/// Which of the refused lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RefusedAsked {
    /// `refused_next` of the page before; from the first if left out.
    #[param(example = 1)]
    refused_after: Option<u64>,
    /// Most refused lines of the page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "import_id": "0199c0de-7a11-7000-8000-000000000004", "list": "acme.weekly", "actor": "newsletter", "format": "sendgrid",
    "dry_run": false, "state": "completed", "error": null, "size": 48211, "done": 48211, "rows": 1000, "added": 990, "updated": 2,
    "unchanged": 7, "refused": 1, "created_at": "2026-11-22T10:00:00Z", "updated_at": "2026-11-22T10:00:01Z",
    "ended_at": "2026-11-22T10:00:01Z", "undone_by": null
}))]
pub(crate) struct ImportView {
    /// Its id; `import_id` of the changes it led to.
    pub(crate) import_id: Uuid,
    /// The list it was imported into.
    pub(crate) list: String,
    /// Name of the key that brought it.
    pub(crate) actor: String,
    /// How the file is written.
    #[schema(value_type = FormatWord)]
    pub(crate) format: Format,
    /// Whether it only shows what would happen.
    pub(crate) dry_run: bool,
    /// How it is.
    #[schema(value_type = ImportStateWord)]
    pub(crate) state: ImportState,
    /// Why it failed. What was imported until then stands; importing the same file again does the rest.
    pub(crate) error: Option<String>,
    /// Octets of the file.
    pub(crate) size: u64,
    /// Octets read so far.
    pub(crate) done: u64,
    /// Rows and refused lines so far.
    pub(crate) rows: u64,
    /// Rows that began to block or allow.
    pub(crate) added: u64,
    /// Rows that changed what stood there.
    pub(crate) updated: u64,
    /// Rows that changed nothing.
    pub(crate) unchanged: u64,
    /// Lines that were not taken.
    pub(crate) refused: u64,
    /// When it began.
    pub(crate) created_at: Moment,
    /// When it last went on.
    pub(crate) updated_at: Moment,
    /// When it ended.
    pub(crate) ended_at: Option<Moment>,
    /// Name of the key that undid it.
    pub(crate) undone_by: Option<String>,
}

/// An import with lines that were not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "import_id": "0199c0de-7a11-7000-8000-000000000004", "list": "acme.weekly", "actor": "newsletter", "format": "csv",
    "dry_run": false, "state": "completed", "error": null, "size": 96, "done": 96, "rows": 3, "added": 2, "updated": 0,
    "unchanged": 0, "refused": 1, "created_at": "2026-11-22T10:00:00Z", "updated_at": "2026-11-22T10:00:01Z",
    "ended_at": "2026-11-22T10:00:01Z", "undone_by": null,
    "refused_lines": [{"line": 3, "error": "the address is not of the form local@domain"}], "refused_next": null
}))]
pub(super) struct ImportDetails {
    #[serde(flatten)]
    import: ImportView,
    /// Lines that were not taken, in the order of the file. Of a million and more the first million.
    refused_lines: Vec<RefusedLine>,
    /// Where to go on: `refused_after` of the next page; null at the end.
    refused_next: Option<u64>,
}

/// A line that was not taken.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedLine {
    /// Its number in the file, the first being 1.
    line: u64,
    /// Why it was not taken.
    error: String,
}

/// A page of imports.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"imports": [], "next": null}))]
pub(super) struct Imports {
    /// The newest first.
    imports: Vec<ImportView>,
    /// Where to go on: `before` of the next page; null at the end.
    next: Option<Uuid>,
}

/// Imports a list: our own format (CSV, NDJSON), or what SES, SendGrid, Mailgun, Postmark or SparkPost hand out, as CSV or JSON.
///
/// The format is recognised by the header; UTF-8, UTF-16 and Latin-1 are read. The answer comes when the whole file is there;
/// importing goes on in the background, ask `GET /v1/imports/{id}` how far it is. Rows that name no list stand at the root of
/// the tree, and so hold for all of it, but for unsubscribes and manual entries, which stand on this list. The same file again
/// changes nothing, and is answered 200 with the first import.
#[utoipa::path(post, path = "/v1/lists/{list}/import", tag = "transfer", security(("bearer" = ["write"])),
    params(("list" = ListText, Path, example = "acme.weekly"), ImportHow),
    request_body(content(
        (RawBody = "text/csv", example = "address,cause,since\njane@example.org,unsubscribe,2026-11-22T10:00:00Z\n"),
        (RawBody = "application/x-ndjson", example = "{\"address\":\"jane@example.org\",\"cause\":\"unsubscribe\"}\n"),
        (AnyJson = "application/json", example = json!({"Suppressions": [{"EmailAddress": "jane@example.org",
            "SuppressionReason": "HardBounce", "Origin": "Recipient", "CreatedAt": "2026-11-22T10:00:00Z"}]})),
        (RawBody = "text/plain", example = "jane@example.org\njohn@example.org\n"),
    )),
    responses(
        (status = 200, description = "the same file was imported before and stands; nothing is to be done", body = ImportView),
        (status = 202, description = "it is on its way; `Location` says where to ask", body = ImportView),
        (status = 400, description = "not a list, or not how to import one", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 408, description = "the file did not arrive within http.import_timeout", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_import", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "a form, or a body that is encoded", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "come again: the database is away, or enough is being imported", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_import(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    how: Params<ImportHow>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Params(ImportHow { format, cause, dry_run }) = how;
    let list = caller.list(&state.store, &path).await?;
    if body::media_type(&request).starts_with("multipart/") {
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, "send the file itself as the body, not a form with it"));
    }
    let room = state.transfers.room()?;
    let file = body::spool(&request, payload, Limit(state.config.http.max_import, "http.max_import")).await?;
    let mode = if dry_run { ImportMode::Preview } else { ImportMode::Real };
    match order(&state, &caller, Wanted { list, file, format, cause, mode }, room).await? {
        (import, true) => Ok(accepted(import)),
        (import, false) => Ok(HttpResponse::Ok().json(ImportView::new(import))),
    }
}

/// A list to be imported.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Into which list.
    pub(crate) list: Arc<List>,
    /// The file.
    pub(crate) file: Spooled,
    /// How it is written; found out if not said.
    pub(crate) format: Option<Format>,
    /// What rows without a cause mean.
    pub(crate) cause: Option<Cause>,
    /// In earnest, or to see what would happen.
    pub(crate) mode: ImportMode,
}

/// Begins an import, unless the same file was imported before and stands. Tells which of the two.
pub(crate) async fn order(state: &State, caller: &Caller, it: Wanted, room: OwnedSemaphorePermit) -> Result<(Import, bool), Problem> {
    let Wanted { list, file, format, cause, mode } = it;
    let consent = if caller.require(Scope::Admin).is_ok() { Consent::MayBeOverridden } else { Consent::Stands };
    let reach = Reach { confined: caller.confined_to().cloned(), consent };
    let order = Order { list, actor: caller.name().to_owned(), reach, file, format, cause, mode };
    match state.transfers.order(order).await? {
        Ordered::Known(import) => Ok((import, false)),
        Ordered::Ready(ready) => {
            let import = ready.import().clone();
            state.transfers.begin(ready, room);
            Ok((import, true))
        }
    }
}

/// Imports, the newest first.
#[utoipa::path(get, path = "/v1/imports", tag = "transfer", security(("bearer" = ["read"])), params(ImportsAsked), responses(
    (status = 200, description = "a page", body = Imports),
    (status = 400, description = "not an id", body = ProblemView, content_type = "application/problem+json"),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_imports(
    state: web::Data<State>,
    caller: Caller,
    asked: Params<ImportsAsked>,
) -> Result<web::Json<Imports>, Problem> {
    let Params(asked) = asked;
    let visible = match (&asked.list, caller.confined_to()) {
        (Some(name), _) => Visible::Below(caller.list(&state.store, name).await?),
        (None, Some(own)) => Visible::Below(own.clone()),
        (None, None) => Visible::All,
    };
    let limit = limit(asked.limit)?;
    let found = state.store.imports(asked.before.map(ImportId), &visible, limit, state.clock.now()).await?;
    let next = found.last().filter(|_| found.len() as u64 == limit).map(|it| it.id.0);
    Ok(web::Json(Imports { imports: found.into_iter().map(ImportView::new).collect(), next }))
}

/// How an import is, and which lines it did not take.
#[utoipa::path(get, path = "/v1/imports/{id}", tag = "transfer", security(("bearer" = ["read"])),
    params(("id" = Uuid, Path, example = "0199c0de-7a11-7000-8000-000000000004"), RefusedAsked),
    responses(
        (status = 200, description = "how it is", body = ImportDetails),
        (status = 400, description = "not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such import", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_import(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    asked: Params<RefusedAsked>,
) -> Result<web::Json<ImportDetails>, Problem> {
    let import = import(&state, &caller, &path).await?;
    let limit = limit(asked.0.limit)?;
    let lines = state.store.refused_lines(import.id, asked.0.refused_after.unwrap_or_default(), limit).await?;
    let refused_next = lines.last().filter(|_| lines.len() as u64 == limit).map(|it| it.0);
    let refused_lines = lines.into_iter().map(|(line, error)| RefusedLine { line, error }).collect();
    Ok(web::Json(ImportDetails { import: ImportView::new(import), refused_lines, refused_next }))
}

/// Undoes an import as a whole.
///
/// From now on nothing it said counts; what other facts and other imports say remains. It goes on in the background; ask
/// `GET /v1/imports/{id}` until its state is `undone`. A key that is confined to a list undoes what it imported itself, and what
/// stands on that list and below it alone.
#[utoipa::path(delete, path = "/v1/imports/{id}", tag = "transfer", security(("bearer" = ["write"])),
    params(("id" = Uuid, Path, example = "0199c0de-7a11-7000-8000-000000000004")),
    responses(
        (status = 200, description = "it was undone before", body = ImportView),
        (status = 202, description = "it is being undone", body = ImportView),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write, or does not reach all that it said", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such import", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "it is on its way, or only a preview", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_import(state: web::Data<State>, caller: Caller, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    match undo(&state, &caller, &path).await? {
        (import, true) => Ok(accepted(import)),
        (import, false) => Ok(HttpResponse::Ok().json(ImportView::new(import))),
    }
}

/// Begins to undo an import, unless it was undone before. Tells which of the two.
pub(crate) async fn undo(state: &State, caller: &Caller, id: &str) -> Result<(Import, bool), Problem> {
    let import = import(state, caller, id).await?;
    if let Some(own) = caller.confined_to()
        && caller.name() != import.actor
        && !state.store.import_is_below(import.id, own).await?
    {
        return Err(Problem::new(ProblemKind::Forbidden, "some of it stands on a list above, which this key does not reach"));
    }
    match state.transfers.undo(&import, caller.name()).await? {
        Undo::Begun(import) => Ok((import, true)),
        Undo::Done(import) => Ok((import, false)),
        Undo::NotNow(import) if import.mode == ImportMode::Preview => {
            Err(Problem::new(ProblemKind::Conflict, "it was a preview; there is nothing to undo"))
        }
        Undo::NotNow(import) => Err(Problem::new(ProblemKind::Conflict, format!("it is {}; wait until it has ended", import.state))),
    }
}

/// The import of an id. One into a list that the key does not reach is answered as if it were not there.
pub(crate) async fn import(state: &State, caller: &Caller, id: &str) -> Result<Import, Problem> {
    let none = || Problem::new(ProblemKind::NotFound, "there is no import of this id");
    let id = Uuid::try_parse(id).map_err(|_| none())?;
    let found = state.store.import(ImportId(id), state.clock.now()).await?;
    found.filter(|it| caller.reaches(&it.list)).ok_or_else(none)
}

fn accepted(import: Import) -> HttpResponse {
    let place = format!("/v1/imports/{}", import.id);
    HttpResponse::Accepted().insert_header((header::LOCATION, place)).json(ImportView::new(import))
}

impl ImportView {
    pub(crate) fn new(it: Import) -> Self {
        Self {
            import_id: it.id.0,
            list: it.list.name.clone(),
            actor: it.actor,
            format: it.format,
            dry_run: it.mode == ImportMode::Preview,
            state: it.state,
            error: it.error,
            size: it.size,
            done: it.done,
            rows: it.counts.rows(),
            added: it.counts.added,
            updated: it.counts.updated,
            unchanged: it.counts.unchanged,
            refused: it.counts.refused,
            created_at: Moment(it.created_at),
            updated_at: Moment(it.updated_at),
            ended_at: it.ended_at.map(Moment),
            undone_by: it.undone_by,
        }
    }
}
