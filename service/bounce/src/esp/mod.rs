//! Posts of mail providers. A post is [`Unverified`] until its provider has proved it over the raw bytes; only a
//! [`Verified`] one can be decoded. What needs the network (a certificate, a confirmation) is returned as data and
//! carried out by the shell. A provider is a folder of this module and a line in [`PROVIDERS`].
//!
//! The way of a post through the shell:
//!
//! 1. [`Unverified::handshake`]: probes that come without proof (`HEAD`, `OPTIONS`) are answered and forgotten.
//! 2. [`Unverified::verify`]: proved or refused. A refusal is answered with [`Provider::refusal_status`] and
//!    [`Refusal::challenge`]; [`Refusal::CertificateNeeded`] is fetched and tried again.
//! 3. [`Verified::once`]: a token that may be used once is remembered with the digest of the body.
//! 4. [`Provider::content`] goes into the receipt, [`Provider::decode`] says what it means, and after the commit the
//!    shell answers [`Decoded::answer`] and carries out [`Decoded::requests`].
//!
//! A stored receipt is decoded again by way of [`Verified::restored`].
//!
//! ```
//! use bounce::esp::{Credentials, Refusal, Unverified, provider};
//! use time::OffsetDateTime;
//!
//! let mime = provider("mime").unwrap();
//! let credentials = Credentials { url_secret: Some("s3cret".to_owned()), ..Credentials::default() };
//! let post = Unverified { method: "POST", url: "https://hooks.example/webhooks/bounces/s3cret", headers: &[], body: b"Subject: x\r\n\r\ny" };
//!
//! let verified = post.verify(mime, &credentials, OffsetDateTime::UNIX_EPOCH).unwrap();
//! assert_eq!(mime.decode(&verified).answer.status, 200);
//!
//! let refusal = Unverified { url: "/webhooks/bounces", ..post }.verify(mime, &credentials, OffsetDateTime::UNIX_EPOCH).unwrap_err();
//! assert_eq!((mime.refusal_status(&refusal), refusal.to_string().as_str()), (401, "the secret in the address does not match"));
//! ```

mod certificate;
mod credentials;
mod form;
pub mod interpret;
mod json;
mod mailbox;
pub mod mime;
mod moment;
pub mod ses;

use std::borrow::Cow;
use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::kind::{Attribution, Kind};
use crate::report::{Note, Reading, Report};

/// Every provider, by the name a source gives.
pub static PROVIDERS: &[&dyn Provider] = &[&mime::Mime, &ses::Ses];

/// The provider of that name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|it| it.name() == name)
}

/// Whether the text is what [`Credentials::certificates`] takes: exactly one PEM certificate with an RSA key. The shell
/// asks before it caches what it fetched for [`Refusal::CertificateNeeded`].
///
/// # Errors
/// [`Refusal::CertificateUnusable`], saying what is wrong with it.
pub fn check_certificate(pem: &str) -> Result<(), Refusal> {
    certificate::rsa_public_key(pem).map(|_| ())
}

/// One mail provider: how its posts are proved and what they mean. Pure; a unit struct.
pub trait Provider: Sync + std::fmt::Debug {
    /// The name in `[[source]] provider = "…"`.
    fn name(&self) -> &'static str;

    /// Methods its posts come by, in upper case.
    fn methods(&self) -> &'static [&'static str] {
        &["POST"]
    }

    /// The answer to a probe that comes without proof and records nothing, such as `HEAD` or the `OPTIONS` of
    /// `CloudEvents`; `None` for everything else.
    ///
    /// # Errors
    /// When the probe lacks a credential that a probe of this provider must carry.
    fn handshake(&self, _post: &Unverified<'_>, _credentials: &Credentials) -> Result<Option<Answer>, Refusal> {
        Ok(None)
    }

    /// Proves that the post is what its provider sent, over the raw bytes. Returns how sure that makes it.
    ///
    /// Several kinds of credentials given: all must hold, unless the provider says either. Nothing is believed of a
    /// source without credentials. A post that could not be decoded at all is refused here as
    /// [`Refusal::Malformed`], for [`Provider::decode`] cannot refuse.
    ///
    /// # Errors
    /// When it is not proved, or when a certificate must be fetched first ([`Refusal::CertificateNeeded`]).
    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal>;

    /// What a receipt keeps of the post, so that [`Provider::decode`] finds everything in it again: the body, unless
    /// the provider speaks by its query.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let media_type = post.header("content-type").filter(|it| it.len() <= 200).unwrap_or("application/octet-stream");
        Content { media_type: Cow::Borrowed(media_type), bytes: Cow::Borrowed(post.body) }
    }

    /// Reads a proved post. Never fails: what is not understood is a note, and nothing is recorded of it.
    fn decode(&self, post: &Verified<'_>) -> Decoded;

    /// The status that makes this provider give up, or come again, as the refusal asks.
    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        refusal.default_status()
    }

    /// The status that makes this provider come again when the post could not be stored.
    fn busy_status(&self) -> u16 {
        503
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

    /// The answer to a probe that records nothing, if this is one.
    ///
    /// # Errors
    /// See [`Provider::handshake`].
    pub fn handshake(&self, provider: &dyn Provider, credentials: &Credentials) -> Result<Option<Answer>, Refusal> {
        provider.handshake(self, credentials)
    }

    /// Proves the post.
    ///
    /// # Errors
    /// [`Refusal::Method`], else see [`Provider::prove`].
    pub fn verify(self, provider: &dyn Provider, credentials: &Credentials, now: OffsetDateTime) -> Result<Verified<'a>, Refusal> {
        if !provider.methods().contains(&self.method) {
            return Err(Refusal::Method(provider.methods()));
        }
        let proof = provider.prove(&self, credentials, now)?;
        Ok(Verified { post: self, proof, now })
    }
}

/// What has been proved of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// How sure we are of who sent it.
    pub attribution: Attribution,
    /// A token that proves only one body, where the signature does not cover the body.
    pub once: Option<Once>,
}

impl Proof {
    /// A proof that covers the body, or a password that came with it.
    #[must_use]
    pub const fn of(attribution: Attribution) -> Self {
        Self { attribution, once: None }
    }
}

/// A token that may come again with the same body (a retry), never with another: the shell remembers the digest of the
/// body with it and refuses as [`Refusal::Replayed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The token, unique within the source.
    pub token: String,
    /// Until when it would be believed.
    pub until: OffsetDateTime,
}

/// A post that its provider has proved. Made by [`Unverified::verify`], or from a receipt that was proved when it came.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    post: Unverified<'a>,
    proof: Proof,
    now: OffsetDateTime,
}

impl<'a> Verified<'a> {
    /// A post out of a receipt, proved before it was stored: its body and content type are those of
    /// [`Provider::content`], `received_at` is when it was proved.
    #[must_use]
    pub const fn restored(post: Unverified<'a>, attribution: Attribution, received_at: OffsetDateTime) -> Self {
        Self { post, proof: Proof::of(attribution), now: received_at }
    }

    /// The post.
    #[must_use]
    pub const fn post(&self) -> &Unverified<'a> {
        &self.post
    }

    /// How sure we are of who sent it.
    #[must_use]
    pub const fn attribution(&self) -> Attribution {
        self.proof.attribution
    }

    /// The token to remember, if there is one.
    #[must_use]
    pub const fn once(&self) -> Option<&Once> {
        self.proof.once.as_ref()
    }

    /// When it was proved.
    #[must_use]
    pub const fn now(&self) -> OffsetDateTime {
        self.now
    }
}

/// What a receipt keeps of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content<'a> {
    /// Media type with its parameters.
    pub media_type: Cow<'a, str>,
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
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
    /// How many events of the post this version does not understand. With any, the receipt is kept as unrecognised, to
    /// be interpreted again; a post without reports and without these is simply none that matters (a click, a ping).
    pub unrecognised: usize,
    /// Requests to carry out, each under the provider's host allow-list.
    pub requests: Vec<Request>,
    /// What the provider wants to hear once all is committed.
    pub answer: Answer,
}

impl Decoded {
    /// The usual case: reports and notes, nothing to do, an empty 200. The kind of the whole is that of its gravest report.
    #[must_use]
    pub fn new(dialect: &'static str, reports: Vec<Report>, notes: Vec<Note>, unrecognised: usize) -> Self {
        let kind = gravest(&reports);
        Self { reading: Reading { kind, dialect, reports, notes }, unrecognised, requests: Vec::new(), answer: Answer::ok() }
    }
}

/// The kind that asks most of a list, of those reported.
fn gravest(reports: &[Report]) -> Kind {
    const GRAVEST_FIRST: [Kind; 7] =
        [Kind::Complaint, Kind::Unsubscribe, Kind::Bounce, Kind::Suppressed, Kind::Rejected, Kind::Delayed, Kind::Delivered];
    GRAVEST_FIRST.into_iter().find(|kind| reports.iter().any(|it| it.kind == *kind)).unwrap_or(Kind::Other)
}

/// An HTTP answer, where a provider asks for more than a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status. 200 and not 202 or 204: several providers take nothing else for success.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; its type is among the headers.
    pub body: Vec<u8>,
}

impl Answer {
    /// An empty 200.
    #[must_use]
    pub const fn ok() -> Self {
        Self { status: 200, headers: Vec::new(), body: Vec::new() }
    }
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
    /// The content type is none that this provider sends.
    #[error("the content type is not one of {0}")]
    MediaType(&'static str),
    /// The source has no credential that could prove this post.
    #[error("the source has no {0} to verify this post with; add it to the source's configuration")]
    NotConfigured(&'static str),
    /// No credential in the post. 401 with a challenge.
    #[error("no {0} in the request")]
    Missing(Credential),
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
            Self::Missing(_) | Self::Mismatch(_) | Self::Stale(_) | Self::Replayed => 401,
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
            Self::Mismatch(_) => "credential_mismatch",
            Self::Stale(_) => "stale",
            Self::Replayed => "replayed",
            Self::NotAllowed(_) => "not_allowed",
            Self::CertificateNeeded { .. } => "certificate_needed",
            Self::CertificateUnusable(_) => "certificate_unusable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = PROVIDERS.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), PROVIDERS.len());
        assert!(names.iter().all(|it| provider(it).is_some_and(|found| found.name() == *it)));
        assert!(provider("nobody").is_none());
    }

    #[test]
    fn a_method_that_the_provider_does_not_use_is_refused() {
        let post = Unverified { method: "GET", url: "/", headers: &[], body: b"" };
        let refusal = post.verify(&ses::Ses, &Credentials::default(), OffsetDateTime::UNIX_EPOCH).unwrap_err();
        assert_eq!((refusal.default_status(), refusal.to_string().as_str()), (405, "this source takes POST only"));
    }

    #[test]
    fn only_a_missing_or_wrong_password_is_challenged() {
        assert!(Refusal::Missing(Credential::Basic).challenge().is_some_and(|it| it.starts_with("Basic realm=")));
        assert!(Refusal::Missing(Credential::Bearer).challenge().is_some_and(|it| it.starts_with("Bearer ")));
        assert_eq!(Refusal::Missing(Credential::Signature).challenge(), None);
        assert_eq!(Refusal::NotAllowed("the topic").challenge(), None);
    }

    #[test]
    fn a_batch_is_as_grave_as_its_gravest_report() {
        let of = |kinds: &[Kind]| gravest(&kinds.iter().map(|it| Report::new(*it, None)).collect::<Vec<_>>());
        assert_eq!(of(&[Kind::Delivered, Kind::Bounce, Kind::Delayed]), Kind::Bounce);
        assert_eq!(of(&[Kind::Bounce, Kind::Complaint]), Kind::Complaint);
        assert_eq!(of(&[]), Kind::Other);
    }
}
