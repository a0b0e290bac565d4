//! What commands that work on the database have in common: reading the configuration, opening the store, running to the end.

use std::path::Path;

use anyhow::Context as _;

use crate::app;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, DatabaseConfig, Problem, Sources};
use crate::store::{Store, StoreError, sqlite_file};

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
    hold_to_a_database(config)?;
    let store = app::open_store(config).await?;
    if config.database.migrate_on_start && store.pending_migrations().await? > 0 {
        store.migrate().await?;
    }
    store.check_in().await?;
    app::declare_lists(&store, config, clock).await?;
    Ok(store)
}

/// Holds to a database that somebody chose. Whoever forgets `--config`, or stands in another folder, would else be told that nothing
/// is known of an address, or that it is erased, by a database that was made this moment.
fn hold_to_a_database(config: &Config) -> Result<(), ConfigError> {
    let url = config.database.url.expose();
    // One that a command has put in the place of the default is named nowhere.
    let is_chosen = config.is_database_named || url != DatabaseConfig::default().url.expose();
    match sqlite_file(url).filter(|it| !is_chosen && !it.exists()) {
        None => Ok(()),
        Some(file) => Err(ConfigError { problems: vec![no_database(&file)] }),
    }
}

fn no_database(file: &Path) -> Problem {
    Problem {
        key: "database.url".to_owned(),
        value: None,
        origin: None,
        what: format!("is not set, and {} is not there", file.display()),
        remedy: "go where rebound.toml is, or name it by --config or REBOUND_CONFIG; `rebound migrate` makes a new database here"
            .to_owned(),
    }
}

/// Whether an error is an outage of the database, after which the same may succeed.
pub(super) fn is_outage(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|it| it.downcast_ref::<StoreError>()).any(StoreError::is_outage)
}
