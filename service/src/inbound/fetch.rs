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
use reqwest::{Client, ClientBuilder, Response};
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
    builder(config).https_only(true).build().map_err(FetchError::Client)
}

fn builder(config: &FetchConfig) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .timeout(config.timeout)
        .user_agent(concat!("rebound/", env!("CARGO_PKG_VERSION")))
        // An idle connection would live in the thread of the request that opened it.
        .pool_max_idle_per_host(0)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use actix_web::{App, HttpResponse, HttpServer, web};

    use super::*;

    fn certificate() -> String {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    /// A server without TLS, how often it was asked, and a fetcher that may talk to it.
    pub(in crate::inbound) fn bench() -> (String, Arc<AtomicUsize>, Fetcher) {
        let (asked, pem) = (Arc::new(AtomicUsize::new(0)), certificate());
        let counter = asked.clone();
        let server = HttpServer::new(move || {
            let (pem, counter) = (pem.clone(), counter.clone());
            App::new().default_service(web::to(move |path: actix_web::HttpRequest| {
                let pem = pem.clone();
                counter.fetch_add(1, Ordering::SeqCst);
                async move {
                    match path.path() {
                        "/fine" => HttpResponse::Ok().body(pem),
                        "/moved" => HttpResponse::Found().insert_header(("location", "/fine")).finish(),
                        "/large" => HttpResponse::Ok().body("x".repeat(CERTIFICATE_LIMIT + 1)),
                        "/text" => HttpResponse::Ok().body("not a certificate"),
                        "/never" => std::future::pending().await,
                        _ => HttpResponse::NotFound().finish(),
                    }
                }
            }))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", server.addrs().first().unwrap());
        tokio::spawn(server.run());
        let config = FetchConfig { timeout: Duration::from_millis(500), ..FetchConfig::default() };
        let client = builder(&config).build().unwrap();
        (base, asked, Fetcher { client: Arc::new(OnceCell::from(client)), ..Fetcher::new(&config) })
    }

    #[tokio::test]
    async fn a_certificate_is_fetched_once() {
        let (base, asked, fetcher) = bench();
        let url = format!("{base}/fine");
        let fetches = futures_util::future::join_all((0..10).map(|_| fetcher.certificate(&url))).await;
        assert!(fetches.iter().all(|it| it.as_ref().is_ok_and(|it| it.starts_with("-----BEGIN CERTIFICATE"))), "{fetches:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_no_certificate_is_not_kept() {
        let (base, asked, fetcher) = bench();
        for (path, told) in [
            ("/moved", "the answer has status 302"),
            ("/large", "the answer has more than 16384 octets"),
            ("/text", "the answer cannot be used"),
            ("/gone", "the answer has status 404"),
            ("/never", "the request failed"),
        ] {
            let before = asked.load(Ordering::SeqCst);
            for _ in 0..2 {
                let error = fetcher.certificate(&format!("{base}{path}")).await.unwrap_err();
                assert_eq!(error.to_string(), told, "{path}");
            }
            assert_eq!(asked.load(Ordering::SeqCst) - before, 2, "{path}");
        }
    }

    #[tokio::test]
    async fn a_subscription_is_confirmed_by_one_visit_without_redirects() {
        let (base, asked, fetcher) = bench();
        fetcher.confirm(&format!("{base}/fine?Token=secret")).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let moved = fetcher.confirm(&format!("{base}/moved?Token=secret")).await.unwrap_err();
        assert!(matches!(moved, FetchError::Status(302)), "{moved}");
        let away = fetcher.confirm("http://127.0.0.1:1/?Token=secret").await.unwrap_err();
        assert!(!crate::telemetry::chain(&away).contains("secret"), "{}", crate::telemetry::chain(&away));
    }

    #[tokio::test]
    async fn only_https_is_spoken() {
        let (base, asked, _) = bench();
        let fetcher = Fetcher::new(&FetchConfig::default());
        assert!(matches!(fetcher.confirm(&format!("{base}/fine")).await, Err(FetchError::Request(_))));
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_known_certificate_is_not_asked_for() {
        let fetcher = Fetcher::new(&FetchConfig::default()).with_certificates([("https://sns.example/x.pem".to_owned(), "pem".to_owned())]);
        assert_eq!(fetcher.certificate("https://sns.example/x.pem").await.unwrap().as_ref(), "pem");
    }
}
