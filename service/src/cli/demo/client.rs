//! What a user of the service does, over real HTTP.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{LIST, MAIL_SOURCE, SES_SOURCE};

/// Talks to the service.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: SecretString,
    /// Bearer token of the source that mails come to.
    mail_token: SecretString,
}

/// A recorded fact, as `/v1/events` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct EventView {
    pub(super) recipient: Option<String>,
    pub(super) kind: String,
    pub(super) bounce_type: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) status: Option<String>,
    pub(super) reply: Option<u16>,
    pub(super) stage: Option<String>,
    pub(super) diagnostic: Option<String>,
    pub(super) attribution: String,
    pub(super) rule: String,
}

/// A change of what a list says, as `/v1/changes` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ChangeView {
    pub(super) recipient: Option<String>,
    pub(super) change: String,
    pub(super) cause: Option<String>,
    pub(super) list: String,
    pub(super) provisional: bool,
    pub(super) expires_at: Option<String>,
}

/// A page of either.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: String,
}

/// An answer to a check.
#[derive(Debug, Deserialize)]
pub(super) struct Checked {
    pub(super) checked: usize,
    pub(super) suppressed: Vec<Suppressed>,
}

/// An address that may not be mailed.
#[derive(Debug, Deserialize)]
pub(super) struct Suppressed {
    pub(super) address: String,
    pub(super) cause: String,
    pub(super) reason: Option<String>,
    pub(super) provisional: bool,
    pub(super) expires_at: Option<String>,
}

/// How a post was answered.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) bytes: usize,
    pub(super) status: StatusCode,
}

impl Client {
    pub(super) fn new(address: SocketAddr, key: SecretString, mail_token: SecretString) -> anyhow::Result<Self> {
        // To ourselves only: no proxy of the environment, and no root certificates, which a machine may not have.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().context("no HTTP client can be made")?;
        Ok(Self { http, base: format!("http://{address}"), key, mail_token })
    }

    /// Where the service is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The API key.
    pub(super) fn key(&self) -> &str {
        self.key.expose_secret()
    }

    /// Posts a mail, as the mail server that received it would.
    pub(super) async fn post_mail(&self, mail: String) -> anyhow::Result<Posted> {
        let token = self.mail_token.expose_secret();
        self.post(MAIL_SOURCE, "message/rfc822", mail, |it| it.bearer_auth(token)).await
    }

    /// Posts what SNS posts.
    pub(super) async fn post_ses(&self, body: String) -> anyhow::Result<Posted> {
        self.post(SES_SOURCE, "text/plain; charset=UTF-8", body, |it| it.header("x-amz-sns-message-type", "Notification")).await
    }

    async fn post(
        &self,
        source: &str,
        content_type: &'static str,
        body: String,
        prove: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Posted> {
        let path = format!("/webhooks/{source}");
        let bytes = body.len();
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", content_type).body(body);
        let status = prove(request).send().await.with_context(|| format!("POST {path} failed"))?.status();
        Ok(Posted { path, content_type, bytes, status })
    }

    /// Facts after a cursor; all, without one.
    pub(super) async fn events(&self, after: Option<&str>) -> anyhow::Result<Page<EventView>> {
        self.feed("/v1/events", after).await
    }

    /// Changes after a cursor; all, without one.
    pub(super) async fn changes(&self, after: Option<&str>) -> anyhow::Result<Page<ChangeView>> {
        self.feed("/v1/changes", after).await
    }

    async fn feed<T: DeserializeOwned>(&self, path: &str, after: Option<&str>) -> anyhow::Result<T> {
        let after = after.map(|it| format!("?after={it}")).unwrap_or_default();
        self.json(self.http.get(format!("{}{path}{after}", self.base)), path).await
    }

    /// Asks about many addresses, as a newsletter system does before it sends.
    pub(super) async fn check(&self, addresses: &[&str]) -> anyhow::Result<Checked> {
        let body = json!({ "list": LIST, "addresses": addresses });
        self.json(self.http.post(format!("{}/v1/check", self.base)).json(&body), "/v1/check").await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder, path: &str) -> anyhow::Result<T> {
        let answer = request.bearer_auth(self.key()).send().await.with_context(|| format!("{path} does not answer"))?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("the answer of {path} breaks off"))?;
        if !status.is_success() {
            bail!("{path} answers {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("the answer of {path} is not as expected"))
    }

    /// All series.
    pub(super) async fn metrics(&self) -> anyhow::Result<String> {
        let answer = self.http.get(format!("{}/metrics", self.base)).send().await.context("/metrics does not answer")?;
        Ok(answer.error_for_status()?.text().await?)
    }
}
