//! The HTTP edge: every route on one page, handlers that extract, call and answer, and the one place where errors become
//! statuses.

pub(crate) mod addresses;
mod body;
mod check;
pub(crate) mod codes;
mod diagnose;
mod disclosure;
mod docs;
mod drain;
pub(crate) mod edge;
pub(crate) mod export;
mod feeds;
mod health;
pub(crate) mod imports;
pub(crate) mod keys;
mod lists;
mod messages;
pub(crate) mod parameters;
mod policy;
mod problem;
pub(crate) mod receipts;
mod release;
mod return_paths;
mod routes;
mod schemas;
pub(crate) mod story;
pub(crate) mod suppressions;
pub(crate) mod views;
mod webhooks;

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::Compress;
use actix_web::{App, HttpServer, web};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::keys::Keys;
use crate::inbound::Fetcher;
use crate::intake::{Intake, RulesInForce, Sources};
use crate::store::Store;
use crate::telemetry::{RelayState, RequestSpan, Telemetry};
use crate::tls::Certificate;
use crate::transfer::Transfers;

pub(crate) use body::{Limit, media_type, read, spool_stream};
pub(crate) use diagnose::{Diagnosis, Finding, Input, diagnose};
pub(crate) use disclosure::{Raw, disclosure};
pub use drain::Drain;
pub use policy::PolicyView;
pub use problem::{Problem, ProblemKind};
pub use story::StoryView;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct State {
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub store: Arc<Store>,
    /// The way in.
    pub intake: Intake,
    /// Lists in and out.
    pub transfers: Transfers,
    /// Who may post.
    pub sources: Sources,
    /// Codes and wording.
    pub rules: RulesInForce,
    /// Fetches certificates and confirms subscriptions.
    pub fetcher: Fetcher,
    /// How the relay is.
    pub relay: watch::Receiver<RelayState>,
    /// Wakes the relay after a manual change.
    pub nudge: Arc<Notify>,
    /// How far it is on its way out.
    pub drain: Drain,
    /// Metrics and logs.
    pub telemetry: Arc<Telemetry>,
    /// The time.
    pub clock: Clock,
}

/// Time that connections have to end in which no request is under way any more, in seconds.
const GOODBYE: u64 = 2;

/// Connections of one worker that may be in the midst of their TLS handshake. Whoever opens a connection and says nothing takes one
/// for as long as the head of a request may take, so there are many.
const HANDSHAKES: usize = 4096;

/// Where it is served.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Bound.
    pub(crate) socket: TcpListener,
    /// With one HTTPS is spoken, else HTTP.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl Listener {
    /// What is spoken.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }
}

/// What else is served beside the API: a module of pages installs its routes.
pub(crate) type Pages = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// Serves on a listener until its handle is told to stop. Who does that lets the requests under way come to their end first; see
/// [`Drain`].
/// Signals are the caller's. The files of the certificate are watched until `stop`.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) fn serve(state: State, listener: Listener, pages: Pages, stop: CancellationToken) -> std::io::Result<Server> {
    let config = state.config.http.clone();
    let data = Data::new(state);
    let mut server = HttpServer::new(move || {
        let (data, pages) = (data.clone(), pages.clone());
        App::new()
            .configure(move |it| data.install(it, &pages))
            .wrap(actix_web::middleware::from_fn(edge::answer))
            .wrap(Compress::default())
            .wrap(TracingLogger::<RequestSpan>::new())
    })
    .disable_signals()
    .client_request_timeout(config.header_timeout)
    .keep_alive(config.keep_alive)
    .tls_handshake_timeout(config.header_timeout)
    .max_connection_rate(HANDSHAKES)
    .shutdown_timeout(GOODBYE);
    if config.workers > 0 {
        server = server.workers(config.workers);
    }
    let server = match listener.certificate {
        Some(certificate) => {
            let tls = certificate.server().map_err(std::io::Error::other)?;
            tokio::spawn(certificate.watch(stop));
            server.listen_rustls_0_23(listener.socket, tls)?
        }
        None => server.listen(listener.socket)?,
    };
    Ok(server.run())
}

/// What every worker shares.
#[derive(Clone)]
struct Data {
    state: web::Data<State>,
    keys: web::Data<Keys>,
    telemetry: web::Data<Telemetry>,
}

impl Data {
    fn new(state: State) -> Self {
        let telemetry = web::Data::from(state.telemetry.clone());
        let keys = Keys::new(state.config.spool.keys_for);
        Self { state: web::Data::new(state), keys: web::Data::new(keys), telemetry }
    }

    fn install(self, config: &mut web::ServiceConfig, pages: &Pages) {
        config.app_data(self.state).app_data(self.keys).app_data(self.telemetry);
        pages(config);
        routes::configure(config);
    }
}

#[cfg(test)]
pub(crate) mod tests;
