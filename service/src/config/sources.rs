//! Where the layers come from: which file, which variables. Tests hand over their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::{ConfigError, Origin, Problem};
use super::tree::{self, Table};

/// The file that is read if none is named and it is there.
const FILE: &str = "rebound.toml";
/// The variable that names another.
const FILE_VARIABLE: &str = "REBOUND_CONFIG";

/// What a configuration is read from besides the built-in defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file to read, which must be there.
    pub file: Option<PathBuf>,
    /// Environment variables; only names that start with `REBOUND` matter.
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    /// Those of this process: the named file, else the one that `REBOUND_CONFIG` names, else `rebound.toml` of the working
    /// folder if it is there; and the environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let environment: BTreeMap<_, _> = environment().collect();
        let named = file.or_else(|| environment.get(FILE_VARIABLE).filter(|it| !it.is_empty()).map(PathBuf::from));
        let file = named.or_else(|| Path::new(FILE).exists().then(|| PathBuf::from(FILE)));
        Self { file, environment }
    }

    pub(super) fn layers(&self) -> Result<Table, ConfigError> {
        let mut layers = tree::from_toml(super::DEFAULT, &|_| Origin::Default).map_err(|problems| ConfigError { problems })?;
        if let Some(file) = &self.file {
            tree::merge(&mut layers, tree::from_file(file).map_err(|problems| ConfigError { problems })?);
        }
        tree::merge(&mut layers, tree::from_environment(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        Ok(layers)
    }

    /// Variables that name a key with single underscores. Others that start with `REBOUND_` are let be: Kubernetes sets
    /// such for a service of that name.
    pub(super) fn misspelt(&self, known: &[String]) -> Vec<Problem> {
        let flat = |it: &str| it.replace(['.', '_'], "");
        let candidates =
            self.environment.keys().filter(|it| it.starts_with("REBOUND_") && !it.starts_with("REBOUND__") && *it != FILE_VARIABLE);
        let meant = |name: &String| {
            let path = flat(&name.trim_start_matches("REBOUND_").to_ascii_lowercase());
            known.iter().find(|it| it.contains('.') && flat(it) == path).map(|key| (name.clone(), key))
        };
        let problem = |(name, key): (String, &String)| Problem {
            key: key.clone(),
            value: None,
            what: format!("is not set by {name}"),
            remedy: format!("write REBOUND__{}, with two underscores between section and key", key.to_ascii_uppercase().replace('.', "__")),
            origin: Some(Origin::Variable(name)),
        };
        candidates.filter_map(meant).map(problem).collect()
    }
}

/// The environment of this process. A value that is not UTF-8 is taken with replacement characters, which no reader but
/// that of free text lets pass.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> impl Iterator<Item = (String, String)> {
    let rebound = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REBOUND"));
    rebound.map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}
