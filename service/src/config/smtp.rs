//! The SMTP and LMTP edge: where it listens, under which name and certificate, and what it bears. Off unless it is told where.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::certificate::{self, CertificateFiles};
use super::problem::Checks;
use super::read::section;
use super::values::{Scalar, Size};

/// The name of a listener that nobody looks up: LMTP is spoken among neighbours.
const NEIGHBOUR: &str = "localhost";

/// Where LMTP is listened for: a port, or a socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket of that path, which is made when the service starts.
    Unix(PathBuf),
}

impl Scalar for Endpoint {
    const EXPECTED: &'static str = "an IP address with a port, or unix: and a path";
    const EXAMPLE: &'static str = "\"127.0.0.1:24\", or \"unix:/run/rebound/lmtp\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        let text = value.as_str()?;
        match text.strip_prefix("unix:") {
            Some(path) => Path::new(path).file_name().map(|_| Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

section! {
    /// `[smtp]`: addresses, certificate and limits of the SMTP and LMTP listener.
    pub struct SmtpConfig {
        /// Where SMTP is listened for; nowhere if empty.
        pub listen: Vec<SocketAddr> = Vec::new(),
        /// Where LMTP is listened for; nowhere if empty.
        pub lmtp_listen: Vec<Endpoint> = Vec::new(),
        /// The name that the greeting says.
        pub hostname: Option<String> = None,
        /// PEM file of the certificate with its chain; no STARTTLS without it.
        pub certificate: Option<PathBuf> = None,
        /// PEM file of its private key.
        pub private_key: Option<PathBuf> = None,
        /// Greatest message.
        pub max_message: Size = Size(25 << 20),
        /// Most recipients of one message.
        pub max_recipients: usize = 100,
        /// Most connections at once, of each of the two protocols.
        pub max_connections: usize = 500,
        /// Most SMTP connections at once of one address.
        pub max_connections_per_address: usize = 20,
        /// SMTP connections a minute that one address may open; 0 for any number.
        pub rate_limit: u32 = 120,
        /// Most bytes of all messages that are under way.
        pub max_bytes: Size = Size(128 << 20),
        /// Commands of one connection.
        pub max_commands: usize = 1000,
        /// Commands of one connection that may be refused.
        pub max_errors: usize = 20,
        /// Time a client has for its next command.
        pub command_timeout: Duration = Duration::from_mins(1),
        /// Time a client has for one message.
        pub data_timeout: Duration = Duration::from_mins(10),
        /// Time of a whole connection.
        pub session_timeout: Duration = Duration::from_mins(30),
    }
}

impl SmtpConfig {
    /// Whether it listens anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.listen.is_empty() || !self.lmtp_listen.is_empty()
    }

    /// The name that the greeting says.
    #[must_use]
    pub fn name(&self) -> &str {
        self.hostname.as_deref().unwrap_or(NEIGHBOUR)
    }

    /// The files of certificate and key, where there are both.
    #[must_use]
    pub fn identity(&self) -> Option<CertificateFiles> {
        CertificateFiles::of("smtp", self.certificate.as_deref(), self.private_key.as_deref())
    }

    pub(super) fn validate(&self, checks: &mut Checks) {
        match &self.hostname {
            None if !self.listen.is_empty() => {
                let remedy = "write the name that the MX record points to, for example \"mx.bounces.example.org\"";
                checks.problem("smtp.hostname", None, "is missing: the greeting needs a name", remedy);
            }
            Some(name) if !is_host_name(name) => {
                let remedy = "write a name such as \"mx.bounces.example.org\"";
                checks.problem("smtp.hostname", Some(format!("\"{name}\"")), "is not the name of a host", remedy);
            }
            _ => {}
        }
        certificate::validate("smtp", self.certificate.as_deref(), self.private_key.as_deref(), checks);
        checks.size("smtp.max_message", self.max_message, Size(64 << 10)..=Size(1 << 30));
        checks.size("smtp.max_bytes", self.max_bytes, self.max_message..=Size(1 << 40));
        // RFC 5321 section 4.5.3.1.8 asks for 100 at least.
        checks.within("smtp.max_recipients", self.max_recipients, 100..=10_000);
        checks.within("smtp.max_connections", self.max_connections, 1..=100_000);
        checks.within("smtp.max_connections_per_address", self.max_connections_per_address, 1..=100_000);
        checks.within("smtp.rate_limit", self.rate_limit as usize, 0..=1_000_000);
        checks.within("smtp.max_commands", self.max_commands, 10..=1_000_000);
        checks.within("smtp.max_errors", self.max_errors, 1..=1_000_000);
        checks.positive("smtp.command_timeout", self.command_timeout);
        checks.positive("smtp.data_timeout", self.data_timeout);
        checks.positive("smtp.session_timeout", self.session_timeout);
    }
}

/// Letters, digits, dots and hyphens: it goes into replies as it is.
fn is_host_name(name: &str) -> bool {
    let is_label = |it: &str| !it.is_empty() && it.len() <= 63 && it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    name.len() <= 255 && name.split('.').all(is_label)
}
