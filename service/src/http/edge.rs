//! What every request passes on its way in and out: a time limit, the question who calls, and on the way back the request
//! id and the form of problems. Credentials are asked for before anything of the request is read, so that nobody without
//! one learns more than that.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use bounce::esp::Provider;
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use crate::config::API_SOURCE;
use crate::http::State;
use crate::http::drain::UnderWay;
use crate::http::keys::{Keys, require_token};
use crate::http::problem::{Problem, ProblemKind};
use crate::store::Scope;
use crate::telemetry::{Refused, RequestId, Telemetry};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody; or the handler asks itself, as for webhooks.
    Open,
    /// Whoever has the token of the metrics, if one is set.
    Metrics,
    /// Whoever has a key with this scope.
    Key(Scope),
}

/// How long a request may take from its head to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As most.
    Request,
    /// It brings a large file.
    Upload,
}

/// Set while a body is being read, to tell a slow client from a slow service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receiving;

/// Set once it is known which provider posts, who is to be told in its own way what goes wrong from there on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poster(pub(super) &'static dyn Provider);

/// Paths that are answered to the end.
const OPERATION: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Octets of a head. Those of HTTP/1 the framework holds to as many; of HTTP/2 it lets 16 MiB through, which would lie there for as
/// long as a body may take that never comes.
const HEAD: usize = 128 << 10;
/// Fields of a head: as many as the framework takes of HTTP/1, each of which costs more than its octets.
const FIELDS: usize = 96;

/// A handler ended in a panic. The hook has logged it.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

/// Lets a request in to its handler, holds it to the time limit, and keeps a panic from ending the connection unanswered.
pub(crate) async fn admit(
    access: Access,
    patience: Patience,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // Routing is done, so holding the request twice does no harm.
    let held = request.request().clone();
    let Some(state) = held.app_data::<web::Data<State>>().cloned() else {
        return Ok(request.error_response(Problem::internal(Panicked)));
    };
    if held.version() == Version::HTTP_2 && is_overlong(&held) {
        return Ok(request.error_response(Problem::new(ProblemKind::InvalidRequest, "the head of the request is too large")));
    }
    let under_way = match state.drain.begin() {
        Some(it) => Some(it),
        None if OPERATION.contains(&request.path()) => None,
        None => return Ok(request.error_response(stopping(&held, &state))),
    };
    let work = AssertUnwindSafe(async {
        match authorise(access, &request, &state).await {
            Ok(()) => next.call(request).await,
            Err(problem) => {
                // Whoever forges mails, or hands them in by a key that has ended, is counted as one who forges posts.
                if access == Access::Key(Scope::Ingest) && problem.refused_for() == Refused::Credentials {
                    state.telemetry.receipt_refused(API_SOURCE, Refused::Credentials);
                }
                Ok(request.error_response(problem))
            }
        }
    });
    let (limit, key) = match patience {
        Patience::Request => (state.config.http.request_timeout, "http.request_timeout"),
        Patience::Upload => (state.config.http.import_timeout, "http.import_timeout"),
    };
    let problem = match tokio::time::timeout(limit, work.catch_unwind()).await {
        Ok(Ok(answered)) => return answered.map(|answer| UnderWay::until_sent(under_way, answer)),
        Ok(Err(_)) => Problem::internal(Panicked),
        Err(_) if held.extensions().contains::<Receiving>() => {
            Problem::new(ProblemKind::RequestTimeout, format!("the body did not arrive in time ({key})"))
        }
        Err(_) => Problem::too_slow(),
    };
    let poster = held.extensions().get::<Poster>().copied();
    let problem = match poster {
        Some(Poster(provider)) => problem.of_post(provider),
        None => problem,
    };
    Ok(ServiceResponse::from_err(problem, held))
}

/// Whether a head has more fields or octets than are taken.
fn is_overlong(request: &HttpRequest) -> bool {
    if request.headers().len() > FIELDS {
        return true;
    }
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    request.uri().path_and_query().map_or(0, |it| it.as_str().len()) + fields.sum::<usize>() > HEAD
}

/// What is told to whoever comes too late, so that it comes again: elsewhere, or when the service is back.
fn stopping(request: &HttpRequest, state: &State) -> Problem {
    let problem = Problem::stopping();
    match request.match_info().get("source").and_then(|it| state.sources.get(it)) {
        Some(source) => {
            state.telemetry.receipt_refused(&source.name, problem.refused_for());
            problem.of_post(source.provider)
        }
        None => problem,
    }
}

async fn authorise(access: Access, request: &ServiceRequest, state: &State) -> Result<(), Problem> {
    match access {
        Access::Open => Ok(()),
        Access::Metrics => match &state.config.telemetry.metrics_token {
            Some(token) => require_token(request.request(), token.expose_secret()),
            None => Ok(()),
        },
        Access::Key(scope) => {
            let keys = request.app_data::<web::Data<Keys>>().ok_or_else(|| Problem::internal(Panicked))?;
            let caller = keys.caller(request.request(), scope, state).await?;
            keys.hold(&caller, state.config.http.rate_limit).await?;
            caller.require(scope)?;
            request.extensions_mut().insert(caller);
            Ok(())
        }
    }
}

/// The last step out: problems get their form, and every answer its request id.
pub(super) async fn answer(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let id = response.request().extensions().get::<RequestId>().cloned();
    let mut response = match response.response().error().map(|it| problem_of(it, response.response())) {
        Some(problem) => {
            let telemetry = response.request().app_data::<web::Data<Telemetry>>().cloned();
            let answer = problem.answer(id.as_ref(), telemetry.as_deref().map(AsRef::as_ref));
            response.into_response(answer)
        }
        None => response,
    };
    let state = response.request().app_data::<web::Data<State>>().cloned();
    let leaving = state.as_ref().is_some_and(|it| it.drain.is_leaving());
    let hsts = state.map(|it| it.config.http.tls.hsts.as_secs()).filter(|it| *it > 0 && is_protected(response.request()));
    if leaving {
        // Whoever keeps the connection for its next request would send it here again.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(hsts) = hsts.and_then(|it| HeaderValue::from_str(&format!("max-age={it}")).ok()) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    if let Some(id) = id.and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    Ok(response)
}

/// Whether the connection itself is protected by TLS. What a proxy in front has is not known here.
pub(crate) fn is_protected(request: &HttpRequest) -> bool {
    request.app_config().secure()
}

/// The host that was asked for, with its port: of HTTP/2 it is a part of the address (RFC 9113 section 8.3.1).
pub(crate) fn host(request: &HttpRequest) -> &str {
    let named = request.headers().get(header::HOST).and_then(|it| it.to_str().ok());
    named.or_else(|| request.uri().authority().map(actix_web::http::uri::Authority::as_str)).unwrap_or_default()
}

/// The problem that an error is. Those of the framework say no more than their status.
fn problem_of(error: &Error, response: &HttpResponse) -> Problem {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.clone();
    }
    let status = response.status();
    if status.is_server_error() {
        return Problem::internal(Unforeseen(status.as_u16()));
    }
    Problem::new(ProblemKind::InvalidRequest, "the request cannot be read")
}

/// An error of the framework that no mapping foresaw.
#[derive(Debug, thiserror::Error)]
#[error("the framework answered {0}")]
struct Unforeseen(u16);
