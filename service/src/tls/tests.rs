//! Certificates as their files come and go.

use tempfile::TempDir;

use super::*;

/// A folder with the files of a certificate.
struct Bench {
    _folder: TempDir,
    files: CertificateFiles,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, private_key) = (folder.path().join("mx.pem"), folder.path().join("mx.key"));
        Self { files: CertificateFiles { certificate, private_key, section: "smtp" }, _folder: folder }
    }

    fn write(&self, chain: &str, key: &str) {
        std::fs::write(&self.files.certificate, chain).unwrap();
        std::fs::write(&self.files.private_key, key).unwrap();
    }

    fn open(&self) -> Result<Arc<Certificate>, CertificateError> {
        Certificate::open(self.files.clone(), Stage::Smtp)
    }
}

fn identity() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["mx.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn in_force(it: &Certificate) -> Arc<CertifiedKey> {
    it.current.read().unwrap().clone()
}

#[test]
fn changed_files_are_read_again_and_bad_ones_leave_the_old_in_force() {
    let bench = Bench::new();
    let (first, second) = (identity(), identity());
    bench.write(&first.0, &first.1);
    let (it, telemetry) = (bench.open().unwrap(), Telemetry::new([]));
    let before = in_force(&it);
    let failures = |count: usize| telemetry.render().contains(&format!("rebound_failures_total{{stage=\"smtp\"}} {count}\n"));
    bench.write(&first.0, &second.1);
    for _ in 0..3 {
        it.look(&telemetry);
    }
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(1), "it is told once");
    std::fs::remove_file(&bench.files.private_key).unwrap();
    it.look(&telemetry);
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(2));
    bench.write(&second.0, &second.1);
    it.look(&telemetry);
    let after = in_force(&it);
    assert!(!Arc::ptr_eq(&before, &after) && failures(2));
    it.look(&telemetry);
    assert!(Arc::ptr_eq(&after, &in_force(&it)));
}

#[test]
fn a_change_before_the_first_look_is_noticed() {
    let bench = Bench::new();
    let (first, second) = (identity(), identity());
    bench.write(&first.0, &first.1);
    let (it, telemetry) = (bench.open().unwrap(), Telemetry::new([]));
    let before = in_force(&it);
    bench.write(&second.0, &second.1);
    it.look(&telemetry);
    assert!(!Arc::ptr_eq(&before, &in_force(&it)));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let bench = Bench::new();
    let told = || bench.open().unwrap_err().to_string();
    assert!(told().ends_with("mx.pem: cannot be read (smtp.certificate)"));
    let (chain, key) = identity();
    bench.write("none", &chain);
    assert!(told().ends_with("mx.pem: is no PEM file of what it should hold (smtp.certificate)"));
    bench.write(&chain, &chain);
    assert!(told().ends_with("mx.key: is no PEM file of what it should hold (smtp.private_key)"));
    bench.write(&chain, &identity().1);
    assert!(told().ends_with("mx.pem (smtp.private_key, smtp.certificate)") && told().contains("mx.key: is not the key of "), "{}", told());
    bench.write(&chain, &key);
    assert!(bench.open().is_ok());
}
