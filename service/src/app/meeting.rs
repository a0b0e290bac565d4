//! Meeting the database: the schema brought up to date, the pepper checked, the lists and sources looked up. Nothing is read from
//! the database or written to it before that. Where there is a spool this may come after the start: until then what comes in waits
//! on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::declare_lists;
use crate::clock::Clock;
use crate::config::Config;
use crate::intake::{Drain, Sources};
use crate::spool::{Found, Presence};
use crate::store::{Store, StoreError};
use crate::telemetry::{Database, Stage, Telemetry};

/// First wait after a failure, doubled each time up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Meets the database.
#[derive(Debug, Clone)]
pub(super) struct Meeting {
    pub(super) store: Arc<Store>,
    pub(super) config: Arc<Config>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Clock,
}

impl Meeting {
    /// Makes sure that it is the right database, up to date, with the lists of the configuration.
    pub(super) async fn meet(&self) -> Result<(), StoreError> {
        if self.config.database.migrate_on_start {
            self.telemetry.schema_migrated(self.store.migrate().await?);
        }
        self.store.check_in().await?;
        for setting in self.store.risks().await? {
            self.telemetry.database_at_risk(&setting);
        }
        declare_lists(&self.store, &self.config, &self.clock).await
    }

    /// Looks up the sources of the configuration in the database that was met.
    pub(super) async fn sources(&self) -> Result<Sources, StoreError> {
        Sources::open(&self.store, &self.config, self.clock.now()).await
    }

    /// Meets the database as soon as it is there, if that is still to be done, and then empties the spool into it.
    ///
    /// # Errors
    /// When the database is there and cannot be used.
    pub(super) async fn keep(self, presence: Presence, sources: Sources, drain: Drain, stop: CancellationToken) -> Result<(), StoreError> {
        let mut wait = FIRST_WAIT;
        while presence.now() == Found::Unmet {
            let met = async {
                self.meet().await?;
                sources.settle(&self.store, &self.config.sources, self.clock.now()).await
            };
            let met = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                met = met => met,
            };
            match met {
                Ok(()) => {
                    if presence.is_news(Found::There) {
                        self.telemetry.database_found(Database::There);
                    }
                    break;
                }
                Err(error) if error.is_outage() => self.telemetry.failed(Stage::Store, "meeting the database", &error),
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(LAST_WAIT),
            }
        }
        drain.run(stop).await;
        Ok(())
    }
}
