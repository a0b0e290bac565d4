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

pub mod azure;
mod batch;
pub mod brevo;
mod certificate;
pub mod cloudflare;
mod credentials;
pub mod elasticemail;
mod evidence;
mod form;
pub mod forwardemail;
pub mod generic;
mod headers;
pub mod interpret;
mod json;
pub mod kumomta;
pub mod lettermint;
mod mac;
mod mailbox;
pub mod mailersend;
pub mod mailgun;
pub mod mailjet;
pub mod mailtrap;
pub mod mandrill;
pub mod mime;
mod moment;
mod parsed;
mod post;
pub mod postal;
pub mod postmark;
mod public_key;
mod refusal;
pub mod resend;
pub mod scaleway;
pub mod sendgrid;
pub mod ses;
pub mod smtp2go;
pub mod sns;
pub mod sparkpost;
mod standard;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod trials;

pub use credentials::{Credentials, HeaderSecret};
pub use post::{Content, Once, Proof, Unverified, Verified};
pub use refusal::{Credential, Refusal};

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::address::Address;
use crate::kind::Kind;
use crate::report::{Note, Reading, Report};

/// Every provider, by the name a source gives.
pub static PROVIDERS: &[&dyn Provider] = &[
    &azure::Azure,
    &brevo::Brevo,
    &cloudflare::Cloudflare,
    &elasticemail::ElasticEmail,
    &forwardemail::ForwardEmail,
    &generic::Generic,
    &kumomta::KumoMta,
    &lettermint::Lettermint,
    &mailersend::MailerSend,
    &mailgun::Mailgun,
    &mailjet::Mailjet,
    &mailtrap::Mailtrap,
    &mandrill::Mandrill,
    &mime::Mime,
    &postal::Postal,
    &postmark::Postmark,
    &resend::Resend,
    &scaleway::Scaleway,
    &sendgrid::SendGrid,
    &ses::Ses,
    &smtp2go::Smtp2Go,
    &sparkpost::SparkPost,
];

/// Recipient of the samples that [`Provider::sample`] makes. No mail reaches it: the domain is reserved (RFC 2606 section 2).
pub const TEST_RECIPIENT: &str = "bounce@rebound.invalid";

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

    /// Whether its ids of messages and events are the same wherever they are told of. Those of a program that everybody runs
    /// for themselves begin at 1 in each place.
    fn has_global_ids(&self) -> bool {
        true
    }

    /// Methods its posts come by, in upper case.
    fn methods(&self) -> &'static [&'static str] {
        &["POST"]
    }

    /// Keys of a source that can prove its posts, the strongest first; one of them must be there.
    fn proved_by(&self) -> &'static [&'static str] {
        &["basic", "bearer", "header", "url_secret"]
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

    /// Whether what is configured is of the kind that this provider's posts are proved with. A key that is none, or one without the
    /// address that is signed along, proves no post ever: that is told at the start, not by posts that come again in vain.
    ///
    /// # Errors
    /// [`Refusal::NotConfigured`], naming the key of the source to mend.
    fn check_credentials(&self, _credentials: &Credentials) -> Result<(), Refusal> {
        Ok(())
    }

    /// What a receipt keeps of the post, so that [`Provider::decode`] finds everything in it again: the body, unless
    /// the provider speaks by its query.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let media_type = post.header("content-type").filter(|it| it.len() <= 200).unwrap_or("application/octet-stream");
        Content { media_type: Cow::Borrowed(media_type), bytes: Cow::Borrowed(post.body) }
    }

    /// Reads a proved post. Never fails: what is not understood is a note, and nothing is recorded of it.
    fn decode(&self, post: &Verified<'_>) -> Decoded;

    /// Made-up recipients of its test buttons and simulators, which are no person's and never touch a list: addresses in
    /// lower case, or `@domain` for all of a domain.
    fn test_recipients(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether this address may be visited to confirm a subscription of a source with these credentials. [`Provider::prove`]
    /// has refused what leads elsewhere; the shell asks again before it goes there.
    fn may_confirm(&self, _url: &str, _credentials: &Credentials) -> bool {
        false
    }

    /// A post as this provider would send it, proved with these credentials as far as it signs: that mail to
    /// [`TEST_RECIPIENT`] failed for good. What comes beside the body (passwords, a secret in the address) is added by
    /// whoever sends it.
    ///
    /// # Errors
    /// When only the provider can sign, or a credential that it signs with is missing.
    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample>;

    /// The status that makes this provider give up, or come again, as the refusal asks.
    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        refusal.default_status()
    }

    /// The status that makes this provider come again when the post could not be stored.
    fn busy_status(&self) -> u16 {
        503
    }
}

/// A post to try a source with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The method.
    pub method: &'static str,
    /// What is added to the address, `?` not included; empty where nothing is.
    pub query: String,
    /// Header fields, the content type among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Sample {
    /// The usual case: JSON by `POST`.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { method: "POST", query: String::new(), headers, body: value.to_string().into_bytes() }
    }
}

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSample {
    /// It is signed with a private key.
    #[error("posts of this provider are signed with a private key that only the provider has; use its own test button")]
    OnlyProviderSigns,
    /// The source has not what it takes.
    #[error(transparent)]
    Credentials(#[from] Refusal),
}

/// Whether the address is one that a provider's test button or simulator makes up.
#[must_use]
pub fn is_test(provider: &dyn Provider, recipient: &Address) -> bool {
    let address = recipient.expose();
    let of_domain = |it: &str| it.starts_with('@') && address.ends_with(it);
    std::iter::once(&TEST_RECIPIENT).chain(provider.test_recipients()).any(|it| address.eq_ignore_ascii_case(it) || of_domain(it))
}

/// The provider and its own id of a message, where the provider writes that into the Message-ID: so a bounce by mail and a
/// post about the same failure are known to be one.
///
/// ```
/// assert_eq!(bounce::esp::id_within("0100-x@eu-west-1.amazonses.com"), Some(("ses", "0100-x")));
/// assert_eq!(bounce::esp::id_within("news@example.com"), None);
/// ```
#[must_use]
pub fn id_within(message_id: &str) -> Option<(&'static str, &str)> {
    let (id, domain) = message_id.rsplit_once('@').filter(|(id, _)| !id.is_empty())?;
    let domain = domain.to_ascii_lowercase();
    let is_of = |it: &str| domain.strip_suffix(it).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    if is_of("amazonses.com") {
        Some(("ses", id))
    } else if is_of("mtasv.net") {
        Some(("postmark", id))
    } else {
        None
    }
}

/// What a proved post says, and what the shell has to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// One report for each recipient and event.
    pub reading: Reading,
    /// How many events of the post this version does not understand, those set aside not counted. With any, the receipt is
    /// kept as unrecognised, to be interpreted again; a post without reports and without these is simply none that
    /// matters (a click, a ping).
    pub unrecognised: usize,
    /// Events among others that this version does not understand; each becomes an unrecognised receipt of its own.
    pub set_aside: Vec<SetAside>,
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
        let reading = Reading { kind, dialect, reports, notes };
        Self { reading, unrecognised, set_aside: Vec::new(), requests: Vec::new(), answer: Answer::ok() }
    }

    /// A stored post that cannot be read any more as its provider's; it was readable when it was proved.
    fn unreadable(dialect: &'static str, refusal: &Refusal) -> Self {
        Self::new(dialect, Vec::new(), vec![Note(refusal.to_string())], 1)
    }
}

/// One event cut out of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The event, which alone is a post that [`Provider::decode`] reads.
    pub bytes: Vec<u8>,
    /// Why it was not understood.
    pub why: String,
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
    fn test_recipients_are_told_from_people() {
        let is_test = |it: &str| is_test(&ses::Ses, &Address::parse(it).unwrap());
        assert_eq!(["Bounce@Rebound.invalid", "ooto@simulator.amazonses.com"].map(is_test), [true, true]);
        assert_eq!(["x@notsimulator.amazonses.com", "jane@example.com"].map(is_test), [false, false]);
    }

    #[test]
    fn a_batch_is_as_grave_as_its_gravest_report() {
        let of = |kinds: &[Kind]| gravest(&kinds.iter().map(|it| Report::new(*it, None)).collect::<Vec<_>>());
        assert_eq!(of(&[Kind::Delivered, Kind::Bounce, Kind::Delayed]), Kind::Bounce);
        assert_eq!(of(&[Kind::Bounce, Kind::Complaint]), Kind::Complaint);
        assert_eq!(of(&[]), Kind::Other);
    }
}
