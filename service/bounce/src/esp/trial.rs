//! What the tests of providers share: posts as a provider would send them, whole, cut and bent.

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::classify::{Rules, Verdict, classify};
use crate::esp::{Credential, Credentials, Decoded, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified, is_test};
use crate::kind::{Attribution, BounceType, Kind};
use crate::report::Report;

/// When it all happens.
pub(super) const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

/// Credentials of one secret.
pub(super) fn secret(secret: &str) -> Credentials {
    Credentials { secrets: vec![secret.to_owned()], ..Credentials::default() }
}

/// What a proved body says.
pub(super) fn decoded(provider: &dyn Provider, body: &Value) -> Decoded {
    raw(provider, body.to_string().as_bytes())
}

/// What proved bytes say.
pub(super) fn raw(provider: &dyn Provider, body: &[u8]) -> Decoded {
    let post = Unverified { method: "POST", url: "/", headers: &[], body };
    provider.decode(&Verified::restored(post, Attribution::Signed, NOW))
}

/// The only report in a body.
pub(super) fn report(provider: &dyn Provider, body: &Value) -> Report {
    let decoded = decoded(provider, body);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.set_aside.len()), (1, 0, 0), "{decoded:?} of {body}");
    decoded.reading.reports.into_iter().next().unwrap()
}

/// What the whole program makes of the only report in a body: kind, and hard or soft.
pub(super) fn verdict(provider: &dyn Provider, body: &Value) -> (Kind, Option<BounceType>) {
    let Verdict { kind, bounce_type, .. } = classify(&report(provider, body), Rules::builtin());
    (kind, bounce_type)
}

/// Asserts that nothing is recorded of a body and nothing is kept.
pub(super) fn assert_nothing(provider: &dyn Provider, body: &Value) {
    let decoded = decoded(provider, body);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.set_aside.len()), (0, 0, 0), "{decoded:?} of {body}");
    assert_eq!(decoded.reading.notes, [], "{body}");
}

/// Asserts that nothing is recorded of a body and that it is kept to be read again.
pub(super) fn assert_unknown(provider: &dyn Provider, body: &Value) {
    let decoded = decoded(provider, body);
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 1), "{decoded:?} of {body}");
    assert_eq!(decoded.answer.status, 200);
}

/// Sends a sample to a source.
pub(super) fn verify(provider: &dyn Provider, sample: &Sample, credentials: &Credentials, now: OffsetDateTime) -> Result<Decoded, Refusal> {
    let post = Unverified { method: sample.method, url: "/webhooks/x", headers: &sample.headers, body: &sample.body };
    post.verify(provider, credentials, now).map(|it| provider.decode(&it))
}

/// Asserts that the provider's own sample is believed, is a hard bounce, and is about nobody.
pub(super) fn assert_sample(provider: &dyn Provider, credentials: &Credentials) {
    let sample = provider.sample(credentials, NOW).unwrap();
    let decoded = verify(provider, &sample, credentials, NOW).unwrap();
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    let recipient = report.recipient.as_ref().unwrap();
    assert_eq!(recipient.expose(), TEST_RECIPIENT);
    assert!(is_test(provider, recipient));
    let verdict = classify(report, Rules::builtin());
    assert_eq!((verdict.kind, verdict.bounce_type, report.occurred_at), (Kind::Bounce, Some(BounceType::Hard), Some(NOW)));
}

/// Asserts that a sample is refused with any bit of its body or of one of those headers changed, with one of them twice or
/// missing, and with another secret or an empty one.
pub(super) fn assert_signed(provider: &dyn Provider, sample: &Sample, credentials: &Credentials, headers: &[&str]) {
    assert!(verify(provider, sample, credentials, NOW).is_ok());
    for bit in 0..sample.body.len() * 8 {
        let mut changed = sample.clone();
        changed.body[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(provider, &changed, credentials, NOW).err(), Some(Refusal::Mismatch(Credential::Signature)), "bit {bit}");
    }
    for name in headers {
        let at = sample.headers.iter().position(|(it, _)| it == name).unwrap();
        for bit in 0..sample.headers[at].1.len() * 8 {
            let mut bytes = sample.headers[at].1.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut changed = sample.clone();
            changed.headers[at].1 = String::from_utf8_lossy(&bytes).into_owned();
            let same_digits = changed.headers[at].1.eq_ignore_ascii_case(&sample.headers[at].1);
            assert!(same_digits || verify(provider, &changed, credentials, NOW).is_err(), "bit {bit} of {name}");
        }
        let mut twice = sample.clone();
        twice.headers.push(sample.headers[at].clone());
        assert_eq!(verify(provider, &twice, credentials, NOW).err(), Some(Refusal::Repeated(Credential::Signature)), "{name}");
        let mut missing = sample.clone();
        missing.headers.remove(at);
        assert!(matches!(verify(provider, &missing, credentials, NOW), Err(Refusal::Missing(Credential::Signature))), "{name}");
    }
    if !credentials.secrets.is_empty() {
        let other = verify(provider, sample, &secret("b3RoZXI="), NOW);
        assert_eq!(other.err(), Some(Refusal::Mismatch(Credential::Signature)));
        assert!(matches!(verify(provider, sample, &secret(""), NOW), Err(Refusal::NotConfigured(_))));
    }
    assert!(matches!(verify(provider, sample, &Credentials::default(), NOW), Err(Refusal::NotConfigured(_))));
    let both = Credentials { bearer: vec!["t".to_owned()], ..credentials.clone() };
    assert!(matches!(verify(provider, sample, &both, NOW), Err(Refusal::Missing(Credential::Bearer))));
}

/// Asserts that what is no post of this provider is refused when it comes, whatever else is right with it.
pub(super) fn assert_junk_is_refused(provider: &dyn Provider) {
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    let (open, deep) = ("[".repeat(100_000), "[".repeat(100_000) + &"]".repeat(100_000));
    for body in [
        &b""[..],
        b" \n",
        b"not json",
        b"{\"event\":",
        b"null",
        b"7",
        b"{\"event\":\"\xff\"}",
        b"\"text\"",
        open.as_bytes(),
        deep.as_bytes(),
    ] {
        let post = Unverified { method: "POST", url: "/", headers: &[], body };
        let refusal = post.verify(provider, &insecure, NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed { .. }), "{refusal:?}");
        assert_eq!(provider.refusal_status(&refusal), 400);
        // A password is asked for first: nobody learns what is read here without one.
        let bearer = Credentials { bearer: vec!["t".to_owned()], ..Credentials::default() };
        assert_eq!(post.verify(provider, &bearer, NOW).unwrap_err(), Refusal::Missing(Credential::Bearer));
        let _ = raw(provider, body);
    }
}

/// Reads the body with every field in it, at any depth, replaced by each of those values, and left out.
pub(super) fn bend_every_field(provider: &dyn Provider, body: &Value, values: &[Value]) {
    let paths = paths(body, "");
    assert!(paths.len() > 3);
    for path in &paths {
        for value in values.iter().chain([&Value::Null]) {
            let mut bent = body.clone();
            *bent.pointer_mut(path).unwrap() = value.clone();
            let _ = decoded(provider, &bent);
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut cut = body.clone();
        if let Some(Value::Object(fields)) = cut.pointer_mut(parent) {
            fields.remove(name);
        }
        let _ = decoded(provider, &cut);
    }
}

fn paths(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, it)| (format!("{at}/{name}"), it)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, it)| (format!("{at}/{index}"), it)).collect(),
        _ => Vec::new(),
    };
    children.into_iter().flat_map(|(path, it)| [vec![path.clone()], paths(it, &path)].concat()).collect()
}

/// Values of every type, some with that text or number in them.
pub(super) fn values(text: &str, number: f64) -> Vec<Value> {
    use serde_json::json;
    vec![
        json!(text),
        json!(number),
        json!([text]),
        json!({"name": text, "value": number}),
        json!(true),
        json!(u64::MAX),
        json!([[text], {}]),
    ]
}
