//! The certificates that our own edges show: to mail servers after STARTTLS, and to whoever speaks HTTPS. Their files are looked at
//! again and again, so that whatever renews them need tell nobody; files that cannot be used leave the certificate in force where it
//! is. Which edge it is for, this module need not know: it gives out what rustls wants.

mod leaf;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use time::{Date, OffsetDateTime};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::CertificateFiles;
use crate::telemetry::{Stage, Telemetry};

pub use self::leaf::Leaf;

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
    /// The certificate is none that can be read.
    #[error("{path}: holds no certificate of X.509 ({key})")]
    Leaf {
        /// Which.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: String,
    },
    /// It holds no longer.
    #[error("{path}: has expired on {on} ({key})")]
    Expired {
        /// Which.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: String,
        /// When.
        on: Date,
    },
    /// It does not hold yet.
    #[error("{path}: holds only from {on} on ({key}); or is the clock wrong?")]
    NotYet {
        /// Which.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: String,
        /// From when.
        on: Date,
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
    telemetry: Arc<Telemetry>,
    clock: Clock,
    seen: Mutex<Seen>,
    current: RwLock<InForce>,
}

/// What is shown.
#[derive(Debug, Clone)]
struct InForce {
    key: Arc<CertifiedKey>,
    from: OffsetDateTime,
    until: OffsetDateTime,
}

/// What was found when the files were looked at last.
#[derive(Debug)]
struct Seen {
    /// The digest of what they held; none where they could not be read.
    digest: Option<Digest>,
    /// Whether it was not taken for the time alone, which passes, as a wrong clock does: then it is looked at again.
    waits: bool,
}

/// What the two files hold.
struct Contents {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// By which it is known again without being kept.
type Digest = [u8; 32];

impl Contents {
    fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(&(self.chain.len() as u64).to_be_bytes());
        context.update(&self.chain);
        context.update(&self.key);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

impl InForce {
    fn new(key: CertifiedKey, leaf: &Leaf) -> Self {
        Self { key: Arc::new(key), from: leaf.from, until: leaf.until }
    }

    fn holds(&self, now: OffsetDateTime) -> bool {
        self.from <= now && now < self.until
    }
}

impl Certificate {
    /// Reads both files, for an edge, whose failures those of the files are. A certificate that does not hold is told of and shown all
    /// the same: who asks decides what that means, and the other edges must not stand still for it.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(files: CertificateFiles, edge: Stage, telemetry: &Arc<Telemetry>, clock: &Clock) -> Result<Arc<Self>, CertificateError> {
        let contents = read(&files)?;
        let (key, leaf) = certified(&files, &contents)?;
        if let Err(error) = in_time(&files, &leaf, clock.now()) {
            telemetry.failed(edge, "finding a certificate that holds", &error);
        }
        telemetry.certificate_shown(edge, leaf.until);
        let current = RwLock::new(InForce::new(key, &leaf));
        let seen = Mutex::new(Seen { digest: Some(contents.digest()), waits: false });
        let (telemetry, clock) = (telemetry.clone(), clock.clone());
        Ok(Arc::new(Self { files, edge, telemetry, clock, seen, current }))
    }

    /// How to speak TLS with it, by versions 1.2 and 1.3. Each connection is shown the certificate that is in force when it begins.
    ///
    /// # Errors
    /// When the cryptographic library has none of these versions.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, CertificateError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let section = self.files.section;
        let builder = builder.with_safe_default_protocol_versions().map_err(|source| CertificateError::Unusable { section, source })?;
        Ok(builder.with_no_client_auth().with_cert_resolver(self.clone()))
    }

    /// Reads the files again whenever they have changed.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            self.look_aside().await;
        }
    }

    /// Looks at the files off the threads that serve: disks may take their time. A panic is told of, and is not the end of it.
    async fn look_aside(self: &Arc<Self>) {
        let this = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
            self.telemetry.failed(self.edge, "looking at the certificate", &error);
        }
    }

    /// Looks at the files once, and takes what is new and can be used. What is wrong with them is told once.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read(&self.files);
        let digest = found.as_ref().ok().map(Contents::digest);
        let is_new = digest != seen.digest;
        if !is_new && !seen.waits {
            return;
        }
        // Before it is taken: what makes us panic does so once.
        *seen = Seen { digest, waits: false };
        match found.and_then(|it| self.take(&it)) {
            Ok(until) => self.telemetry.certificate_reloaded(self.edge, until),
            Err(error) => {
                seen.waits = matches!(error, CertificateError::Expired { .. } | CertificateError::NotYet { .. });
                if is_new {
                    self.telemetry.failed(self.edge, "reading the certificate again (the one before is kept)", &error);
                }
            }
        }
    }

    /// Shows what the files hold from here on. One that does not hold, yet or any more, does not take the place of one that does.
    fn take(&self, contents: &Contents) -> Result<OffsetDateTime, CertificateError> {
        let (key, leaf) = certified(&self.files, contents)?;
        let now = self.clock.now();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.holds(now) {
            in_time(&self.files, &leaf, now)?;
        }
        *current = InForce::new(key, &leaf);
        Ok(leaf.until)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}

/// Looks at files that nothing shows yet, and says of the certificate what can be told of it besides that it can be used.
///
/// # Errors
/// When it cannot.
pub fn inspect(files: &CertificateFiles) -> Result<Leaf, CertificateError> {
    certified(files, &read(files)?).map(|(_, leaf)| leaf)
}

fn read(files: &CertificateFiles) -> Result<Contents, CertificateError> {
    let read = |path: &Path, key| {
        let failed = |source| CertificateError::File { path: path.to_owned(), key: format!("{}.{key}", files.section), source };
        std::fs::read(path).map_err(failed)
    };
    Ok(Contents { chain: read(&files.certificate, "certificate")?, key: read(&files.private_key, "private_key")? })
}

fn certified(files: &CertificateFiles, contents: &Contents) -> Result<(CertifiedKey, Leaf), CertificateError> {
    let pem = |path: &Path, key| {
        let (path, key) = (path.to_owned(), format!("{}.{key}", files.section));
        move |source| CertificateError::Pem { path, key, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.chain).collect();
    let chain = chain.map_err(pem(&files.certificate, "certificate"))?;
    let first = chain.first().ok_or_else(|| pem(&files.certificate, "certificate")(PemError::NoItemsFound))?;
    let leaf = Leaf::read(first);
    let leaf =
        leaf.ok_or_else(|| CertificateError::Leaf { path: files.certificate.clone(), key: format!("{}.certificate", files.section) })?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(pem(&files.private_key, "private_key"))?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|source| match source {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch {
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
            section: files.section,
        },
        source => CertificateError::Unusable { section: files.section, source },
    })?;
    Ok((certified, leaf))
}

/// Whether it holds by the clock.
fn in_time(files: &CertificateFiles, leaf: &Leaf, now: OffsetDateTime) -> Result<(), CertificateError> {
    let (path, key) = (files.certificate.clone(), format!("{}.certificate", files.section));
    if now < leaf.from {
        return Err(CertificateError::NotYet { path, key, on: leaf.from.date() });
    }
    if leaf.until <= now {
        return Err(CertificateError::Expired { path, key, on: leaf.until.date() });
    }
    Ok(())
}
