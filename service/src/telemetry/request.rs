//! The span of an HTTP request. The ready-made one holds path and query, and so the address that somebody asks about;
//! this one holds the route. It also counts the request when it is answered.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage as _, web};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;
use uuid::Uuid;

use crate::telemetry::{Telemetry, UNMATCHED};

/// For `TracingLogger::<RequestSpan>::new()`; the App's data must hold a `web::Data<Telemetry>`.
#[derive(Debug)]
pub struct RequestSpan;

/// Characters a caller's request id may have.
const ID_LIMIT: usize = 64;

/// The id of a request: the caller's `x-request-id` where it is sane, else a new one. It stands in the answer, in problems
/// and in the log, and is found in the extensions of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    fn of(request: &ServiceRequest) -> Self {
        let sane = |it: &&str| {
            !it.is_empty() && it.len() <= ID_LIMIT && it.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let given = request.headers().get("x-request-id").and_then(|it| it.to_str().ok()).filter(sane);
        Self(given.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a request came.
struct Came(Instant);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        request.extensions_mut().insert(Came(Instant::now()));
        let id = RequestId::of(request);
        request.extensions_mut().insert(id.clone());
        let route = request.match_pattern();
        tracing::info_span!(
            target: "rebound::http",
            "request",
            id = id.as_str(),
            method = %request.method(),
            route = route.as_deref().unwrap_or(UNMATCHED),
        )
    }

    fn on_request_end<B: MessageBody>(_span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        // Handlers' errors are responses by now. What is left are broken connections, which nobody answered.
        let Ok(response) = outcome else { return };
        let request = response.request();
        let (Some(telemetry), Some(came)) = (request.app_data::<web::Data<Telemetry>>(), request.extensions().get::<Came>().map(|it| it.0))
        else {
            return;
        };
        let route = request.match_pattern();
        telemetry.request_answered(request.method().as_str(), route.as_deref(), response.status().as_u16(), came.elapsed());
    }
}
