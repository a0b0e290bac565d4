//! A provider's post on its way to the intake, as `bounce::esp` lays it out: probes are answered, everything else is proved
//! over its raw bytes, with a certificate fetched if that is what is missing; what was proved goes to the intake, and only
//! when it is committed are the provider's requests carried out and its answer given.

use std::sync::Arc;

use bounce::esp::{Answer, Provider, Refusal, Request, Unverified};
use bounce::kind::Attribution;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::inbound::{FetchError, Fetcher, shared};
use crate::intake::{Arrival, Intake, IntakeError, READ_ELSEWHERE_FROM, Source};
use crate::store::{Accepted, IncomingToken, sha256};
use crate::telemetry::{Refused, Stage, Telemetry};

/// A post as it came.
#[derive(Debug, Clone)]
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

impl Post {
    fn unverified(&self) -> Unverified<'_> {
        Unverified { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }
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
        if let Some(answer) = post.unverified().handshake(provider, &source.credentials).map_err(refused)? {
            return Ok((answer, Vec::new()));
        }
        let Proved { media_type, bytes, attribution, tokens } = self.verify(&source, post).await?;
        let arrival = Arrival { media_type, bytes, attribution, received_at: self.now, tokens, list: None, source };
        let outcome = self.intake.accept(arrival).await.map_err(|it| PostError::Intake(provider, it))?;
        match outcome.accepted {
            Some(Accepted::Replayed) => Err(refused(Refusal::Replayed)),
            _ => Ok((outcome.answer, outcome.requests)),
        }
    }

    /// Proves a post, fetching the certificate if that is all that is missing.
    async fn verify(&self, source: &Arc<Source>, post: &Post) -> Result<Proved, PostError> {
        let refused = |it| PostError::Refused(source.provider, it);
        let url = match self.prove(source, post, None).await? {
            Err(Refusal::CertificateNeeded { url }) => url,
            other => return other.map_err(refused),
        };
        let certificate = self.fetcher.certificate(&url).await.map_err(|it| PostError::Certificate(source.provider, it))?;
        self.prove(source, post, Some((url, certificate))).await?.map_err(refused)
    }

    /// Proves a post with what is there. A large one leaves the thread that serves requests, as it does for being read.
    async fn prove(
        &self,
        source: &Arc<Source>,
        post: &Post,
        certificate: Option<Certificate>,
    ) -> Result<Result<Proved, Refusal>, PostError> {
        let now = self.now;
        if post.body.len() < READ_ELSEWHERE_FROM {
            return Ok(prove(source, post, certificate, now));
        }
        let (source, post, provider) = (source.clone(), post.clone(), source.provider);
        match tokio::task::spawn_blocking(move || prove(&source, &post, certificate, now)).await {
            Ok(proved) => Ok(proved),
            Err(panicked) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
            Err(_) => Err(PostError::Intake(provider, IntakeError::Stopping)),
        }
    }

    /// Carried out before the answer: should it fail, the provider still has the question and asks again.
    async fn carry_out(&self, source: &Source, request: Request) -> Result<(), PostError> {
        let Request::Confirm { url } = request else { return Ok(()) };
        let provider = source.provider;
        if !provider.may_confirm(&url, &source.credentials) {
            self.telemetry
                .source_noted(&source.name, "a provider asks to confirm a subscription at an address that the source does not allow");
            return Ok(());
        }
        if !self.fetcher.confirms() {
            self.telemetry
                .source_noted(&source.name, "a provider asks to confirm a subscription, which fetch.allow_confirm_subscription forbids");
            return Ok(());
        }
        match self.fetcher.confirm(&url).await {
            Ok(()) => {
                self.telemetry.source_noted(&source.name, "a subscription was confirmed as its provider asked");
                Ok(())
            }
            Err(error) => {
                self.telemetry.source_failed(&source.name, Stage::Fetch, "confirming a subscription", &error);
                Err(PostError::Request(provider, error))
            }
        }
    }

    /// Counts what was not taken, and logs what is ours to mend.
    fn tell(&self, source: &str, error: &PostError) {
        let why = match error {
            PostError::Refused(_, refusal) => {
                if matches!(refusal, Refusal::NotConfigured(_) | Refusal::CertificateUnusable(_)) {
                    self.telemetry.source_failed(source, Stage::Http, "proving a post", refusal);
                }
                refused_for(refusal)
            }
            PostError::Certificate(_, error) => {
                self.telemetry.source_failed(source, Stage::Fetch, "fetching a signing certificate", error);
                Refused::Certificate
            }
            PostError::Intake(_, IntakeError::Full(_)) => Refused::Busy,
            PostError::Intake(..) | PostError::Request(..) => Refused::Unavailable,
        };
        self.telemetry.receipt_refused(source, why);
    }
}

/// Where a certificate was, and what it is in PEM.
type Certificate = (String, Arc<str>);

/// What a proof leaves of a post: all that goes into the receipt.
#[derive(Debug)]
struct Proved {
    media_type: String,
    bytes: Bytes,
    attribution: Attribution,
    tokens: Vec<IncomingToken>,
}

fn prove(source: &Source, post: &Post, certificate: Option<Certificate>, now: OffsetDateTime) -> Result<Proved, Refusal> {
    let provider = source.provider;
    let verified = match certificate {
        None => post.unverified().verify(provider, &source.credentials, now)?,
        Some((url, pem)) => {
            let mut credentials = source.credentials.clone();
            credentials.certificates.insert(url, pem.to_string());
            post.unverified().verify(provider, &credentials, now)?
        }
    };
    let tokens = verified.once().map_or(&[][..], |it| it.tokens.as_slice());
    let token = |it: &String| IncomingToken { token: sha256(&[it.as_bytes()]), digest: sha256(&[&post.body]) };
    let content = provider.content(verified.post());
    Ok(Proved {
        media_type: content.media_type.into_owned(),
        bytes: shared(&post.body, content.bytes),
        attribution: verified.attribution(),
        tokens: tokens.iter().map(token).collect(),
    })
}

/// The word under which a refusal is counted: its own label, all of which are words of ours.
fn refused_for(refusal: &Refusal) -> Refused {
    refusal.label().parse().unwrap_or(Refused::Malformed)
}

#[cfg(test)]
mod tests;
