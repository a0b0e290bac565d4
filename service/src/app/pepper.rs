//! The pepper: from the configuration, or for a first try from a file beside the SQLite database, made when it is missing.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use secrecy::SecretString;

use crate::config::{Config, Engine};
use crate::store::sqlite_file;

/// Why there is no pepper.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// Postgres needs one in the configuration.
    #[error("identity.pepper is missing; make one by `openssl rand -hex 32` and name its file by identity.pepper_file")]
    Missing,
    /// The file beside the database cannot be used.
    #[error("the pepper beside the database, {path}, cannot be read or made")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database is there, but the pepper it was made with is not.
    #[error("the database is there but its pepper, {0}, is not; put it back, or set identity.pepper to it")]
    Lost(PathBuf),
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Randomness,
}

/// The pepper of a configuration.
pub(super) fn of(config: &Config) -> Result<SecretString, PepperError> {
    if let Some(pepper) = &config.identity.pepper {
        if let Some(database) = sqlite_file(config.database.url.expose()) {
            keep_private(&database);
        }
        return Ok(pepper.clone());
    }
    if config.database.engine() == Some(Engine::Postgres) {
        return Err(PepperError::Missing);
    }
    match sqlite_file(config.database.url.expose()) {
        Some(database) => beside(&database),
        // A database in memory goes with the process, and so may its pepper.
        None => random().map(SecretString::from),
    }
}

/// Reads the pepper beside a database, or makes one if neither is there yet.
fn beside(database: &Path) -> Result<SecretString, PepperError> {
    let path = database.with_extension("pepper");
    let failed = |source| PepperError::File { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(pepper) if pepper.trim().len() >= 32 => return Ok(SecretString::from(pepper.trim())),
        Ok(_) => return Err(failed(std::io::Error::other("it holds less than 32 characters"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if database.metadata().is_ok_and(|it| it.len() > 0) {
        return Err(PepperError::Lost(path));
    }
    keep_private(database);
    make(&path).map_err(failed)?;
    // Whoever was first has made it; all read the same.
    std::fs::read_to_string(&path).map(SecretString::from).map_err(failed)
}

/// Makes the file of the database, so that nobody but us may read the addresses in it; its journal files take over the rights.
/// Where that fails, opening the database will say why.
fn keep_private(database: &Path) {
    let _ = OpenOptions::new().append(true).create(true).mode(0o600).open(database);
}

/// Makes a pepper that appears whole or not at all, and never in place of one that is there.
fn make(path: &Path) -> std::io::Result<()> {
    let pepper = random().map_err(std::io::Error::other)?;
    let draft = path.with_extension(format!("pepper.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let made = file.write_all(pepper.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn random() -> Result<String, PepperError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PepperError::Randomness)?;
    Ok(HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_first_try_makes_its_pepper_and_finds_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("rebound.db");
        let made = beside(&database).unwrap();
        std::fs::write(&database, "rows").unwrap();
        assert_eq!(beside(&database).unwrap().expose_secret(), made.expose_secret());
        std::fs::remove_file(database.with_extension("pepper")).unwrap();
        assert!(matches!(beside(&database), Err(PepperError::Lost(_))), "rows without their pepper would all look unknown");
    }
}
