//! What a certificate says of itself (RFC 5280).

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// The certificate at the end of a chain, as far as somebody looks at it who is not asked to believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// From when it holds.
    pub from: OffsetDateTime,
    /// Until when it holds.
    pub until: OffsetDateTime,
    /// The names of hosts that it is for, in lower case.
    pub names: Vec<String>,
    /// As it is shown.
    pub der: Vec<u8>,
}

impl Leaf {
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(certificate).ok()?;
        let named = read.subject_alternative_name().ok().flatten();
        let name = |it: &GeneralName<'_>| if let GeneralName::DNSName(name) = it { Some(name.to_ascii_lowercase()) } else { None };
        Some(Self {
            from: read.validity().not_before.to_datetime(),
            until: read.validity().not_after.to_datetime(),
            names: named.map(|it| it.value.general_names.iter().filter_map(name).collect()).unwrap_or_default(),
            der: certificate.to_vec(),
        })
    }

    /// Whether it is for a host of that name; a star stands for one label (RFC 9525 section 6.3).
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        self.names.iter().any(|it| *it == host || it.strip_prefix("*.").is_some_and(|it| Some(it) == above))
    }
}
