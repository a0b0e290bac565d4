//! Who may call what. The table names every route; a route that is not in it fails the test.

use std::collections::BTreeSet;

use super::*;
use crate::http::edge::Access;
use crate::http::routes::{ROUTES, Verb};
use crate::store::Scope::{Ingest, Read, Write};

/// Method, path of the page, a path to call, and the scope; no scope for those open to anybody.
const TABLE: &[(&str, &str, &str, Option<Scope>)] = &[
    ("GET", "/healthz", "/healthz", None),
    ("GET", "/readyz", "/readyz", None),
    ("GET", "/metrics", "/metrics", None),
    ("POST", "/webhooks/{source}", "/webhooks/bounces", None),
    ("POST", "/webhooks/{source}/{secret:.*}", "/webhooks/bounces/secret", None),
    ("POST", "/v1/messages", "/v1/messages?list=acme.weekly", Some(Ingest)),
    ("GET", "/v1/check", "/v1/check?list=acme.weekly&address=jane@example.org", Some(Read)),
    ("POST", "/v1/check", "/v1/check", Some(Read)),
    ("GET", "/v1/lists", "/v1/lists", Some(Read)),
    ("GET", "/v1/lists/{list}", "/v1/lists/acme", Some(Read)),
    ("PUT", "/v1/lists/{list}", "/v1/lists/acme", Some(Scope::Admin)),
    ("GET", "/v1/lists/{list}/policy", "/v1/lists/acme/policy", Some(Read)),
    ("POST", "/v1/lists/{list}/release", "/v1/lists/acme/release", Some(Write)),
    ("GET", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Read)),
    ("PUT", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Write)),
    ("DELETE", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Write)),
    ("GET", "/v1/addresses/{address}", "/v1/addresses/jane@example.org", Some(Read)),
    ("GET", "/v1/addresses/{address}/why", "/v1/addresses/jane@example.org/why", Some(Read)),
    ("GET", "/v1/receipts/{id}/raw", "/v1/receipts/0199c0de-7a11-7000-8000-000000000001/raw", Some(Scope::Admin)),
    ("GET", "/v1/events", "/v1/events", Some(Read)),
    ("GET", "/v1/changes", "/v1/changes", Some(Read)),
    ("POST", "/v1/diagnose", "/v1/diagnose", Some(Read)),
    ("GET", "/v1/codes", "/v1/codes", Some(Read)),
    ("GET", "/v1/codes/{code}", "/v1/codes/550", Some(Read)),
    ("GET", "/openapi.json", "/openapi.json", None),
    ("GET", "/docs", "/docs", None),
    ("GET", "/docs/{file:.*}", "/docs/", None),
    ("GET", "/problems/{kind}", "/problems/busy", None),
];

#[test]
fn the_table_names_every_route_and_its_scope() {
    let routes = ROUTES.iter().map(|it| {
        let scope = match it.access {
            Access::Open | Access::Metrics => None,
            Access::Key(scope) => Some(scope),
        };
        let method = match it.verb {
            Verb::Get => "GET",
            Verb::Post | Verb::Any => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        };
        (method, it.path, scope)
    });
    let table: BTreeSet<_> = TABLE.iter().map(|(method, path, _, scope)| (*method, *path, *scope)).collect();
    assert_eq!(routes.collect::<BTreeSet<_>>(), table);
    assert_eq!(table.len(), ROUTES.len());
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_for_nothing_else() {
    let bench = Bench::new().await;
    let mut keys = Vec::new();
    for scope in [Read, Write, Ingest] {
        keys.push((scope, bench.key_of(scope.as_str(), &[scope], None).await));
    }
    for (method, _, path, wanted) in TABLE {
        let Some(wanted) = wanted else { continue };
        for given in
            [None, Some("Basic dGVzdGVyOng="), Some("Bearer"), Some("Bearer rbk_short"), Some(&format!("Bearer rbk_{}", "x".repeat(43)))]
        {
            let request = bench.request(method, path);
            let request = if let Some(given) = given { request.header("authorization", given) } else { request };
            let answered = bench.send(request).await;
            assert_eq!((answered.status, answered.problem().as_str()), (401, "unauthorized"), "{method} {path} {given:?}");
            assert!(answered.header("www-authenticate").starts_with("Bearer realm="), "{method} {path}");
        }
        for (scope, key) in &keys {
            let answered = bench.send(bench.request(method, path).bearer_auth(key)).await;
            if scope == wanted {
                assert!(!matches!(answered.status, 401 | 403 | 500..), "{method} {path} {scope} {answered:?}");
            } else {
                assert_eq!((answered.status, answered.problem().as_str()), (403, "forbidden"), "{method} {path} {scope}");
                assert!(answered.text.contains(wanted.as_str()), "{answered:?}");
            }
        }
        let answered = bench.send(bench.request(method, path).bearer_auth(&bench.key)).await;
        assert!(!matches!(answered.status, 401 | 403 | 500..), "admin may do everything: {method} {path} {answered:?}");
    }
}

#[tokio::test]
async fn a_credential_is_asked_for_before_the_request_is_read() {
    let bench = Bench::new().await;
    for (method, path) in [("GET", "/v1/check"), ("POST", "/v1/check"), ("GET", "/v1/events?after=x"), ("POST", "/v1/messages")] {
        let answered = bench.send(bench.request(method, path).header("content-type", "image/png").body("{")).await;
        assert_eq!(answered.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn a_revoked_or_expired_key_opens_nothing() {
    let bench = Bench::new().await;
    let store = &bench.state.store;
    let expired = store.create_key("expired", &[Read], None, Some(NOW), NOW - time::Duration::DAY).await.unwrap();
    let revoked = store.create_key("revoked", &[Read], None, None, NOW).await.unwrap();
    store.revoke_key("revoked", NOW).await.unwrap();
    for key in [expired, revoked] {
        let answered = bench.send(bench.request("GET", "/v1/lists").bearer_auth(key.secret.expose_secret())).await;
        assert_eq!((answered.status, answered.problem().as_str()), (401, "unauthorized"));
        assert_eq!(answered.header("www-authenticate"), "Bearer realm=\"rebound\", error=\"invalid_token\"");
    }
}

#[tokio::test]
async fn without_the_database_a_known_key_goes_on_and_an_unknown_one_comes_again() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/v1/codes/550").await.status, 200);
    let unknown = bench.key_of("not seen yet", &[Read], None).await;
    bench.state.store.close().await;
    assert_eq!(bench.get("/v1/codes/550").await.status, 200);
    let answered = bench.send(bench.request("GET", "/v1/codes/550").bearer_auth(unknown)).await;
    assert_eq!((answered.status, answered.problem().as_str(), answered.header("retry-after")), (503, "unavailable", "5"));
}

#[tokio::test]
async fn a_key_confined_to_a_list_sees_that_list_and_those_below() {
    let bench = Bench::new().await;
    let key = bench.key_of("confined", &[Scope::Admin], Some("acme.weekly")).await;
    let ask = async |path: &str| bench.send(bench.request("GET", path).bearer_auth(&key)).await;
    let names = ask("/v1/lists").await.json();
    assert_eq!(names["lists"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect::<Vec<_>>(), ["acme.weekly"]);
    for (list, status) in [("acme.weekly", 200), ("acme", 404), ("acme.daily", 404), ("other", 404), ("nowhere", 404)] {
        let answered = ask(&format!("/v1/check?list={list}&address=jane@example.org")).await;
        assert_eq!(answered.status, status, "{list}");
        assert_eq!(ask(&format!("/v1/events?list={list}")).await.status, status, "{list}");
        assert_eq!(ask(&format!("/v1/lists/{list}/suppressions/jane@example.org")).await.status, status, "{list}");
    }
    let there = ask("/v1/check?list=other&address=jane@example.org").await.text.replace("other", "nowhere");
    let nowhere = ask("/v1/check?list=nowhere&address=jane@example.org").await;
    let detail = |text: &str| serde_json::from_str::<Value>(text).unwrap()["detail"].clone();
    assert_eq!(detail(&there), detail(&nowhere.text), "a list out of reach cannot be told from one that is not there");
    // Handing in needs no list: the key has one.
    let request = bench.request("POST", "/v1/messages").bearer_auth(&key).header("content-type", "message/rfc822");
    let recorded = bench.send(request.body(HARD)).await.json();
    assert_eq!((&recorded["status"], &recorded["events"][0]["list"]), (&"recorded".into(), &"acme.weekly".into()));
}

#[tokio::test]
async fn the_metrics_ask_for_their_token_if_one_is_set() {
    let bench = Bench::with(|config| config.telemetry.metrics_token = Some(SecretString::from("figures"))).await;
    for (given, status) in [(None, 401), (Some("wrong"), 401), (Some("figures"), 200)] {
        let request = bench.request("GET", "/metrics");
        let answered = bench.send(if let Some(given) = given { request.bearer_auth(given) } else { request }).await;
        assert_eq!(answered.status, status, "{given:?}");
    }
    let open = Bench::new().await;
    let answered = open.send(open.request("GET", "/metrics")).await;
    assert_eq!(answered.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(answered.text.contains("rebound_receipts_stored_total"), "{answered:?}");
}

#[tokio::test]
async fn the_description_names_every_route() {
    let bench = Bench::new().await;
    let document = bench.send(bench.request("GET", "/openapi.json")).await.json();
    for (method, route, _, scope) in TABLE {
        if route.starts_with("/docs") || *route == "/openapi.json" || route.contains(":.*") {
            continue;
        }
        let operation = &document["paths"][route][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {route} is not described");
        let scopes = operation["security"].as_array().into_iter().flatten().filter_map(|it| it["bearer"][0].as_str()).collect::<Vec<_>>();
        assert_eq!(scopes, scope.iter().map(|it| it.as_str()).collect::<Vec<_>>(), "{method} {route}");
        assert!(operation["responses"].as_object().is_some_and(|it| !it.is_empty()), "{method} {route}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let about = document["info"]["description"].as_str().unwrap();
    for kind in ProblemKind::ALL {
        assert!(about.contains(&format!("`/problems/{kind}`")), "{kind}");
    }
}

#[tokio::test]
async fn the_page_comes_from_here() {
    let bench = Bench::new().await;
    let home = bench.send(bench.request("GET", "/docs")).await;
    assert_eq!((home.status, home.header("location")), (308, "/docs/"));
    let page = bench.send(bench.request("GET", "/docs/")).await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
    let initializer = bench.send(bench.request("GET", "/docs/swagger-initializer.js")).await;
    assert!(initializer.text.contains("/openapi.json") && initializer.text.contains("\"validatorUrl\": \"none\""), "{initializer:?}");
    for text in [&page.text, &initializer.text] {
        assert!(!text.contains("//cdn") && !text.contains("https://unpkg"), "{text}");
    }
    assert_eq!(bench.send(bench.request("GET", "/docs/nothing.js")).await.problem(), "not-found");
}
