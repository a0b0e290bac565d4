//! Lists on their way out.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use futures_util::TryStreamExt;
use serde::Deserialize;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::parameters::Params;
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::ListText;
use crate::http::views::FormatWord;
use crate::listing::Format;
use crate::store::StoreError;
use crate::telemetry::Stage;
use crate::transfer::export;

/// How to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportHow {
    /// How to write it: `csv` if left out.
    #[param(value_type = Option<FormatWord>, example = "ndjson")]
    format: Option<Format>,
}

/// Exports a list: our own formats hold all that stands on it and above it, the others who may not be mailed.
///
/// In our own formats (`csv`, `ndjson`) each line is one cause, manual allows and domain entries included, and comes back
/// unchanged by an import. The others hold each address that the list may not mail, once. A cell that a spreadsheet would take
/// for a formula begins with an apostrophe, which an import takes off. Lines come in the same order each time.
///
/// A stream that breaks off is not whole: NDJSON ends in `{"done":true,…}`, with the place in the feed of changes from which to
/// go on; of the others the last chunk is missing (RFC 9112 section 7.1), which HTTP clients report as an error.
#[utoipa::path(get, path = "/v1/lists/{list}/export", tag = "transfer", security(("bearer" = ["read"])),
    params(("list" = ListText, Path, example = "acme.weekly"), ExportHow),
    responses(
        (status = 200, description = "the list", content(
            (String = "text/csv", example = "address,list,cause,reason,provisional,overrides_consent,since,expires_at,note\r\njane@example.org,acme,hard,user_unknown,false,false,2026-11-22T10:00:00Z,,\r\n"),
            (String = "application/x-ndjson", example = "{\"address\":\"jane@example.org\",\"list\":\"acme\",\"cause\":\"hard\",\"reason\":\"user_unknown\",\"provisional\":false,\"overrides_consent\":false,\"since\":\"2026-11-22T10:00:00Z\",\"expires_at\":null,\"note\":null}\n{\"done\":true,\"entries\":1,\"erased\":0,\"as_of\":\"2026-11-22T10:00:00Z\",\"changes_after\":\"c42.0199c0de7a1170008000000000000003\"}\n"),
            (String = "text/plain", example = "jane@example.org\n"),
        )),
        (status = 400, description = "no such format", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_export(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    how: Params<ExportHow>,
) -> Result<HttpResponse, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let format = how.0.format.unwrap_or(Format::Csv);
    let name = format!("attachment; filename=\"{}.{}\"", list.name, format.extension());
    let telemetry = state.telemetry.clone();
    let lines = export(state.store.clone(), list, format, state.clock.now()).await?;
    // The status is out by then; the missing end tells the client.
    let lines = lines.inspect_err(move |error| telemetry.failed(Stage::Http, "going on with an export", error));
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.media_type()).insert_header((header::CONTENT_DISPOSITION, name));
    // The console hands it out by a cookie, which keeps nothing out of caches.
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(answer.streaming::<_, StoreError>(lines))
}
