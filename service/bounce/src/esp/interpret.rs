//! `rebound interpret`: one post per line in, what it means out, nothing recorded. The same way through [`crate::esp`] that
//! a post takes at the door, with the certificates given along instead of fetched.

use std::collections::BTreeMap;

use base64::Engine;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::classify::Verdict;
use crate::classify::reason::Reason;
use crate::esp::credentials::BASE64;
use crate::esp::{Credentials, Decoded, PROVIDERS, Provider, Refusal, Unverified, provider};
use crate::kind::{BounceType, Kind};
use crate::report::Report;

/// One line of input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name of the case, given back.
    pub id: Value,
    /// The source that the post came to.
    pub source: Source,
    /// HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// The URL that was called.
    #[serde(default)]
    pub url: Option<String>,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, OneOrMany>,
    /// The body in base64.
    #[serde(default)]
    pub body_b64: String,
    /// When it came, in Unix seconds; now, if missing.
    #[serde(default)]
    pub at: Option<f64>,
}

fn post() -> String {
    "POST".to_owned()
}

/// The keys of a `[[source]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Which provider posts to it.
    pub provider: String,
    /// The default list.
    #[serde(default)]
    pub list: Option<String>,
    /// The list within which others may be named.
    #[serde(default)]
    pub within: Option<String>,
    /// Where other lists are named.
    #[serde(default)]
    pub list_from: Vec<String>,
    /// What an unattributed hard failure counts for.
    #[serde(default)]
    pub unattributed: Option<String>,
    /// What proves a post.
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// A header's value, or its values.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Once.
    One(String),
    /// Several times.
    Many(Vec<String>),
}

/// One line of output.
#[derive(Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The name of the case.
    pub id: Value,
    /// The HTTP status the post would be answered with.
    pub status: u16,
    /// Why it was refused.
    pub refused: Option<String>,
    /// What it says.
    pub events: Vec<EventView>,
}

/// One event in a line of output.
#[derive(Debug, PartialEq, Serialize)]
pub struct EventView {
    /// What happened.
    pub kind: Kind,
    /// Hard or soft.
    pub bounce_type: Option<BounceType>,
    /// Whom it is about, normalised.
    pub recipient: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
    /// The enhanced status.
    pub status: Option<String>,
    /// The reply code.
    pub reply: Option<u16>,
    /// What the refusing side said.
    pub diagnostic: Option<String>,
    /// When it happened (RFC 3339).
    pub occurred_at: Option<String>,
    /// The provider's id of the event.
    pub provider_event_id: Option<String>,
    /// The provider's id of the message, else its Message-ID.
    pub message_id: Option<String>,
}

/// A line that could not be interpreted.
#[derive(Debug, Serialize)]
struct Failure {
    id: Value,
    error: String,
}

/// Interprets one line. A line that is no case gives an object with an `error` that names what is wrong.
///
/// ```
/// use bounce::classify::{Rules, classify};
/// use bounce::esp::interpret::interpret;
///
/// # let rules = Rules::builtin();
/// let line = r#"{"id": 7, "source": {"provider": "ses"}, "body_b64": ""}"#;
/// let outcome = interpret(line, time::OffsetDateTime::UNIX_EPOCH, |report| classify(report, rules));
/// assert_eq!(outcome["status"], 400);
/// ```
pub fn interpret(line: &str, now: OffsetDateTime, classify: impl Fn(&Report) -> Verdict) -> Value {
    let outcome = match read(line) {
        Ok(case) => serde_json::to_value(answer(case, now, classify)),
        Err(failure) => serde_json::to_value(failure),
    };
    // Both are plain structs of text and numbers; a value that cannot be written has no other place to be told.
    outcome.unwrap_or_else(|error| Value::String(error.to_string()))
}

/// A case and its body.
fn read(line: &str) -> Result<(Case, Vec<u8>), Failure> {
    // First as plain JSON: the error of a wrong key shall name the case, whatever the order of the keys.
    let value: Value =
        serde_json::from_str(line).map_err(|error| Failure { id: Value::Null, error: format!("not a JSON object: {error}") })?;
    let id = value.get("id").cloned().unwrap_or_default();
    let failure = |error: String| Failure { id: id.clone(), error };
    let case: Case = serde_json::from_value(value).map_err(|error| failure(error.to_string()))?;
    let body = BASE64.decode(&case.body_b64).map_err(|error| failure(format!("`body_b64` is not base64: {error}")))?;
    Ok((case, body))
}

fn answer((case, body): (Case, Vec<u8>), now: OffsetDateTime, classify: impl Fn(&Report) -> Verdict) -> Outcome {
    let Some(provider) = provider(&case.source.provider) else {
        let known: Vec<_> = PROVIDERS.iter().map(|it| it.name()).collect();
        let refused = format!("no provider {:?}; known are {}", case.source.provider, known.join(", "));
        return Outcome { id: case.id, status: 404, refused: Some(refused), events: Vec::new() };
    };
    let headers = case.headers.into_iter().flat_map(|(name, values)| {
        let values = match values {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        };
        values.into_iter().map(move |value| (name.to_ascii_lowercase(), value))
    });
    let headers: Vec<_> = headers.collect();
    let method = case.method.to_ascii_uppercase();
    let post = Unverified { method: &method, url: case.url.as_deref().unwrap_or_default(), headers: &headers, body: &body };
    let at = case.at.and_then(moment).unwrap_or(now);
    match receive(provider, post, &case.source.credentials, at) {
        Ok(Received::Handshake(status)) => Outcome { id: case.id, status, refused: None, events: Vec::new() },
        Ok(Received::Post(decoded)) => {
            let events = decoded.reading.reports.iter().map(|it| view(it, &classify(it))).collect();
            Outcome { id: case.id, status: decoded.answer.status, refused: None, events }
        }
        Err(refusal) => {
            let status = provider.refusal_status(&refusal);
            Outcome { id: case.id, status, refused: Some(refusal.to_string()), events: Vec::new() }
        }
    }
}

/// What became of a post that was not refused.
enum Received {
    Handshake(u16),
    Post(Decoded),
}

fn receive(provider: &dyn Provider, post: Unverified<'_>, credentials: &Credentials, at: OffsetDateTime) -> Result<Received, Refusal> {
    if let Some(answer) = post.handshake(provider, credentials)? {
        return Ok(Received::Handshake(answer.status));
    }
    post.verify(provider, credentials, at).map(|it| Received::Post(provider.decode(&it)))
}

fn view(report: &Report, verdict: &Verdict) -> EventView {
    EventView {
        kind: verdict.kind,
        bounce_type: verdict.bounce_type,
        recipient: report.recipient.as_ref().map(|it| it.expose().to_owned()),
        reason: verdict.reason,
        status: verdict.status.map(|it| it.to_string()),
        reply: verdict.reply.map(crate::status::SmtpReply::code),
        diagnostic: report.diagnostic.clone(),
        occurred_at: report.occurred_at.and_then(|it| it.format(&Rfc3339).ok()),
        provider_event_id: report.provider_event_id.clone(),
        message_id: report.provider_message_id.clone().or_else(|| report.message_id.clone()),
    }
}

/// Unix seconds, fractions dropped.
fn moment(seconds: f64) -> Option<OffsetDateTime> {
    #[expect(clippy::cast_possible_truncation, reason = "a float past the range saturates, and no time is that far off")]
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Rules, classify};
    use serde_json::json;

    fn run(line: &str) -> Value {
        interpret(line, OffsetDateTime::UNIX_EPOCH, |report| classify(report, Rules::builtin()))
    }

    fn raw_ses(edit: impl Fn(&mut Value)) -> Value {
        let bounce = json!({"eventType": "Bounce", "mail": {"messageId": "m-1", "destination": ["Jane@Example.com"]}, "bounce": {
            "bounceType": "Permanent", "bounceSubType": "NoEmail", "feedbackId": "f-1", "timestamp": "2026-01-01T00:00:00.5Z",
            "bouncedRecipients": [{"emailAddress": "Jane@Example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550 no such user"}]}});
        let mut case = json!({
            "id": "1",
            "source": {"name": "s", "provider": "ses", "list": "a", "basic": ["u:p"], "topic_arns": ["arn:t"]},
            "method": "post",
            "url": "https://hooks.example/webhooks/s",
            "headers": {"Authorization": ["Basic dTpw"], "X-Amz-Sns-Topic-Arn": "arn:t"},
            "body_b64": BASE64.encode(bounce.to_string()),
            "at": 1_767_225_600,
        });
        edit(&mut case);
        run(&case.to_string())
    }

    #[test]
    fn a_case_becomes_events() {
        let event = json!({"kind": "bounce", "bounce_type": "hard", "recipient": "jane@example.com", "reason": "user_unknown", "status": "5.1.1",
            "reply": 550, "diagnostic": "550 no such user", "occurred_at": "2026-01-01T00:00:00.5Z", "provider_event_id": "f-1", "message_id": "m-1"});
        assert_eq!(raw_ses(|_| {}), json!({"id": "1", "status": 200, "refused": null, "events": [event]}));
    }

    #[test]
    fn a_refusal_says_why() {
        let refused = raw_ses(|it| it["headers"] = json!({}));
        let expected = json!({"id": "1", "status": 401, "refused": "no user and password (basic) in the request", "events": []});
        assert_eq!(refused, expected);
        assert_eq!(raw_ses(|it| it["method"] = json!("GET"))["status"], 405);
        let unknown = raw_ses(|it| it["source"]["provider"] = json!("pigeon"));
        assert_eq!(unknown["status"], 404);
        let names: Vec<_> = PROVIDERS.iter().map(|it| it.name()).collect();
        assert_eq!(unknown["refused"], format!("no provider \"pigeon\"; known are {}", names.join(", ")));
    }

    #[test]
    fn a_line_that_is_no_case_names_what_is_wrong() {
        let error = |line: &str| run(line)["error"].as_str().unwrap().to_owned();
        assert!(error("nonsense").starts_with("not a JSON object: "));
        assert!(error("{}").contains("missing field `id`"));
        let of = |edit: fn(&mut Value)| raw_ses(edit);
        assert!(of(|it| it["source"]["pasword"] = json!("x"))["error"].as_str().unwrap().contains("unknown field `pasword`"));
        assert!(of(|it| it["colour"] = json!("x"))["error"].as_str().unwrap().contains("unknown field `colour`"));
        assert!(of(|it| it["source"]["basic"] = json!("u:p"))["error"].as_str().unwrap().contains("expected a sequence"));
        let bad = of(|it| it["body_b64"] = json!("*"));
        assert_eq!((&bad["id"], bad["error"].as_str().unwrap().starts_with("`body_b64` is not base64")), (&json!("1"), true));
    }
}
