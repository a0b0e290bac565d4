//! The only requests that leave the service for a provider: signing certificates, and confirmations of subscriptions. The
//! provider has checked every address against its own hosts before it comes here. Here it is looked at once more: HTTPS, no
//! user, the default port, a name and no number, and a name that resolves to addresses of the public internet. Redirects are
//! not followed, so an answer cannot lead anywhere else. A certificate is checked before it is kept, whoever needs the same
//! one at the same time waits for the same request, and one that failed is not asked for again at once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bounce::esp::sns::address::is_public_name;
use bounce::esp::{Refusal, check_certificate};
use moka::future::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, Url};
use tokio::sync::{OnceCell, Semaphore};

use crate::config::FetchConfig;

/// Octets that a certificate may have. Those of SNS have about 2,000.
const CERTIFICATE_LIMIT: usize = 16 * 1024;
/// How long a failed request for a certificate stands for those that follow: who posts much must not make us ask much.
const FAILURE_STANDS: Duration = Duration::from_secs(10);
/// Requests at once.
const SLOTS: usize = 4;

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client could not be made; mostly the machine has no root certificates.
    #[error("the HTTPS client could not be made")]
    Client(#[source] reqwest::Error),
    /// It is no address that this service goes to.
    #[error("the address is not that of a public host by https")]
    Address,
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
    failed: Cache<String, Arc<FetchError>>,
    /// What an address must pass before it is asked for.
    guard: fn(&str) -> Result<(), FetchError>,
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
        Self {
            client: Arc::default(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            known: Arc::default(),
            fetched: Cache::builder().max_capacity(config.cache_entries as u64).time_to_live(config.cache_ttl).build(),
            failed: Cache::builder().max_capacity(config.cache_entries as u64).time_to_live(FAILURE_STANDS).build(),
            guard: public,
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
        if let Some(pem) = self.known.get(url) {
            return Ok(pem.clone());
        }
        if let Some(error) = self.failed.get(url).await {
            return Err(error);
        }
        let fetched = self.fetched.try_get_with_by_ref(url, self.fetch_certificate(url)).await;
        if let Err(error) = &fetched {
            self.failed.insert(url.to_owned(), error.clone()).await;
        }
        fetched
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
        (self.guard)(url)?;
        let client = self.client.get_or_try_init(|| async { client(&self.config) }).await?;
        // The semaphore is never closed, so there is a place sooner or later.
        let _place = self.slots.acquire().await;
        let response = client.get(url).send().await.map_err(|it| FetchError::Request(it.without_url()))?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(FetchError::Status(status.as_u16())) }
    }
}

fn client(config: &FetchConfig) -> Result<Client, FetchError> {
    let builder = builder(config).https_only(true);
    let builder = if config.allow_private_addresses { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
    builder.build().map_err(FetchError::Client)
}

/// Whether the address is by HTTPS, without user and port, at a public name. What the client makes of it is asked, not
/// what it looks like.
fn public(url: &str) -> Result<(), FetchError> {
    let url = Url::parse(url).map_err(|_| FetchError::Address)?;
    let bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let fine = url.scheme() == "https" && bare && url.domain().is_some_and(is_public_name);
    if fine { Ok(()) } else { Err(FetchError::Address) }
}

/// Resolves names, and forgets what is not of the public internet.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|it| is_public(it.ip())).collect();
            if public.is_empty() {
                return Err("the host has no public address (fetch.allow_private_addresses)".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (RFC 6890 and the IANA registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            let [first, second, third, _] = it.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let benchmarks = first == 198 && (18..20).contains(&second);
            let protocols = (first, second, third) == (192, 0, 0);
            let own = it.is_private() || it.is_loopback() || it.is_link_local() || shared;
            !(own || first == 0 || first >= 224 || it.is_documentation() || benchmarks || protocols)
        }
        IpAddr::V6(it) => match it.segments() {
            // NAT64 (RFC 6052): what counts is the address inside.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                is_public(IpAddr::from([a, b, c, d]))
            }
            // 6to4 and Teredo hold others, 2001:db8::/32 is for documentation.
            [0x2002, ..] | [0x2001, 0 | 0xdb8, ..] => false,
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
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
        (base, asked, Fetcher { client: Arc::new(OnceCell::from(client)), guard: |_| Ok(()), ..Fetcher::new(&config) })
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
    async fn what_is_no_certificate_is_not_kept_and_not_asked_for_again_at_once() {
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
            assert_eq!(asked.load(Ordering::SeqCst) - before, 1, "{path}");
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
        assert!(matches!(fetcher.confirm(&format!("{base}/fine")).await, Err(FetchError::Address)));
        let unguarded = Fetcher { guard: |_| Ok(()), ..fetcher };
        assert!(matches!(unguarded.confirm(&format!("{base}/fine")).await, Err(FetchError::Request(_))));
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn only_public_hosts_are_gone_to() {
        assert!(public("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription").is_ok());
        assert!(public("https://sns.eu-west-1.amazonaws.com:443/x").is_ok());
        for url in [
            "http://sns.eu-west-1.amazonaws.com/",
            "ftp://sns.eu-west-1.amazonaws.com/",
            "https://jane@sns.eu-west-1.amazonaws.com/",
            "https://:p@sns.eu-west-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com:8443/",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://metadata.google.internal/",
            "//sns.eu-west-1.amazonaws.com/",
            "",
        ] {
            assert!(matches!(public(url), Err(FetchError::Address)), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        let is_public = |it: &&str| is_public(it.parse().unwrap());
        let public = "52.94.1.1 192.0.1.1 100.128.0.1 198.20.0.1 2a05:d000::1 2600::1 64:ff9b::3401:1 ::ffff:52.94.1.1";
        assert_eq!(public.split(' ').find(|it| !is_public(it)), None);
        let private = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.0.0.1 192.0.2.1 192.168.0.1 198.18.0.1 198.51.100.1 \
            203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1 64:ff9b::a00:1 fc00::1 fd00::1 fe80::1 ff02::1 2001:db8::1 \
            2001::1 2002:a00:1:: 100::1";
        assert_eq!(private.split(' ').find(is_public), None);
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_resolved() {
        let resolved = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert!(resolved.is_err_and(|it| it.to_string().contains("no public address")));
    }

    #[tokio::test]
    async fn a_known_certificate_is_not_asked_for() {
        let fetcher = Fetcher::new(&FetchConfig::default()).with_certificates([("https://sns.example/x.pem".to_owned(), "pem".to_owned())]);
        assert_eq!(fetcher.certificate("https://sns.example/x.pem").await.unwrap().as_ref(), "pem");
    }
}
