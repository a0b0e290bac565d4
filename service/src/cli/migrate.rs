//! `rebound migrate`: brings the schema up to date, for those who do not leave that to `serve`.

use std::path::Path;

use serde_json::json;

use crate::app;
use crate::cli::{Exit, Output, setup};

/// Brings the schema of the database up to date; several may do so at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print what was done.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// Migrates.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let applied = setup::block_on(async { Ok(app::open_store(&config).await?.migrate().await?) })?;
    args.format.tell(&json!({ "applied": applied }), || match applied {
        0 => "the schema is up to date\n".to_owned(),
        1 => "the schema is up to date: 1 migration was applied\n".to_owned(),
        _ => format!("the schema is up to date: {applied} migrations were applied\n"),
    })?;
    Ok(Exit::Success)
}
