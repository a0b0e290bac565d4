//! The whole service as a test has it: on a database and a broker of its own, on a free port, with keys to every scope. What it
//! is asked is named as a person would: post a bounce, check an address.

use std::time::Duration;

use aws_lc_rs::rsa::KeyPair;
use bounce::esp::sns::sign::{Notice, NoticeKind, sign};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::app::App;
use service::clock::Clock;
use service::config::{Config, ListName, SecretUrl, SourceConfig};
use service::store::Scope;
use service::telemetry::RelayState;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{TestBroker, Visitor, eventually};

/// The topic that the source `ses` listens to.
pub const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:bounces";
/// Where the certificate of the tests' own Amazon would be.
pub const CERTIFICATE_URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";

/// This time yesterday (RFC 3339): what happened then counts, whenever the tests run.
#[must_use]
pub fn yesterday() -> String {
    let at = Clock::system().now() - time::Duration::DAY;
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).expect("a year of four digits")
}

/// A running service. Dropping it stops it.
#[derive(Debug)]
pub struct TestApp {
    address: String,
    key: String,
    client: Client,
    amazon: KeyPair,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// What a service is to be started with.
#[derive(Debug)]
pub struct Plan {
    config: Config,
    clock: Clock,
}

impl Plan {
    /// On a database, with the list `acme.weekly` and the sources `bounces` (raw messages, bearer `let-me-in`) and `ses`.
    #[must_use]
    pub fn on(database_url: &str) -> Self {
        let mut config = Config::for_testing();
        config.database.url = SecretUrl::new(database_url);
        config.database.max_connections = 8;
        let list = || ListName::parse("acme.weekly").expect("a list name");
        let mut bounces = SourceConfig::new("bounces", "mime", list());
        bounces.credentials.bearer = vec!["let-me-in".to_owned()];
        let mut ses = SourceConfig::new("ses", "ses", list());
        ses.credentials.topic_arns = vec![TOPIC.to_owned()];
        config.sources = vec![bounces, ses];
        Self { config, clock: Clock::system() }
    }

    /// With a broker, under names of its own.
    #[must_use]
    pub fn with_broker(self, broker: &TestBroker) -> Self {
        self.with_broker_at(broker, broker.url())
    }

    /// With a broker that is reached by another address: a proxy in front of it.
    #[must_use]
    pub fn with_broker_at(mut self, broker: &TestBroker, url: &str) -> Self {
        self.config.amqp.url = Some(SecretUrl::new(url));
        broker.exchange().clone_into(&mut self.config.amqp.exchange);
        self.config.amqp.queue = Some(broker.queue().to_owned());
        self
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// With something else about the configuration.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts it.
    pub async fn start(mut self) -> TestApp {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
        let names = vec!["sns.amazonaws.com".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).expect("a name").self_signed(&key).expect("a certificate").pem();
        for source in self.config.sources.iter_mut().filter(|it| it.provider == "ses") {
            source.credentials.certificates.insert(CERTIFICATE_URL.to_owned(), certificate.clone());
        }
        let app = App::build(self.config, self.clock.clone()).await.expect("the service starts");
        let address = format!("http://{}", app.address());
        let scopes = [Scope::Read, Scope::Write, Scope::Ingest, Scope::Admin];
        let name = crate::unique_name("test");
        let secret = app.state().store.create_key(&name, &scopes, None, None, self.clock.now()).await.expect("a key").secret;
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let stop = stop.clone();
            async move { app.run(stop).await.expect("the service ends well") }
        });
        TestApp {
            address,
            key: secret.expose_secret().to_owned(),
            client: Client::builder().timeout(Duration::from_mins(1)).build().expect("a client"),
            amazon: KeyPair::from_pkcs8(&key.serialize_der()).expect("a key"),
            stop,
            running: Some(running),
        }
    }
}

impl TestApp {
    /// A request with the key of all scopes.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.address)).bearer_auth(&self.key)
    }

    /// A POST with the key of all scopes.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address)).bearer_auth(&self.key)
    }

    /// A DELETE with the key of all scopes.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(format!("{}{path}", self.address)).bearer_auth(&self.key)
    }

    /// Hands in a raw message for `acme.weekly`.
    pub async fn post_message(&self, message: &str) -> Response {
        let post = self.post("/v1/messages?list=acme.weekly").header("content-type", "message/rfc822");
        post.body(message.to_owned()).send().await.expect("an answer")
    }

    /// The same, and only its status.
    pub async fn post_message_owned(&self, message: String) -> StatusCode {
        self.post_message(&message).await.status()
    }

    /// What Amazon would post when SES gave up on an address, signed.
    #[must_use]
    pub fn ses_bounce(&self, recipient: &str, id: &str) -> String {
        let event = json!({
            "eventType": "Bounce",
            "bounce": {
                "bounceType": "Permanent", "bounceSubType": "General", "feedbackId": id, "timestamp": yesterday(),
                "bouncedRecipients": [{
                    "emailAddress": recipient, "action": "failed", "status": "5.1.1",
                    "diagnosticCode": format!("smtp; 550 5.1.1 <{recipient}>: Recipient address rejected: User unknown"),
                }],
            },
            "mail": { "messageId": format!("message-{id}"), "destination": [recipient], "timestamp": yesterday() },
        });
        self.sns(id, &event)
    }

    /// What Amazon would post for an event of SES, signed.
    #[must_use]
    pub fn sns(&self, id: &str, event: &Value) -> String {
        let notice = Notice {
            kind: NoticeKind::Notification(None),
            message_id: id,
            topic_arn: TOPIC,
            timestamp: &yesterday(),
            message: &format!("{event}\n"),
            signing_cert_url: CERTIFICATE_URL,
        };
        sign(&notice, &self.amazon).expect("a signature")
    }

    /// Posts to the webhook of a source.
    pub async fn post_webhook(&self, source: &str, body: String) -> Response {
        let post = self.client.post(format!("{}/webhooks/{source}", self.address)).header("content-type", "text/plain; charset=UTF-8");
        post.body(body).send().await.expect("an answer")
    }

    /// Somebody at its console, with the key of all scopes.
    pub async fn visitor(&self) -> Visitor {
        Visitor::sign_in(&self.address, &self.key).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tells it to stop, as a signal would, without waiting.
    pub fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Whether an address may be mailed on `acme.weekly`, and why not.
    pub async fn check(&self, address: &str) -> Value {
        let asked = self.post("/v1/check").json(&json!({ "list": "acme.weekly", "addresses": [address] })).send().await.expect("an answer");
        let (status, told) = (asked.status(), asked.text().await.expect("text"));
        assert_eq!(status, StatusCode::OK, "{told}");
        serde_json::from_str(&told).expect("JSON")
    }

    /// Whether an address is suppressed on `acme.weekly`.
    pub async fn is_suppressed(&self, address: &str) -> bool {
        self.check(address).await["suppressed"].as_array().is_some_and(|it| !it.is_empty())
    }

    /// A document the service answers with.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        self.get("/metrics").send().await.expect("an answer").text().await.expect("text")
    }

    /// Waits until its relay is in a state.
    pub async fn relay_is(&self, state: RelayState) {
        eventually("the relay", || async { self.read_ready().await["relay"] == state.as_str() }).await;
    }

    /// The state of its relay, as `/readyz` tells it.
    pub async fn relay_state(&self) -> String {
        self.read_ready().await["relay"].as_str().unwrap_or_default().to_owned()
    }

    async fn read_ready(&self) -> Value {
        self.get("/readyz").send().await.expect("an answer").json().await.unwrap_or_default()
    }

    /// Stops it as a signal would, and waits for its end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.expect("the service does not panic");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}
