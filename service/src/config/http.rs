//! The HTTP edge: where it listens and what it bears.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::certificate::{self, CertificateFiles};
use super::problem::Checks;
use super::read::section;
use super::values::Size;

section! {
    /// `[http]`: address, limits and time limits of the HTTP server.
    pub struct HttpConfig {
        /// Address and port to listen on.
        pub listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Worker threads; 0 means one for each core.
        pub workers: usize = 0,
        /// Time a client has to send the head of its request.
        pub header_timeout: Duration = Duration::from_secs(10),
        /// Time from the head of a request to its answer.
        pub request_timeout: Duration = Duration::from_secs(30),
        /// Time an idle connection is kept open.
        pub keep_alive: Duration = Duration::from_secs(75),
        /// Time between being told to stop and taking no more requests, in which `/readyz` says so.
        pub shutdown_lead: Duration = Duration::from_secs(3),
        /// Time that requests under way have to finish once the service is told to stop.
        pub shutdown_timeout: Duration = Duration::from_secs(25),
        /// Greatest body of a bounce message.
        pub max_body: Size = Size(25 << 20),
        /// Greatest body of a provider's post.
        pub max_webhook_body: Size = Size(10 << 20),
        /// Greatest list that is imported.
        pub max_import: Size = Size(1 << 30),
        /// Time from the head of a request to the end of the list that it brings.
        pub import_timeout: Duration = Duration::from_mins(15),
        /// Most addresses in one check.
        pub max_check: usize = 100_000,
        /// Requests a minute that one API key may make of one process; 0 for any number.
        pub rate_limit: u32 = 0,
        /// Proxies whose `Forwarded` and `X-Forwarded-…` headers are believed.
        pub trusted_proxies: Vec<IpNet> = Vec::new(),
        section "[http.tls]"
        /// How the connections are protected.
        pub tls: HttpTlsConfig,
    }
}

section! {
    /// `[http.tls]`: HTTPS in place of HTTP, where it has a certificate.
    pub struct HttpTlsConfig {
        /// PEM file of the certificate with its chain.
        pub certificate: Option<PathBuf> = None,
        /// PEM file of its private key.
        pub private_key: Option<PathBuf> = None,
        /// For how long a browser may ask this host by HTTPS only, on every port (RFC 6797); zero for not saying so.
        pub hsts: Duration = Duration::ZERO,
    }
}

impl HttpTlsConfig {
    /// The files of certificate and key, where there are both: then HTTPS is spoken.
    #[must_use]
    pub fn identity(&self) -> Option<CertificateFiles> {
        CertificateFiles::of("http.tls", self.certificate.as_deref(), self.private_key.as_deref())
    }

    fn validate(&self, checks: &mut Checks) {
        certificate::validate("http.tls", self.certificate.as_deref(), self.private_key.as_deref(), checks);
        if !self.hsts.is_zero() && self.certificate.is_none() {
            let remedy = "name certificate and private_key, or leave it to the proxy that has them";
            checks.problem("http.tls.hsts", None, "has browsers insist on HTTPS, which is not spoken here", remedy);
        }
    }
}

impl HttpConfig {
    /// Values for tests: any free port of this machine, little patience.
    #[must_use]
    pub fn for_testing() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            shutdown_lead: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(2),
            ..Self::default()
        }
    }

    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.within("http.workers", self.workers, 0..=1024);
        checks.positive("http.header_timeout", self.header_timeout);
        checks.positive("http.request_timeout", self.request_timeout);
        checks.positive("http.keep_alive", self.keep_alive);
        checks.positive("http.shutdown_timeout", self.shutdown_timeout);
        checks.at_most("http.shutdown_lead", self.shutdown_lead, self.shutdown_timeout, "http.shutdown_timeout");
        checks.size("http.max_body", self.max_body, Size(1 << 10)..=Size(1 << 30));
        checks.size("http.max_webhook_body", self.max_webhook_body, Size(1 << 10)..=Size(1 << 30));
        checks.size("http.max_import", self.max_import, Size(1 << 10)..=Size(1 << 40));
        checks.positive("http.import_timeout", self.import_timeout);
        checks.within("http.max_check", self.max_check, 1..=10_000_000);
        checks.within("http.rate_limit", self.rate_limit as usize, 0..=1_000_000);
        self.tls.validate(checks);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{load, problems};

    #[test]
    fn a_certificate_needs_its_key_and_browsers_are_told_to_insist_only_on_what_is_spoken() {
        let both = "[http.tls]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\nhsts = \"365d\"\n";
        let config = load(both, &[]).unwrap();
        assert!(config.http.tls.identity().is_some());
        assert!(config.redacted().contains("\n[http.tls]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\nhsts = \"365d\"\n"));
        let by_variables = [("REBOUND__HTTP__TLS__CERTIFICATE", "b.pem"), ("REBOUND__HTTP__TLS__PRIVATE_KEY", "b.key")];
        assert_eq!(load("", &by_variables).unwrap().http.tls.identity().unwrap().certificate.to_str(), Some("b.pem"));
        for (text, key) in [
            ("[http.tls]\ncertificate = \"a.pem\"\n", "http.tls.private_key"),
            ("[http.tls]\nprivate_key = \"a.key\"\n", "http.tls.certificate"),
            ("[http.tls]\nhsts = \"1d\"\n", "http.tls.hsts"),
            ("[http.tls]\ncertficate = \"a.pem\"\n", "did you mean http.tls.certificate"),
        ] {
            let told = problems(text, &[]);
            assert!(told.contains(key), "{text}: {told}");
        }
        assert!(load("", &[]).unwrap().http.tls.identity().is_none());
    }
}
