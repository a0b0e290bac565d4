//! Posts of mail providers.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bounce::esp::Answer;

use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::edge::{self, Poster};
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::http::schemas::{AnyJson, RawBody};
use crate::inbound::{Door, Post};

/// Takes a post of a configured source.
///
/// It is proved with the credentials of the source over its raw bytes before anything is believed of it. 2xx means that
/// everything it says is recorded, or safe on the disk while the database is away; 503 (429 for providers that give up on 503) that the provider should send it again. The
/// same post twice is recorded once. Where a provider needs other methods than POST, they are answered here too; and a
/// source with a `url_secret` is reached under `/webhooks/{source}/{secret}` as well.
///
/// The statuses below are the usual ones. Each provider is answered with what makes it do the right thing: come again where
/// that may help, give up where it never will.
#[utoipa::path(post, path = "/webhooks/{source}", tag = "intake", security(()),
    params(("source" = String, Path, description = "name of a `[[source]]`", example = "ses-prod")),
    request_body(description = "whatever the provider sends", content(
        (AnyJson = "application/json", example = json!({"type": "hard_bounce", "recipient": "jane@example.org", "timestamp": "2026-11-22T10:00:00Z"})),
        (RawBody = "text/plain", example = r#"{"Type":"Notification","MessageId":"…","TopicArn":"…","Message":"…"}"#),
        (RawBody = "application/x-www-form-urlencoded", example = "event=bounced&recipient=jane%40example.org&code=550"),
        (RawBody = "multipart/form-data", example = "--b\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\nbounced\r\n--b--\r\n"),
        (RawBody = "message/rfc822", example = "From: MAILER-DAEMON@mx.example.net\r\n…"),
    )),
    responses(
        (status = 200, description = "recorded, or known already, or nothing that matters; while the database is away: safe on the disk"),
        (status = 400, description = "not what the provider sends", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "not proved", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "not on the allow-list of the source", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such source", body = ProblemView, content_type = "application/problem+json"),
        (status = 405, description = "not a method of the provider", body = ProblemView, content_type = "application/problem+json"),
        (status = 406, description = "never again, to providers that give up on nothing else", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "larger than http.max_webhook_body, or more events than fit into one post", body = ProblemView, content_type = "application/problem+json"),
        (status = 415, description = "not a content type of the provider", body = ProblemView, content_type = "application/problem+json"),
        (status = 429, description = "come again, to providers that give up on 503", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "come again", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_webhook(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let name = request.match_info().get("source").unwrap_or_default();
    let source = state.sources.get(name).filter(|it| state.config.takes_posts(&it.name));
    let source = source.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no source of that name"))?;
    request.extensions_mut().insert(Poster(source.provider));
    let limit = Limit(state.config.http.max_webhook_body, "http.max_webhook_body");
    let body = body::read(&request, payload, limit).await;
    let body = body.inspect_err(|it| state.telemetry.receipt_refused(&source.name, it.refused_for()));
    let body = body.map_err(|it| it.of_post(source.provider))?;
    let post = post_of(&state, &request, body);
    let door = Door { intake: &state.intake, fetcher: &state.fetcher, telemetry: &state.telemetry, now: state.clock.now() };
    Ok(response(door.take(source, &post).await?))
}

fn post_of(state: &State, request: &HttpRequest, body: bytes::Bytes) -> Post {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    Post {
        method: request.method().as_str().to_owned(),
        url: url_of(state, request),
        headers: request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect(),
        body,
    }
}

/// The URL as the provider called it. What a proxy says of that counts only if the proxy is trusted.
fn url_of(state: &State, request: &HttpRequest) -> String {
    let target = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let trusted = |peer: IpAddr| state.config.http.trusted_proxies.iter().any(|it| it.contains(&peer));
    if request.peer_addr().is_some_and(|it| trusted(it.ip())) {
        let seen = request.connection_info();
        return format!("{}://{}{target}", seen.scheme(), seen.host());
    }
    let scheme = if edge::is_protected(request) { "https" } else { "http" };
    format!("{scheme}://{}{target}", edge::host(request))
}

fn response(answer: Answer) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK));
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    response.body(answer.body)
}
