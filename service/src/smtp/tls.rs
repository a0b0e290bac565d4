//! The certificate that STARTTLS shows. Its files are looked at again and again, so that whatever renews it need tell nobody; files
//! that cannot be used leave the one in force where it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

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
        key: &'static str,
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
        key: &'static str,
        /// Why.
        #[source]
        source: PemError,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("certificate and key cannot be used (smtp.certificate, smtp.private_key)")]
    Unusable(#[source] rustls::Error),
}

/// Certificate and key as their files had them last.
#[derive(Debug)]
pub(super) struct Certificate {
    files: (PathBuf, PathBuf),
    current: RwLock<Arc<ServerConfig>>,
}

/// What the two files hold.
type Contents = (Vec<u8>, Vec<u8>);

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(super) fn open((certificate, key): (&Path, &Path)) -> Result<Self, CertificateError> {
        let files = (certificate.to_owned(), key.to_owned());
        let current = RwLock::new(Arc::new(read(&files).and_then(|it| server(&files, &it))?));
        Ok(Self { files, current })
    }

    /// Shows the certificate that is in force now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reads the files again whenever they have changed.
    pub(super) async fn watch(self: Arc<Self>, telemetry: Arc<Telemetry>, stop: CancellationToken) {
        let mut last = read(&self.files).ok();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let (this, telemetry) = (self.clone(), telemetry.clone());
            // Off the threads that serve: disks may take their time.
            let Ok(seen) = tokio::task::spawn_blocking(move || this.look(last, &telemetry)).await else { return };
            last = seen;
        }
    }

    /// Looks at the files once, and takes what is new and can be used. What is wrong with them is told once: it gives back what
    /// it has seen.
    fn look(&self, last: Option<Contents>, telemetry: &Telemetry) -> Option<Contents> {
        let found = read(&self.files);
        let seen = found.as_ref().ok().cloned();
        if seen == last {
            return last;
        }
        match found.and_then(|it| self.put(&it)) {
            Ok(()) => telemetry.certificate_loaded(),
            Err(error) => telemetry.failed(Stage::Smtp, "reading the certificate again", &error),
        }
        seen
    }

    fn put(&self, contents: &Contents) -> Result<(), CertificateError> {
        let made = Arc::new(server(&self.files, contents)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }
}

fn read((certificate, key): &(PathBuf, PathBuf)) -> Result<Contents, CertificateError> {
    let read = |path: &PathBuf, key| std::fs::read(path).map_err(|source| CertificateError::File { path: path.clone(), key, source });
    Ok((read(certificate, "smtp.certificate")?, read(key, "smtp.private_key")?))
}

fn server(files: &(PathBuf, PathBuf), (chain, key): &Contents) -> Result<ServerConfig, CertificateError> {
    let pem = |path: &PathBuf, key| {
        let path = path.clone();
        move |source| CertificateError::Pem { path, key, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.and_then(|it| if it.is_empty() { Err(PemError::NoItemsFound) } else { Ok(it) });
    let chain = chain.map_err(pem(&files.0, "smtp.certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(pem(&files.1, "smtp.private_key"))?;
    let made = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|it| it.with_no_client_auth().with_single_cert(chain, key));
    made.map_err(CertificateError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn changed_files_are_read_again_and_bad_ones_leave_the_old_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("mx.pem"), folder.path().join("mx.key"));
        let write = |chain: &str, secret: &str| {
            std::fs::write(&certificate, chain).unwrap();
            std::fs::write(&key, secret).unwrap();
        };
        let (first, second) = (identity("mx.example"), identity("mx.example"));
        write(&first.0, &first.1);
        let (it, telemetry) = (Certificate::open((&certificate, &key)).unwrap(), Telemetry::new([]));
        let in_force = || it.current.read().unwrap().clone();
        let before = in_force();
        let failures = |count: usize| telemetry.render().contains(&format!("rebound_failures_total{{stage=\"smtp\"}} {count}\n"));
        let mut last = read(&it.files).ok();
        write(&first.0, &second.1);
        for _ in 0..3 {
            last = it.look(last, &telemetry);
        }
        assert!(Arc::ptr_eq(&before, &in_force()) && failures(1), "it is told once");
        std::fs::remove_file(&key).unwrap();
        last = it.look(last, &telemetry);
        assert!(Arc::ptr_eq(&before, &in_force()) && failures(2));
        write(&second.0, &second.1);
        last = it.look(last, &telemetry);
        let after = in_force();
        assert!(!Arc::ptr_eq(&before, &after) && failures(2));
        it.look(last, &telemetry);
        assert!(Arc::ptr_eq(&after, &in_force()));
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("mx.pem"), folder.path().join("mx.key"));
        let told = || Certificate::open((&certificate, &key)).unwrap_err().to_string();
        assert!(told().ends_with("mx.pem: cannot be read (smtp.certificate)"));
        let (chain, secret) = identity("mx.example");
        std::fs::write(&certificate, "none").unwrap();
        std::fs::write(&key, &chain).unwrap();
        assert!(told().ends_with("mx.pem: is no PEM file of what it should hold (smtp.certificate)"));
        std::fs::write(&certificate, &chain).unwrap();
        assert!(told().ends_with("mx.key: is no PEM file of what it should hold (smtp.private_key)"));
        std::fs::write(&key, secret).unwrap();
        assert!(Certificate::open((&certificate, &key)).is_ok());
    }
}
