//! The description of the API by itself: the OpenAPI document, a page to read and try it, and an explanation of each kind of
//! problem. Every byte of the page is served from here.

use std::sync::{Arc, OnceLock};

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{AddressText, ChangeCursor, EntryText, EventCursor, StandingCursor};
use crate::http::{
    addresses, check, codes, diagnose, disclosure, export, feeds, health, imports, lists, messages, policy, receipts, release,
    return_paths, story, suppressions, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Rebound", description = "Mail that comes back becomes knowledge of which addresses to stop mailing."),
    paths(
        webhooks::post_webhook,
        messages::post_message,
        check::get_check,
        check::post_check,
        lists::get_lists,
        lists::get_list,
        lists::put_list,
        policy::get_policy,
        release::post_release,
        suppressions::page::get_suppressions,
        suppressions::get_suppression,
        suppressions::put_suppression,
        suppressions::delete_suppression,
        return_paths::post_return_paths,
        imports::post_import,
        export::get_export,
        imports::get_imports,
        imports::get_import,
        imports::delete_import,
        addresses::get_address,
        addresses::delete_address,
        disclosure::get_disclosure,
        story::get_why,
        receipts::get_raw,
        feeds::get_events,
        feeds::get_changes,
        diagnose::post_diagnose,
        return_paths::post_return_path_check,
        codes::get_codes,
        codes::get_code,
        get_problem,
        health::get_healthz,
        health::get_readyz,
        health::get_metrics,
    ),
    // Named by parameters only, which the macro does not follow.
    components(schemas(AddressText, EntryText, EventCursor, ChangeCursor, StandingCursor)),
    tags(
        (name = "check", description = "May this address be mailed?"),
        (name = "intake", description = "What comes back goes in here."),
        (name = "suppressions", description = "What lists say, and what people do to it."),
        (name = "transfer", description = "Whole lists in and out."),
        (name = "addresses", description = "Everything about one address."),
        (name = "feeds", description = "Facts and changes in the order of commit, for mirrors."),
        (name = "diagnosis", description = "What a message, a reply or a code means. Records nothing."),
        (name = "operation", description = "For whoever runs the service."),
    ),
    modifiers(&Described),
)]
struct Api;

/// What the macro cannot say: the credential, and the table of problems.
struct Described;

impl Modify for Described {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("rbk_…")
            .description(Some("An API key, made by `rebound keys create`. Its scopes are read, write, ingest and admin (everything)."));
        api.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        for item in api.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            operations.into_iter().filter_map(Option::as_mut).for_each(common_answers);
        }
        let about = api.info.description.get_or_insert_default();
        about.push_str(
            "\n\nTimes are RFC 3339 in UTC, sizes are octets. Every answer has an `x-request-id`; send one of your own (up to 64 of \
             `A-Z a-z 0-9 . _ -`) to have it used. Errors are problem documents (RFC 9457) with one of these types:\n\n\
             | type | status | meaning |\n|---|---|---|\n",
        );
        for kind in ProblemKind::ALL {
            let row = format!("| `/problems/{kind}` | {} | {}. {} |\n", kind.status().as_u16(), kind.title(), kind.advice());
            about.push_str(&row);
        }
    }
}

/// Adds the answers that every route with a key, and every route with a body, may give.
fn common_answers(operation: &mut Operation) {
    let mut add = |status: &str, description: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemView::name()))).build();
        let answer = ResponseBuilder::new().description(description).content("application/problem+json", content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| answer.into());
    };
    if operation.request_body.is_some() {
        add("408", "the body did not come in time");
        add("413", "larger than http.max_body");
        add("415", "not a content type that is taken here");
    }
    if operation.security.as_ref().is_some_and(|it| !it.is_empty()) {
        add("429", "more requests than the key may make (http.rate_limit)");
        add("503", "the database is away, or the request took too long; come again");
    }
}

/// The document as JSON.
pub(super) fn openapi() -> &'static Bytes {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    // Texts and numbers can always be written.
    DOCUMENT.get_or_init(|| Api::openapi().to_json().unwrap_or_default().into())
}

/// The OpenAPI document.
pub(super) async fn get_openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi().clone())
}

/// The page, under the address that its parts are relative to.
pub(super) async fn get_docs_home() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A part of the page.
pub(super) async fn get_docs(path: web::Path<String>) -> Result<HttpResponse, Problem> {
    // The validator would show the address of the document to a service on the internet.
    let config = utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none");
    let file = utoipa_swagger_ui::serve(&path, Arc::new(config)).ok().flatten();
    let file = file.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no such part of the page"))?;
    let mut answer = HttpResponse::Ok();
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    let mut bytes = file.bytes.into_owned();
    if path.is_empty() || path.as_str() == "index.html" {
        bytes = String::from_utf8_lossy(&bytes).replace("<title>Swagger UI</title>", "<title>Rebound API</title>").into_bytes();
    }
    Ok(answer.content_type(file.content_type).body(bytes))
}

/// A kind of problem, explained.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"type": "/problems/too-large", "title": "Too large", "status": 413,
    "advice": "The detail names the limit and the key of the configuration that sets it."}))]
pub(super) struct ProblemType {
    /// The `type` of such problems.
    #[serde(rename = "type")]
    kind: String,
    /// The title of such problems.
    title: &'static str,
    /// Their usual status.
    status: u16,
    /// What to do about it.
    advice: &'static str,
}

/// Explains a kind of problem; the `type` of a problem document leads here.
#[utoipa::path(get, path = "/problems/{kind}", tag = "operation", security(()), params(("kind" = String, Path, example = "too-large")),
    responses(
        (status = 200, description = "the explanation", body = ProblemType),
        (status = 404, description = "no such kind", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_problem(path: web::Path<String>) -> Result<web::Json<ProblemType>, Problem> {
    let kind: ProblemKind = path.parse().map_err(|_| Problem::new(ProblemKind::NotFound, "there is no such kind of problem"))?;
    let (title, status, advice) = (kind.title(), kind.status().as_u16(), kind.advice());
    Ok(web::Json(ProblemType { kind: format!("/problems/{kind}"), title, status, advice }))
}
