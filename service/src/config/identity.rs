//! Identity: the secret from which the pseudonyms of addresses are made.

use secrecy::{ExposeSecret as _, SecretString};

use super::database::Engine;
use super::problem::Checks;
use super::read::section;

/// Octets a pepper has at least: those of `openssl rand -hex 16`.
const LEAST_PEPPER: usize = 32;

section! {
    /// `[identity]`: how addresses become pseudonyms.
    pub struct IdentityConfig {
        /// Key of the HMAC that turns an address into its id. It must never change while the database lives.
        pub pepper: Option<SecretString> = None,
    }
}

impl IdentityConfig {
    pub(super) fn validate(&self, engine: Option<Engine>, checks: &mut Checks) {
        let remedy = "make one by `openssl rand -hex 32`, keep it as safe as the database, and name its file by identity.pepper_file";
        let short = self.pepper.as_ref().is_some_and(|it| it.expose_secret().len() < LEAST_PEPPER);
        if short {
            checks.problem("identity.pepper", Some("…".to_owned()), "is shorter than 32 octets", remedy);
        }
        if self.pepper.is_none() && engine == Some(Engine::Postgres) {
            checks.problem("identity.pepper", None, "is missing, and a Postgres database needs it", remedy);
        }
    }
}
