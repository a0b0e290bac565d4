//! How long somebody is signed in, and what a cookie is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::clock::Clock;

/// A bench whose clock can be moved, in seconds.
async fn clocked() -> (Bench, Arc<AtomicI64>) {
    let later = Arc::new(AtomicI64::new(0));
    let read = later.clone();
    let bench = bench().await.at(Clock::from(move || NOW + time::Duration::seconds(read.load(Ordering::SeqCst))));
    (bench, later)
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it_and_at_its_longest_whatever_is_done() {
    let (bench, later) = clocked().await;
    let used = Browser::with(&bench, &bench.key).await;
    let idle = Browser::with(&bench, &bench.key).await;
    let status = async |browser: &Browser<'_>, at: i64| {
        later.store(at, Ordering::SeqCst);
        browser.get("/console/lists").await.status
    };
    assert_eq!((status(&used, 3000).await, status(&idle, 3599).await), (200, 200));
    for minutes in (100..12 * 60).step_by(50) {
        assert_eq!(status(&used, minutes * 60).await, 200, "{minutes}");
    }
    assert_eq!(status(&idle, 3599 + 3600).await, 303, "an hour, counted from the last request, is over");
    assert_eq!(status(&used, 12 * 3600 - 1).await, 200);
    assert_eq!(status(&used, 12 * 3600).await, 303);
    assert_eq!(status(&used, 0).await, 200, "which the clock said, and no request had ended it");
}

#[tokio::test]
async fn what_ends_a_key_ends_its_sessions_at_once() {
    let (bench, later) = clocked().await;
    let store = &bench.state.store;
    let leaving = Browser::of(&bench, "leaving", &[Scope::Read], None).await;
    assert_eq!(leaving.get("/console/lists").await.status, 200);
    store.revoke_key("leaving", NOW).await.unwrap();
    assert_eq!(leaving.get("/console/lists").await.status, 303);
    let end = NOW + time::Duration::minutes(10);
    let ending = store.create_key("ending", &[Scope::Read], None, Some(end), NOW).await.unwrap();
    let ending = Browser::with(&bench, secrecy::ExposeSecret::expose_secret(&ending.secret)).await;
    assert_eq!(ending.get("/console/lists").await.status, 200);
    later.store(600, Ordering::SeqCst);
    assert_eq!(ending.get("/console/lists").await.status, 303);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_signing_in_begins_another() {
    let bench = bench().await;
    let browser = Browser::with(&bench, &bench.key).await;
    let answered = browser.post("/console/sign-out", &[]).await;
    assert_eq!((answered.status, answered.header("location")), (303, "/console/sign-in"));
    assert!(cookies(&answered).contains(&"rebound-session=".to_owned()), "{answered:?}");
    assert_eq!(browser.get("/console/lists").await.status, 303, "the cookie is worth nothing any more");
    let (one, other) = (Browser::with(&bench, &bench.key).await, Browser::with(&bench, &bench.key).await);
    assert_ne!(one.cookie, other.cookie);
    // Whoever signs in while signed in gets a new session, and the old one ends.
    let fields = [("key", bench.key.as_str())];
    let again = one.post("/console/sign-in", &fields).await;
    assert_eq!(again.status, 303, "{again:?}");
    assert!(!cookies(&again).contains(&one.cookie));
    assert_eq!((one.get("/console/lists").await.status, other.get("/console/lists").await.status), (303, 200));
}

#[tokio::test]
async fn cookies_may_do_no_more_than_they_must() {
    let bench = bench().await;
    let answered = try_key(&bench, &bench.key, &[]).await;
    let set: Vec<&str> = answered.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    let session = set.iter().find(|it| it.starts_with("rebound-session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax") && session.contains("Path=/"), "{session}");
    assert!(!session.contains("Expires") && !session.contains("Max-Age") && !session.contains("Domain"), "{session}");
    // By another name than one of this machine, cookies go over encrypted connections alone.
    let page = bench.send(bench.request("GET", "/console/sign-in").header("host", "bounces.example.com")).await;
    let visit = page.header("set-cookie");
    assert!(visit.starts_with("__Host-rebound-visit=") && visit.contains("; Secure"), "{visit}");
    let cookie = answered.headers.get("set-cookie").unwrap().to_str().unwrap();
    let secret = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(secret.len(), 43, "256 random bits");
    let lax =
        bench.request("GET", "/console/lists").header("host", "bounces.example.com").header("cookie", format!("rebound-session={secret}"));
    assert_eq!(bench.send(lax).await.status, 303, "a cookie that a plain connection could have set is not read there");
    let strict = bench.request("GET", "/console/lists").header("host", "bounces.example.com");
    assert_eq!(bench.send(strict.header("cookie", format!("__Host-rebound-session={secret}"))).await.status, 200);
}

#[tokio::test]
async fn only_a_live_key_that_may_read_signs_in() {
    let bench = bench_with(|it| it.console.sign_ins_a_minute = 100).await;
    let ingest = bench.key_of("ingest", &[Scope::Ingest, Scope::Write], None).await;
    let revoked = bench.key_of("revoked", &[Scope::Read], None).await;
    bench.state.store.revoke_key("revoked", NOW).await.unwrap();
    for key in ["", "x", "rbk_short", &format!("rbk_{}", "x".repeat(43)), &ingest, &revoked] {
        let answered = try_key(&bench, key, &[("next", "/console/lists")]).await;
        assert_eq!(answered.status, 422, "{key} {answered:?}");
        assert!(!cookies(&answered).iter().any(|it| it.starts_with("rebound-session")), "{answered:?}");
        assert!(key.is_empty() || !answered.text.contains(&format!("\"{key}\"")), "a page does not repeat a key");
    }
    for (next, place) in [("/console/lists", "/console/lists"), ("//evil.example/", "/console"), ("https://evil.example", "/console")] {
        assert_eq!(try_key(&bench, &bench.key, &[("next", next)]).await.header("location"), place);
    }
}

#[tokio::test]
async fn whoever_tries_too_often_has_to_wait() {
    let bench = bench_with(|it| it.console.sign_ins_a_minute = 3).await;
    for _ in 0..3 {
        assert_eq!(try_key(&bench, "rbk_wrong", &[]).await.status, 422);
    }
    let answered = try_key(&bench, &bench.key, &[]).await;
    assert_eq!(answered.status, 429, "{answered:?}");
    assert!(answered.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(answered.text.contains("too many attempts"), "{answered:?}");
}

#[tokio::test]
async fn the_root_leads_to_the_console() {
    let bench = bench().await;
    let root = bench.send(bench.request("GET", "/")).await;
    assert_eq!((root.status, root.header("location")), (303, "/console"), "{root:?}");
    let posted = bench.send(bench.request("POST", "/")).await;
    assert_eq!((posted.status, posted.problem().as_str()), (404, "not-found"), "which nobody asks for who looks");
}

#[tokio::test]
async fn where_it_is_switched_off_there_is_no_console() {
    let bench = bench_with(|it| it.console.enabled = false).await;
    let root = bench.send(bench.request("GET", "/")).await;
    assert_eq!((root.status, root.problem().as_str()), (404, "not-found"));
    assert_eq!(bench.send(bench.request("GET", "/console")).await.status, 404);
    assert_eq!(bench.send(bench.request("GET", "/console/sign-in")).await.status, 404);
}
