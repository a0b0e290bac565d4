//! What a code means and what to do.

use actix_web::web;
use bounce::classify::codes::{Code, codes};
use bounce::classify::meaning::{self, Meaning};
use bounce::classify::reason::{Fault, Reason};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::views::{DispositionWord, FaultWord, ReasonWord};

/// A row of the registry of codes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "5.1.1", "name": "Bad destination mailbox address", "source": "RFC 3463", "reason": "user_unknown", "disposition": "hard",
    "explanation": "The mailbox does not exist.", "advice": "Stop sending to it."
}))]
pub(crate) struct CodeView {
    /// As the registry spells it: `550`, `5.1.1`, `5.7.x`, `5.7.606..649`. A code without a row of its own is answered with
    /// that of its range, its subject or its class.
    pub(crate) code: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is defined.
    pub(crate) source: &'static str,
    /// The reason that the code alone tells; null if it is no failure.
    #[schema(value_type = Option<ReasonWord>)]
    pub(crate) reason: Option<Reason>,
    /// What the code alone says: `hard`, `soft`, `block` (the sender's side has to act), `transient` or `none` (no failure).
    #[schema(value_type = DispositionWord)]
    pub(crate) disposition: &'static str,
    /// What it means.
    pub(crate) explanation: &'static str,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// All codes and all reasons.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"codes": [{"code": "5.1.1"}], "reasons": [{"reason": "user_unknown", "fault": "recipient"}]}))]
pub(super) struct Registry {
    /// The codes, in the order of the registry.
    codes: Vec<CodeView>,
    /// The reasons why a message can fail.
    reasons: Vec<ReasonView>,
}

/// A reason.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonView {
    /// Its name.
    #[schema(value_type = ReasonWord)]
    reason: Reason,
    /// Who has to act. Faults of reputation, content and configuration are the sender's and never suppress an address.
    #[schema(value_type = FaultWord)]
    fault: Fault,
    #[serde(flatten)]
    meaning: MeaningView,
}

/// What a reason means.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeaningView {
    /// What happened.
    pub(crate) explanation: &'static str,
    /// Who has to act for the next message to arrive.
    pub(crate) who: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
    /// When, and whether, to try again.
    pub(crate) retry: &'static str,
}

impl CodeView {
    pub(super) fn new(code: &'static Code) -> Self {
        Self {
            code: &code.code,
            name: &code.name,
            source: &code.source,
            reason: code.reason,
            disposition: code.disposition.as_str(),
            explanation: &code.explanation,
            advice: &code.advice,
        }
    }
}

impl MeaningView {
    pub(crate) fn of(reason: Reason) -> Self {
        let Meaning { explanation, who, advice, retry } = meaning::of(reason);
        Self { explanation, who, advice, retry }
    }
}

/// Lists all codes and all reasons.
#[utoipa::path(get, path = "/v1/codes", tag = "diagnosis", security(("bearer" = ["read"])), responses(
    (status = 200, description = "all of them", body = Registry),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_codes() -> web::Json<Registry> {
    let reasons = Reason::ALL.iter().map(|it| ReasonView { reason: *it, fault: it.fault(), meaning: MeaningView::of(*it) });
    web::Json(Registry { codes: codes().all().iter().map(CodeView::new).collect(), reasons: reasons.collect() })
}

/// Says what a reply code (`550`; RFC 5321 section 4.2) or an enhanced code (`5.1.1`; RFC 3463) means and what to do.
#[utoipa::path(get, path = "/v1/codes/{code}", tag = "diagnosis", security(("bearer" = ["read"])),
    params(("code" = String, Path, example = "5.1.1")),
    responses(
        (status = 200, description = "what it means", body = CodeView),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "not a code", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_code(path: web::Path<String>) -> Result<web::Json<CodeView>, Problem> {
    let unknown = || Problem::new(ProblemKind::NotFound, "not a code; a reply code is written 550, an enhanced code 5.1.1");
    codes().find(&path).map(|it| web::Json(CodeView::new(it))).ok_or_else(unknown)
}
