//! The only requests that leave the service for a provider: signing certificates, and confirmations of subscriptions. The
//! provider has checked every address against its own hosts before it comes here; redirects are not followed, so an
//! answer cannot lead anywhere else. A certificate is checked before it is kept, and whoever needs the same one at the
//! same time waits for the same request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bounce::esp::{Refusal, check_certificate};
use moka::future::Cache;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::sync::{OnceCell, Semaphore};

use crate::config::FetchConfig;

/// Octets that a certificate may have. Those of SNS have about 2,000.
const CERTIFICATE_LIMIT: usize = 16 * 1024;
/// Requests at once.
const SLOTS: usize = 4;

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client could not be made; mostly the machine has no root certificates.
    #[error("the HTTPS client could not be made")]
    Client(#[source] reqwest::Error),
    /// Nothing came, or not in time.
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    /// It was answered with something else than 2xx.
    #[error("the answer has status {0}")]
    Status(u16),
    /// More came than a certificate can be.
    #[error("the answer has more than {CERTIFICATE_LIMIT} octets")]
    TooLarge,
    /// What came is no certificate.
    #[error("the answer cannot be used")]
    Unusable(#[source] Refusal),
}

/// Fetches certificates and confirms subscriptions, under the host allow-list of each provider.
#[derive(Clone)]
pub struct Fetcher {
    client: Arc<OnceCell<Client>>,
    slots: Arc<Semaphore>,
    known: Arc<BTreeMap<String, Arc<str>>>,
    fetched: Cache<String, Arc<str>>,
    config: Arc<FetchConfig>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("known", &self.known.len()).field("config", &self.config).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher with an empty cache. Its client is made when first needed: a machine without root certificates can do
    /// everything else.
    #[must_use]
    pub fn new(config: &FetchConfig) -> Self {
        let fetched = Cache::builder().max_capacity(config.cache_entries as u64).time_to_live(config.cache_ttl).build();
        Self {
            client: Arc::default(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            known: Arc::default(),
            fetched,
            config: Arc::new(config.clone()),
        }
    }

    /// The same, knowing these certificates (address to PEM) without asking anybody; for the demonstration and for tests.
    #[must_use]
    pub fn with_certificates(self, certificates: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = certificates.into_iter().map(|(url, pem)| (url, pem.into())).collect();
        Self { known: Arc::new(known), ..self }
    }

    /// The certificate at an address, from the cache or fetched now.
    ///
    /// # Errors
    /// When it could not be fetched or is none.
    pub async fn certificate(&self, url: &str) -> Result<Arc<str>, Arc<FetchError>> {
        match self.known.get(url) {
            Some(pem) => Ok(pem.clone()),
            None => self.fetched.try_get_with_by_ref(url, self.fetch_certificate(url)).await,
        }
    }

    /// Whether subscriptions are confirmed when a provider asks (`fetch.allow_confirm_subscription`).
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.config.allow_confirm_subscription
    }

    /// Visits the address that confirms a subscription.
    ///
    /// # Errors
    /// When it was not answered with 2xx.
    pub async fn confirm(&self, url: &str) -> Result<(), FetchError> {
        self.get(url).await.map(|_| ())
    }

    async fn fetch_certificate(&self, url: &str) -> Result<Arc<str>, FetchError> {
        let mut response = self.get(url).await?;
        let mut pem = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|it| FetchError::Request(it.without_url()))? {
            if pem.len() + chunk.len() > CERTIFICATE_LIMIT {
                return Err(FetchError::TooLarge);
            }
            pem.extend_from_slice(&chunk);
        }
        let pem = String::from_utf8_lossy(&pem);
        check_certificate(&pem).map_err(FetchError::Unusable)?;
        Ok(pem.into())
    }

    /// Gets an address. The time limit holds for the body too. Errors do not name the address: that of a confirmation
    /// holds its token.
    async fn get(&self, url: &str) -> Result<Response, FetchError> {
        let client = self.client.get_or_try_init(|| async { client(&self.config) }).await?;
        // The semaphore is never closed, so there is a place sooner or later.
        let _place = self.slots.acquire().await;
        let response = client.get(url).send().await.map_err(|it| FetchError::Request(it.without_url()))?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(FetchError::Status(status.as_u16())) }
    }
}

fn client(config: &FetchConfig) -> Result<Client, FetchError> {
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .timeout(config.timeout)
        .user_agent(concat!("rebound/", env!("CARGO_PKG_VERSION")))
        // An idle connection would live in the thread of the request that opened it.
        .pool_max_idle_per_host(0);
    client.build().map_err(FetchError::Client)
}
