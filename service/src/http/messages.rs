//! Messages handed in by the API.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bounce::kind::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::config::API_SOURCE;
use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::Params;
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{ListText, RawBody};
use crate::http::views::{ChangeView, EventView, KindWord, Names};
use crate::inbound::take_message;
use crate::intake::Outcome;
use crate::store::{Accepted, List, ReceiptState, Store, StoreError, SubjectId};

/// Where a message belongs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct For {
    /// The list that the message was sent for. May be left out if the key is confined to a list.
    #[param(value_type = Option<ListText>, example = "acme.weekly")]
    list: Option<String>,
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "receipt_id": "0199c0de-7a11-7000-8000-000000000001", "status": "recorded", "kind": "bounce", "dialect": "postfix",
    "events": [{"event_id": "0199c0de-7a11-7000-8000-000000000002", "recipient": "jane@example.org", "list": "acme.weekly",
        "kind": "bounce", "bounce_type": "hard", "reason": "user_unknown", "fault": "recipient", "status": "5.1.1", "reply": 550,
        "rule": "code.5.1.1"}],
    "changes": [{"change": "added", "recipient": "jane@example.org", "list": "acme", "cause": "hard", "provisional": true}],
    "notes": []
}))]
pub(super) struct Recorded {
    /// The receipt that holds the message; null if nothing was kept.
    receipt_id: Option<Uuid>,
    /// `recorded`; `duplicate`: known already, nothing changed; `unrecognised`: kept, not understood; `quarantined`: kept,
    /// reading it failed; `nothing`: understood, and it says nothing about any address; `spooled`: the database is away, the message
    /// is safe on the disk and recorded later.
    #[schema(example = "recorded")]
    status: &'static str,
    /// What the whole message is.
    #[schema(value_type = KindWord)]
    kind: Kind,
    /// Who wrote it, as far as known; null if nobody that is known.
    #[schema(example = "postfix")]
    dialect: Option<&'static str>,
    /// What was recorded. A failure that was known already and of which this copy says nothing new is not listed.
    events: Vec<EventView>,
    /// What lists say since.
    changes: Vec<ChangeView>,
    /// What was odd about the message.
    notes: Vec<String>,
}

/// Hands in a bounce message.
///
/// Takes the message as it is (`message/rfc822`, also `text/plain` and `application/octet-stream`) or uploaded by a form
/// (`multipart/form-data`, field `message`). 200 means that everything it says is recorded, 202 that it is safe and recorded
/// later. The same message twice is recorded once. What it says is believed as far as a mail can be that anybody may have written.
#[utoipa::path(post, path = "/v1/messages", tag = "intake", security(("bearer" = ["ingest"])), params(For),
    request_body(content(
        (RawBody = "message/rfc822", example = "From: MAILER-DAEMON@mx.example.net\nTo: bounces@example.com\nSubject: Undelivered Mail\n…"),
        (Upload = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "recorded, or known already", body = Recorded),
        (status = 202, description = "the database is away; the message is safe on the disk (`spooled`) and recorded once it is back",
            body = Recorded),
        (status = 400, description = "no message in it, or no list", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope ingest", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_body", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "not a content type that is taken", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "come again", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_message(
    state: web::Data<State>,
    caller: Caller,
    asked: Params<For>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let list = list_of(&state.store, &caller, asked.0.list.as_deref()).await?;
    let outcome = take(&state, list, &request, payload).await;
    let outcome = outcome.inspect_err(|it| state.telemetry.receipt_refused(API_SOURCE, it.refused_for()))?;
    state.telemetry.post_taken(API_SOURCE, state.clock.now());
    Ok(match outcome.spooled {
        Some(receipt) => HttpResponse::Accepted().json(bare("spooled", receipt.0, outcome)),
        None => HttpResponse::Ok().json(recorded(&state.store, outcome).await?),
    })
}

async fn take(state: &State, list: Arc<List>, request: &HttpRequest, payload: web::Payload) -> Result<Outcome, Problem> {
    let body = body::read(request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let arrival = take_message(API_SOURCE, list, &state.sources.tokens(), content_type, &body, state.clock.now())?;
    Ok(state.intake.accept(arrival).await?)
}

/// A message uploaded by a form.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"message": "From: MAILER-DAEMON@mx.example.net\r\n…"}))]
#[expect(dead_code, reason = "it describes the form; `bounce` reads it")]
pub(super) struct Upload {
    /// The message.
    #[schema(format = Binary, value_type = String)]
    message: String,
}

async fn list_of(store: &Store, caller: &Caller, name: Option<&str>) -> Result<Arc<List>, Problem> {
    match (name, caller.confined_to()) {
        (Some(name), _) => caller.list(store, name).await,
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(Problem::new(ProblemKind::InvalidRequest, "say which list the message was sent for: ?list=acme.weekly")),
    }
}

async fn recorded(store: &Store, outcome: Outcome) -> Result<Recorded, StoreError> {
    let plain: HashMap<SubjectId, String> =
        outcome.recipients.iter().map(|it| (store.identity().subject(it), it.expose().to_owned())).collect();
    let (receipt_id, events, changes) = match outcome.accepted {
        Some(Accepted::New { receipt, events, changes, .. }) => (Some(receipt.0), events, changes),
        Some(Accepted::Duplicate { receipt }) => return Ok(Recorded { notes: Vec::new(), ..bare("duplicate", receipt.0, outcome) }),
        None | Some(Accepted::Replayed) => (None, Vec::new(), Vec::new()),
    };
    let names = Names::look_up(store, events.iter().map(|it| it.list).chain(changes.iter().map(|it| it.list))).await?;
    let of = |it: &SubjectId| plain.get(it).cloned();
    Ok(Recorded {
        receipt_id,
        status: match outcome.state {
            Some(ReceiptState::Processed) => "recorded",
            Some(ReceiptState::Unrecognised) => "unrecognised",
            Some(ReceiptState::Quarantined) => "quarantined",
            None => "nothing",
        },
        kind: outcome.kind,
        dialect: known(outcome.dialect),
        events: events.into_iter().map(|it| (of(&it.subject), it)).map(|(to, it)| EventView::new(it, to, &names)).collect(),
        changes: changes.into_iter().map(|it| (of(&it.subject), it)).map(|(to, it)| ChangeView::new(it, to, &names)).collect(),
        notes: outcome.notes.into_iter().map(|it| it.0).collect(),
    })
}

/// What is told of a message of which nothing is known but what it is.
fn bare(status: &'static str, receipt: Uuid, outcome: Outcome) -> Recorded {
    Recorded {
        receipt_id: Some(receipt),
        status,
        kind: outcome.kind,
        dialect: known(outcome.dialect),
        events: Vec::new(),
        changes: Vec::new(),
        notes: outcome.notes.into_iter().map(|it| it.0).collect(),
    }
}

fn known(dialect: &'static str) -> Option<&'static str> {
    (dialect != "none").then_some(dialect)
}
