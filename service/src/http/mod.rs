//! The HTTP edge: every route on one page, handlers that extract, call and answer, and the one place where errors become
//! statuses.

use std::sync::Arc;

use bounce::classify::Rules;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::inbound::Fetcher;
use crate::intake::{Intake, Sources};
use crate::store::Store;
use crate::telemetry::{RelayState, Telemetry};

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct State {
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub store: Arc<Store>,
    /// The way in.
    pub intake: Intake,
    /// Who may post.
    pub sources: Sources,
    /// Codes and wording.
    pub rules: Arc<Rules>,
    /// Fetches certificates and confirms subscriptions.
    pub fetcher: Fetcher,
    /// How the relay is.
    pub relay: watch::Receiver<RelayState>,
    /// Metrics and logs.
    pub telemetry: Arc<Telemetry>,
    /// The time.
    pub clock: Clock,
}
