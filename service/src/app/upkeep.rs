//! What is done every now and then: what need not be remembered any more is forgotten, and what should not stay as it is is
//! said again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::intake::Sources;
use crate::store::Store;
use crate::telemetry::{Stage, Telemetry};

/// How often.
const EVERY: Duration = Duration::from_hours(1);
/// How often the lists are read again, which another process may have changed.
const LISTS: Duration = Duration::from_secs(10);

/// The loop that does it.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) store: Arc<Store>,
    pub(super) sources: Sources,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Clock,
}

impl Upkeep {
    /// Works until told to stop, the first time at once.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut lists = tokio::time::interval(LISTS);
        lists.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.once().await,
                // An outage is told by whoever needs the database; what was read before stays.
                _ = lists.tick() => drop(self.store.lists().await),
            }
        }
    }

    async fn once(&self) {
        let insecure = self.sources.insecure();
        if !insecure.is_empty() {
            self.telemetry.insecure(&insecure);
        }
        if let Err(error) = self.store.forget_tokens(self.clock.now()).await {
            self.telemetry.failed(Stage::Store, "forgetting old tokens", &error);
        }
    }
}
