//! Every route of the service on one page: path, methods, who may call, and the handler. What is not here does not exist.

use actix_web::guard::{self, Guard};
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, Route, web};

use crate::http::edge::{self, Access, Patience};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::{
    addresses, check, codes, diagnose, disclosure, docs, export, feeds, health, imports, lists, messages, policy, receipts, release,
    return_paths, story, suppressions, webhooks,
};
use crate::store::Scope;

/// The method of a route. GET answers HEAD too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
    /// Whatever the provider of the source uses.
    Any,
}

/// One line of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) access: Access,
    patience: Patience,
    to: fn() -> Route,
}

const fn route(verb: Verb, path: &'static str, access: Access, to: fn() -> Route) -> Entry {
    Entry { verb, path, access, patience: Patience::Request, to }
}

/// A route that takes large files.
const fn upload(verb: Verb, path: &'static str, access: Access, to: fn() -> Route) -> Entry {
    Entry { verb, path, access, patience: Patience::Upload, to }
}

use Access::{Key, Metrics, Open};
use Scope::{Admin, Ingest, Read, Write};
use Verb::{Any, Delete, Get, Post, Put};

const LIST: &str = "/v1/lists/{list}";
const SUPPRESSION: &str = "/v1/lists/{list}/suppressions/{address}";

/// The page. Lines of one path stand together.
pub(super) const ROUTES: &[Entry] = &[
    route(Get, "/healthz", Open, || web::to(health::get_healthz)),
    route(Get, "/readyz", Open, || web::to(health::get_readyz)),
    route(Get, "/metrics", Metrics, || web::to(health::get_metrics)),
    // The provider's own credentials are asked for behind it.
    route(Any, "/webhooks/{source}", Open, || web::to(webhooks::post_webhook)),
    // The secret of a source may be part of its path.
    route(Any, "/webhooks/{source}/{secret:.*}", Open, || web::to(webhooks::post_webhook)),
    route(Post, "/v1/messages", Key(Ingest), || web::to(messages::post_message)),
    route(Get, "/v1/check", Key(Read), || web::to(check::get_check)),
    route(Post, "/v1/check", Key(Read), || web::to(check::post_check)),
    route(Get, "/v1/lists", Key(Read), || web::to(lists::get_lists)),
    route(Get, LIST, Key(Read), || web::to(lists::get_list)),
    route(Put, LIST, Key(Admin), || web::to(lists::put_list)),
    route(Get, "/v1/lists/{list}/policy", Key(Read), || web::to(policy::get_policy)),
    route(Post, "/v1/lists/{list}/release", Key(Write), || web::to(release::post_release)),
    route(Get, "/v1/lists/{list}/suppressions", Key(Read), || web::to(suppressions::page::get_suppressions)),
    route(Get, SUPPRESSION, Key(Read), || web::to(suppressions::get_suppression)),
    route(Put, SUPPRESSION, Key(Write), || web::to(suppressions::put_suppression)),
    route(Delete, SUPPRESSION, Key(Write), || web::to(suppressions::delete_suppression)),
    route(Post, "/v1/lists/{list}/return-paths", Key(Write), || web::to(return_paths::post_return_paths)),
    upload(Post, "/v1/lists/{list}/import", Key(Write), || web::to(imports::post_import)),
    route(Get, "/v1/lists/{list}/export", Key(Read), || web::to(export::get_export)),
    route(Get, "/v1/imports", Key(Read), || web::to(imports::get_imports)),
    route(Get, "/v1/imports/{id}", Key(Read), || web::to(imports::get_import)),
    route(Delete, "/v1/imports/{id}", Key(Write), || web::to(imports::delete_import)),
    route(Get, "/v1/addresses/{address}", Key(Read), || web::to(addresses::get_address)),
    route(Delete, "/v1/addresses/{address}", Key(Admin), || web::to(addresses::delete_address)),
    route(Get, "/v1/addresses/{address}/export", Key(Admin), || web::to(disclosure::get_disclosure)),
    route(Get, "/v1/addresses/{address}/why", Key(Read), || web::to(story::get_why)),
    route(Get, "/v1/receipts/{id}/raw", Key(Admin), || web::to(receipts::get_raw)),
    route(Get, "/v1/events", Key(Read), || web::to(feeds::get_events)),
    route(Get, "/v1/changes", Key(Read), || web::to(feeds::get_changes)),
    route(Post, "/v1/diagnose", Key(Read), || web::to(diagnose::post_diagnose)),
    route(Post, "/v1/return-paths/check", Key(Read), || web::to(return_paths::post_return_path_check)),
    route(Get, "/v1/codes", Key(Read), || web::to(codes::get_codes)),
    route(Get, "/v1/codes/{code}", Key(Read), || web::to(codes::get_code)),
    route(Get, "/openapi.json", Open, || web::to(docs::get_openapi)),
    route(Get, "/docs", Open, || web::to(docs::get_docs_home)),
    route(Get, "/docs/{file:.*}", Open, || web::to(docs::get_docs)),
    route(Get, "/problems/{kind}", Open, || web::to(docs::get_problem)),
];

/// Installs the page.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    for entries in ROUTES.chunk_by(|a, b| a.path == b.path) {
        let Some(path) = entries.first().map(|it| it.path) else { continue };
        let allow = entries.iter().map(|it| it.verb.names()).collect::<Vec<_>>().join(", ");
        let resource = entries.iter().fold(web::resource(path), |it, entry| it.route(entry.route()));
        config.service(resource.default_service(web::to(move || {
            let problem = Problem::method_not_allowed(&allow);
            async move { Err::<&str, _>(problem) }
        })));
    }
    config.default_service(web::to(no_such_route));
}

async fn no_such_route(_: HttpRequest) -> Result<&'static str, Problem> {
    Err(Problem::new(ProblemKind::NotFound, "there is nothing at this path; /docs lists what there is"))
}

impl Entry {
    fn route(self) -> Route {
        let (access, patience) = (self.access, self.patience);
        let route = (self.to)().guard(self.verb);
        route.wrap(from_fn(move |request, next| edge::admit(access, patience, request, next)))
    }
}

impl Verb {
    const fn names(self) -> &'static str {
        match self {
            Get => "GET, HEAD",
            Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Any => "GET, HEAD, OPTIONS, POST, PUT",
        }
    }
}

impl Guard for Verb {
    fn check(&self, context: &guard::GuardContext<'_>) -> bool {
        let method = context.head().method.as_str();
        *self == Any || self.names().split(", ").any(|it| it == method)
    }
}
