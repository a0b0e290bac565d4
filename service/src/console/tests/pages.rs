//! What pages show, and with which headers.

use super::*;
use crate::clock::Clock;
use crate::telemetry::{Refused, Stored};

const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\"'><img src=x>";

fn hostile() -> String {
    HARD.replace("User unknown", &format!("User unknown {HOSTILE}"))
        .replace("message/delivery-status", "message/delivery-status; charset=utf-8")
}

#[tokio::test]
async fn every_page_goes_out_under_a_strict_policy_and_is_kept_nowhere() {
    let bench = bench().await;
    assert_eq!(bench.hand_in(&hostile()).await.status, 200);
    let admin = Browser::with(&bench, &bench.key).await;
    let pages = [
        "",
        "/events",
        "/faults",
        "/address",
        "/lists",
        "/lists/acme",
        "/lists/acme/import",
        "/imports",
        "/diagnose",
        "/quarantine",
        "/nowhere",
    ];
    for page in pages {
        let answered = admin.get(&format!("/console{page}")).await;
        assert_eq!(answered.status, if page == "/nowhere" { 404 } else { 200 }, "{page}");
        let policy = answered.header("content-security-policy");
        for part in ["default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{page}: {policy}");
        assert_eq!((answered.header("cache-control"), answered.header("x-content-type-options")), ("no-store", "nosniff"), "{page}");
        assert_eq!(answered.header("referrer-policy"), "same-origin", "{page}");
        for not in ["<script", "style=\"", "<style", "onclick", "onload", "http://", "\u{202e}"] {
            assert!(!answered.text.contains(not), "{page} has {not}");
        }
        assert_eq!(answered.text.matches("<h1>").count(), 1, "{page}");
    }
}

#[tokio::test]
async fn a_hostile_text_is_text() {
    let bench = bench().await;
    let message = hostile();
    assert_eq!(bench.hand_in(&message).await.status, 200);
    let admin = Browser::with(&bench, &bench.key).await;
    let place = admin.post("/console/address", &[("address", "jane@example.org")]).await.header("location").to_owned();
    let event = bench.get("/v1/events").await.json()["items"][0]["event_id"].as_str().unwrap().to_owned();
    let note = [("address", "jane@example.org"), ("list", "acme"), ("act", "block"), ("note", HOSTILE)];
    for page in [
        admin.get(&place).await,
        admin.get(&format!("/console/events/{event}")).await,
        admin.post("/console/diagnose", &[("text", &message)]).await,
        admin.post("/console/address/act", &note).await,
        admin.get("/console/lists/acme").await,
    ] {
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.text.contains("U+202E"), "{}", page.text);
        assert!(!page.text.contains("<script") && !page.text.contains("<img src=x"), "{}", page.text);
    }
}

#[tokio::test]
async fn the_overview_counts_what_came_and_says_what_needs_somebody() {
    // Ids are of the time that it is.
    let bench = bench().await.at(Clock::system());
    let admin = Browser::with(&bench, &bench.key).await;
    let page = admin.get("/console").await;
    assert!(page.text.contains("Nothing waits for you.") && page.text.contains("No bounces in this time."), "{}", page.text);
    // A bounce that a block list caused, one of an unknown user, and a letter.
    let blocked = HARD
        .replace(
            "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown",
            "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1",
        )
        .replace("5.1.1", "5.7.1")
        .replace("jane@", "john@")
        .replace("<1@", "<2@");
    for message in [HARD, &blocked, "From: a@example.org\r\n\r\nHello\r\n"] {
        assert_eq!(bench.hand_in(message).await.status, 200);
    }
    let page = admin.get("/console?span=30d").await;
    for part in ["1 receipt not understood.", "1 failure that you can mend.", "user unknown", "example.org", "DNSBL listed", "<table>"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let faults = admin.get("/console/faults?span=30d").await;
    for part in
        ["Listed on <bdi>zen.spamhaus.org</bdi>", "href=\"https://www.spamhaus.org/query/ip/192.0.2.1\"", "What to do:", "1 failure"]
    {
        assert!(faults.text.contains(part), "{part} in {}", faults.text);
    }
    assert!(!faults.text.contains("user unknown"), "what the recipient is to blame for is not here");
}

#[tokio::test]
async fn many_posts_that_nothing_proves_need_attention_and_a_few_do_not() {
    let bench = bench().await;
    let admin = Browser::with(&bench, &bench.key).await;
    let said = "posts to api proved by nothing within the last hour.";
    for count in 1..=20 {
        let forged = bench.request("POST", "/v1/messages?list=acme").bearer_auth("rbk_guessed");
        assert_eq!(bench.send(forged).await.status, 401);
        if count == 19 {
            assert!(!admin.get("/console").await.text.contains(said));
        }
    }
    let page = admin.get("/console").await;
    assert!(page.text.contains(&format!("20 {said}")), "{}", page.text);
    // Beside many that are taken in the same time, a few more are strays.
    let telemetry = &bench.state.telemetry;
    for _ in 0..198 {
        telemetry.receipt_stored("bounces", Stored::New, uuid::Uuid::nil(), 1, std::time::Duration::ZERO);
    }
    for _ in 0..22 {
        telemetry.receipt_refused("bounces", Refused::CredentialMissing);
    }
    assert!(!admin.get("/console").await.text.contains("posts to bounces"));
    telemetry.receipt_refused("bounces", Refused::CredentialMissing);
    let page = admin.get("/console").await;
    assert!(page.text.contains("23 posts to bounces proved by nothing within the last hour."), "{}", page.text);
}

#[tokio::test]
async fn events_are_found_by_what_they_say() {
    let bench = bench().await;
    let other = HARD.replace("jane@example.org", "john@example.net").replace("<1@", "<2@");
    for message in [HARD, &other] {
        assert_eq!(bench.hand_in(message).await.status, 200);
    }
    let admin = Browser::with(&bench, &bench.key).await;
    for (query, jane, john) in [
        ("", true, true),
        ("?kind=bounce&bounce_type=hard&reason=user_unknown&source=api&list=acme&attribution=unattributed", true, true),
        ("?kind=complaint", false, false),
        ("?reason=mailbox_full", false, false),
        ("?domain=EXAMPLE.org", true, false),
        ("?domain=example.net", false, true),
        ("?list=acme.daily", false, false),
        ("?source=bounces", false, false),
        ("?before=00000000-0000-0000-0000-000000000001", false, false),
    ] {
        let page = admin.get(&format!("/console/events{query}")).await;
        assert_eq!(page.status, 200, "{query} {page:?}");
        assert_eq!((page.text.contains(">@example.org<"), page.text.contains(">@example.net<")), (jane, john), "{query}");
    }
    for wrong in ["?kind=nonsense", "?domain=a b", "?before=x", "?span=1y", "?list=nowhere"] {
        assert!(matches!(admin.get(&format!("/console/events{wrong}")).await.status, 400 | 404), "{wrong}");
    }
}

#[tokio::test]
async fn files_of_the_pages_are_kept_for_good_under_a_name_of_their_own() {
    let bench = bench().await;
    let page = bench.send(bench.request("GET", "/console/sign-in")).await;
    let files: Vec<&str> = page.text.split('"').filter(|it| it.starts_with("/console/assets/")).collect();
    assert!(files.len() >= 2);
    for file in files {
        let answered = bench.send(bench.request("GET", file)).await;
        assert_eq!((answered.status, answered.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{file}");
    }
    assert_eq!(bench.send(bench.request("GET", "/console/assets/console-000000000000.css")).await.status, 404);
}

#[tokio::test]
async fn without_the_database_pages_say_so() {
    let bench = bench().await;
    let admin = Browser::with(&bench, &bench.key).await;
    bench.state.store.close().await;
    let page = admin.get("/console").await;
    assert!(page.status == 503 && page.text.contains("<h1>") && !page.header("retry-after").is_empty(), "{page:?}");
    assert_eq!(bench.send(bench.request("GET", "/console/sign-in")).await.status, 200);
}
