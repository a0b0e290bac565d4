//! What every request passes on its way in and out: a time limit, the question who calls, and on the way back the request
//! id and the form of problems. Credentials are asked for before anything of the request is read, so that nobody without
//! one learns more than that.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use crate::http::State;
use crate::http::keys::{Keys, require_token};
use crate::http::problem::{Problem, ProblemKind};
use crate::store::Scope;
use crate::telemetry::{RequestId, Telemetry};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody; or the handler asks itself, as for webhooks.
    Open,
    /// Whoever has the token of the metrics, if one is set.
    Metrics,
    /// Whoever has a key with this scope.
    Key(Scope),
}

/// Set while a body is being read, to tell a slow client from a slow service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receiving;

/// A handler ended in a panic. The hook has logged it.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

/// Lets a request in to its handler, holds it to the time limit, and keeps a panic from ending the connection unanswered.
pub(super) async fn admit(access: Access, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    // Routing is done, so holding the request twice does no harm.
    let held = request.request().clone();
    let Some(state) = held.app_data::<web::Data<State>>().cloned() else {
        return Ok(request.error_response(Problem::internal(Panicked)));
    };
    let work = AssertUnwindSafe(async {
        match authorise(access, &request, &state).await {
            Ok(()) => next.call(request).await,
            Err(problem) => Ok(request.error_response(problem)),
        }
    });
    match tokio::time::timeout(state.config.http.request_timeout, work.catch_unwind()).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_)) => Ok(ServiceResponse::from_err(Problem::internal(Panicked), held)),
        Err(_) if held.extensions().contains::<Receiving>() => {
            let slow = Problem::new(ProblemKind::RequestTimeout, "the body did not arrive in time (http.request_timeout)");
            Ok(ServiceResponse::from_err(slow, held))
        }
        Err(_) => Ok(ServiceResponse::from_err(Problem::too_slow(), held)),
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
            let caller = keys.caller(request.request(), &state.store, state.clock.now()).await?;
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
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(id) = id.and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    Ok(response)
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
