//! The span of an HTTP request. The ready-made one holds path and query, and so the address that somebody asks about;
//! this one holds the route. It also counts the request when it is answered.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage as _, web};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::telemetry::{Telemetry, UNMATCHED};

/// For `TracingLogger::<RequestSpan>::new()`; the App's data must hold a `web::Data<Telemetry>`.
#[derive(Debug)]
pub struct RequestSpan;

/// When a request came.
struct Came(Instant);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        request.extensions_mut().insert(Came(Instant::now()));
        let id = request.extensions().get::<RequestId>().copied();
        let route = request.match_pattern();
        tracing::info_span!(
            target: "rebound::http",
            "request",
            id = id.map(tracing::field::display),
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
