//! A provider's post on its way to the intake, as `bounce::esp` lays it out: probes are answered, everything else is proved
//! over its raw bytes, with a certificate fetched if that is what is missing; what was proved goes to the intake, and only
//! when it is committed are the provider's requests carried out and its answer given.

use std::sync::Arc;

use bounce::esp::{Answer, Provider, Refusal, Request, Unverified, Verified};
use bytes::Bytes;
use time::OffsetDateTime;

use crate::inbound::{FetchError, Fetcher, shared};
use crate::intake::{Arrival, Intake, IntakeError, Source};
use crate::store::{Accepted, IncomingToken, sha256};
use crate::telemetry::{Refused, Stage, Telemetry};

/// A post as it came.
#[derive(Debug)]
pub struct Post {
    /// HTTP method in upper case.
    pub method: String,
    /// The whole URL as the provider called it.
    pub url: String,
    /// Header fields, name in lower case.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Bytes,
}

/// Why a post was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// It was not proved, or is not what the provider sends.
    #[error("refused")]
    Refused(&'static dyn Provider, #[source] Refusal),
    /// The certificate that would prove it could not be fetched. The provider should come again.
    #[error("the signing certificate could not be fetched")]
    Certificate(&'static dyn Provider, #[source] Arc<FetchError>),
    /// It was not committed. The provider should come again.
    #[error("not taken in")]
    Intake(&'static dyn Provider, #[source] IntakeError),
    /// It was committed, but what the provider asks for failed. The provider should come again.
    #[error("the provider's request could not be carried out")]
    Request(&'static dyn Provider, #[source] FetchError),
}

/// What a post is taken in with.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// The way in.
    pub intake: &'a Intake,
    /// Fetches certificates and confirms subscriptions.
    pub fetcher: &'a Fetcher,
    /// Counts and logs.
    pub telemetry: &'a Telemetry,
    /// Now.
    pub now: OffsetDateTime,
}

impl Door<'_> {
    /// Takes a post of a source in. When it returns, everything the post says is durable, and the answer is the provider's.
    ///
    /// # Errors
    /// See [`PostError`].
    pub async fn take(&self, source: Arc<Source>, post: &Post) -> Result<Answer, PostError> {
        let taken = self.take_proved(source.clone(), post).await;
        if let Err(error) = &taken {
            self.tell(&source.name, error);
        }
        let (answer, requests) = taken?;
        self.telemetry.post_taken(&source.name, self.now);
        for request in requests {
            self.carry_out(&source, request).await?;
        }
        Ok(answer)
    }

    async fn take_proved(&self, source: Arc<Source>, post: &Post) -> Result<(Answer, Vec<Request>), PostError> {
        let provider = source.provider;
        let refused = |it| PostError::Refused(provider, it);
        let unverified = Unverified { method: &post.method, url: &post.url, headers: &post.headers, body: &post.body };
        if let Some(answer) = unverified.handshake(provider, &source.credentials).map_err(refused)? {
            return Ok((answer, Vec::new()));
        }
        let verified = self.verify(&source, unverified).await?;
        let tokens = verified.once().map_or(&[][..], |it| it.tokens.as_slice());
        let token = |it: &String| IncomingToken { token: sha256(&[it.as_bytes()]), digest: sha256(&[&post.body]) };
        let content = provider.content(verified.post());
        let arrival = Arrival {
            media_type: content.media_type.into_owned(),
            bytes: shared(&post.body, content.bytes),
            attribution: verified.attribution(),
            received_at: self.now,
            tokens: tokens.iter().map(token).collect(),
            list: None,
            source,
        };
        let outcome = self.intake.accept(arrival).await.map_err(|it| PostError::Intake(provider, it))?;
        match outcome.accepted {
            Some(Accepted::Replayed) => Err(refused(Refusal::Replayed)),
            _ => Ok((outcome.answer, outcome.requests)),
        }
    }

    /// Proves a post, fetching the certificate if that is all that is missing.
    async fn verify<'p>(&self, source: &Source, post: Unverified<'p>) -> Result<Verified<'p>, PostError> {
        let provider = source.provider;
        let url = match post.verify(provider, &source.credentials, self.now) {
            Err(Refusal::CertificateNeeded { url }) => url,
            other => return other.map_err(|it| PostError::Refused(provider, it)),
        };
        let certificate = self.fetcher.certificate(&url).await.map_err(|it| PostError::Certificate(provider, it))?;
        let mut credentials = source.credentials.clone();
        credentials.certificates.insert(url, certificate.to_string());
        post.verify(provider, &credentials, self.now).map_err(|it| PostError::Refused(provider, it))
    }

    /// Carried out before the answer: should it fail, the provider still has the question and asks again.
    async fn carry_out(&self, source: &Source, request: Request) -> Result<(), PostError> {
        let Request::Confirm { url } = request else { return Ok(()) };
        let provider = source.provider;
        if !provider.may_confirm(&url, &source.credentials) {
            self.telemetry.noted("a provider asks to confirm a subscription at an address that the source does not allow");
            return Ok(());
        }
        if !self.fetcher.confirms() {
            self.telemetry.noted("a provider asks to confirm a subscription, which fetch.allow_confirm_subscription forbids");
            return Ok(());
        }
        match self.fetcher.confirm(&url).await {
            Ok(()) => {
                self.telemetry.noted("a subscription was confirmed as its provider asked");
                Ok(())
            }
            Err(error) => {
                self.telemetry.failed(Stage::Fetch, "confirming a subscription", &error);
                Err(PostError::Request(provider, error))
            }
        }
    }

    /// Counts what was not taken, and logs what is ours to mend.
    fn tell(&self, source: &str, error: &PostError) {
        let why = match error {
            PostError::Refused(_, refusal) => {
                if matches!(refusal, Refusal::NotConfigured(_) | Refusal::CertificateUnusable(_)) {
                    self.telemetry.failed(Stage::Http, "proving a post", refusal);
                }
                refused_for(refusal)
            }
            PostError::Certificate(_, error) => {
                self.telemetry.failed(Stage::Fetch, "fetching a signing certificate", error);
                Refused::Certificate
            }
            PostError::Intake(_, IntakeError::Full(_)) => Refused::Busy,
            PostError::Intake(..) | PostError::Request(..) => Refused::Unavailable,
        };
        self.telemetry.receipt_refused(source, why);
    }
}

/// The word under which a refusal is counted: its own label, all of which are words of ours.
fn refused_for(refusal: &Refusal) -> Refused {
    refusal.label().parse().unwrap_or(Refused::Malformed)
}

#[cfg(test)]
mod tests;
