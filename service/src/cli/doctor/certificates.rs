//! The certificates that HTTPS and STARTTLS show: whether their files can be used, for how long yet, and for which name.

use time::{Duration, OffsetDateTime};

use super::finding::Finding;
use crate::config::{CertificateFiles, Config};
use crate::telemetry::chain;
use crate::tls::{CertificateError, Leaf, inspect};

const AREA: &str = "certificate";
/// What renews certificates by itself does it well before this.
const SOON: Duration = Duration::days(14);

/// Looks at those that there are.
pub(super) fn look(config: &Config, now: OffsetDateTime) -> Vec<Finding> {
    let https = config.http.tls.identity().map(|it| told(&it, None, now));
    let mail = config.smtp.identity().map(|it| told(&it, config.smtp.hostname.as_deref(), now));
    let missing = config.smtp.listen.iter().any(|it| !it.ip().is_loopback()) && mail.is_none();
    let missing = missing.then(|| {
        let what = "smtp has none, so STARTTLS is not offered, and mail comes in for everybody on the way to read";
        Finding::warning(AREA, what, "name smtp.certificate and smtp.private_key: docs/smtp.md")
    });
    https.into_iter().chain(mail).chain(missing).collect()
}

fn told(files: &CertificateFiles, host: Option<&str>, now: OffsetDateTime) -> Finding {
    match inspect(files) {
        Ok(leaf) => dated(files, &leaf, host, now),
        Err(error) => {
            let section = files.section;
            let remedy = match &error {
                CertificateError::File { key, .. } => {
                    format!("let the service's user read it (is this run as that user?), or correct {key}")
                }
                CertificateError::Mismatch { .. } => {
                    format!("name the two that were made together: {section}.certificate, {section}.private_key")
                }
                CertificateError::Unusable { .. } => "use a key of ECDSA (P-256, P-384), Ed25519, or RSA of 2048 bits at least".to_owned(),
                CertificateError::Pem { key, .. }
                | CertificateError::Leaf { key, .. }
                | CertificateError::Expired { key, .. }
                | CertificateError::NotYet { key, .. } => {
                    format!("let {key} name a file in PEM (`-----BEGIN …`), the certificate first and then its chain")
                }
            };
            Finding::unusable(AREA, chain(&error), remedy)
        }
    }
}

fn dated(files: &CertificateFiles, leaf: &Leaf, host: Option<&str>, now: OffsetDateTime) -> Finding {
    let path = files.certificate.display();
    // Some hold for days only, and are renewed when a third of that is left.
    let soon = SOON.min((leaf.until - leaf.from) / 3);
    let renew = "renew it, and see why nothing did; the files are read again by themselves";
    if leaf.until <= now {
        return Finding::broken(AREA, format!("{path} has expired, on {}: whoever looks at it refuses", leaf.until.date()), renew);
    }
    if leaf.from > now {
        return Finding::broken(
            AREA,
            format!("{path} holds from {} only", leaf.from),
            "is this machine's clock right (`timedatectl status`)?",
        );
    }
    if leaf.until - now < soon {
        return Finding::warning(
            AREA,
            format!("{path} expires on {}, in {} days", leaf.until.date(), (leaf.until - now).whole_days()),
            renew,
        );
    }
    let names = if leaf.names.is_empty() { "no name".to_owned() } else { leaf.names.join(", ") };
    match host.filter(|it| !leaf.is_for(it)) {
        Some(host) => Finding::warning(
            AREA,
            format!("{path} is for {names}, and not for {host} (smtp.hostname)"),
            "have it made for the name that the MX record points to, or correct smtp.hostname",
        ),
        None => Finding::ok(AREA, format!("{path} is for {names}, until {}", leaf.until.date())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 12:00 UTC);

    fn health(from: i64, until: i64, host: Option<&str>) -> Health {
        let files = CertificateFiles { certificate: "mx.pem".into(), private_key: "mx.key".into(), section: "smtp" };
        let (from, until) = (NOW + Duration::days(from), NOW + Duration::days(until));
        dated(&files, &Leaf { from, until, names: vec!["mx.example".to_owned()], der: Vec::new() }, host, NOW).health
    }

    #[test]
    fn a_certificate_is_told_by_the_time_it_has() {
        assert_eq!(health(-60, 30, None), Health::Ok);
        assert_eq!(health(-80, 14, None), Health::Ok);
        assert_eq!(health(-80, 13, None), Health::Warning);
        assert_eq!(health(-2, 4, None), Health::Ok, "a third of six days is not reached");
        assert_eq!(health(-5, 1, None), Health::Warning);
        assert_eq!(health(-80, 0, None), Health::Broken);
        assert_eq!(health(1, 80, None), Health::Broken);
        assert_eq!([health(-60, 30, Some("mx.example")), health(-60, 30, Some("other.example"))], [Health::Ok, Health::Warning]);
    }
}
