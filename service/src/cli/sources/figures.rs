//! What the running service has counted, read from its `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{StatusCode, header};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use crate::cli::page::plain;
use crate::config::Config;

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Figures of all sources.
#[derive(Debug, Default)]
pub(super) struct Figures {
    last: BTreeMap<String, OffsetDateTime>,
    refused: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Asks the service.
pub(super) async fn ask(config: &Config, base: &url::Url, client: &reqwest::Client) -> anyhow::Result<Figures> {
    let mut request = client.get(base.join("metrics")?).timeout(PATIENCE);
    if let Some(token) = &config.telemetry.metrics_token {
        request = request.bearer_auth(token.expose_secret());
    }
    let answer = request.send().await.context("no answer; is the service running? try --url")?;
    let status = answer.status();
    if status == StatusCode::UNAUTHORIZED {
        bail!("{status}; is its telemetry.metrics_token another than the one here?");
    }
    // Where a proxy sends us somewhere else there are no figures either.
    if !status.is_success() {
        let elsewhere = answer.headers().get(header::LOCATION).and_then(|it| it.to_str().ok());
        let elsewhere = elsewhere.map(|it| format!(", {}", plain(it))).unwrap_or_default();
        bail!("{status}{elsewhere}; let --url name the service itself, for a proxy may have answered in its place");
    }
    Ok(read(&answer.text().await.context("the answer broke off")?))
}

/// Reads the text exposition format, as far as it is about sources.
fn read(text: &str) -> Figures {
    let mut figures = Figures::default();
    for line in text.lines() {
        let Some((name, labels, value)) = sample(line) else { continue };
        let Some(source) = labels.get("source") else { continue };
        match (name, labels.get("why")) {
            ("rebound_receipts_refused_total", Some(why)) if value >= 1.0 => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter is whole and not negative")]
                figures.refused.entry(source.clone()).or_default().insert(why.clone(), value as u64);
            }
            ("rebound_source_last_receipt_timestamp_seconds", _) if value > 0.0 => {
                #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit for a while")]
                if let Ok(at) = OffsetDateTime::from_unix_timestamp(value as i64) {
                    figures.last.insert(source.clone(), at);
                }
            }
            _ => {}
        }
    }
    figures
}

/// Name, labels and value of a line. Names of sources hold neither quotes nor commas.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.strip_suffix('}')?.split_once('{')?;
    let label = |it: &str| it.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    Some((name, labels.split(',').filter_map(label).collect(), value.parse().ok()?))
}

impl Figures {
    /// When that source last brought something that was taken.
    pub(super) fn last_receipt_at(&self, source: &str) -> Option<OffsetDateTime> {
        self.last.get(source).copied()
    }

    /// What was not taken of it, by cause.
    pub(super) fn refused(&self, source: &str) -> BTreeMap<String, u64> {
        self.refused.get(source).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Refused, Telemetry};

    #[test]
    fn what_the_service_counts_is_read_again() {
        let telemetry = Telemetry::new(["ses-prod", "quiet"]);
        telemetry.receipt_refused("ses-prod", Refused::Stale);
        telemetry.receipt_refused("ses-prod", Refused::Stale);
        telemetry.post_taken("ses-prod", OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap());
        let figures = read(&telemetry.render());
        assert_eq!(figures.refused("ses-prod"), BTreeMap::from([("stale".to_owned(), 2)]));
        assert_eq!(figures.last_receipt_at("ses-prod").map(OffsetDateTime::unix_timestamp), Some(1_767_225_600));
        assert_eq!((figures.refused("quiet"), figures.last_receipt_at("quiet")), (BTreeMap::new(), None));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_success_has_no_figures() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = url::Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            let heads = ["301 Moved Permanently\r\nLocation: https://h.example/metrics", "401 Unauthorized"];
            for (mut stream, head) in listener.incoming().flatten().zip(heads) {
                // A request without a body is there as a whole once anything is.
                std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let told = async || ask(&Config::default(), &base, &client).await.unwrap_err().to_string();
        let moved = told().await;
        assert!(moved.contains("301") && moved.contains("https://h.example/metrics") && moved.contains("--url"), "{moved}");
        let refused = told().await;
        assert!(refused.contains("telemetry.metrics_token"), "{refused}");
    }
}
