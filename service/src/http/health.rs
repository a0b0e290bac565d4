//! Alive, ready, and the figures.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::State;
use crate::http::views::RelayStateWord;
use crate::spool::{Found, Presence};
use crate::telemetry::{RelayState, Telemetry};

/// Whether the service can do its work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "database": "reachable", "migrations_pending": 0, "relay": "connected",
    "spool": {"entries": 0, "bytes": 0, "oldest_seconds": null}, "insecure_sources": []}))]
pub(super) struct Readiness {
    /// `ready`; `spooling`: the database is away, what comes in is kept on the disk; `not_ready`; or `stopping` when the service was
    /// told to stop.
    status: &'static str,
    /// `reachable` or `unreachable`.
    database: &'static str,
    /// Steps that the schema lacks; null if the database is unreachable.
    migrations_pending: Option<usize>,
    /// What the relay to RabbitMQ does: `off`, `standby`, `disconnected` or `connected`. It does not count for readiness:
    /// without a broker, intake and checks go on.
    #[schema(value_type = RelayStateWord)]
    relay: RelayState,
    /// What waits on the disk for the database; null if there is no spool.
    spool: Option<SpoolView>,
    /// Sources that take posts from anybody (`insecure = true`).
    insecure_sources: Vec<String>,
}

/// What waits on the disk for the database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpoolView {
    /// Receipts.
    entries: usize,
    /// Octets of them, compressed.
    bytes: u64,
    /// How long the oldest has waited; null if there is none.
    oldest_seconds: Option<u64>,
}

/// Alive: the process answers. Nothing else is looked at.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "alive", body = String, example = "ok\n")))]
pub(super) async fn get_healthz() -> &'static str {
    "ok\n"
}

/// Ready: the schema is up to date and the database reachable, and nothing has told the service to stop. While a database that
/// was there is away and the spool takes what comes in, the answer is 200 too, or a balancer would keep from the service what it
/// can keep safe.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "ready, or spooling", body = Readiness),
    (status = 503, description = "not ready", body = Readiness),
))]
pub(super) async fn get_readyz(state: web::Data<State>) -> HttpResponse {
    let pending = pending(&state).await;
    let now = state.clock.now();
    let takes = |it: &Presence| it.now() == Found::Away && state.intake.spool().is_some_and(|it| it.has_room(now));
    let status = match pending {
        _ if state.drain.is_leaving() => "stopping",
        Some(0) => "ready",
        None if state.intake.presence().is_some_and(|(it, _)| takes(it)) => "spooling",
        _ => "not_ready",
    };
    let figures = state.intake.spool().map(|it| it.figures(now));
    let readiness = Readiness {
        status,
        database: if pending.is_some() { "reachable" } else { "unreachable" },
        migrations_pending: pending,
        relay: *state.relay.borrow(),
        spool: figures.map(|it| SpoolView { entries: it.entries, bytes: it.bytes, oldest_seconds: it.oldest.map(|it| it.as_secs()) }),
        insecure_sources: state.sources.insecure(),
    };
    let mut answer = if matches!(status, "not_ready" | "stopping") { HttpResponse::ServiceUnavailable() } else { HttpResponse::Ok() };
    answer.json(readiness)
}

/// Steps that the schema lacks; `None` if the database does not say.
async fn pending(state: &State) -> Option<usize> {
    match state.intake.presence() {
        None => state.store.pending_migrations().await.ok(),
        // Whoever asks is not made to wait for what is known to be away.
        Some((presence, _)) if !presence.is_there() => None,
        Some((presence, patience)) => {
            let pending = tokio::time::timeout(patience, state.store.pending_migrations()).await;
            let pending = pending.ok().and_then(Result::ok);
            if pending.is_none() {
                presence.doubt();
            }
            pending
        }
    }
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
