//! What the door does for a provider: a subscription is confirmed after the proof, and before the answer.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use bounce::classify::Rules;
use bounce::esp::{Answer, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Request, Sample, Unverified, Verified};
use bounce::kind::Attribution;
use futures_util::FutureExt as _;
use secrecy::SecretString;
use time::macros::datetime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::config::{FetchConfig, IntakeConfig, Unattributed};
use crate::inbound::fetch::tests::bench;
use crate::intake::{RulesInForce, channel};
use crate::store::{Announces, Connect, Identity, Policies, Store};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// Believes whoever says "please", and asks to visit the address that the URL is.
#[derive(Debug)]
struct Polite;

impl Provider for Polite {
    fn name(&self) -> &'static str {
        "polite"
    }

    fn handshake(&self, post: &Unverified<'_>, _: &Credentials) -> Result<Option<Answer>, Refusal> {
        Ok((post.method == "HEAD").then(Answer::ok))
    }

    fn prove(&self, post: &Unverified<'_>, _: &Credentials, _: OffsetDateTime) -> Result<Proof, Refusal> {
        if post.body.starts_with(b"please ") { Ok(Proof::of(Attribution::Signed)) } else { Err(Refusal::NotAllowed("rudeness")) }
    }

    fn may_confirm(&self, url: &str, _: &Credentials) -> bool {
        !url.ends_with("/elsewhere")
    }

    fn sample(&self, _: &Credentials, _: OffsetDateTime) -> Result<Sample, NoSample> {
        Err(NoSample::OnlyProviderSigns)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let url = String::from_utf8_lossy(&post.post().body["please ".len()..]).into_owned();
        Decoded { requests: vec![Request::Confirm { url }], ..Decoded::new("polite", Vec::new(), Vec::new(), 0) }
    }
}

/// Believes everybody, and remembers on which thread it looked at whom.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<(usize, ThreadId)>>);

impl Provider for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn prove(&self, post: &Unverified<'_>, _: &Credentials, _: OffsetDateTime) -> Result<Proof, Refusal> {
        assert!(!post.body.ends_with(b"!"), "a fault of ours");
        self.0.lock().unwrap().push((post.body.len(), std::thread::current().id()));
        Ok(Proof::of(Attribution::Signed))
    }

    fn sample(&self, _: &Credentials, _: OffsetDateTime) -> Result<Sample, NoSample> {
        Err(NoSample::OnlyProviderSigns)
    }

    fn decode(&self, _: &Verified<'_>) -> Decoded {
        Decoded::new("witness", Vec::new(), Vec::new(), 0)
    }
}

async fn take(fetcher: &Fetcher, method: &str, body: &str) -> Result<Answer, PostError> {
    take_from(&Polite, fetcher, method, body).await
}

async fn take_from(provider: &'static dyn Provider, fetcher: &Fetcher, method: &str, body: &str) -> Result<Answer, PostError> {
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
    let source = Source {
        name: "polite".to_owned(),
        provider,
        credentials: Credentials::default(),
        list: store.ensure_list("acme", None, NOW).await.unwrap(),
        within: Arc::default(),
        list_from: vec![],
        unattributed: Unattributed::Provisional,
        tokens: Arc::default(),
    };
    let telemetry = Arc::new(Telemetry::new(["polite"]));
    let rules = RulesInForce::new(Rules::load(&[]).unwrap());
    let (intake, committer) = channel(store, rules, IntakeConfig::default(), telemetry.clone(), Arc::new(Notify::new()));
    tokio::spawn(committer.run(Clock::from(|| NOW), CancellationToken::new()));
    let door = Door { intake: &intake, fetcher, telemetry: &telemetry, now: NOW };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let post = Post { method: method.to_owned(), url: "/webhooks/polite".to_owned(), headers: Vec::new(), body };
    door.take(Arc::new(source), &post).await
}

#[tokio::test]
async fn a_confirmation_is_carried_out_before_the_answer() {
    let (base, asked, fetcher) = bench();
    assert_eq!(take(&fetcher, "POST", &format!("please {base}/fine")).await.unwrap(), Answer::ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let failed = take(&fetcher, "POST", &format!("please {base}/gone")).await;
    assert!(matches!(failed, Err(PostError::Request(_, FetchError::Status(404)))), "{failed:?}");
}

#[tokio::test]
async fn nothing_is_visited_for_who_is_not_believed_or_not_allowed_to_ask() {
    let (base, asked, fetcher) = bench();
    let rude = take(&fetcher, "POST", &format!("now! {base}/fine")).await;
    assert!(matches!(rude, Err(PostError::Refused(_, Refusal::NotAllowed(_)))), "{rude:?}");
    let forbidding = Fetcher::new(&FetchConfig { allow_confirm_subscription: false, ..FetchConfig::default() });
    assert_eq!(take(&forbidding, "POST", &format!("please {base}/fine")).await.unwrap(), Answer::ok());
    assert_eq!(take(&fetcher, "HEAD", "").await.unwrap(), Answer::ok());
    assert_eq!(take(&fetcher, "POST", &format!("please {base}/elsewhere")).await.unwrap(), Answer::ok());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_large_post_is_proved_on_another_thread() {
    let (witness, fetcher): (&'static Witness, _) = (Box::leak(Box::default()), Fetcher::new(&FetchConfig::default()));
    for size in [READ_ELSEWHERE_FROM - 1, READ_ELSEWHERE_FROM] {
        take_from(witness, &fetcher, "POST", &"x".repeat(size)).await.unwrap();
    }
    let here = std::thread::current().id();
    let seen: Vec<(usize, bool)> = witness.0.lock().unwrap().iter().map(|(size, thread)| (*size, *thread == here)).collect();
    assert_eq!(seen, [(READ_ELSEWHERE_FROM - 1, true), (READ_ELSEWHERE_FROM, false)]);
    // A panic there is one here, where the edge answers for it.
    let body = format!("{}!", "x".repeat(READ_ELSEWHERE_FROM));
    assert!(AssertUnwindSafe(take_from(witness, &fetcher, "POST", &body)).catch_unwind().await.is_err());
}

#[test]
fn every_refusal_is_counted_under_its_own_word() {
    use bounce::esp::Credential::Signature;
    for (refusal, why) in [
        (Refusal::Method(&["POST"]), Refused::Method),
        (Refusal::Malformed { expected: "", found: String::new() }, Refused::Malformed),
        (Refusal::TooMany(1), Refused::TooManyEvents),
        (Refusal::MediaType(""), Refused::MediaType),
        (Refusal::NotConfigured(""), Refused::NotConfigured),
        (Refusal::Missing(Signature), Refused::CredentialMissing),
        (Refusal::Repeated(Signature), Refused::CredentialRepeated),
        (Refusal::Mismatch(Signature), Refused::CredentialMismatch),
        (Refusal::Stale(1), Refused::Stale),
        (Refusal::Replayed, Refused::Replayed),
        (Refusal::NotAllowed(""), Refused::NotAllowed),
        (Refusal::CertificateNeeded { url: String::new() }, Refused::Certificate),
        (Refusal::CertificateUnusable(""), Refused::Certificate),
    ] {
        assert_eq!(refused_for(&refusal), why);
    }
}
