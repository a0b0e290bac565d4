//! Why a post was not believed, in words for whoever sent it and for whoever runs the source.

/// A kind of credential, as a refusal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// A signature over the body or over fields of it.
    Signature,
    /// User and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A header with a secret value.
    Header,
    /// A secret in the path or the query.
    UrlSecret,
}

impl std::fmt::Display for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Basic => "user and password (basic)",
            Self::Bearer => "bearer token",
            Self::Header => "secret header",
            Self::UrlSecret => "secret in the address",
        })
    }
}

/// Why a post was not believed. No variant ever quotes what the post holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This provider does not come by that method.
    #[error("this source takes {} only", .0.join(", "))]
    Method(&'static [&'static str]),
    /// The body is not what this provider sends.
    #[error("the body is not {expected}: {found}")]
    Malformed {
        /// What this provider sends.
        expected: &'static str,
        /// What was there instead, without its content.
        found: String,
    },
    /// More events than a provider sends in one post.
    #[error("more than {0} events in one post; send them in several")]
    TooMany(usize),
    /// The content type is none that this provider sends.
    #[error("the content type is not one of {0}")]
    MediaType(&'static str),
    /// The source has no credential that could prove this post.
    #[error("the source has no {0} to verify this post with; add it to the source's configuration")]
    NotConfigured(&'static str),
    /// No credential in the post. 401 with a challenge.
    #[error("no {0} in the request")]
    Missing(Credential),
    /// The credential is there several times, and which of them counts is anybody's guess.
    #[error("more than one {0} in the request")]
    Repeated(Credential),
    /// The credential is wrong.
    #[error("the {0} does not match")]
    Mismatch(Credential),
    /// Too old or from the future.
    #[error("the signed time is outside the allowed window of {0} seconds")]
    Stale(u32),
    /// A token that was used with another body.
    #[error("the signature was already used with another body")]
    Replayed,
    /// Not from somebody, or not leading to a host, that this source listens to.
    #[error("{0} is not on this source's allow-list")]
    NotAllowed(&'static str),
    /// The certificate must be fetched from this (already checked) address, then tried again.
    #[error("the signing certificate has not been fetched yet")]
    CertificateNeeded {
        /// Where it is.
        url: String,
    },
    /// What was fetched, or configured, as the certificate is none.
    #[error("the signing certificate cannot be used: {0}")]
    CertificateUnusable(&'static str),
}

impl Refusal {
    /// The status most providers understand.
    #[must_use]
    pub const fn default_status(&self) -> u16 {
        match self {
            Self::Method(_) => 405,
            Self::Malformed { .. } => 400,
            Self::MediaType(_) => 415,
            Self::TooMany(_) => 413,
            Self::Missing(_) | Self::Repeated(_) | Self::Mismatch(_) | Self::Stale(_) | Self::Replayed => 401,
            Self::NotAllowed(_) => 403,
            Self::NotConfigured(_) | Self::CertificateNeeded { .. } | Self::CertificateUnusable(_) => 503,
        }
    }

    /// The value of `WWW-Authenticate` to send with a 401. SNS shows its password only when asked for it this way.
    #[must_use]
    pub const fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Missing(Credential::Basic) | Self::Mismatch(Credential::Basic) => Some("Basic realm=\"rebound\", charset=\"UTF-8\""),
            Self::Missing(Credential::Bearer) => Some("Bearer realm=\"rebound\""),
            Self::Mismatch(Credential::Bearer) => Some("Bearer realm=\"rebound\", error=\"invalid_token\""),
            _ => None,
        }
    }

    /// A word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::Malformed { .. } => "malformed",
            Self::MediaType(_) => "media_type",
            Self::NotConfigured(_) => "not_configured",
            Self::Missing(_) => "credential_missing",
            Self::Repeated(_) => "credential_repeated",
            Self::Mismatch(_) => "credential_mismatch",
            Self::TooMany(_) => "too_many_events",
            Self::Stale(_) => "stale",
            Self::Replayed => "replayed",
            Self::NotAllowed(_) => "not_allowed",
            Self::CertificateNeeded { .. } | Self::CertificateUnusable(_) => "certificate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_or_wrong_password_is_challenged() {
        assert!(Refusal::Missing(Credential::Basic).challenge().is_some_and(|it| it.starts_with("Basic realm=")));
        assert!(Refusal::Missing(Credential::Bearer).challenge().is_some_and(|it| it.starts_with("Bearer ")));
        assert_eq!(Refusal::Missing(Credential::Signature).challenge(), None);
        assert_eq!(Refusal::NotAllowed("the topic").challenge(), None);
    }
}
