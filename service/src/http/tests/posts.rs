//! Posts of providers through the real door, signed as Amazon does.

use aws_lc_rs::rsa::KeyPair;
use bounce::esp::TEST_RECIPIENT;
use bounce::esp::sns::sign::{Notice, NoticeKind, sign};
use serde_json::json;

use super::*;
use crate::config::ListFrom;

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:ses";
const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";

struct Amazon {
    key: KeyPair,
    certificate: String,
}

impl Amazon {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        Self { key: KeyPair::from_pkcs8(&key.serialize_der()).unwrap(), certificate }
    }

    /// A service that knows the certificate and has a source for the topic.
    async fn bench(&self) -> Bench {
        let mut ses = source("ses", "ses");
        ses.credentials.bearer.clear();
        ses.credentials.topic_arns = vec![TOPIC.to_owned()];
        let bench = Bench::with(|config| config.sources.push(ses)).await;
        bench.knowing([(CERTIFICATE.to_owned(), self.certificate.clone())])
    }

    fn post(&self, certificate_at: &str, kind: NoticeKind<'_>, message: &str) -> String {
        let notice = Notice {
            kind,
            message_id: "sns-1",
            topic_arn: TOPIC,
            timestamp: "2026-01-01T00:00:01.000Z",
            message,
            signing_cert_url: certificate_at,
        };
        sign(&notice, &self.key).unwrap()
    }

    fn hard_bounce(&self) -> String {
        let message = json!({
            "notificationType": "Bounce",
            "mail": {"timestamp": "2026-01-01T00:00:00.000Z", "messageId": "ses-1", "source": "news@example.com",
                "destination": ["jane@example.org"]},
            "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2026-01-01T00:00:01.000Z", "feedbackId": "f-1",
                "bouncedRecipients": [{"emailAddress": "jane@example.org", "action": "failed", "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]},
        });
        self.post(CERTIFICATE, NoticeKind::Notification(None), &message.to_string())
    }
}

async fn deliver(bench: &Bench, body: impl Into<reqwest::Body>) -> Answered {
    // As SNS announces it.
    bench.send(bench.request("POST", "/webhooks/ses").header("content-type", "text/plain; charset=UTF-8").body(body)).await
}

#[tokio::test]
async fn a_signed_bounce_blocks_and_comes_twice_without_harm() {
    let amazon = Amazon::new();
    let bench = amazon.bench().await;
    let body = amazon.hard_bounce();
    for _ in 0..3 {
        let answered = deliver(&bench, body.clone()).await;
        assert_eq!((answered.status, answered.text.as_str()), (200, ""));
    }
    assert_eq!(bench.cause("acme.daily", "jane@example.org").await.as_deref(), Some("hard"));
    let events = bench.get("/v1/events").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!((&events["items"][0]["attribution"], &events["items"][0]["source"]), (&"signed".into(), &"ses".into()));
    assert_eq!(bench.metric("rebound_receipts_stored_total{outcome=\"duplicate\",source=\"ses\"}"), 2);
}

#[tokio::test]
async fn a_forged_post_is_refused_and_counted() {
    let amazon = Amazon::new();
    let bench = amazon.bench().await;
    let forged = amazon.hard_bounce().replace("jane@example.org", "john@example.org");
    let answered = deliver(&bench, forged).await;
    assert_eq!((answered.status, answered.problem().as_str()), (401, "unauthorized"));
    assert_eq!(bench.cause("acme", "john@example.org").await, None);
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"ses\",why=\"credential_mismatch\"}"), 1);
}

#[tokio::test]
async fn a_certificate_on_a_foreign_host_is_never_asked_for() {
    let amazon = Amazon::new();
    for url in [
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://127.0.0.1/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    ] {
        // Even where somebody had put it into the cache.
        let bench = amazon.bench().await.knowing([(url.to_owned(), amazon.certificate.clone())]);
        let answered = deliver(&bench, amazon.post(url, NoticeKind::Notification(None), "{}")).await;
        assert_eq!((answered.status, answered.problem().as_str()), (403, "forbidden"), "{url}");
    }
}

#[tokio::test]
async fn what_no_provider_sends_is_refused() {
    let amazon = Amazon::new();
    let bench = amazon.bench().await;
    for body in [&b""[..], b"not json", b"[]", b"{}", b"\xff\xfe\0", br#"{"Type":"Notification"}"#] {
        let answered = deliver(&bench, body.to_vec()).await;
        assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-body"), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"ses\",why=\"malformed\"}"), 6);
    let get = bench.send(bench.request("GET", "/webhooks/ses")).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn what_is_signed_but_not_understood_is_kept() {
    let amazon = Amazon::new();
    let bench = amazon.bench().await;
    let post = amazon.post(CERTIFICATE, NoticeKind::Notification(None), r#"{"eventType":"Invented","mail":{}}"#);
    assert_eq!(deliver(&bench, post).await.status, 200);
    assert_eq!(bench.metric("rebound_receipts_stored_total{outcome=\"unrecognised\",source=\"ses\"}"), 1);
}

#[tokio::test]
async fn a_subscription_is_not_confirmed_where_that_is_forbidden() {
    let amazon = Amazon::new();
    let mut ses = source("ses", "ses");
    ses.credentials.bearer.clear();
    ses.credentials.topic_arns = vec![TOPIC.to_owned()];
    let bench = Bench::with(|config| {
        config.sources.push(ses);
        config.fetch.allow_confirm_subscription = false;
    });
    let bench = bench.await.knowing([(CERTIFICATE.to_owned(), amazon.certificate.clone())]);
    let kind = NoticeKind::SubscriptionConfirmation {
        subscribe_url: "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:111122223333:ses&Token=1",
        token: "1",
    };
    assert_eq!(deliver(&bench, amazon.post(CERTIFICATE, kind, "You have chosen to subscribe")).await.status, 200);
}

#[tokio::test]
async fn a_source_that_takes_messages_asks_for_its_password() {
    let bench = Bench::new().await;
    let post = |path: &str| bench.request("POST", path).header("content-type", "message/rfc822").body(HARD);
    let answered = bench.send(post("/webhooks/bounces")).await;
    assert_eq!((answered.status, answered.header("www-authenticate")), (401, "Bearer realm=\"rebound\""));
    let answered = bench.send(post("/webhooks/bounces").bearer_auth("letmein")).await;
    assert_eq!((answered.status, answered.text.as_str()), (200, ""));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("hard"));
}

#[tokio::test]
async fn a_secret_may_be_part_of_the_path_or_of_the_query() {
    let mut secret = source("hooks", "mime");
    secret.credentials.bearer.clear();
    secret.credentials.url_secret = Some("s3cret".to_owned());
    let bench = Bench::with(|config| config.sources.push(secret)).await;
    for (path, status) in
        [("/webhooks/hooks/s3cret", 200), ("/webhooks/hooks?code=s3cret", 200), ("/webhooks/hooks", 401), ("/webhooks/hooks/x", 401)]
    {
        let answered = bench.send(bench.request("POST", path).header("content-type", "message/rfc822").body(HARD)).await;
        assert_eq!(answered.status, status, "{path}");
    }
}

/// A source of our own format, with a password.
async fn generic() -> Bench {
    Bench::with(|config| config.sources.push(source("hook", "generic"))).await
}

async fn report(bench: &Bench, events: &Value) -> Answered {
    bench
        .send(
            bench
                .request("POST", "/webhooks/hook")
                .bearer_auth("letmein")
                .header("content-type", "application/json")
                .body(events.to_string()),
        )
        .await
}

#[tokio::test]
async fn a_bad_event_of_a_batch_is_kept_on_its_own_and_the_good_ones_count() {
    let bench = generic().await;
    let batch =
        json!([{"type": "hard_bounce", "recipient": "jane@example.org", "diagnostic": "550 5.1.1 no such user"}, {"type": "riddle"}]);
    for _ in 0..2 {
        assert_eq!(report(&bench, &batch).await.status, 200);
    }
    assert_eq!(bench.cause("acme.daily", "jane@example.org").await.as_deref(), Some("hard"));
    assert_eq!(bench.metric("rebound_receipts_stored_total{outcome=\"new\",source=\"hook\"}"), 1);
    assert_eq!(bench.metric("rebound_receipts_stored_total{outcome=\"unrecognised\",source=\"hook\"}"), 1);
}

#[tokio::test]
async fn a_test_recipient_is_recorded_and_blocks_nobody() {
    let bench = generic().await;
    let address = TEST_RECIPIENT;
    assert_eq!(report(&bench, &json!({"type": "hard_bounce", "recipient": address})).await.status, 200);
    assert_eq!(bench.cause("acme.daily", address).await, None);
    assert_eq!(bench.get("/v1/events").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn very_many_events_in_one_post_are_refused_and_never_a_fault_of_ours() {
    let bench = generic().await;
    let answered = report(&bench, &json!(vec![json!({"type": "hard", "email": "j@example.org"}); 100_000])).await;
    assert_eq!((answered.status, answered.problem().as_str()), (413, "too-large"));
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"hook\",why=\"too_many_events\"}"), 1);
}

#[tokio::test]
async fn a_report_may_name_its_list_within_the_tree_of_its_source() {
    let bench = Bench::with(|config| {
        let mut hook = source("hook", "generic");
        hook.within = ListName::parse("acme").unwrap();
        hook.list_from = vec![ListFrom::Tag("list".to_owned()), ListFrom::Header("list-id".to_owned())];
        config.sources.push(hook);
    })
    .await;
    let leaves = |who: &str, named: Value| {
        let mut event = json!({"type": "unsubscribe", "recipient": format!("{who}@example.org"), "event_id": who});
        event.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        event
    };
    let events = json!([
        leaves("tag", json!({"metadata": {"list": "acme.daily"}, "list_id": "acme.weekly"})),
        leaves("header", json!({"list_id": "acme.daily"})),
        leaves("foreign", json!({"metadata": {"list": "other"}})),
        leaves("none", json!({})),
    ]);
    assert_eq!(report(&bench, &events).await.status, 200);
    for (who, list) in [("tag", "acme.daily"), ("header", "acme.daily"), ("foreign", "acme.weekly"), ("none", "acme.weekly")] {
        let address = format!("{who}@example.org");
        for asked in ["acme.daily", "acme.weekly", "other"] {
            let expected = (asked == list).then_some("unsubscribe");
            assert_eq!(bench.cause(asked, &address).await.as_deref(), expected, "{who} on {asked}");
        }
    }
}

#[tokio::test]
async fn only_a_delivery_that_somebody_vouches_for_lifts_a_block() {
    let bench = Bench::with(|config| {
        let mut open = source("open", "generic");
        open.credentials = bounce::esp::Credentials { insecure: true, ..bounce::esp::Credentials::default() };
        config.sources.extend([open, source("hook", "generic")]);
    })
    .await;
    let event = |kind: &str, day: i64| {
        let at = (NOW - time::Duration::days(day)).format(&time::format_description::well_known::Rfc3339).unwrap();
        json!({"type": kind, "recipient": "jane@example.org", "message_id": format!("{day}@example.com"), "timestamp": at, "reason": "mailbox_full"})
    };
    let full: Vec<_> = (1..=25).map(|day| event("soft_bounce", day)).collect();
    assert_eq!(report(&bench, &json!(full)).await.status, 200);
    assert_eq!(bench.cause("acme", "jane@example.org").await.as_deref(), Some("soft"));
    let forged = bench.request("POST", "/webhooks/open").header("content-type", "application/json").body(event("delivered", 0).to_string());
    assert_eq!(bench.send(forged).await.status, 200);
    assert_eq!(bench.cause("acme", "jane@example.org").await.as_deref(), Some("soft"));
    assert_eq!(report(&bench, &event("delivered", 0)).await.status, 200);
    assert_eq!(bench.cause("acme", "jane@example.org").await, None);
}

#[tokio::test]
async fn ids_that_begin_at_one_everywhere_do_not_make_two_failures_one() {
    let bench = Bench::with(|config| config.sources.extend([source("one", "generic"), source("two", "generic")])).await;
    for name in ["one", "two", "two"] {
        let event =
            json!({"type": "soft_bounce", "recipient": "jane@example.org", "provider_message_id": "1", "diagnostic": name}).to_string();
        let request = bench.request("POST", &format!("/webhooks/{name}")).bearer_auth("letmein").header("content-type", "application/json");
        assert_eq!(bench.send(request.body(event)).await.status, 200);
    }
    assert_eq!(bench.get("/v1/events").await.json()["items"].as_array().unwrap().len(), 2);
}
