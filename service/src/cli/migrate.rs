//! `rebound migrate`: brings the schema up to date, for those who do not leave that to `serve`.

use std::io::{self, Write as _};
use std::path::Path;

use crate::app;
use crate::cli::{Exit, setup};

/// Brings the schema of the database up to date; several may do so at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Migrates.
pub(super) fn run(config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let applied = setup::block_on(async { Ok(app::open_store(&config).await?.migrate().await?) })?;
    let mut out = io::stdout().lock();
    match applied {
        0 => writeln!(out, "the schema is up to date")?,
        1 => writeln!(out, "the schema is up to date: 1 migration was applied")?,
        _ => writeln!(out, "the schema is up to date: {applied} migrations were applied")?,
    }
    Ok(Exit::Success)
}
