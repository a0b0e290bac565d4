//! A post on its way from unbelieved to proved.

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::esp::{Answer, Credential, Credentials, Provider, Refusal};
use crate::kind::Attribution;

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

    /// The value of a header field of that name (lower case) that must be there once: of two, nobody knows which was meant.
    ///
    /// # Errors
    /// [`Refusal::Missing`] and [`Refusal::Repeated`], of that credential.
    pub(super) fn sole_header(&self, name: &str, credential: Credential) -> Result<&'a str, Refusal> {
        let mut values = self.headers.iter().filter(|(it, _)| it == name);
        let value = values.next().ok_or(Refusal::Missing(credential))?;
        if values.next().is_some() { Err(Refusal::Repeated(credential)) } else { Ok(value.1.as_str()) }
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
    /// Tokens that prove only one body, where the signature does not cover the body.
    pub once: Option<Once>,
}

impl Proof {
    /// A proof that covers the body, or a password that came with it.
    #[must_use]
    pub const fn of(attribution: Attribution) -> Self {
        Self { attribution, once: None }
    }
}

/// Tokens that may come again with the same body (a retry), never with another: the shell remembers the digest of the
/// body with each and refuses as [`Refusal::Replayed`]. All that would prove a post are among them, or one that was left
/// over could prove another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The tokens, each unique within the source.
    pub tokens: Vec<String>,
    /// Until when they would be believed.
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

    /// The tokens to remember, if there are any.
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
