//! Every page of the console on one page: method, path, the scope it takes, and the handler.

use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{Resource, Route, web};

use crate::console::page::see;
use crate::console::{address, assets, diagnose, entries, events, faults, imports, lists, overview, page, session, sign_in, waiting};
use crate::http::edge::{self, Access, Patience};
use crate::http::{Problem, ProblemKind};
use crate::store::Scope;

/// One line of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// What the key must allow; none for what everybody may see.
    pub(super) scope: Option<Scope>,
    patience: Patience,
    to: fn() -> Route,
}

const fn get(path: &'static str, scope: Option<Scope>, to: fn() -> Route) -> Entry {
    Entry { method: "GET", path, scope, patience: Patience::Request, to }
}

const fn post(path: &'static str, scope: Option<Scope>, to: fn() -> Route) -> Entry {
    Entry { method: "POST", path, scope, patience: Patience::Request, to }
}

const fn upload(path: &'static str, scope: Option<Scope>, to: fn() -> Route) -> Entry {
    Entry { method: "POST", path, scope, patience: Patience::Upload, to }
}

const ANYBODY: Option<Scope> = None;
const READ: Option<Scope> = Some(Scope::Read);
const WRITE: Option<Scope> = Some(Scope::Write);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// The page. Lines of one path stand together.
pub(super) const ROUTES: &[Entry] = &[
    get("/console/sign-in", ANYBODY, || web::to(sign_in::get_sign_in)),
    post("/console/sign-in", ANYBODY, || web::to(sign_in::post_sign_in)),
    post("/console/sign-out", ANYBODY, || web::to(sign_in::post_sign_out)),
    post("/console/theme", ANYBODY, || web::to(page::post_theme)),
    get("/console/assets/{file}", ANYBODY, || web::to(assets::get_asset)),
    get("/console", READ, || web::to(overview::get_overview)),
    get("/console/events", READ, || web::to(events::get_events)),
    get("/console/events/{id}", READ, || web::to(events::get_event)),
    get("/console/address", READ, || web::to(address::get_look_up)),
    post("/console/address", READ, || web::to(address::post_look_up)),
    post("/console/address/act", WRITE, || web::to(address::post_act)),
    post("/console/address/erase", ADMIN, || web::to(address::post_erase)),
    get("/console/address/{subject}", READ, || web::to(address::get_address)),
    get("/console/lists", READ, || web::to(lists::get_lists)),
    get("/console/lists/{list}", READ, || web::to(entries::get_entries)),
    post("/console/lists/{list}/add", WRITE, || web::to(entries::post_add)),
    post("/console/lists/{list}/remove", WRITE, || web::to(entries::post_remove)),
    get("/console/lists/{list}/export", READ, || web::to(crate::http::export::get_export)),
    get("/console/lists/{list}/import", WRITE, || web::to(imports::get_import_form)),
    upload("/console/lists/{list}/import", WRITE, || web::to(imports::post_import)),
    get("/console/imports", READ, || web::to(imports::get_imports)),
    get("/console/imports/{id}", READ, || web::to(imports::get_import)),
    post("/console/imports/{id}/confirm", WRITE, || web::to(imports::post_confirm)),
    post("/console/imports/{id}/undo", WRITE, || web::to(imports::post_undo)),
    get("/console/diagnose", READ, || web::to(diagnose::get_diagnose)),
    post("/console/diagnose", READ, || web::to(diagnose::post_diagnose)),
    get("/console/faults", READ, || web::to(faults::get_faults)),
    get("/console/quarantine", READ, || web::to(waiting::get_quarantine)),
    post("/console/quarantine/retry", WRITE, || web::to(waiting::post_retry)),
    post("/console/outbox/retry", WRITE, || web::to(waiting::post_outbox_retry)),
    get("/console/receipts/{id}/raw", ADMIN, || web::to(crate::http::receipts::get_raw)),
    // What is not there is told as a page, too.
    get("/console/{rest:.*}", ANYBODY, || web::to(no_such_page)),
];

/// Installs the pages.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.service(lead_in());
    for entries in ROUTES.chunk_by(|a, b| a.path == b.path) {
        let Some(path) = entries.first().map(|it| it.path) else { continue };
        config.service(entries.iter().fold(web::resource(path), |it, entry| it.route(entry.route())));
    }
}

/// Whoever opens the service in a browser is led here. Everything else at that path is answered as where there is no console.
fn lead_in() -> Resource {
    web::resource("/").guard(guard::Any(guard::Get()).or(guard::Head())).to(|| std::future::ready(see("/console")))
}

async fn no_such_page() -> Result<&'static str, Problem> {
    Err(Problem::new(ProblemKind::NotFound, "there is no such page"))
}

impl Entry {
    fn route(self) -> Route {
        let Self { scope, patience, .. } = self;
        (self.to)()
            .guard(self)
            .wrap(from_fn(move |request, next| session::admit(scope, request, next)))
            .wrap(from_fn(move |request, next| edge::admit(Access::Open, patience, request, next)))
            .wrap(from_fn(page::told))
    }
}

impl Guard for Entry {
    fn check(&self, context: &guard::GuardContext<'_>) -> bool {
        let method = &context.head().method;
        *method == self.method || (*method == Method::HEAD && self.method == "GET")
    }
}
