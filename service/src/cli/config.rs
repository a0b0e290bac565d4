//! `rebound config check`: what is in effect, secrets hidden, or everything that is wrong.

use std::path::Path;

use crate::app;
use crate::cli::{Exit, Output, setup};
use crate::tls;

/// Looks at the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks the configuration, rules, policy and certificates included, and prints what is in effect, secrets hidden.
    Check {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
}

/// Checks.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let Command::Check { format } = args.command;
    let config = setup::load(config)?;
    app::policies(&config).map_err(app::AppError::Policy)?;
    app::load_rules(&config)?;
    for files in [config.http.tls.identity(), config.smtp.identity()].into_iter().flatten() {
        tls::inspect(&files).map_err(app::AppError::Certificate)?;
    }
    let page = config.redacted();
    let view: serde_json::Value = toml::from_str(&page)?;
    format.tell(&view, || page)?;
    Ok(Exit::Success)
}
