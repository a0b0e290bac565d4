//! Posts that no provider sends, for every provider: whatever they hold, they are never a fault of ours, and the next good
//! one is taken.

use bounce::esp::{Credentials, NoSample, PROVIDERS, Provider, Sample};
use serde_json::json;

use super::*;

/// A source of that provider which takes posts from anybody.
fn open(provider: &'static dyn Provider) -> SourceConfig {
    let mut source = source(provider.name(), provider.name());
    let topic_arns = vec!["arn:aws:sns:eu-west-1:111122223333:test".to_owned()];
    source.credentials = Credentials { insecure: true, topic_arns, ..Credentials::default() };
    source
}

async fn bench() -> Bench {
    Bench::with(|config| config.sources = PROVIDERS.iter().map(|it| open(*it)).collect()).await
}

fn sample(provider: &dyn Provider) -> Result<Sample, NoSample> {
    provider.sample(&open(bounce::esp::provider(provider.name()).unwrap()).credentials, NOW)
}

async fn post(bench: &Bench, provider: &dyn Provider, sample: &Sample, body: Vec<u8>) -> u16 {
    let query = if sample.query.is_empty() { String::new() } else { format!("?{}", sample.query) };
    let mut request = bench.request(sample.method, &format!("/webhooks/{}{query}", provider.name()));
    for (name, value) in &sample.headers {
        request = request.header(name, value);
    }
    bench.send(request.body(body)).await.status
}

/// Every value that stands in place of each field, however deep.
fn mutations(value: &Value) -> Vec<Value> {
    let strange =
        [json!(null), json!(true), json!(-1e300), json!(u64::MAX), json!(""), json!("\u{0}x"), json!([]), json!([[]]), json!({"a": {}})];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, it)| (name.clone(), it)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect(),
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (place, field) in inner {
        let with = |new: Value| {
            let mut copy = value.clone();
            match &mut copy {
                Value::Object(fields) => fields[&place] = new,
                Value::Array(items) => items[place.parse::<usize>().unwrap()] = new,
                _ => {}
            }
            copy
        };
        all.extend(strange.iter().cloned().map(with));
        all.extend(mutations(field).into_iter().map(with));
    }
    all
}

#[tokio::test]
async fn a_sample_of_each_provider_is_taken_and_blocks_nobody() {
    let bench = bench().await;
    for provider in PROVIDERS {
        let Ok(sample) = sample(*provider) else { continue };
        assert_eq!(post(&bench, *provider, &sample, sample.body.clone()).await / 100, 2, "{}", provider.name());
        assert_eq!(bench.cause("acme.weekly", bounce::esp::TEST_RECIPIENT).await, None, "{}", provider.name());
    }
}

#[tokio::test]
async fn a_field_of_any_type_is_no_fault_of_ours() {
    let bench = bench().await;
    for provider in PROVIDERS {
        let Ok(sample) = sample(*provider) else { continue };
        let Ok(value) = serde_json::from_slice::<Value>(&sample.body) else { continue };
        for body in mutations(&value) {
            let status = post(&bench, *provider, &sample, body.to_string().into_bytes()).await;
            assert!(status < 500, "{} answered {status} to {body}", provider.name());
        }
    }
}

#[tokio::test]
async fn shapes_that_break_parsers_are_no_fault_of_ours() {
    let bench = bench().await;
    let shapes: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xef\xbb\xbf".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"[".repeat(200_000),
        b"{\"a\":".repeat(100_000),
        format!("[{}]", vec!["{}"; 50_000].join(",")).into_bytes(),
        format!("{{\"a\":1{}}}", ",\"a\":1".repeat(50_000)).into_bytes(),
        format!("[{}]", "9".repeat(100_000)).into_bytes(),
        b"{\"event\":1e999999999}".to_vec(),
        "a=1&".repeat(10_000).into_bytes(),
        b"%".repeat(100_000),
        b"a=".repeat(50_000),
        format!("\"{}\"", "\\u0000".repeat(10_000)).into_bytes(),
    ];
    for provider in PROVIDERS {
        for content_type in ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"] {
            for body in &shapes {
                let headers = vec![("content-type".to_owned(), content_type.to_owned())];
                let shape = Sample { method: "POST", query: String::new(), headers, body: Vec::new() };
                let status = post(&bench, *provider, &shape, body.clone()).await;
                let begins = String::from_utf8_lossy(body.get(..20).unwrap_or(body)).into_owned();
                assert!(status < 500, "{} answered {status} to {content_type} {begins}", provider.name());
            }
        }
    }
}
