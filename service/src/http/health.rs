//! Alive, ready, and the figures.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::State;
use crate::http::views::RelayStateWord;
use crate::telemetry::{RelayState, Telemetry};

/// Whether the service can do its work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "database": "reachable", "migrations_pending": 0, "relay": "connected", "insecure_sources": []}))]
pub(super) struct Readiness {
    /// `ready`, `not_ready`, or `stopping` when the service was told to stop.
    status: &'static str,
    /// `reachable` or `unreachable`.
    database: &'static str,
    /// Steps that the schema lacks; null if the database is unreachable.
    migrations_pending: Option<usize>,
    /// What the relay to RabbitMQ does: `off`, `standby`, `disconnected` or `connected`. It does not count for readiness:
    /// without a broker, intake and checks go on.
    #[schema(value_type = RelayStateWord)]
    relay: RelayState,
    /// Sources that take posts from anybody (`insecure = true`).
    insecure_sources: Vec<String>,
}

/// Alive: the process answers. Nothing else is looked at.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "alive", body = String, example = "ok\n")))]
pub(super) async fn get_healthz() -> &'static str {
    "ok\n"
}

/// Ready: the schema is up to date and the database reachable, and nothing has told the service to stop.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "ready", body = Readiness),
    (status = 503, description = "not ready", body = Readiness),
))]
pub(super) async fn get_readyz(state: web::Data<State>) -> HttpResponse {
    let pending = state.store.pending_migrations().await;
    let stopping = state.drain.is_leaving();
    let ready = matches!(pending, Ok(0)) && !stopping;
    let readiness = Readiness {
        status: match (stopping, ready) {
            (true, _) => "stopping",
            (false, true) => "ready",
            (false, false) => "not_ready",
        },
        database: if pending.is_ok() { "reachable" } else { "unreachable" },
        migrations_pending: pending.ok(),
        relay: *state.relay.borrow(),
        insecure_sources: state.sources.insecure().into_iter().map(str::to_owned).collect(),
    };
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(readiness)
}

/// All figures in the text format of Prometheus. Asks for the bearer token `telemetry.metrics_token`, if that is set.
#[utoipa::path(get, path = "/metrics", tag = "operation", security((), ("bearer" = [])), responses(
    (status = 200, description = "the figures", body = String, content_type = "text/plain; version=0.0.4",
        example = "rebound_receipts_stored_total{source=\"ses-prod\",outcome=\"processed\"} 117\n"),
    (status = 401, description = "no token, or not the right one", body = super::problem::ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_metrics(telemetry: web::Data<Telemetry>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(telemetry.render())
}
