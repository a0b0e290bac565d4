//! The question newsletter systems ask before they send.

mod lines;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bounce::address::Address;
use bounce::classify::meaning;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{AddressText, AnyJson, ListText, RawBody};
use crate::http::views::{CauseWord, EventView, Moment, Names, ReasonWord};
use crate::http::{
    State,
    check::lines::{Lines, NDJSON},
};
use crate::store::{Answer, Blocked, EventId, List, Store, StoreError};
use crate::telemetry::Answer as Said;

/// Addresses asked for at once; between two such steps others get their turn.
const STEP: usize = 2000;
/// Such steps on their way at once.
const STEPS_AT_ONCE: usize = 3;

/// One address.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedOne {
    /// The list that is about to be mailed.
    #[param(value_type = ListText, example = "acme.weekly")]
    list: String,
    /// The address. A plus stands for itself.
    #[param(value_type = AddressText, example = "jane@example.org")]
    address: String,
    /// Whether to say why too: the deciding event and what it means.
    #[serde(default)]
    #[param(example = false)]
    why: bool,
}

/// Many addresses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"list": "acme.weekly", "addresses": ["jane@example.org", "john@example.org", "nobody"]}))]
pub(super) struct AskedMany {
    /// The list that is about to be mailed; it may stand in the query instead.
    #[serde(default)]
    #[schema(value_type = Option<ListText>)]
    list: Option<String>,
    /// The addresses, as texts; at most `http.max_check`. What is none is named under `invalid` and costs the others nothing.
    #[schema(value_type = Vec<AnyJson>)]
    addresses: Vec<Asked>,
}

/// What may stand in the query beside a body.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Beside {
    /// The list that is about to be mailed, where the body does not name it.
    #[param(value_type = Option<ListText>, example = "acme.weekly")]
    list: Option<String>,
    /// Whether to say why too: the deciding event and what it means.
    #[serde(default)]
    #[param(example = false)]
    why: bool,
}

/// An entry of the list of addresses. One that is no text is invalid and costs the others nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Other(serde::de::IgnoredAny),
}

/// What is asked about: a text, or why there is none; and the line on which it stood.
#[derive(Debug)]
struct Question {
    line: Option<usize>,
    text: Result<String, &'static str>,
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Self {
        let text = match asked {
            Asked::Text(text) => Ok(text),
            Asked::Other(_) => Err("the entry is no text"),
        };
        Self { line: None, text }
    }
}

/// What a check found.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "checked": 3,
    "suppressed": [{"address": "Jane@Example.org", "normalised": "jane@example.org", "cause": "hard", "reason": "user_unknown",
        "list": "acme", "by_domain": false, "provisional": false, "since": "2026-11-22T10:00:00Z", "expires_at": null,
        "event_id": "0199c0de-7a11-7000-8000-000000000002"}],
    "invalid": [{"address": "nobody", "error": "the address is not of the form local@domain"}]
}))]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
pub(super) struct Checked {
    /// How many were asked for.
    checked: usize,
    /// Those that may not be mailed, in the order asked. Everything else that is not invalid may.
    suppressed: Vec<SuppressedAddress>,
    /// Those that are no addresses, in the order asked.
    invalid: Vec<InvalidAddress>,
}

/// An address that may not be mailed, and the weightiest cause why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuppressedAddress {
    /// As it was asked for.
    address: String,
    /// As lists know it, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    normalised: Option<String>,
    /// Why it stands there.
    #[schema(value_type = CauseWord)]
    cause: Cause,
    /// Reason of the deciding event.
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    /// The list where it stands: the one asked for or one above it.
    list: String,
    /// Whether the whole domain is blocked.
    by_domain: bool,
    /// Whether it holds only for some days, until a fact of another day confirms it.
    provisional: bool,
    /// Since when.
    since: Moment,
    /// Until when; null for good.
    expires_at: Option<Moment>,
    /// The deciding event; null where a person decided.
    event_id: Option<Uuid>,
    /// What is behind it, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Box<Why>>,
    #[serde(skip)]
    recipient: String,
    #[serde(skip)]
    note: Option<String>,
}

/// What is behind a suppression.
#[derive(Debug, Serialize, ToSchema)]
struct Why {
    /// The deciding event; null where a person decided, or where it was said of a list that the key does not reach.
    event: Option<EventView>,
    /// What its reason means.
    explanation: Option<&'static str>,
    /// What to do about it.
    advice: Option<&'static str>,
    /// What a person said of it.
    note: Option<String>,
}

/// What is no address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvalidAddress {
    /// As it was asked for; null where it is no text.
    address: Option<String>,
    /// Of NDJSON: the line on which it stood, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// What is wrong with it.
    error: String,
}

/// Checks one address.
#[utoipa::path(get, path = "/v1/check", tag = "check", security(("bearer" = ["read"])), params(AskedOne), responses(
    (status = 200, description = "`suppressed` is empty if it may be mailed", body = Checked),
    (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_check(state: web::Data<State>, caller: Caller, asked: Params<AskedOne>) -> Result<web::Json<Checked>, Problem> {
    let Params(asked) = asked;
    let list = caller.list(&state.store, &asked.list).await?;
    parameters::address(&asked.address)?;
    let check = Check::new(&state, list, asked.why.then_some(caller));
    let found = check.step(vec![Question { line: None, text: Ok(asked.address) }]).await?;
    check.tell(Counts::default().and(&found));
    Ok(web::Json(found))
}

/// Checks many addresses.
///
/// As JSON, or as NDJSON (`application/x-ndjson`, the list in the query) with one address on each line, plain, as a JSON text, or
/// as an object with `address`. NDJSON is read and answered as it comes, so that there may be any number of lines. The answer is
/// NDJSON if the request is or if `Accept` asks for it: one line for each address that is suppressed (it has `cause`) or invalid
/// (it has `error`), and at last `{"done":true,"checked":…,"suppressed":…,"invalid":…}`. Without that last line the check
/// failed on the way.
#[utoipa::path(post, path = "/v1/check", tag = "check", security(("bearer" = ["read"])), params(Beside),
    request_body(content((AskedMany = "application/json"), (RawBody = "application/x-ndjson", example = "jane@example.org\njohn@example.org\n"))),
    responses(
        (status = 200, description = "what is not named may be mailed", content((Checked = "application/json"),
            (String = "application/x-ndjson", example = "{\"address\":\"jane@example.org\",\"cause\":\"hard\",\"list\":\"acme\"}\n{\"done\":true,\"checked\":2,\"suppressed\":1,\"invalid\":0}\n"))),
        (status = 400, description = "not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "more than http.max_check addresses, or larger than http.max_body", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "neither JSON nor NDJSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_check(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Params(beside) = Params::<Beside>::of(&request)?;
    let wants_lines = wants_lines(&request);
    if body::media_type(&request) == NDJSON {
        let check = begin(&state, caller, beside).await?;
        let lines = Lines::new(&request, payload, state.config.http.request_timeout)?;
        return if wants_lines { lines::answer(check, lines).await } else { whole(check, lines).await };
    }
    let body = body::read(&request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let asked: AskedMany = body::json(&request, &body)?;
    let list = named_once(beside.list, asked.list)?;
    let beside = Beside { list, ..beside };
    if asked.addresses.len() > state.config.http.max_check {
        return Err(too_many(&state));
    }
    let check = begin(&state, caller, beside).await?;
    let questions = Lines::known(asked.addresses.into_iter().map(Question::from).collect());
    if wants_lines { lines::answer(check, questions).await } else { whole(check, questions).await }
}

fn too_many(state: &State) -> Problem {
    Problem::too_large("the number of addresses", state.config.http.max_check, "http.max_check")
}

/// The list that query or body name; both may, if they agree.
fn named_once(query: Option<String>, body: Option<String>) -> Result<Option<String>, Problem> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => {
            Err(Problem::new(ProblemKind::InvalidRequest, "`list` of the query is not the `list` of the body"))
        }
        (query, body) => Ok(query.or(body)),
    }
}

async fn begin(state: &web::Data<State>, caller: Caller, Beside { list, why }: Beside) -> Result<Check, Problem> {
    let list =
        list.ok_or_else(|| Problem::new(ProblemKind::InvalidRequest, "`list` is missing; name the list that is about to be mailed"))?;
    let list = caller.list(&state.store, &list).await?;
    Ok(Check::new(state, list, why.then_some(caller)))
}

/// Whether the answer should be NDJSON: `Accept` says so, or says nothing and the request is.
fn wants_lines(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    accept.contains(NDJSON) || (body::media_type(request) == NDJSON && !accept.contains("application/json"))
}

async fn whole(check: Check, questions: Lines) -> Result<HttpResponse, Problem> {
    let mut all = Checked::default();
    let mut found = pin!(check.clone().steps(questions));
    while let Some(found) = found.next().await {
        let found = found?;
        all.checked += found.checked;
        if all.checked > check.state.config.http.max_check {
            return Err(too_many(&check.state));
        }
        all.suppressed.extend(found.suppressed);
        all.invalid.extend(found.invalid);
    }
    check.tell(Counts::default().and(&all));
    Ok(HttpResponse::Ok().json(all))
}

/// One check on its way: all its addresses are asked about the same moment.
#[derive(Clone)]
struct Check {
    state: web::Data<State>,
    list: Arc<List>,
    now: OffsetDateTime,
    /// Who wants to know why, if anybody does.
    why: Option<Caller>,
    begun: Instant,
}

/// How many addresses there were of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    checked: usize,
    suppressed: usize,
    invalid: usize,
}

impl Counts {
    fn and(self, found: &Checked) -> Self {
        Self {
            checked: self.checked + found.checked,
            suppressed: self.suppressed + found.suppressed.len(),
            invalid: self.invalid + found.invalid.len(),
        }
    }
}

/// Why a check cannot go on.
enum Halted {
    /// The rest of the questions cannot be read.
    Reading(Problem),
    /// They cannot be answered.
    Asking(StoreError),
}

impl From<Halted> for Problem {
    fn from(halted: Halted) -> Self {
        match halted {
            Halted::Reading(problem) => problem,
            Halted::Asking(error) => error.into(),
        }
    }
}

impl Check {
    fn new(state: &web::Data<State>, list: Arc<List>, why: Option<Caller>) -> Self {
        Self { state: state.clone(), list, now: state.clock.now(), why, begun: Instant::now() }
    }

    /// Asks about all of the addresses, some at a time, and tells what was found in their order. While the database looks
    /// for some, the next are read.
    fn steps(self, questions: Lines) -> impl Stream<Item = Result<Checked, Halted>> {
        let steps = stream::try_unfold(questions, |mut questions| async {
            let step = questions.take(STEP).await.map_err(Halted::Reading)?;
            Ok((!step.is_empty()).then_some((step, questions)))
        });
        steps
            .map_ok(move |step| {
                let check = self.clone();
                async move { check.step(step).await.map_err(Halted::Asking) }
            })
            .try_buffered(STEPS_AT_ONCE)
    }

    /// Asks about some of the addresses.
    async fn step(&self, questions: Vec<Question>) -> Result<Checked, StoreError> {
        let mut found = ask(&self.state.store, &self.list, questions, self.now).await?;
        if let Some(caller) = &self.why {
            explain(&self.state.store, caller, &mut found.suppressed).await?;
        }
        Ok(found)
    }

    /// Counts the check, once it is answered.
    fn tell(&self, counts: Counts) {
        let Counts { checked, suppressed, invalid } = counts;
        let clear = checked.saturating_sub(suppressed + invalid);
        let answers = [(Said::Suppressed, suppressed), (Said::Clear, clear), (Said::Invalid, invalid)];
        self.state.telemetry.check_answered(&answers, self.begun.elapsed());
    }
}

async fn ask(store: &Store, list: &Arc<List>, questions: Vec<Question>, now: OffsetDateTime) -> Result<Checked, StoreError> {
    let mut found = Checked { checked: questions.len(), ..Checked::default() };
    let (mut texts, mut addresses): (Vec<String>, Vec<Address>) = (Vec::new(), Vec::new());
    for Question { line, text } in questions {
        match text.map(|it| (parameters::address(&it), it)) {
            Ok((Ok(address), text)) => {
                addresses.push(address);
                texts.push(text);
            }
            Ok((Err(error), text)) => found.invalid.push(InvalidAddress { address: Some(text), line, error: error.to_string() }),
            Err(error) => found.invalid.push(InvalidAddress { address: None, line, error: error.to_owned() }),
        }
    }
    let answers = store.check(list, &addresses, now).await?;
    for ((text, address), answer) in texts.into_iter().zip(&addresses).zip(answers) {
        if let Answer::Suppressed(blocked) = answer {
            found.suppressed.push(SuppressedAddress::new(text, address, blocked));
        }
    }
    Ok(found)
}

/// Adds what is behind each suppression, as far as the caller may see it.
async fn explain(store: &Store, caller: &Caller, suppressed: &mut [SuppressedAddress]) -> Result<(), StoreError> {
    let ids: Vec<EventId> = suppressed.iter().filter_map(|it| it.event_id).map(EventId).collect();
    let mut events = HashMap::new();
    for (id, event) in store.events(&ids).await? {
        if caller.reaches(&*store.list_by_id(event.list).await?) {
            events.insert(id, event);
        }
    }
    let names = Names::look_up(store, events.values().map(|it| it.list)).await?;
    for it in suppressed {
        let event = it.event_id.and_then(|id| events.get(&EventId(id)));
        let meaning = it.reason.map(meaning::of);
        it.why = Some(Box::new(Why {
            event: event.map(|event| EventView::new(event.clone(), Some(it.recipient.clone()), &names)),
            explanation: meaning.map(|it| it.explanation.as_str()),
            advice: meaning.map(|it| it.advice.as_str()),
            note: it.note.take(),
        }));
    }
    Ok(())
}

impl SuppressedAddress {
    fn new(asked: String, address: &Address, it: Blocked) -> Self {
        Self {
            normalised: (asked != address.expose()).then(|| address.expose().to_owned()),
            address: asked,
            cause: it.cause,
            reason: it.reason,
            list: it.list,
            by_domain: it.by_domain,
            provisional: it.provisional,
            since: Moment(it.since),
            expires_at: it.expires_at.map(Moment),
            event_id: it.event.map(|it| it.0),
            why: None,
            recipient: address.expose().to_owned(),
            note: it.note,
        }
    }
}
