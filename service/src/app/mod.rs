//! Puts the parts together. [`App::build`] opens the database, brings the schema up to date and binds the address;
//! [`App::run`] serves until told to stop, and then stops in the order of the river: first no more comes in, then what waits
//! is committed, then what was committed is published. Tests and the program use the same two. Where there is a spool, the
//! database may come later than the service.

mod meeting;
mod pepper;
mod policy;
mod rules;
mod upkeep;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use bounce::policy::Cause;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::meeting::Meeting;
use self::rules::Reloader;
use self::upkeep::{Upkeep, Walk};
use crate::clock::Clock;
use crate::config::{API_SOURCE, Config, DatabaseConfig, Engine};
use crate::console;
use crate::http::{self, Drain, Listener, State};
use crate::inbound::Fetcher;
use crate::intake::{self, Committer, Sources};
use crate::mailbox::Mailboxes;
use crate::outbox::Relay;
use crate::smtp::{Delivery, Smtp, SmtpError};
use crate::spool::{Found, Presence, Role, Spool, SpoolError};
use crate::store::{Announces, Connect, Identity, Store, StoreError};
use crate::telemetry::{self, MailProtocol, Stage, Telemetry};
use crate::tls::{Certificate, CertificateError};
use crate::transfer::Transfers;

pub use pepper::PepperError;
pub use policy::policies;
pub use rules::load_rules;

/// Why the service could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The pepper could not be found or made.
    #[error("no pepper")]
    Pepper(#[from] PepperError),
    /// A policy of the configuration makes no sense.
    #[error("the policy cannot be used")]
    Policy(#[from] bounce::policy::PolicyError),
    /// A rules file could not be read.
    #[error("{path}: cannot be read (rules.files)")]
    RulesFile {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A rules file does not hold.
    #[error("the rules of the operator cannot be used (rules.files)")]
    Rules(#[source] bounce::classify::rules::RulesError),
    /// The spool cannot be used.
    #[error("the service has no place for receipts while the database is away")]
    Spool(#[from] SpoolError),
    /// The database.
    #[error("the database (database.url) cannot be used")]
    Store(#[from] StoreError),
    /// The address is taken or not ours.
    #[error("{address} cannot be listened on (http.listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate that is to be shown.
    #[error("TLS cannot be spoken")]
    Certificate(#[from] CertificateError),
    /// The mail edge cannot open.
    #[error("mail cannot be taken in")]
    Smtp(#[from] SmtpError),
    /// The server ended with an error.
    #[error("the HTTP server ended")]
    Serve(#[source] std::io::Error),
    /// Database or broker kept it from ending. Nothing is lost: what was not committed was not answered either.
    #[error("the service did not come to its end within {ENDING:?}")]
    Unfinished,
}

/// Time to commit and publish what was begun, once the last request is answered.
const ENDING: Duration = Duration::from_secs(10);

/// The service, ready to run.
#[derive(Debug)]
pub struct App {
    state: State,
    listener: Listener,
    smtp: Option<Smtp>,
    committer: Committer,
    relay: Relay,
    reloader: Reloader,
    mailboxes: Mailboxes,
}

impl App {
    /// Opens everything that the configuration names.
    ///
    /// # Errors
    /// When the service cannot start; the error says which key is to blame.
    pub async fn build(config: Config, clock: Clock) -> Result<Self, AppError> {
        let telemetry = telemetry_of(&config);
        let certificate = config.http.tls.identity().map(|it| Certificate::open(it, Stage::Http, &telemetry, &clock)).transpose()?;
        let spool = open_spool(&config, Role::Keeper, &telemetry, &clock)?;
        let store = Arc::new(open_store(&config).await?);
        let config = Arc::new(config);
        let meeting = Meeting { store: store.clone(), config: config.clone(), telemetry: telemetry.clone(), clock: clock.clone() };
        let (sources, found) = match meeting.meet().await {
            Ok(()) => (meeting.sources().await?, Found::There),
            // A file that cannot be opened will not come back by itself.
            Err(error) if error.is_outage() && spool.is_some() && config.database.engine() == Some(Engine::Postgres) => {
                telemetry.failed(Stage::Store, "meeting the database", &error);
                (Sources::named_only(&config), Found::Unmet)
            }
            Err(error) => return Err(error.into()),
        };
        let reloader = Reloader::open(&config.rules, telemetry.clone())?;
        let rules = reloader.rules();
        let nudge = Arc::new(Notify::new());
        let (intake, committer) = intake::channel(store.clone(), rules.clone(), config.intake.clone(), telemetry.clone(), nudge.clone());
        let intake = match spool {
            Some(spool) => intake.with_spool(Arc::new(spool), Presence::new(found), config.spool.patience),
            None => intake,
        };
        let relay = Relay::new(store.clone(), config.amqp.clone(), telemetry.clone(), nudge.clone(), clock.clone());
        let mailboxes = Mailboxes::new(&config, store.clone(), &intake, &sources, &telemetry, &clock);
        watch_pool(&telemetry, &store, config.database.max_connections);
        let listen = |source| AppError::Listen { address: config.http.listen, source };
        let listener = Listener { socket: TcpListener::bind(config.http.listen).map_err(listen)?, certificate };
        let delivery = Delivery { intake: intake.clone(), sources: sources.clone(), telemetry: telemetry.clone(), clock: clock.clone() };
        let smtp = Smtp::bind(&config, delivery)?;
        let transfers = Transfers::new(store.clone(), rules.clone(), telemetry.clone(), nudge.clone(), clock.clone());
        let state = State {
            transfers,
            fetcher: Fetcher::new(&config.fetch),
            nudge: nudge.clone(),
            relay: relay.state(),
            drain: Drain::default(),
            config,
            store,
            intake,
            sources,
            rules,
            telemetry,
            clock,
        };
        Ok(Self { state, listener, smtp, committer, relay, reloader, mailboxes })
    }

    /// The address it listens on.
    ///
    /// # Panics
    /// Never: the listener is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.socket.local_addr().unwrap_or(self.state.config.http.listen)
    }

    /// The ports on which it takes mail, by protocol.
    #[must_use]
    pub fn mail_addresses(&self) -> Vec<(MailProtocol, SocketAddr)> {
        self.smtp.as_ref().map(Smtp::addresses).unwrap_or_default()
    }

    /// What its handlers work with.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The same, to prepare it before it runs.
    #[must_use]
    pub const fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Whoever notifies this asks for the operator's rules to be read again. Signals are the caller's.
    #[must_use]
    pub fn reload_rules(&self) -> Arc<Notify> {
        self.reloader.asked()
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the HTTP server fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        let Self { state, listener, smtp, committer, relay, reloader, mailboxes } = self;
        let (telemetry, store) = (state.telemetry.clone(), state.store.clone());
        let (address, scheme) = (listener.socket.local_addr().unwrap_or(state.config.http.listen), listener.scheme());
        let engine = if state.config.database.engine() == Some(Engine::Postgres) { "postgres" } else { "sqlite" };
        let (fetches, commits, publishes) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        // Cancelled when a loop ends, by a panic too: a service that cannot commit or publish must not look alive.
        let ended = CancellationToken::new();
        let presence = state.intake.presence().map(|(it, _)| it.clone());
        let committing = guarded(&ended, committer.run(state.clock.clone(), commits.clone()));
        let fetching = guarded(&ended, mailboxes.run(fetches.clone()));
        let emptying = keep_spool(&state, &commits).map(|it| guarded(&ended, it));
        let reloading = tokio::spawn(reloader.run(commits.clone()));
        let transfers = state.transfers.clone();
        let upkeep = Upkeep {
            store: store.clone(),
            sources: state.sources.clone(),
            transfers: transfers.clone(),
            telemetry: telemetry.clone(),
            clock: state.clock.clone(),
            retention: state.config.retention.clone(),
            walk: Walk::default(),
        };
        let keeping = tokio::spawn(once_met(presence.clone(), commits.clone(), upkeep.run(commits.clone())));
        let publishing = guarded(&ended, once_met(presence, publishes.clone(), relay.run(publishes.clone())));
        let mail = MailDoor::default();
        let receiving = guarded(&ended, mail.clone().keep(smtp));
        let (drain, limits) = (state.drain.clone(), state.config.http.clone());
        let pages = console::pages(&state.config);
        let server = http::serve(state, listener, pages, commits.clone()).map_err(AppError::Serve)?;
        let stopping = tokio::spawn({
            let (telemetry, handle, mail, fetches) = (telemetry.clone(), server.handle(), mail.clone(), fetches.clone());
            async move {
                let lead = tokio::select! {
                    () = shutdown.cancelled() => limits.shutdown_lead,
                    // It can do its work no longer: there is nothing to wait for.
                    () = ended.cancelled() => Duration::ZERO,
                };
                telemetry.service_stopping();
                fetches.cancel();
                leave(&drain, &mail, handle, lead, limits.shutdown_timeout).await;
            }
        });
        telemetry.service_started(address, scheme, engine);
        let served = server.await;
        stopping.abort();
        mail.end.cancel();
        let received = receiving.await;
        let ending = async {
            transfers.stop().await;
            fetches.cancel();
            let fetched = fetching.await;
            commits.cancel();
            let emptying = async {
                match emptying {
                    Some(emptying) => emptying.await,
                    None => Ok(Ok(())),
                }
            };
            let (committed, reloaded, kept, emptied) = tokio::join!(committing, reloading, keeping, emptying);
            publishes.cancel();
            let published = publishing.await;
            store.close().await;
            (fetched, committed, reloaded, kept, emptied, published)
        };
        let (fetched, committed, reloaded, kept, emptied, published) =
            tokio::time::timeout(ENDING, ending).await.map_err(|_| AppError::Unfinished)?;
        // A loop that panicked is a fault of ours; it is told as the end of the server.
        let panicked = |_| AppError::Serve(std::io::Error::other("a loop of the service ended in a panic"));
        received.map_err(panicked)?;
        fetched.map_err(panicked)?;
        committed.map_err(panicked)?;
        reloaded.map_err(panicked)?;
        kept.map_err(panicked)?;
        published.map_err(panicked)?;
        emptied.map_err(panicked)??;
        served.map_err(AppError::Serve)
    }
}

/// Takes the server out of service: unready for the time of the lead, then refusing what is new until what was begun has ended,
/// then gone. What has not ended within the limit is cut.
async fn leave(drain: &Drain, mail: &MailDoor, server: ServerHandle, lead: Duration, limit: Duration) {
    let until = Instant::now() + limit;
    drain.leave();
    tokio::time::sleep(lead).await;
    drain.refuse();
    mail.stop.cancel();
    let idle = async { tokio::join!(drain.idle(), mail.idle.cancelled()) };
    let in_time = tokio::time::timeout_at(until, idle).await.is_ok();
    mail.end.cancel();
    server.stop(in_time).await;
}

/// How the mail edge is told to go, and tells that it has.
#[derive(Debug, Clone, Default)]
struct MailDoor {
    /// Takes nothing new.
    stop: CancellationToken,
    /// Cuts what is not done.
    end: CancellationToken,
    /// Nothing is under way any more.
    idle: CancellationToken,
}

impl MailDoor {
    /// Runs the edge, if there is one, until it has ended; and else until it would have.
    async fn keep(self, smtp: Option<Smtp>) {
        let Self { stop, end, idle } = self;
        // Should it panic, nobody waits for it.
        let _idle = idle.drop_guard();
        match smtp {
            Some(smtp) => smtp.run(stop, end).await,
            None => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = end.cancelled() => {}
                }
            }
        }
    }
}

/// Runs a loop, and cancels the token when it ends, however it does.
fn guarded<T: Send + 'static>(ended: &CancellationToken, run: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        let _guard = guard;
        run.await
    })
}

/// Runs a loop that works on the database, from when that has been met.
async fn once_met(presence: Option<Presence>, stop: CancellationToken, run: impl Future<Output = ()>) {
    if let Some(presence) = presence {
        tokio::select! {
            () = presence.met() => {}
            () = stop.cancelled() => return,
        }
    }
    run.await;
}

/// The loop that empties the spool, if there is one.
fn keep_spool(state: &State, stop: &CancellationToken) -> Option<impl Future<Output = Result<(), StoreError>> + use<>> {
    let drain = state.intake.drain(state.store.clone(), state.sources.clone(), state.config.spool.set_aside_after)?;
    let (presence, _) = state.intake.presence()?;
    let meeting = Meeting {
        store: state.store.clone(),
        config: state.config.clone(),
        telemetry: state.telemetry.clone(),
        clock: state.clock.clone(),
    };
    Some(meeting.keep(presence.clone(), state.sources.clone(), drain, stop.clone()))
}

/// The spool of a configuration, if it has one.
///
/// # Errors
/// When its folder cannot be used.
pub fn open_spool(config: &Config, role: Role, telemetry: &Arc<Telemetry>, clock: &Clock) -> Result<Option<Spool>, SpoolError> {
    if !config.spool.enabled {
        return Ok(None);
    }
    Spool::open(&config.spool, role, telemetry.clone(), clock).map(Some)
}

/// The store of a configuration, not yet migrated.
///
/// # Errors
/// When pepper, policy or URL cannot be used.
pub async fn open_store(config: &Config) -> Result<Store, AppError> {
    let pepper = pepper::of(config)?;
    // Without a broker nobody would empty the outbox.
    let announces = if config.amqp.url.is_some() { Announces::Outbox } else { Announces::FeedsOnly };
    let connect = connect_options(&config.database, announces);
    Ok(Store::connect(&connect, Identity::new(&pepper), policies(config)?).await?)
}

/// Makes the lists that the configuration declares.
///
/// # Errors
/// When the database is away.
pub async fn declare_lists(store: &Store, config: &Config, clock: &Clock) -> Result<(), StoreError> {
    for list in &config.lists {
        let honours: Option<Vec<Cause>> = list.honours.as_ref().map(|it| it.iter().filter_map(|it| it.as_str().parse().ok()).collect());
        store.ensure_list(list.name.as_str(), honours.as_deref(), clock.now()).await?;
    }
    Ok(())
}

fn connect_options(database: &DatabaseConfig, announces: Announces) -> Connect {
    Connect {
        url: SecretString::from(database.url.expose()),
        max_connections: database.max_connections,
        min_connections: database.min_connections,
        acquire_timeout: database.acquire_timeout,
        connect_timeout: database.connect_timeout,
        statement_timeout: database.statement_timeout,
        announces,
    }
}

fn telemetry_of(config: &Config) -> Arc<Telemetry> {
    let sources = config.sources.iter().map(|it| it.name.as_str()).chain([API_SOURCE]);
    let telemetry = Telemetry::new(sources);
    telemetry.watch_mailboxes(config.mailboxes.iter().map(|it| it.name.as_str()));
    Arc::new(telemetry)
}

fn watch_pool(telemetry: &Telemetry, store: &Arc<Store>, max: u32) {
    let store = store.clone();
    telemetry.watch_pool(move || {
        let pool = store.pool();
        telemetry::Pool { size: pool.size, idle: u32::try_from(pool.idle).unwrap_or(u32::MAX), max }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_ends_the_service() {
        let ended = CancellationToken::new();
        let run = guarded(&ended, async { panic!("a fault of ours") });
        assert!(run.await.is_err());
        assert!(ended.is_cancelled());
        let quiet = CancellationToken::new();
        let run = guarded(&quiet, std::future::pending::<()>());
        assert!(!quiet.is_cancelled());
        run.abort();
    }
}
