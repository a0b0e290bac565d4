//! Lists on their way in: a file with a look at what it would do before it does it, how imports are, and undoing one.

use std::time::Instant;

use actix_multipart::Multipart;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bounce::policy::Cause;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use maud::{Markup, html};
use uuid::Uuid;

use crate::console::csrf;
use crate::console::elements::{Tone, badge, choice, empty, moment, number, octets, token_field};
use crate::console::form::{Asked, Fields, Form, TOKEN};
use crate::console::page::{Page, Place, see};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::console::uploads::{KEPT_FOR, Step, Upload, Uploads};
use crate::http::imports::{self, Wanted};
use crate::http::keys::Caller;
use crate::http::{Limit, Problem, ProblemKind, State, spool_stream};
use crate::listing::{Format, Spooled};
use crate::store::{Import, ImportId, ImportMode, ImportState, Scope, Visible};

const ON_A_PAGE: u64 = 50;
/// Lines that were not taken, on the page of an import.
const REFUSED_LINES: u64 = 200;
/// Octets of a field of the form that is not the file.
const FIELD_LIMIT: usize = 1000;

/// The page where one chooses a file.
pub(super) async fn get_import_form(
    state: web::Data<State>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
) -> Result<Page, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let content = html! {
        form.card.fields method="post" action={ "/console/lists/" (list.name) "/import" } enctype="multipart/form-data" {
            (token_field(&visit))
            (choice("format", "Format", "find out", Format::ALL.iter().map(|it| it.as_str()), &Fields::default()))
            (choice("cause", "Rows without a cause mean", "a blocked address", Cause::ALL.iter().map(|it| it.as_str()), &Fields::default()))
            label { "File" input type="file" name="file" required; }
            div.actions {
                button.primary type="submit" name="mode" value="preview" { "Preview" }
                button type="submit" name="mode" value="real" { "Import" }
            }
        }
        p.quiet {
            "CSV, NDJSON, plain addresses, and the exports of Amazon SES, SendGrid, Mailgun, Postmark and SparkPost. A preview says what an import would do and writes nothing. "
            "The same file again changes nothing; an import can be undone as a whole. Up to " (Limit(state.config.http.max_import, "")) "."
        }
    };
    Ok(Page::new(&visit, Place::Lists, &format!("Import into {}", list.name), &content))
}

/// What somebody sent to be imported.
struct Sent {
    file: Spooled,
    format: Option<Format>,
    cause: Option<Cause>,
    mode: ImportMode,
}

/// Takes a file and begins to look at it, or to import it.
pub(super) async fn post_import(
    state: web::Data<State>,
    uploads: web::Data<Uploads>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let room = state.transfers.room()?;
    let Sent { file, format, cause, mode } = sent(&state, &visit, &request, payload).await?;
    let again = if mode == ImportMode::Preview { Some(file.again().map_err(Problem::internal)?) } else { None };
    let (import, _) = imports::order(&state, &caller, Wanted { list, file, format, cause, mode }, room).await?;
    if let Some(file) = again {
        uploads.keep(import.id, visit.mark(), Upload { file, format, cause }, Instant::now());
        drop(uploads.let_go_in_time());
    }
    Ok(see(&format!("/console/imports/{}", import.id)))
}

/// Imports what was previewed, where its file is still kept here. Who asks again is led to the same import.
pub(super) async fn post_confirm(
    state: web::Data<State>,
    uploads: web::Data<Uploads>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
    _form: Form,
) -> Result<HttpResponse, Problem> {
    let preview = imports::import(&state, &caller, &path).await?;
    if !has_been_seen(&preview) {
        return Err(Problem::new(ProblemKind::Conflict, "there is no preview here that has come to its end"));
    }
    let turn = uploads.turn().await;
    let import = match uploads.find(preview.id, visit.mark(), Instant::now()).map_err(Problem::internal)? {
        Some(Step::Imported(import)) => import,
        Some(Step::Previewed(Upload { file, format, cause })) => {
            let room = state.transfers.room()?;
            let wanted = Wanted { list: preview.list, file, format, cause, mode: ImportMode::Real };
            let (import, _) = imports::order(&state, &caller, wanted, room).await?;
            uploads.imported(preview.id, visit.mark(), import.id, Instant::now());
            import.id
        }
        None => {
            let content = html! { div.card { (choose_again(&preview, &uploads)) } };
            return Ok(Page::new(&visit, Place::Imports, "Nothing was imported", &content).with(StatusCode::GONE).answer());
        }
    };
    drop(turn);
    Ok(see(&format!("/console/imports/{import}")))
}

/// Whether it is a preview that tells all that an import would do.
fn has_been_seen(import: &Import) -> bool {
    import.mode == ImportMode::Preview && import.state == ImportState::Completed
}

/// What is said of a file that is not there any more.
fn choose_again(preview: &Import, uploads: &Uploads) -> Markup {
    html! {
        p {
            "The file is not kept here any more. A previewed file of up to " (octets(uploads.most())) " is kept for " (KEPT_FOR.as_secs() / 60) " minutes, "
            "by the process that it was sent to and for whoever sent it, and is imported once. Choose it again to import it."
        }
        div.actions { a.button href={ "/console/lists/" (preview.list.name) "/import" } { "Choose the file again" } }
    }
}

async fn sent(state: &State, visit: &Visit, request: &HttpRequest, payload: web::Payload) -> Result<Sent, Problem> {
    let unreadable = |_| Problem::new(ProblemKind::InvalidBody, "the form cannot be read");
    let too_much = || Problem::new(ProblemKind::InvalidBody, "the form has more than it should");
    let mut form = Multipart::new(request.headers(), payload);
    let (mut fields, mut file) = (Vec::new(), None);
    while let Some(mut field) = form.try_next().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        if fields.len() > 10 || (name == "file" && file.is_some()) {
            return Err(too_much());
        }
        if name == "file" {
            // The token stands before the file; a file without one is not even read.
            require_token(visit, &fields)?;
            let limit = Limit(state.config.http.max_import, "http.max_import");
            file = Some(spool_stream(request, field.map_err(unreadable), limit).await?);
            continue;
        }
        let mut value = BytesMut::new();
        while let Some(some) = field.try_next().await.map_err(unreadable)? {
            let some: Bytes = some;
            if value.len() + some.len() > FIELD_LIMIT {
                return Err(too_much());
            }
            value.extend_from_slice(&some);
        }
        fields.push((name, String::from_utf8_lossy(&value).into_owned()));
    }
    require_token(visit, &fields)?;
    let get = |name: &str| fields.iter().find(|it| it.0 == name).map(|it| it.1.trim()).filter(|it| !it.is_empty());
    let wrong = |_| Problem::new(ProblemKind::InvalidRequest, "the form names a format or a cause that there is not");
    Ok(Sent {
        file: file.filter(|it| it.size > 0).ok_or_else(|| Problem::new(ProblemKind::InvalidBody, "choose a file that is not empty"))?,
        format: get("format").map(str::parse).transpose().map_err(wrong)?,
        cause: get("cause").map(str::parse).transpose().map_err(wrong)?,
        mode: if get("mode") == Some("real") { ImportMode::Real } else { ImportMode::Preview },
    })
}

fn require_token(visit: &Visit, fields: &[(String, String)]) -> Result<(), Problem> {
    let is_ours = fields.iter().any(|(name, value)| name == TOKEN && visit.sent(value));
    if is_ours { Ok(()) } else { Err(csrf::refused()) }
}

/// The imports that a key sees, the newest first.
pub(super) async fn get_imports(state: web::Data<State>, visit: Visit, caller: Caller, asked: Asked) -> Result<Page, Problem> {
    let Asked(fields) = asked;
    let visible = match (fields.get("list"), caller.confined_to()) {
        (Some(name), _) => Visible::Below(caller.list(&state.store, name).await?),
        (None, Some(own)) => Visible::Below(own.clone()),
        (None, None) => Visible::All,
    };
    let before = fields.word::<Uuid>("before")?.map(ImportId);
    let found = state.store.imports(before, &visible, ON_A_PAGE, state.clock.now()).await?;
    let next = found.last().filter(|_| found.len() as u64 == ON_A_PAGE).map(|it| it.id.to_string());
    let content = html! {
        @if found.is_empty() {
            (empty("Nothing was imported yet.", &html! { "Choose a list under " a href="/console/lists" { "Lists" } " to import a file into it." }))
        } @else {
            (table(&found))
            nav.pages aria-label="Pages" { @if let Some(next) = next { a.button href={ "/console/imports?" (fields.with("before", &next)) } rel="next" { "Older" } } }
        }
    };
    Ok(Page::new(&visit, Place::Imports, "Imports", &content))
}

fn table(found: &[Import]) -> Markup {
    html! {
        div.card.scroll tabindex="0" role="group" aria-label="Imports" {
            table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "List" } th scope="col" { "State" } th scope="col" { "By" } th scope="col" { "Format" }
                    th.number scope="col" { "Added" } th.number scope="col" { "Refused" }
                } }
                tbody { @for it in found {
                    tr {
                        th.nowrap scope="row" { a href={ "/console/imports/" (it.id) } { (moment(it.created_at)) } }
                        td { (it.list.name) }
                        td.nowrap { (state_badge(it)) }
                        td { (shown(&it.actor)) }
                        td { (it.format) }
                        td.number { (number(it.counts.added)) }
                        td.number { (number(it.counts.refused)) }
                    }
                } }
            }
        }
    }
}

fn state_badge(it: &Import) -> Markup {
    let tone = match it.state {
        ImportState::Completed => Tone::Good,
        ImportState::Failed => Tone::Bad,
        ImportState::Running | ImportState::Undoing => Tone::Watch,
        ImportState::Undone => Tone::Plain,
    };
    html! { @if it.mode == ImportMode::Preview { (badge(Tone::Plain, "preview")) " " } (badge(tone, it.state.as_str())) }
}

/// One import: how far it is, what it did, and what it did not take.
pub(super) async fn get_import(
    state: web::Data<State>,
    uploads: web::Data<Uploads>,
    visit: Visit,
    caller: Caller,
    path: web::Path<String>,
) -> Result<Page, Problem> {
    let import = imports::import(&state, &caller, &path).await?;
    let refused = state.store.refused_lines(import.id, 0, REFUSED_LINES).await?;
    let counts = &import.counts;
    let (added, updated) = match import.mode {
        ImportMode::Preview => ("Would be added", "Would be updated"),
        ImportMode::Real => ("Added", "Updated"),
    };
    let content = html! {
        div.card {
            p.lead { (state_badge(&import)) " into " a href={ "/console/lists/" (import.list.name) } { (import.list.name) } }
            @if let Some(error) = &import.error { p.wrong role="alert" { (shown(error)) } }
            dl.facts {
                dt { (added) } dd { (number(counts.added)) }
                dt { (updated) } dd { (number(counts.updated)) }
                dt { "Unchanged" } dd { (number(counts.unchanged)) }
                dt { "Refused lines" } dd { (number(counts.refused)) }
                dt { "Read" } dd { (octets(import.done)) " of " (octets(import.size)) ", " (import.format) }
                dt { "By" } dd { (shown(&import.actor)) ", " (moment(import.created_at)) }
                @if let Some(by) = &import.undone_by { dt { "Undone by" } dd { (shown(by)) } }
            }
            (next_step(&visit, &import, &uploads))
        }
        @if !refused.is_empty() {
            section.card aria-labelledby="refused" {
                h2 #refused { "Lines that were not taken" }
                div.scroll tabindex="0" role="group" aria-labelledby="refused" {
                    table {
                        thead { tr { th.number scope="col" { "Line" } th scope="col" { "Why" } } }
                        tbody { @for (line, why) in &refused { tr { th.number scope="row" { (number(*line)) } td { (shown(why)) } } } }
                    }
                }
            }
        }
    };
    let title = if import.mode == ImportMode::Preview { "Preview of an import" } else { "Import" };
    let page = if is_done(&import) { Page::new } else { Page::that_refreshes };
    Ok(page(&visit, Place::Imports, title, &content))
}

/// Whether nothing is under way any more.
const fn is_done(import: &Import) -> bool {
    !matches!(import.state, ImportState::Running | ImportState::Undoing)
}

fn next_step(visit: &Visit, import: &Import, uploads: &Uploads) -> Markup {
    html! {
        @match (import.mode, is_done(import)) {
            (_, false) => p.quiet { "This page loads itself again until it is done." },
            (ImportMode::Preview, true) => {
                p { "Nothing was written." }
                @if visit.may(Scope::Write) {
                    @match uploads.find(import.id, visit.mark(), Instant::now()).ok().flatten().filter(|_| has_been_seen(import)) {
                        Some(Step::Previewed(_)) => {
                            form method="post" action={ "/console/imports/" (import.id) "/confirm" } { (token_field(visit)) button.primary type="submit" { "Import it" } }
                        },
                        Some(Step::Imported(it)) => p { a href={ "/console/imports/" (it) } { "It was imported since." } },
                        None => (choose_again(import, uploads)),
                    }
                }
            },
            (ImportMode::Real, true) => {
                @if import.state == ImportState::Completed && visit.may(Scope::Write) {
                    form method="post" action={ "/console/imports/" (import.id) "/undo" } { (token_field(visit)) button type="submit" { "Undo this import" } }
                }
            },
        }
    }
}

/// Takes back what an import said.
pub(super) async fn post_undo(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    _form: Form,
) -> Result<HttpResponse, Problem> {
    let (import, _) = imports::undo(&state, &caller, &path).await?;
    Ok(see(&format!("/console/imports/{}", import.id)))
}
