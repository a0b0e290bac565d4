//! A message or a reply in, its diagnosis out. Records nothing.

use actix_web::{HttpRequest, web};
use bounce::classify::codes::codes;
use bounce::classify::reason::{Fault, Reason};
use bounce::classify::{Rules, Verdict, classify};
use bounce::kind::{BounceType, Kind};
use bounce::mail::Mail;
use bounce::report::{self, Reading, Report};
use bounce::status::{SmtpReply, Stage};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Size;
use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::codes::{CodeView, MeaningView};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{RawBody, ReplyText};
use crate::http::views::{BounceTypeWord, FaultWord, KindWord, ReasonWord, StageWord};

/// The most that a reply may have, of however many lines.
const REPLY_LIMIT: Limit = Limit(Size(64 << 10), "for a reply");

/// A reply of a mail server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reply": "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown"}))]
pub(super) struct Reply {
    /// What it said, with its code; of several lines if there are several.
    #[schema(pattern = "[^ \\t\\r\\n]")]
    reply: String,
}

/// What a message or a reply means.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "bounce", "dialect": null,
    "reports": [{"recipient": null, "kind": "bounce", "bounce_type": "hard", "reason": "user_unknown", "fault": "recipient",
        "status": "5.1.1", "reply": 550, "stage": "rcpt_to", "diagnostic": "550 5.1.1 User unknown",
        "evidence": {"rule": "mailbox.user_unknown", "source": "https://www.postfix.org/", "matched": "user unknown", "also": []},
        "meaning": {"explanation": "The local part does not exist.", "who": "Nobody.", "advice": "Remove the address.", "retry": "Never."}}],
    "notes": []
}))]
pub(crate) struct Diagnosis {
    /// What the whole is.
    #[schema(value_type = KindWord)]
    pub(crate) kind: Kind,
    /// Who wrote it, as far as known.
    #[schema(example = "postfix")]
    pub(crate) dialect: Option<&'static str>,
    /// One for each recipient it speaks of.
    pub(crate) reports: Vec<Finding>,
    /// What is odd about it.
    pub(crate) notes: Vec<String>,
}

/// What it says about one recipient.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// Whom it is about; null if it names nobody.
    pub(crate) recipient: Option<String>,
    /// What happened.
    #[schema(value_type = KindWord)]
    pub(crate) kind: Kind,
    /// Hard or soft.
    #[schema(value_type = Option<BounceTypeWord>)]
    pub(crate) bounce_type: Option<BounceType>,
    /// Why.
    #[schema(value_type = Option<ReasonWord>)]
    pub(crate) reason: Option<Reason>,
    /// Who has to act.
    #[schema(value_type = Option<FaultWord>)]
    pub(crate) fault: Option<Fault>,
    /// The most telling enhanced code (RFC 3463).
    #[schema(example = "5.1.1")]
    pub(crate) status: Option<String>,
    /// The reply code (RFC 5321 section 4.2).
    #[schema(example = 550)]
    pub(crate) reply: Option<u16>,
    /// The SMTP command that was refused.
    #[schema(value_type = Option<StageWord>)]
    pub(crate) stage: Option<Stage>,
    /// What the receiver said.
    pub(crate) diagnostic: Option<String>,
    /// Seconds that the receiver asks to wait.
    pub(crate) retry_after_seconds: Option<i64>,
    /// The block list that it names.
    pub(crate) block_list: Option<String>,
    /// What decided.
    pub(crate) evidence: Evidence,
    /// What the code means.
    pub(crate) code: Option<CodeView>,
    /// What the reason means.
    pub(crate) meaning: Option<MeaningView>,
}

/// What decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Evidence {
    /// The rule: `gmail.no_such_user`, `code.5.1.1`, `reply.550`, `stage.rcpt_to`, `claim` (the provider's label) or `none`.
    #[schema(example = "gmail.no_such_user")]
    pub(crate) rule: String,
    /// Where the words or the code are documented.
    pub(crate) source: Option<String>,
    /// The pattern that fitted.
    pub(crate) matched: Option<String>,
    /// Further rules that fit and weigh less.
    pub(crate) also: Vec<String>,
}

/// Diagnoses a message (`message/rfc822`) or an SMTP reply (`text/plain`, or JSON). Records nothing.
#[utoipa::path(post, path = "/v1/diagnose", tag = "diagnosis", security(("bearer" = ["read"])),
    request_body(content(
        (Reply = "application/json"),
        (ReplyText = "text/plain", example = "550 5.1.1 User unknown"),
        (RawBody = "message/rfc822", example = "From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail\n…"),
    )),
    responses(
        (status = 200, description = "what it means", body = Diagnosis),
        (status = 400, description = "not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_body, or a reply of more than 64 KiB", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "not a content type that is taken", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_diagnose(
    state: web::Data<State>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Diagnosis>, Problem> {
    let input = input(&state, &request, payload).await?;
    let rules = state.rules.now();
    // Off the thread that serves requests; a panic ends there too.
    let diagnosed = web::block(move || diagnose(&input, &rules)).await;
    diagnosed.map(web::Json).map_err(Problem::internal)
}

/// What is to be diagnosed.
pub(crate) enum Input {
    Message(Bytes),
    Reply(String),
}

async fn input(state: &State, request: &HttpRequest, payload: web::Payload) -> Result<Input, Problem> {
    let input = match body::media_type(request).as_str() {
        "message/rfc822" | "message/global" => {
            Input::Message(body::read(request, payload, Limit(state.config.http.max_body, "http.max_body")).await?)
        }
        "text/plain" => {
            let body = body::read(request, payload, REPLY_LIMIT).await?;
            Input::Reply(String::from_utf8_lossy(&body).into_owned())
        }
        json if body::is_json(json) => {
            let body = body::read(request, payload, REPLY_LIMIT).await?;
            Input::Reply(body::json::<Reply>(request, &body)?.reply)
        }
        _ => {
            let taken = "this route takes message/rfc822, text/plain and application/json";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, taken));
        }
    };
    let is_empty = match &input {
        Input::Message(it) => it.trim_ascii().is_empty(),
        Input::Reply(it) => it.trim().is_empty(),
    };
    if is_empty { Err(Problem::new(ProblemKind::InvalidBody, "there is nothing to diagnose")) } else { Ok(input) }
}

/// Diagnoses a message or a reply by these rules.
pub(crate) fn diagnose(input: &Input, rules: &Rules) -> Diagnosis {
    let reading = match input {
        Input::Message(bytes) => report::read(&Mail::parse(bytes)),
        Input::Reply(text) => {
            let mut report = Report::new(Kind::Bounce, None);
            report.diagnostic = Some(text.trim().to_owned());
            Reading { kind: Kind::Bounce, dialect: "none", reports: vec![report], notes: Vec::new() }
        }
    };
    Diagnosis {
        kind: reading.kind,
        dialect: (reading.dialect != "none").then_some(reading.dialect),
        reports: reading.reports.into_iter().map(|it| finding(it, rules)).collect(),
        notes: reading.notes.into_iter().map(|it| it.0).collect(),
    }
}

fn finding(report: Report, rules: &Rules) -> Finding {
    let verdict = classify(&report, rules);
    let said = report.diagnostic.or(report.text);
    Finding {
        recipient: report.recipient.map(|it| it.expose().to_owned()),
        kind: verdict.kind,
        bounce_type: verdict.bounce_type,
        reason: verdict.reason,
        fault: verdict.fault,
        status: verdict.status.map(|it| it.to_string()),
        reply: verdict.reply.map(SmtpReply::code),
        stage: verdict.stage,
        retry_after_seconds: verdict.retry_after.map(time::Duration::whole_seconds),
        block_list: verdict.block_list.clone(),
        evidence: evidence(&verdict, said.as_deref().unwrap_or_default(), rules),
        code: verdict.code().map(CodeView::new),
        meaning: verdict.reason.map(MeaningView::of),
        diagnostic: said,
    }
}

fn evidence(verdict: &Verdict, said: &str, rules: &Rules) -> Evidence {
    let id = verdict.rule.0.as_str();
    let fitting = rules.explain(said);
    let rule = rules.all().iter().find(|it| it.id == id);
    let code = id.split_once('.').filter(|(family, _)| matches!(*family, "code" | "reply")).and_then(|(_, code)| codes().find(code));
    Evidence {
        rule: id.to_owned(),
        source: rule.map(|it| it.source.clone()).or_else(|| code.map(|it| it.source.clone())),
        matched: fitting.iter().find(|it| it.rule.id == id).and_then(|it| it.pattern).map(str::to_owned),
        also: fitting.iter().map(|it| &it.rule.id).filter(|it| *it != id).cloned().collect(),
    }
}
