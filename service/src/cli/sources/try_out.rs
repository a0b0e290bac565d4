//! `rebound sources test`: a sample as the provider would post it, through the front door.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bounce::esp::{Credentials, Sample, TEST_RECIPIENT, provider};
use reqwest::header::HeaderName;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::cli::{Exit, Output};
use crate::clock::Clock;
use crate::config::Config;

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts the sample of a source and tells what was answered.
pub(super) async fn run(config: &Config, name: &str, base: &url::Url, client: &reqwest::Client, format: Output) -> anyhow::Result<Exit> {
    let Some(source) = config.sources.iter().find(|it| it.name == name) else {
        let known: Vec<_> = config.sources.iter().map(|it| it.name.as_str()).collect();
        bail!("there is no source {name:?}; known are {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
    };
    let provider = provider(&source.provider).context("the provider is not known")?;
    let sample =
        provider.sample(&source.credentials, Clock::system().now()).with_context(|| format!("{name} cannot be tried from here"))?;
    let url = target(base, name, &source.credentials, &sample.query)?;
    let unreached = || format!("{base} cannot be reached; is the service running? try --url");
    let answer = request(client, &url, sample, &source.credentials)?.send().await.with_context(unreached)?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    let is_taken = status.is_success();
    let view = json!({ "source": name, "taken": is_taken, "status": status.as_u16(), "answer": body.trim(), "recipient": TEST_RECIPIENT });
    format.tell(&view, || {
        if is_taken {
            format!("{name}: taken ({status}). It told of {TEST_RECIPIENT}, which no list takes notice of.\n")
        } else {
            format!("{name}: refused ({status}). {}\n", crate::cli::page::plain(body.trim()))
        }
    })?;
    Ok(if is_taken { Exit::Success } else { Exit::Failure })
}

/// Where to post. A secret goes into the path, as a segment of its own.
fn target(base: &url::Url, name: &str, credentials: &Credentials, query: &str) -> anyhow::Result<url::Url> {
    let mut url = base.clone();
    let secret = credentials.url_secret.as_deref();
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("{base} is no address to post to"))?
        .pop_if_empty()
        .extend(["webhooks", name].into_iter().chain(secret));
    url.set_query((!query.is_empty()).then_some(query));
    Ok(url)
}

fn request(client: &reqwest::Client, url: &url::Url, sample: Sample, credentials: &Credentials) -> anyhow::Result<RequestBuilder> {
    let mut request = client.request(Method::from_bytes(sample.method.as_bytes())?, url.clone()).timeout(PATIENCE).body(sample.body);
    for (name, value) in sample.headers {
        request = request.header(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    if let Some((user, password)) = credentials.basic.first().and_then(|it| it.split_once(':')) {
        request = request.basic_auth(user, Some(password));
    } else if let Some(token) = credentials.bearer.first() {
        request = request.bearer_auth(token);
    }
    if let Some(header) = &credentials.header {
        request = request.header(HeaderName::from_bytes(header.name.as_bytes())?, header.value.as_str());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_an_address_is_one_segment() {
        let credentials = Credentials { url_secret: Some("a/b c?".into()), ..Credentials::default() };
        let base = url::Url::parse("http://127.0.0.1:8080/").unwrap();
        assert_eq!(target(&base, "hook", &credentials, "x=1").unwrap().as_str(), "http://127.0.0.1:8080/webhooks/hook/a%2Fb%20c%3F?x=1");
        let under = url::Url::parse("https://h.example/rebound").unwrap();
        assert_eq!(target(&under, "hook", &Credentials::default(), "").unwrap().as_str(), "https://h.example/rebound/webhooks/hook");
    }
}
