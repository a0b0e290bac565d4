//! The HTTP edge through a real socket, on a database in memory.

mod access;
mod acts;
mod checks;
mod diagnoses;
mod disclosure;
mod erasure;
mod feeds;
mod hostile;
mod imports;
mod messages;
mod pages;
mod posts;
mod problems;
mod refusals;
mod release;
mod return_paths;
mod story;

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::API_SOURCE;
use crate::config::{ListName, SourceConfig};
use crate::intake;
use crate::store::{Announces, Connect, Identity, Policies, Scope};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-01 00:30 UTC);
/// A bounce of the kind Postfix writes, for one address.
pub(crate) const HARD: &str = "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r\nTo: bounces@example.com\r\nSubject: Undelivered Mail Returned to Sender\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system at host mx.example.net.\r\n\
    --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\nArrival-Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n\
    Final-Recipient: rfc822; jane@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.org\r\n\
    Diagnostic-Code: smtp; 550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown\r\n\r\n\
    --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@example.com>\r\nFrom: news@example.com\r\n\r\n--b--\r\n";

/// The service behind a socket.
pub(crate) struct Bench {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) state: State,
    /// A key that may do everything.
    pub(crate) key: String,
    stop: CancellationToken,
    /// What is served beside the API.
    pages: fn(&Config) -> Pages,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last part of a problem's type, after making sure that it is one.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{self:?}");
        problem["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }
}

/// A source that takes whatever shows its bearer token.
fn source(name: &str, provider: &str) -> SourceConfig {
    let mut source = SourceConfig::new(name, provider, ListName::parse("acme.weekly").unwrap());
    source.credentials.bearer = vec!["letmein".to_owned()];
    source
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A bench of another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { sources: vec![source("bounces", "mime")], ..Config::for_testing() };
        change(&mut config);
        let connect = Connect {
            url: SecretString::from("sqlite::memory:"),
            max_connections: 1,
            min_connections: 1,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            announces: Announces::FeedsOnly,
        };
        let store = Arc::new(Store::connect(&connect, Identity::new(&SecretString::from("pepper")), Policies::default()).await.unwrap());
        store.migrate().await.unwrap();
        store.check_in().await.unwrap();
        for list in ["acme.weekly", "acme.daily", "other"] {
            store.ensure_list(list, None, NOW).await.unwrap();
        }
        let key = store.create_key("tester", &[Scope::Admin], None, None, NOW).await.unwrap().secret.expose_secret().to_owned();
        let telemetry = Arc::new(Telemetry::new(config.sources.iter().map(|it| it.name.as_str()).chain([API_SOURCE])));
        let rules = RulesInForce::new(bounce::classify::Rules::load(&[]).unwrap());
        let (nudge, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (intake, committer) = intake::channel(store.clone(), rules.clone(), config.intake.clone(), telemetry.clone(), nudge.clone());
        let clock = Clock::from(|| NOW);
        tokio::spawn(committer.run(clock.clone(), stop.clone()));
        let transfers = Transfers::new(store.clone(), rules.clone(), telemetry.clone(), nudge.clone(), clock.clone());
        let state = State {
            transfers,
            sources: Sources::open(&store, &config, NOW).await.unwrap(),
            fetcher: Fetcher::new(&config.fetch),
            relay: watch::channel(RelayState::Off).1,
            config: Arc::new(config),
            store,
            intake,
            rules,
            nudge,
            drain: Drain::default(),
            telemetry,
            clock,
        };
        Self::serve(state, key, stop, |_| Arc::new(|_| ()))
    }

    pub(crate) fn serve(state: State, key: String, stop: CancellationToken, pages: fn(&Config) -> Pages) -> Self {
        let socket = TcpListener::bind(state.config.http.listen).unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let listener = Listener { socket, certificate: None };
        tokio::spawn(serve(state.clone(), listener, pages(&state.config), stop.clone()).unwrap());
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, http, state, key, stop, pages }
    }

    /// The same service behind another socket, knowing certificates.
    pub(crate) fn knowing(mut self, certificates: impl IntoIterator<Item = (String, String)>) -> Self {
        let fetcher = self.state.fetcher.clone().with_certificates(certificates);
        let stop = std::mem::take(&mut self.stop);
        Self::serve(State { fetcher, ..self.state.clone() }, self.key.clone(), stop, self.pages)
    }

    /// The same service behind another socket, with pages beside the API.
    pub(crate) fn showing(mut self, pages: fn(&Config) -> Pages) -> Self {
        let stop = std::mem::take(&mut self.stop);
        Self::serve(self.state.clone(), self.key.clone(), stop, pages)
    }

    /// The same service behind another socket, at another time.
    pub(crate) fn at(mut self, clock: Clock) -> Self {
        let stop = std::mem::take(&mut self.stop);
        Self::serve(State { clock, ..self.state.clone() }, self.key.clone(), stop, self.pages)
    }

    pub(crate) async fn key_of(&self, name: &str, scopes: &[Scope], list: Option<&str>) -> String {
        let list = match list {
            Some(name) => Some(self.state.store.list(name).await.unwrap()),
            None => None,
        };
        self.state.store.create_key(name, scopes, list, None, NOW).await.unwrap().secret.expose_secret().to_owned()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answered {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answered { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(self.request("GET", path).bearer_auth(&self.key)).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answered {
        let request = self.request(method, path).bearer_auth(&self.key).header("content-type", content_type);
        self.send(request.body(body)).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> Answered {
        self.ask(method, path, "application/json", body.to_string()).await
    }

    pub(crate) async fn hand_in(&self, message: &str) -> Answered {
        self.ask("POST", "/v1/messages?list=acme.weekly", "message/rfc822", message.to_owned()).await
    }

    /// The cause for which a list may not mail an address.
    pub(crate) async fn cause(&self, list: &str, address: &str) -> Option<String> {
        let answered = self.get(&format!("/v1/check?list={list}&address={address}")).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        answered.json()["suppressed"][0]["cause"].as_str().map(str::to_owned)
    }

    /// The value of a series of `/metrics`.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let page = self.state.telemetry.render();
        let value = page.lines().find_map(|it| it.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in\n{page}"));
        value.trim().parse().unwrap()
    }
}
