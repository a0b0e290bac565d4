//! The frame around every page, the headers it goes out with, and errors as pages.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, Responder, web};
use maud::{DOCTYPE, Markup, html};

use crate::console::assets;
use crate::console::cookies::Jar;
use crate::console::elements::token_field;
use crate::console::form::Form;
use crate::console::session::Visit;
use crate::http::{Problem, ProblemKind};
use crate::store::Scope;
use crate::telemetry::{RequestId, Telemetry};

/// What a page may load and do: its stylesheet, its images, and forms to itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

bounce::vocabulary! {
    /// How the pages look.
    #[derive(Default)]
    pub enum Theme, "theme" {
        /// As the system of the visitor does.
        #[default]
        Auto = "auto",
        /// Dark on light.
        Light = "light",
        /// Light on dark.
        Dark = "dark",
    }
}

/// The places of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Events,
    Faults,
    Address,
    Lists,
    Imports,
    Diagnose,
    Quarantine,
    Nowhere,
}

const NAVIGATION: [(Place, &str, &str); 8] = [
    (Place::Overview, "/console", "Overview"),
    (Place::Events, "/console/events", "Events"),
    (Place::Faults, "/console/faults", "Sender faults"),
    (Place::Address, "/console/address", "Addresses"),
    (Place::Lists, "/console/lists", "Lists"),
    (Place::Imports, "/console/imports", "Imports"),
    (Place::Diagnose, "/console/diagnose", "Diagnose"),
    (Place::Quarantine, "/console/quarantine", "Quarantine"),
];

/// A page that is ready to go out.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    markup: Markup,
}

impl Page {
    /// A page of the console for a visitor.
    pub(super) fn new(visit: &Visit, place: Place, title: &str, content: &Markup) -> Self {
        Self { status: StatusCode::OK, markup: frame(Some(visit), place, title, content, None) }
    }

    /// A page that asks for itself again after some seconds.
    pub(super) fn that_refreshes(visit: &Visit, place: Place, title: &str, content: &Markup) -> Self {
        Self { status: StatusCode::OK, markup: frame(Some(visit), place, title, content, Some(2)) }
    }

    /// The same with another status.
    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn answer(self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-store"),
            // Not `no-referrer`: then browsers would hide from us that a form is our own.
            (header::REFERRER_POLICY, "same-origin"),
            (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            answer.insert_header((name, value));
        }
        answer.content_type("text/html; charset=utf-8").body(self.markup.into_string())
    }
}

impl Responder for Page {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.answer()
    }
}

/// To another page, which is asked for anew.
pub(super) fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).insert_header((header::CACHE_CONTROL, "no-store")).finish()
}

fn frame(visit: Option<&Visit>, place: Place, title: &str, content: &Markup, refresh: Option<u8>) -> Markup {
    let theme = visit.map(|it| it.theme).unwrap_or_default();
    let caller = visit.and_then(|it| it.caller.as_ref());
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if let Some(seconds) = refresh { meta http-equiv="refresh" content=(seconds); }
                title { (title) " · Rebound" }
                link rel="stylesheet" href=(assets::stylesheet());
                link rel="icon" href=(assets::icon()) type="image/svg+xml";
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header.top {
                    a.brand href="/console" { img src=(assets::icon()) alt="" width="24" height="24"; span { "Rebound" } }
                    @if let Some(visit) = visit.filter(|_| caller.is_some()) { (look_up(visit)) }
                    @if let Some(visit) = visit { (visitor(visit, theme)) }
                }
                @if caller.is_some() { (navigation(place)) }
                main #content tabindex="-1" { h1 { (title) } (content) }
                footer { "Times are UTC. Rebound " (env!("CARGO_PKG_VERSION")) " · " a href="/docs" { "API" } }
            }
        }
    }
}

/// The address that one looks for goes in the body of a form, and so into no log and no history.
fn look_up(visit: &Visit) -> Markup {
    html! {
        form.search method="post" action="/console/address" role="search" {
            (token_field(visit))
            label.hidden for="look-up" { "Look up an address" }
            input #look-up type="text" name="address" placeholder="Look up an address" autocomplete="off" spellcheck="false" required;
            button type="submit" { "Look up" }
        }
    }
}

fn visitor(visit: &Visit, theme: Theme) -> Markup {
    let scopes = |caller: &crate::http::keys::Caller| {
        let scopes = [Scope::Read, Scope::Write, Scope::Admin].into_iter().filter(|it| caller.allows(*it)).map(Scope::as_str);
        scopes.collect::<Vec<_>>().join(", ")
    };
    html! {
        div.visitor {
            form.theme method="post" action="/console/theme" aria-label="Theme" {
                (token_field(visit))
                @for it in Theme::ALL {
                    button type="submit" name="theme" value=(it.as_str()) aria-pressed=(*it == theme) { (capital(it.as_str())) }
                }
            }
            @if let Some(caller) = &visit.caller {
                span.who {
                    strong { (caller.name()) }
                    small {
                        (scopes(caller))
                        @if let Some(list) = caller.confined_to() { " · " (list.name) }
                    }
                }
                form method="post" action="/console/sign-out" { (token_field(visit)) button type="submit" { "Sign out" } }
            }
        }
    }
}

fn navigation(place: Place) -> Markup {
    html! {
        nav aria-label="Console" {
            ul {
                @for (it, path, name) in NAVIGATION {
                    li { a href=(path) aria-current=[(it == place).then_some("page")] { (name) } }
                }
            }
        }
    }
}

/// A word as it begins a sentence.
pub(super) fn capital(word: &str) -> String {
    let mut rest = word.chars();
    rest.next().map(|it| it.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// Remembers how the pages shall look, and goes back to where one was.
pub(super) async fn post_theme(request: HttpRequest, form: Form) -> Result<HttpResponse, Problem> {
    let theme: Theme = form.0.word("theme")?.unwrap_or_default();
    let back = request.headers().get(header::REFERER).and_then(|it| it.to_str().ok()).and_then(|it| url::Url::parse(it).ok());
    let back = back.as_ref().map(own_path).unwrap_or_default();
    let year = time::Duration::days(365);
    let mut answer = see(if back.is_empty() { "/console" } else { &back });
    answer.add_cookie(&Jar::Theme.keep(&request, theme.as_str().to_owned(), Some(year))).map_err(Problem::internal)?;
    Ok(answer)
}

/// The path of one of our pages that can be asked for anew; empty for any other.
fn own_path(url: &url::Url) -> String {
    let path = url.path();
    // What only a form leads to cannot be asked for anew.
    let is_ours = path == "/console" || path.starts_with("/console/");
    let is_act = ["/act", "/erase", "/retry", "/add", "/remove", "/undo", "/confirm"].iter().any(|it| path.ends_with(it));
    if !is_ours || is_act {
        return String::new();
    }
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Turns problems into pages.
pub(super) async fn told(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    let Some(problem) = response.response().error().and_then(|it| it.as_error::<Problem>()).cloned() else { return Ok(response) };
    let held = response.request().clone();
    let Some(telemetry) = held.app_data::<web::Data<Telemetry>>() else { return Ok(response) };
    let visit = held.extensions().get::<Visit>().cloned();
    let (status, title, detail) = problem.to_person(telemetry);
    let id = held.extensions().get::<RequestId>().map(|it| it.as_str().to_owned());
    let content = html! {
        div.card.problem {
            p { (capital(detail)) "." }
            @if status == StatusCode::FORBIDDEN { p.quiet { "Sign in with a key that may do this, or go back and load the page anew." } }
            @if let (true, Some(id)) = (status.is_server_error(), id) { p.quiet { "The log has more under the request " code { (id) } "." } }
            p { a.button href="/console" { "To the overview" } }
        }
    };
    let mut answer = Page { status, markup: frame(visit.as_ref(), Place::Nowhere, title, &content, None) }.answer();
    if let Some(after) = problem.retry_after().and_then(|it| it.parse().ok()) {
        answer.headers_mut().insert(header::RETRY_AFTER, after);
    }
    Ok(response.into_response(answer))
}

/// What is told of something that is not there, or that this key may not see.
pub(super) fn nothing(what: &str) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("there is no {what} here that this key may see"))
}
