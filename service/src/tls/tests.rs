//! Certificates as their files come and go.

use std::sync::atomic::{AtomicI64, Ordering};

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

    fn open(&self) -> Result<(Arc<Certificate>, Arc<Telemetry>), CertificateError> {
        self.open_by(&Clock::from(|| NOW))
    }

    fn open_by(&self, clock: &Clock) -> Result<(Arc<Certificate>, Arc<Telemetry>), CertificateError> {
        let telemetry = Arc::new(Telemetry::new([]));
        let opened = Certificate::open(self.files.clone(), Stage::Smtp, &telemetry, clock)?;
        Ok((opened, telemetry))
    }
}

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 12:00 UTC);

/// A certificate that holds for so many days yet, and its key.
fn identity_of(days: i64) -> (String, String) {
    identity_between(-90, days)
}

/// One that holds between two days, counted from now.
fn identity_between(from: i64, until: i64) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = rcgen::CertificateParams::new(vec!["MX.example".to_owned(), "*.bounces.example".to_owned()]).unwrap();
    (certificate.not_before, certificate.not_after) = (NOW + time::Duration::days(from), NOW + time::Duration::days(until));
    (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn identity() -> (String, String) {
    identity_of(30)
}

fn in_force(it: &Certificate) -> Arc<CertifiedKey> {
    it.current.read().unwrap().key.clone()
}

fn failures(telemetry: &Telemetry, count: usize) -> bool {
    telemetry.render().contains(&format!("rebound_failures_total{{stage=\"smtp\"}} {count}\n"))
}

#[test]
fn changed_files_are_read_again_and_bad_ones_leave_the_old_in_force() {
    let bench = Bench::new();
    let (first, second) = (identity(), identity());
    bench.write(&first.0, &first.1);
    let (it, telemetry) = bench.open().unwrap();
    let before = in_force(&it);
    bench.write(&first.0, &second.1);
    for _ in 0..3 {
        it.look();
    }
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1), "it is told once");
    std::fs::remove_file(&bench.files.private_key).unwrap();
    it.look();
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 2));
    bench.write(&second.0, &second.1);
    it.look();
    let after = in_force(&it);
    assert!(!Arc::ptr_eq(&before, &after) && failures(&telemetry, 2));
    it.look();
    assert!(Arc::ptr_eq(&after, &in_force(&it)));
}

#[test]
fn a_change_before_the_first_look_is_noticed() {
    let bench = Bench::new();
    let (first, second) = (identity(), identity());
    bench.write(&first.0, &first.1);
    let (it, _) = bench.open().unwrap();
    let before = in_force(&it);
    bench.write(&second.0, &second.1);
    it.look();
    assert!(!Arc::ptr_eq(&before, &in_force(&it)));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let bench = Bench::new();
    let told = || bench.open().err().unwrap().to_string();
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

#[test]
fn one_that_has_expired_is_told_of_and_replaces_none_that_holds() {
    let bench = Bench::new();
    let expiry = |telemetry: &Telemetry, days| {
        let at = (NOW + time::Duration::days(days)).unix_timestamp();
        telemetry.render().contains(&format!("rebound_certificate_expiry_timestamp_seconds{{edge=\"smtp\"}} {at}\n"))
    };
    let [fresh, old, older] = [60, -1, -2].map(identity_of);
    bench.write(&old.0, &old.1);
    let (it, telemetry) = bench.open().unwrap();
    assert!(failures(&telemetry, 1) && expiry(&telemetry, -1), "it is shown all the same");
    bench.write(&older.0, &older.1);
    it.look();
    assert!(failures(&telemetry, 1) && expiry(&telemetry, -2), "neither holds, so the files are followed");
    bench.write(&fresh.0, &fresh.1);
    it.look();
    assert!(failures(&telemetry, 1) && expiry(&telemetry, 60));
    let before = in_force(&it);
    bench.write(&old.0, &old.1);
    it.look();
    assert!(failures(&telemetry, 2) && expiry(&telemetry, 60) && Arc::ptr_eq(&before, &in_force(&it)));
}

/// A clock that is so many days ahead.
fn moving() -> (Clock, Arc<AtomicI64>) {
    let days = Arc::new(AtomicI64::new(0));
    let read = days.clone();
    (Clock::from(move || NOW + time::Duration::days(read.load(Ordering::SeqCst))), days)
}

#[test]
fn one_that_does_not_hold_yet_waits_until_it_does() {
    let bench = Bench::new();
    let (first, next) = (identity(), identity_between(2, 60));
    bench.write(&first.0, &first.1);
    let (clock, days) = moving();
    let (it, telemetry) = bench.open_by(&clock).unwrap();
    let before = in_force(&it);
    bench.write(&next.0, &next.1);
    for _ in 0..3 {
        it.look();
    }
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1), "it is told once");
    days.store(2, Ordering::SeqCst);
    it.look();
    assert!(!Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1), "its time has come, and the files are the same");
}

#[test]
fn one_that_a_wrong_clock_took_for_expired_is_taken_when_the_clock_is_right() {
    let bench = Bench::new();
    let (first, next) = (identity_of(100), identity_of(30));
    bench.write(&first.0, &first.1);
    let (clock, days) = moving();
    let (it, telemetry) = bench.open_by(&clock).unwrap();
    let before = in_force(&it);
    bench.write(&next.0, &next.1);
    days.store(50, Ordering::SeqCst);
    it.look();
    it.look();
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1));
    days.store(0, Ordering::SeqCst);
    it.look();
    assert!(!Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1));
}

#[tokio::test]
async fn a_panic_is_told_of_and_the_files_are_looked_at_again() {
    let bench = Bench::new();
    let identities = [identity(), identity(), identity()];
    bench.write(&identities[0].0, &identities[0].1);
    let asked = AtomicI64::new(0);
    let clock = Clock::from(move || if asked.fetch_add(1, Ordering::SeqCst) == 1 { panic!("the second time") } else { NOW });
    let (it, telemetry) = bench.open_by(&clock).unwrap();
    let before = in_force(&it);
    bench.write(&identities[1].0, &identities[1].1);
    it.look_aside().await;
    it.look_aside().await;
    assert!(Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1), "it is told once");
    bench.write(&identities[2].0, &identities[2].1);
    it.look_aside().await;
    assert!(!Arc::ptr_eq(&before, &in_force(&it)) && failures(&telemetry, 1));
}

#[test]
fn a_certificate_says_for_whom_it_is() {
    let bench = Bench::new();
    let (chain, key) = identity();
    bench.write(&chain, &key);
    let leaf = inspect(&bench.files).unwrap();
    assert_eq!((leaf.from, leaf.until), (NOW - time::Duration::days(90), NOW + time::Duration::days(30)));
    for (host, fits) in [("mx.example", true), ("MX.Example", true), ("a.bounces.example", true), ("a.b.bounces.example", false)] {
        assert_eq!(leaf.is_for(host), fits, "{host}");
    }
    assert!(!leaf.is_for("bounces.example") && !leaf.is_for("example") && !leaf.is_for(""));
    bench.write("-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n", &key);
    assert!(inspect(&bench.files).unwrap_err().to_string().ends_with("mx.pem: holds no certificate of X.509 (smtp.certificate)"));
}
