//! What the posts of every provider that signs nothing must stand; each provider's tests call these with a body of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::classify::{Rules, classify};
use crate::esp::{Credential, Credentials, Decoded, HeaderSecret, Provider, Refusal, Unverified, Verified, is_test};
use crate::kind::{Attribution, BounceType, Kind};
use crate::limits;
use crate::report::Report;

pub(super) const NOW: OffsetDateTime = datetime!(2026-01-01 00:30 UTC);

/// What a proved body says.
pub(super) fn decode(provider: &dyn Provider, content_type: &str, body: &[u8]) -> Decoded {
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    let post = Unverified { method: "POST", url: "/", headers: &headers, body };
    provider.decode(&Verified::restored(post, Attribution::Authenticated, NOW))
}

/// The only report of a body that is a single event.
pub(super) fn only(provider: &dyn Provider, event: &Value) -> Report {
    let mut decoded = decode(provider, "application/json", event.to_string().as_bytes());
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.set_aside.len()), (1, 0, 0), "{event}: {decoded:?}");
    decoded.reading.reports.remove(0)
}

/// What the whole program makes of a report.
pub(super) fn judged(report: &Report) -> (Kind, Option<BounceType>) {
    let verdict = classify(report, Rules::builtin());
    (verdict.kind, verdict.bounce_type)
}

/// A label that says hard is believed where the receiver says nothing that tells, and where it says the same; it is not where
/// the mailbox is full or the sender is at fault. `bounce` makes an event that is labelled hard out of the receiver's words.
pub(super) fn weighs_words_against_a_hard_label(provider: &dyn Provider, bounce: impl Fn(&str) -> Value) {
    for (words, expected) in [
        ("", BounceType::Hard),
        ("550 no", BounceType::Hard),
        ("550 5.1.1 no such user", BounceType::Hard),
        ("550 5.1.1 sample", BounceType::Hard),
        ("552 5.2.2 mailbox full", BounceType::Soft),
        ("452 4.2.2 over quota", BounceType::Soft),
        ("554 5.7.1 message rejected as spam", BounceType::Soft),
        ("550 5.7.26 DMARC policy of the sender's domain", BounceType::Soft),
        ("451 4.7.1 greylisted, come again", BounceType::Soft),
    ] {
        assert_eq!(judged(&only(provider, &bounce(words))), (Kind::Bounce, Some(expected)), "{words}");
    }
}

/// Kind, type and reason as a body claims them; nothing where it reports nothing.
pub(super) type Claimed = Option<(Kind, Option<BounceType>, Option<crate::classify::reason::Reason>)>;

/// What a body of one event claims, which must be understood.
pub(super) fn claimed(provider: &dyn Provider, event: &Value) -> Claimed {
    let decoded = decode(provider, "application/json", event.to_string().as_bytes());
    assert_eq!((decoded.unrecognised, decoded.set_aside.len()), (0, 0), "{event}: {decoded:?}");
    let report = decoded.reading.reports.first()?;
    Some((report.kind, report.claim.and_then(|it| it.bounce_type), report.claim.and_then(|it| it.reason)))
}

pub(super) fn verify(
    provider: &dyn Provider,
    credentials: &Credentials,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Attribution, Refusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let post = Unverified { method: "POST", url, headers: &headers, body };
    post.verify(provider, credentials, NOW).map(|it| it.attribution())
}

/// Every credential that comes beside the body lets in whoever has it, and nobody whose copy is a bit off, there twice or missing.
pub(super) fn asks_for_credentials(provider: &dyn Provider, body: &[u8]) {
    let none = verify(provider, &Credentials::default(), "/", &[], body);
    assert!(matches!(none, Err(Refusal::NotConfigured(_))), "{none:?}");
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    assert_eq!(verify(provider, &insecure, "/", &[], body), Ok(Attribution::Unattributed));

    let basic = Credentials { basic: vec!["user:pass".to_owned()], ..Credentials::default() };
    in_header(provider, &basic, Credential::Basic, ("authorization", "Basic ", &STANDARD.encode("user:pass")), body);
    let bearer = Credentials { bearer: vec!["token".to_owned()], ..Credentials::default() };
    in_header(provider, &bearer, Credential::Bearer, ("authorization", "Bearer ", "token"), body);
    let header = Some(HeaderSecret { name: "X-Token".to_owned(), value: "secret".to_owned() });
    let header = Credentials { header, ..Credentials::default() };
    in_header(provider, &header, Credential::Header, ("x-token", "", "secret"), body);

    let url = Credentials { url_secret: Some("secret".to_owned()), ..Credentials::default() };
    assert_eq!(verify(provider, &url, "/webhooks/x/secret", &[], body), Ok(Attribution::Authenticated));
    for forged in flipped("secret") {
        let refused = verify(provider, &url, &format!("/webhooks/x/{forged}"), &[], body);
        assert_eq!(refused, Err(Refusal::Mismatch(Credential::UrlSecret)), "{forged:?}");
    }
    for empty in [
        Credentials { basic: vec![String::new()], ..Credentials::default() },
        Credentials { bearer: vec![String::new()], ..Credentials::default() },
        Credentials { url_secret: Some(String::new()), ..Credentials::default() },
    ] {
        let refused = verify(provider, &empty, "/", &[("authorization", "Bearer ")], body);
        assert!(matches!(refused, Err(Refusal::NotConfigured(_))), "{refused:?}");
    }
}

fn in_header(
    provider: &dyn Provider,
    credentials: &Credentials,
    kind: Credential,
    (name, scheme, secret): (&str, &str, &str),
    body: &[u8],
) {
    let value = format!("{scheme}{secret}");
    let verify = |headers: &[(&str, &str)]| verify(provider, credentials, "/", headers, body);
    assert_eq!(verify(&[(name, &value)]), Ok(Attribution::Authenticated));
    assert_eq!(verify(&[]), Err(Refusal::Missing(kind)));
    assert_eq!(verify(&[(name, &value), (name, &value)]), Err(Refusal::Repeated(kind)));
    for forged in flipped(secret) {
        let refused = verify(&[(name, &format!("{scheme}{forged}"))]);
        assert_eq!(refused, Err(Refusal::Mismatch(kind)), "{forged:?}");
    }
}

/// The text with each of its bits flipped, as far as that is text.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    (0..text.len() * 8).filter_map(|at| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        // A NUL or a line break cannot stand in a header, nor `?`, `#`, `/` and `%` in a segment of a path.
        String::from_utf8(bytes).ok().filter(|it| !it.contains(['\0', '\r', '\n', '?', '#', '/', '%']))
    })
}

/// A body that no event can be cut out of is refused for good, and only after the credential was seen.
pub(super) fn refuses_what_cannot_be_parsed(provider: &dyn Provider) {
    let deep = "[".repeat(100_000);
    let credentials = Credentials { bearer: vec!["token".to_owned()], ..Credentials::default() };
    for body in [&b""[..], b" \r\n", b"not json", b"{\"event\":", b"null", b"7", b"{\"event\":\"\xff\"}", deep.as_bytes()] {
        let refused = verify(provider, &credentials, "/", &[("authorization", "Bearer token")], body).unwrap_err();
        assert!(matches!(refused, Refusal::Malformed { .. }), "{refused:?}");
        assert!((400..500).contains(&provider.refusal_status(&refused)));
        let refused = verify(provider, &credentials, "/", &[], body);
        assert_eq!(refused, Err(Refusal::Missing(Credential::Bearer)));
        assert_eq!(decode(provider, "", body).unrecognised, 1);
    }
    let many = format!("[{}]", vec!["{}"; limits::POST_EVENTS + 1].join(","));
    let refused = verify(provider, &credentials, "/", &[("authorization", "Bearer token")], many.as_bytes());
    assert_eq!(refused, Err(Refusal::TooMany(limits::POST_EVENTS)));
}

/// The sample is believed and says that an address of nobody's failed for good.
pub(super) fn has_a_sample(provider: &dyn Provider) {
    let credentials = Credentials { bearer: vec!["token".to_owned()], ..Credentials::default() };
    let mut sample = provider.sample(&credentials, NOW).unwrap();
    sample.headers.push(("authorization".to_owned(), "Bearer token".to_owned()));
    let post = Unverified { method: sample.method, url: "/", headers: &sample.headers, body: &sample.body };
    let verified = post.verify(provider, &credentials, NOW).unwrap();
    let decoded = provider.decode(&verified);
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    assert!(is_test(provider, report.recipient.as_ref().unwrap()));
    assert_eq!(judged(report), (Kind::Bounce, Some(BounceType::Hard)));
    assert_eq!((report.occurred_at, decoded.answer.status, decoded.unrecognised), (Some(NOW), 200, 0));
}

/// Any value: one alone, in a list, in an object.
pub(super) fn any_value() -> impl Strategy<Value = Value> {
    let texts = "|true|smtp;|550 5.1.1 no|<|jane@example.com|1767225600|{\"a\":\"b\"}|[1]|\0";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(texts.split('|').collect::<Vec<_>>()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let object = prop::collection::btree_map("\\PC{0,8}", inner.clone(), 0..4).prop_map(|it| Value::Object(it.into_iter().collect()));
        prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::from), object]
    })
}

/// A body is read without a panic, within the limits, and the same each time.
pub(super) fn stands(provider: &dyn Provider, content_type: &str, body: &[u8]) {
    let insecure = Credentials { insecure: true, ..Credentials::default() };
    let _ = verify(provider, &insecure, "/", &[("content-type", content_type)], body);
    let decoded = decode(provider, content_type, body);
    assert!(decoded.reading.notes.len() <= limits::POST_NOTES + 1);
    assert_eq!(decoded, decode(provider, content_type, body));
    // What is set aside is a post of its own, and understood no better alone.
    for aside in &decoded.set_aside {
        assert!(decode(provider, content_type, &aside.bytes).reading.reports.is_empty());
    }
}
