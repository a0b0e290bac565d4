//! What commands that work on the database have in common: reading the configuration, opening the store, running to the end.

use std::path::Path;

use anyhow::Context as _;

use crate::app;
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::store::{Store, StoreError};

/// Who acts on the command line, in the audit.
pub(super) const ACTOR: &str = "command line";

/// Reads the configuration of this process.
pub(super) fn load(config: Option<&Path>) -> anyhow::Result<Config> {
    Ok(Config::load(&Sources::of_process(config.map(Path::to_owned)))?)
}

/// Runs a command that waits for the database or the network.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")?;
    runtime.block_on(work)
}

/// Opens the database as `serve` does: schema up to date unless that is left to `migrate`, declared lists there.
pub(super) async fn store(config: &Config, clock: &Clock) -> anyhow::Result<Store> {
    let store = app::open_store(config).await?;
    if config.database.migrate_on_start && store.pending_migrations().await? > 0 {
        store.migrate().await?;
    }
    store.check_in().await?;
    app::declare_lists(&store, config, clock).await?;
    Ok(store)
}

/// Whether an error is an outage of the database, after which the same may succeed.
pub(super) fn is_outage(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|it| it.downcast_ref::<StoreError>()).any(StoreError::is_outage)
}
