//! The certificates that our own edges show: to mail servers after STARTTLS, and to whoever speaks HTTPS. Their files are looked at
//! again and again, so that whatever renews them need tell nobody; files that cannot be used leave the certificate in force where it
//! is. Which edge it is for, this module need not know: it gives out what rustls wants.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::config::CertificateFiles;
use crate::telemetry::{Stage, Telemetry};

/// Time between two looks at the files.
const EVERY: Duration = Duration::from_secs(5);

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{path}: cannot be read ({key})")]
    File {
        /// Which.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: is no PEM file of what it should hold ({key})")]
    Pem {
        /// Which.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: String,
        /// Why.
        #[source]
        source: PemError,
    },
    /// Each is sound, and they do not go together.
    #[error("{private_key}: is not the key of {certificate} ({section}.private_key, {section}.certificate)")]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// That of the key.
        private_key: PathBuf,
        /// The section of the configuration that names them.
        section: &'static str,
    },
    /// They are of a kind that is not known.
    #[error("certificate and key cannot be used ({section}.certificate, {section}.private_key)")]
    Unusable {
        /// The section of the configuration that names them.
        section: &'static str,
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// Certificate and key as their files had them last.
#[derive(Debug)]
pub struct Certificate {
    files: CertificateFiles,
    edge: Stage,
    /// What the files held when they were looked at last; nothing where they could not be read.
    seen: Mutex<Option<Contents>>,
    current: RwLock<Arc<CertifiedKey>>,
}

/// What the two files hold.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads both files, for an edge, whose failures those of the files are.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(files: CertificateFiles, edge: Stage) -> Result<Arc<Self>, CertificateError> {
        let contents = read(&files)?;
        let current = RwLock::new(Arc::new(certified(&files, &contents)?));
        Ok(Arc::new(Self { files, edge, seen: Mutex::new(Some(contents)), current }))
    }

    /// How to speak TLS with it, by versions 1.2 and 1.3. Each connection is shown the certificate that is in force when it begins.
    ///
    /// # Errors
    /// When the cryptographic library has none of these versions.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, CertificateError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let section = self.files.section;
        let builder = builder.with_safe_default_protocol_versions().map_err(|source| CertificateError::Unusable { section, source })?;
        Ok(builder.with_no_client_auth().with_cert_resolver(self.clone()))
    }

    /// Reads the files again whenever they have changed.
    pub async fn watch(self: Arc<Self>, telemetry: Arc<Telemetry>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let (this, telemetry) = (self.clone(), telemetry.clone());
            // Off the threads that serve: disks may take their time.
            if tokio::task::spawn_blocking(move || this.look(&telemetry)).await.is_err() {
                return;
            }
        }
    }

    /// Looks at the files once, and takes what is new and can be used. What is wrong with them is told once.
    fn look(&self, telemetry: &Telemetry) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read(&self.files);
        if found.as_ref().ok() == seen.as_ref() {
            return;
        }
        match found.as_ref().map(|it| certified(&self.files, it)) {
            Ok(Ok(made)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                telemetry.certificate_loaded(self.edge);
            }
            Ok(Err(error)) => self.kept(telemetry, &error),
            Err(error) => self.kept(telemetry, error),
        }
        *seen = found.ok();
    }

    fn kept(&self, telemetry: &Telemetry, error: &CertificateError) {
        telemetry.failed(self.edge, "reading the certificate again (the one before is kept)", error);
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(files: &CertificateFiles) -> Result<Contents, CertificateError> {
    let read = |path: &Path, key| {
        let failed = |source| CertificateError::File { path: path.to_owned(), key: format!("{}.{key}", files.section), source };
        std::fs::read(path).map_err(failed)
    };
    Ok(Contents { chain: read(&files.certificate, "certificate")?, key: read(&files.private_key, "private_key")? })
}

fn certified(files: &CertificateFiles, contents: &Contents) -> Result<CertifiedKey, CertificateError> {
    let pem = |path: &Path, key| {
        let (path, key) = (path.to_owned(), format!("{}.{key}", files.section));
        move |source| CertificateError::Pem { path, key, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.chain).collect();
    let chain = chain.and_then(|it| if it.is_empty() { Err(PemError::NoItemsFound) } else { Ok(it) });
    let chain = chain.map_err(pem(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(pem(&files.private_key, "private_key"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| match source {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch {
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
            section: files.section,
        },
        source => CertificateError::Unusable { section: files.section, source },
    })
}
