//! The files of a certificate that one of our listeners shows.

use std::path::{Path, PathBuf};

use super::problem::Checks;

/// The files of a certificate, and the section that names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM file of the certificate with its chain.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub private_key: PathBuf,
    /// `smtp`, `http.tls`.
    pub section: &'static str,
}

impl CertificateFiles {
    /// The two, where both are set.
    pub(super) fn of(section: &'static str, certificate: Option<&Path>, private_key: Option<&Path>) -> Option<Self> {
        let (certificate, private_key) = certificate.zip(private_key)?;
        Some(Self { certificate: certificate.to_owned(), private_key: private_key.to_owned(), section })
    }
}

/// Neither file is of use without the other.
pub(super) fn validate(section: &str, certificate: Option<&Path>, private_key: Option<&Path>, checks: &mut Checks) {
    match (certificate, private_key) {
        (Some(_), None) => {
            checks.problem(&format!("{section}.private_key"), None, "is missing", "name the file of the certificate's key");
        }
        (None, Some(_)) => {
            checks.problem(&format!("{section}.certificate"), None, "is missing", "name the file of the key's certificate");
        }
        _ => {}
    }
}
