//! Posts of mail providers. A post is [`Unverified`] until its provider has proved it over the raw bytes; only a
//! [`Verified`] one can be decoded. What needs the network (a certificate, a confirmation) is returned as data and
//! carried out by the shell. A provider is a folder of this module and a line in [`PROVIDERS`].

pub mod ses;

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::kind::Attribution;
use crate::report::Reading;

/// Every provider, by the name a source gives.
pub static PROVIDERS: &[&dyn Provider] = &[&ses::Ses];

/// The provider of that name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|it| it.name() == name)
}

/// One mail provider: how its posts are proved and what they mean. Pure; a unit struct.
pub trait Provider: Sync + std::fmt::Debug {
    /// The name in `[[source]] provider = "…"`.
    fn name(&self) -> &'static str;

    /// Methods its posts come by, in upper case.
    fn methods(&self) -> &'static [&'static str] {
        &["POST"]
    }

    /// Proves that the post is what its provider sent, over the raw bytes. Returns how sure that makes it.
    ///
    /// # Errors
    /// When it is not proved, or when a certificate must be fetched first ([`Refusal::CertificateNeeded`]).
    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Attribution, Refusal>;

    /// Reads a proved post. Never fails: what is not understood is a note, and nothing is recorded of it.
    fn decode(&self, post: &Verified<'_>) -> Decoded;

    /// The status that makes this provider give up, or come again, as the refusal asks.
    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        refusal.default_status()
    }
}

/// A post as it came. Nothing in it may be believed.
#[derive(Debug, Clone, Copy)]
pub struct Unverified<'a> {
    /// HTTP method in upper case.
    pub method: &'a str,
    /// The whole URL as the provider called it.
    pub url: &'a str,
    /// Header fields, name in lower case, in the order they came.
    pub headers: &'a [(String, String)],
    /// The bytes, before any decoding.
    pub body: &'a [u8],
}

impl<'a> Unverified<'a> {
    /// First header field of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Proves the post.
    ///
    /// # Errors
    /// See [`Provider::prove`].
    pub fn verify(self, provider: &dyn Provider, credentials: &Credentials, now: OffsetDateTime) -> Result<Verified<'a>, Refusal> {
        let attribution = provider.prove(&self, credentials, now)?;
        Ok(Verified { post: self, attribution, now })
    }
}

/// A post that its provider has proved. Cannot be made but by [`Unverified::verify`].
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    post: Unverified<'a>,
    attribution: Attribution,
    now: OffsetDateTime,
}

impl<'a> Verified<'a> {
    /// The post.
    #[must_use]
    pub const fn post(&self) -> &Unverified<'a> {
        &self.post
    }

    /// How sure we are of who sent it.
    #[must_use]
    pub const fn attribution(&self) -> Attribution {
        self.attribution
    }

    /// When it was proved.
    #[must_use]
    pub const fn now(&self) -> OffsetDateTime {
        self.now
    }
}

/// What a source may be asked to prove a post with. The same keys for all providers; each takes those it knows.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// HMAC and Svix keys; several during rotation.
    pub secrets: Vec<String>,
    /// Public keys, PEM or base64 DER.
    pub public_keys: Vec<String>,
    /// `user:password`.
    pub basic: Vec<String>,
    /// Bearer tokens.
    pub bearer: Vec<String>,
    /// A header that must have this value.
    pub header: Option<HeaderSecret>,
    /// A secret in the path or the query.
    pub url_secret: Option<String>,
    /// Topics that may post (SNS).
    pub topic_arns: Vec<String>,
    /// The exact address configured at the provider, where it is signed.
    pub url: Option<String>,
    /// Certificates already fetched, URL to PEM.
    pub certificates: BTreeMap<String, String>,
}

/// A header with a secret value.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSecret {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What a proved post says, and what the shell has to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// One report for each recipient and event.
    pub reading: Reading,
    /// Requests to carry out, each under the provider's host allow-list.
    pub requests: Vec<Request>,
}

/// Something that needs the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// GET this address once, no redirects, to confirm a subscription. The host has been checked.
    Confirm {
        /// Where.
        url: String,
    },
}

/// Why a post was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is not what this provider sends.
    #[error("the body is not {expected}: {found}")]
    Malformed {
        /// What this provider sends.
        expected: &'static str,
        /// What was there instead, without its content.
        found: String,
    },
    /// The source has no credential that could prove this post.
    #[error("the source has no {0} to verify this post with; add it to the source's configuration")]
    NotConfigured(&'static str),
    /// No credential in the post. 401 with a challenge.
    #[error("no {0} in the request")]
    Missing(&'static str),
    /// The credential is wrong.
    #[error("the {0} does not match")]
    Mismatch(&'static str),
    /// Too old or from the future.
    #[error("the signed time is outside the allowed window of {0} seconds")]
    Stale(u32),
    /// Well signed, but not by somebody this source listens to.
    #[error("{0} is not on this source's allow-list")]
    NotAllowed(&'static str),
    /// The certificate must be fetched from this (already checked) address, then tried again.
    #[error("the signing certificate has not been fetched yet")]
    CertificateNeeded {
        /// Where it is.
        url: String,
    },
}

impl Refusal {
    /// The status most providers understand.
    #[must_use]
    pub const fn default_status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::Missing(_) | Self::Mismatch(_) | Self::Stale(_) => 401,
            Self::NotAllowed(_) => 403,
            Self::NotConfigured(_) | Self::CertificateNeeded { .. } => 503,
        }
    }
}
