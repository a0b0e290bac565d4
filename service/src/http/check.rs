//! The question newsletter systems ask before they send.

mod lines;

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::{CauseWord, Moment, ReasonWord};
use crate::http::{State, check::lines::NDJSON};
use crate::store::{Answer, Blocked, List, Store, StoreError};
use crate::telemetry::Answer as Said;

/// Addresses asked for at once; between two such steps others get their turn.
const STEP: usize = 2000;

/// One address.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedOne {
    /// The list that is about to be mailed.
    #[param(example = "acme.weekly")]
    list: String,
    /// The address. A plus stands for itself.
    #[param(example = "jane@example.org")]
    address: String,
}

/// Many addresses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"list": "acme.weekly", "addresses": ["jane@example.org", "john@example.org", "nobody"]}))]
pub(super) struct AskedMany {
    /// The list that is about to be mailed.
    list: String,
    /// The addresses; at most `http.max_check`.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<Asked>,
}

/// Where the addresses come one on each line, the list stands in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedLines {
    list: String,
}

/// An entry of the list of addresses. One that is no text is invalid and costs the others nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Other(serde::de::IgnoredAny),
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
}

/// What is no address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvalidAddress {
    /// As it was asked for; null where it is no text.
    address: Option<String>,
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
    let mut check = Check::new(&state, list);
    let found = check.step(vec![Asked::Text(asked.address)]).await?;
    check.tell();
    Ok(web::Json(found))
}

/// Checks many addresses.
///
/// As JSON, or as NDJSON (`application/x-ndjson`, the list in the query) with one address on each line. The answer is NDJSON
/// if the request is or if `Accept` asks for it: one line for each address that is suppressed (it has `cause`) or invalid
/// (it has `error`), and at last `{"done":true,"checked":…,"suppressed":…,"invalid":…}`. Without that last line the check
/// failed on the way.
#[utoipa::path(post, path = "/v1/check", tag = "check", security(("bearer" = ["read"])),
    params(("list" = Option<String>, Query, description = "the list, where the body is NDJSON", example = "acme.weekly")),
    request_body(content((AskedMany = "application/json"), (String = "application/x-ndjson", example = "jane@example.org\njohn@example.org\n"))),
    responses(
        (status = 200, description = "what is not named may be mailed", content((Checked = "application/json"), (String = "application/x-ndjson"))),
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
    let body = body::read(&request, payload, Limit(state.config.http.max_body, "http.max_body")).await?;
    let asked = asked_many(&request, &body)?;
    let most = state.config.http.max_check;
    if asked.addresses.len() > most {
        return Err(Problem::too_large("the number of addresses", most, "http.max_check"));
    }
    let check = Check::new(&state, caller.list(&state.store, &asked.list).await?);
    if wants_lines(&request) { lines::answer(check, asked.addresses).await } else { whole(check, asked.addresses).await }
}

fn asked_many(request: &HttpRequest, body: &[u8]) -> Result<AskedMany, Problem> {
    if body::media_type(request) != NDJSON {
        return body::json(request, body);
    }
    let Params(AskedLines { list }) = Params::of(request)?;
    Ok(AskedMany { list, addresses: lines::addresses(body)? })
}

/// Whether the answer should be NDJSON: `Accept` says so, or says nothing and the request is.
fn wants_lines(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    accept.contains(NDJSON) || (body::media_type(request) == NDJSON && !accept.contains("application/json"))
}

async fn whole(mut check: Check, addresses: Vec<Asked>) -> Result<HttpResponse, Problem> {
    let mut all = Checked::default();
    let mut rest = addresses.into_iter();
    loop {
        let step: Vec<Asked> = rest.by_ref().take(STEP).collect();
        if step.is_empty() {
            break;
        }
        let found = check.step(step).await?;
        all.checked += found.checked;
        all.suppressed.extend(found.suppressed);
        all.invalid.extend(found.invalid);
    }
    check.tell();
    Ok(HttpResponse::Ok().json(all))
}

/// One check on its way: all its addresses are asked about the same moment.
struct Check {
    state: web::Data<State>,
    list: Arc<List>,
    now: OffsetDateTime,
    begun: Instant,
    counts: Counts,
}

/// How many addresses there were of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    checked: usize,
    suppressed: usize,
    invalid: usize,
}

impl Check {
    fn new(state: &web::Data<State>, list: Arc<List>) -> Self {
        Self { state: state.clone(), list, now: state.clock.now(), begun: Instant::now(), counts: Counts::default() }
    }

    /// Asks about some of the addresses.
    async fn step(&mut self, asked: Vec<Asked>) -> Result<Checked, StoreError> {
        let found = ask(&self.state.store, &self.list, asked, self.now).await?;
        self.counts.checked += found.checked;
        self.counts.suppressed += found.suppressed.len();
        self.counts.invalid += found.invalid.len();
        Ok(found)
    }

    /// Counts the check, once it is answered.
    fn tell(&self) {
        let Counts { checked, suppressed, invalid } = self.counts;
        let clear = checked.saturating_sub(suppressed + invalid);
        let answers = [(Said::Suppressed, suppressed), (Said::Clear, clear), (Said::Invalid, invalid)];
        self.state.telemetry.check_answered(&answers, self.begun.elapsed());
    }
}

async fn ask(store: &Store, list: &Arc<List>, asked: Vec<Asked>, now: OffsetDateTime) -> Result<Checked, StoreError> {
    let mut found = Checked { checked: asked.len(), ..Checked::default() };
    let (mut texts, mut addresses): (Vec<String>, Vec<Address>) = (Vec::new(), Vec::new());
    for it in asked {
        let Asked::Text(text) = it else {
            found.invalid.push(InvalidAddress { address: None, error: "the entry is no text".to_owned() });
            continue;
        };
        match parameters::address(&text) {
            Ok(address) => {
                addresses.push(address);
                texts.push(text);
            }
            Err(error) => found.invalid.push(InvalidAddress { address: Some(text), error: error.to_string() }),
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
        }
    }
}
