//! The classification rules on the command line: loading those of an operator before the built-in ones, checking them,
//! and telling which rule fits a text and why.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::Rules;

use crate::config::{Config, Sources};

/// The rules of these files, else of the configuration that was named, before the built-in ones.
pub(super) fn load(files: &[PathBuf], config: Option<&Path>) -> anyhow::Result<Rules> {
    if let (true, Some(config)) = (files.is_empty(), config) {
        return read(&Config::load(&Sources::of_process(Some(config.to_owned())))?.rules.files);
    }
    read(files)
}

fn read(files: &[PathBuf]) -> anyhow::Result<Rules> {
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("the rules in {} cannot be read", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let texts: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Ok(Rules::load(&texts)?)
}
