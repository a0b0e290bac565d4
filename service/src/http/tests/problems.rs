//! Every error of the domain has its status, and none tells of the inside.

use std::io;

use actix_web::ResponseError;
use actix_web::body::to_bytes;
use bounce::address::AddressError;
use bounce::esp::{Credential, Refusal, mime::Mime};

use super::*;
use crate::inbound::{FetchError, PostError};
use crate::intake::IntakeError;
use crate::listing::ListingError;
use crate::store::{BadCursor, StoreError};
use crate::transfer::TransferError;

async fn told(problem: &Problem) -> (u16, String, String) {
    let answer = problem.error_response();
    let status = answer.status().as_u16();
    let retry = answer.headers().get("retry-after").map_or("", |it| it.to_str().unwrap()).to_owned();
    let body: Value = serde_json::from_slice(&to_bytes(answer.into_body()).await.unwrap()).unwrap();
    (status, body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned(), retry)
}

fn bad_row() -> StoreError {
    StoreError::BadRow { table: "secret_table", what: "secret".to_owned() }
}

#[tokio::test]
async fn every_error_has_its_status() {
    let fetch = || FetchError::Status(404);
    let refused = |it: Refusal| Problem::from(PostError::Refused(&Mime, it));
    let rows: Vec<(Problem, u16, &str, &str)> = vec![
        (StoreError::UnknownList("x".to_owned()).into(), 404, "not-found", ""),
        (StoreError::Exists("x".to_owned()).into(), 409, "conflict", ""),
        (StoreError::NotMigrated(1).into(), 503, "unavailable", "5"),
        (StoreError::WrongPepper.into(), 503, "unavailable", "5"),
        (bad_row().into(), 500, "internal", ""),
        (IntakeError::Full(1).into(), 503, "busy", "1"),
        (IntakeError::Stopping.into(), 503, "unavailable", "1"),
        (IntakeError::TooSlow(Duration::from_secs(1)).into(), 503, "unavailable", "5"),
        (IntakeError::Away.into(), 503, "unavailable", "5"),
        (IntakeError::Unavailable(Arc::new(bad_row())).into(), 503, "unavailable", "5"),
        (PostError::Intake(&Mime, IntakeError::Full(1)).into(), 503, "busy", "1"),
        (PostError::Certificate(&Mime, Arc::new(fetch())).into(), 503, "unavailable", "5"),
        (PostError::Request(&Mime, fetch()).into(), 503, "unavailable", "5"),
        (refused(Refusal::Method(&["POST"])), 405, "method-not-allowed", ""),
        (refused(Refusal::Malformed { expected: "x", found: "y".to_owned() }), 400, "invalid-body", ""),
        (refused(Refusal::MediaType("x")), 415, "unsupported-media-type", ""),
        (refused(Refusal::NotConfigured("secret")), 503, "unavailable", "5"),
        (refused(Refusal::Missing(Credential::Basic)), 401, "unauthorized", ""),
        (refused(Refusal::Mismatch(Credential::Signature)), 401, "unauthorized", ""),
        (refused(Refusal::Stale(300)), 401, "unauthorized", ""),
        (refused(Refusal::Replayed), 401, "unauthorized", ""),
        (refused(Refusal::NotAllowed("x")), 403, "forbidden", ""),
        (refused(Refusal::CertificateNeeded { url: "secret".to_owned() }), 503, "unavailable", "5"),
        (refused(Refusal::CertificateUnusable("secret")), 503, "unavailable", "5"),
        (AddressError::Empty.into(), 400, "invalid-address", ""),
        (TransferError::Listing(ListingError::Empty).into(), 400, "invalid-body", ""),
        (TransferError::Listing(ListingError::Io(io::Error::other("secret"))).into(), 503, "unavailable", "5"),
        (TransferError::Store(bad_row()).into(), 500, "internal", ""),
        (TransferError::Busy.into(), 503, "busy", "5"),
        (TransferError::Stopping.into(), 503, "unavailable", "1"),
        (TransferError::Panicked.into(), 500, "internal", ""),
        (BadCursor.into(), 400, "invalid-request", ""),
        (Problem::internal(io::Error::other("secret")), 500, "internal", ""),
        (Problem::too_many(60, Duration::from_millis(900)), 429, "too-many-requests", "1"),
        (Problem::too_slow(), 503, "unavailable", "5"),
    ];
    for (problem, status, kind, retry) in rows {
        let told = told(&problem).await;
        assert_eq!((told.0, told.1.as_str(), told.2.as_str()), (status, kind, retry), "{problem:?}");
        let text = to_bytes(problem.error_response().into_body()).await.unwrap();
        assert!(!String::from_utf8_lossy(&text).contains("secret"), "{problem:?}");
    }
}

#[tokio::test]
async fn an_outage_is_told_as_one_by_every_route_that_needs_the_database() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/v1/lists").await.status, 200);
    bench.state.store.close().await;
    for (method, path, content_type, body) in [
        ("GET", "/v1/check?list=acme&address=jane@example.org", "", ""),
        ("POST", "/v1/check", "application/json", r#"{"list":"acme","addresses":["jane@example.org"]}"#),
        ("POST", "/v1/check?list=acme", "application/x-ndjson", "jane@example.org"),
        ("GET", "/v1/lists", "", ""),
        ("GET", "/v1/lists/acme/suppressions/jane@example.org", "", ""),
        ("PUT", "/v1/lists/acme/suppressions/jane@example.org", "", ""),
        ("DELETE", "/v1/lists/acme/suppressions/jane@example.org", "", ""),
        ("GET", "/v1/addresses/jane@example.org", "", ""),
        ("GET", "/v1/events", "", ""),
        ("GET", "/v1/changes", "", ""),
        ("POST", "/v1/messages?list=acme", "message/rfc822", HARD),
        ("POST", "/webhooks/bounces", "message/rfc822", HARD),
    ] {
        let request = bench.request(method, path).header("content-type", content_type).body(body);
        let token = if path.starts_with("/webhooks") { "letmein" } else { &bench.key };
        let answered = bench.send(request.bearer_auth(token)).await;
        assert_eq!((answered.status, answered.problem().as_str()), (503, "unavailable"), "{method} {path} {answered:?}");
        assert_eq!(answered.header("retry-after"), "5", "{method} {path}");
    }
    let ready = bench.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["database"]), (503, &"unreachable".into()));
    assert_eq!(bench.get("/healthz").await.status, 200);
    assert!(bench.metric("rebound_failures_total{stage=\"http\"}") >= 9);
}

#[tokio::test]
async fn ready_says_what_the_relay_does() {
    let ready = Bench::new().await.get("/readyz").await;
    let expected = serde_json::json!({"status": "ready", "database": "reachable", "migrations_pending": 0, "relay": "off",
        "spool": null, "insecure_sources": []});
    assert_eq!((ready.status, ready.json()), (200, expected));
}

#[tokio::test]
async fn a_type_leads_to_its_explanation() {
    let bench = Bench::new().await;
    for kind in ProblemKind::ALL {
        let explained = bench.send(bench.request("GET", &format!("/problems/{kind}"))).await.json();
        assert_eq!((&explained["status"], &explained["title"]), (&kind.status().as_u16().into(), &kind.title().into()));
    }
}

#[tokio::test]
async fn ready_says_which_sources_anybody_may_post_as() {
    let bench = Bench::with(|config| {
        let mut open = source("open", "generic");
        open.credentials = bounce::esp::Credentials { insecure: true, ..bounce::esp::Credentials::default() };
        let mut shut = source("shut", "generic");
        shut.credentials.insecure = true;
        config.sources.extend([open, shut]);
    })
    .await;
    assert_eq!(bench.get("/readyz").await.json()["insecure_sources"], serde_json::json!(["open"]));
}
