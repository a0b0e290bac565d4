//! The configuration, with the policy and the rules that it names.

use std::path::Path;

use super::finding::Finding;
use crate::app::{self, AppError};
use crate::cli::setup;
use crate::config::{Config, ConfigError, Sources};
use crate::telemetry::chain;

const AREA: &str = "configuration";

/// What is wrong with it, and the configuration if it can be used.
pub(super) fn look(file: Option<&Path>) -> (Vec<Finding>, Option<Config>) {
    let config = match setup::load(file) {
        Ok(config) => config,
        Err(error) => return (unusable(&error), None),
    };
    if let Err(error) = app::policies(&config).map_err(AppError::Policy) {
        return (vec![Finding::unusable("policy", chain(&error), "correct [policy] or the policy of the list")], None);
    }
    if let Err(error) = app::load_rules(&config) {
        return (vec![Finding::unusable("rules", chain(&error), "`rebound rules check` looks at each rule of rules.files")], None);
    }
    let whence = match Sources::of_process(file.map(Path::to_owned)).file {
        Some(file) => file.display().to_string(),
        None => "the environment and the defaults; no file was named, and there is no rebound.toml here".to_owned(),
    };
    let mut findings = vec![Finding::ok(AREA, format!("can be used (from {whence}); `rebound config check` prints what is in effect"))];
    if config.lists.is_empty() {
        findings.push(Finding::warning("lists", "no [[list]] is configured", "declare one: [[list]] name = \"acme.weekly\""));
    }
    (findings, Some(config))
}

fn unusable(error: &anyhow::Error) -> Vec<Finding> {
    match error.downcast_ref::<ConfigError>() {
        Some(error) => error
            .problems
            .iter()
            .map(|it| {
                let whence = it.origin.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
                let key = if it.key.is_empty() { String::new() } else { format!("{} ", it.key) };
                Finding::unusable(AREA, format!("{key}{}{whence}", it.what), it.remedy.clone())
            })
            .collect(),
        None => vec![Finding::unusable(AREA, chain(error.as_ref()), "name a file that can be read, by --config or REBOUND_CONFIG")],
    }
}
