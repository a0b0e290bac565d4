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
    ("GET", "/v1/lists/{list}/suppressions", "/v1/lists/acme/suppressions", Some(Read)),
    ("GET", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Read)),
    ("PUT", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Write)),
    ("DELETE", "/v1/lists/{list}/suppressions/{address}", "/v1/lists/acme/suppressions/jane@example.org", Some(Write)),
    ("POST", "/v1/lists/{list}/return-paths", "/v1/lists/acme/return-paths", Some(Write)),
    ("POST", "/v1/lists/{list}/import", "/v1/lists/acme/import", Some(Write)),
    ("GET", "/v1/lists/{list}/export", "/v1/lists/acme/export", Some(Read)),
    ("GET", "/v1/imports", "/v1/imports", Some(Read)),
    ("GET", "/v1/imports/{id}", "/v1/imports/0199c0de-7a11-7000-8000-000000000004", Some(Read)),
    ("DELETE", "/v1/imports/{id}", "/v1/imports/0199c0de-7a11-7000-8000-000000000004", Some(Write)),
    ("GET", "/v1/addresses/{address}", "/v1/addresses/jane@example.org", Some(Read)),
    ("DELETE", "/v1/addresses/{address}", "/v1/addresses/jane@example.org", Some(Scope::Admin)),
    ("GET", "/v1/addresses/{address}/export", "/v1/addresses/jane@example.org/export", Some(Scope::Admin)),
    ("GET", "/v1/addresses/{address}/why", "/v1/addresses/jane@example.org/why", Some(Read)),
    ("GET", "/v1/receipts/{id}/raw", "/v1/receipts/0199c0de-7a11-7000-8000-000000000001/raw", Some(Scope::Admin)),
    ("GET", "/v1/events", "/v1/events", Some(Read)),
    ("GET", "/v1/changes", "/v1/changes", Some(Read)),
    ("POST", "/v1/diagnose", "/v1/diagnose", Some(Read)),
    ("POST", "/v1/return-paths/check", "/v1/return-paths/check", Some(Read)),
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
async fn a_key_revoked_while_it_is_in_use_opens_nothing_after_half_a_minute() {
    let later = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let read = later.clone();
    let seconds = move || time::Duration::seconds(read.load(std::sync::atomic::Ordering::SeqCst));
    let bench = Bench::new().await.at(Clock::from(move || NOW + seconds()));
    let key = bench.key_of("leaving", &[Read], None).await;
    let status_at = async |second: i64| {
        later.store(second, std::sync::atomic::Ordering::SeqCst);
        bench.send(bench.request("GET", "/v1/lists").bearer_auth(&key)).await.status
    };
    assert_eq!(status_at(0).await, 200);
    bench.state.store.revoke_key("leaving", NOW).await.unwrap();
    assert_eq!(status_at(29).await, 200, "within the bound the database is not asked again");
    assert_eq!(status_at(30).await, 401);
    assert_eq!(status_at(31).await, 401);
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
async fn a_key_of_one_tree_neither_reads_nor_learns_of_another() {
    let bench = Bench::new().await;
    bench.state.store.ensure_list("other.hidden", None, NOW).await.unwrap();
    let foreign = HARD.replace("jane@", "foreign@").replace("mx.example.net", "mx.hidden.example").replace("<1@", "<2@");
    for (list, message) in
        [("acme.weekly", HARD), ("other.hidden", &foreign), ("other.hidden", &HARD.replace("mx.example.net", "mx.hidden.example"))]
    {
        let path = format!("/v1/messages?list={list}");
        assert_eq!(bench.ask("POST", &path, "message/rfc822", message.to_owned()).await.status, 200);
    }
    for address in ["foreign@example.org", "jane@example.org", "@hidden.example"] {
        let path = format!("/v1/lists/other.hidden/suppressions/{address}");
        bench.json("PUT", &path, serde_json::json!({"note": "hidden"})).await;
    }
    let receipt = bench.get("/v1/events?list=other").await.json()["items"][0]["receipt_id"].as_str().unwrap().to_owned();
    let key = bench.key_of("confined", &[Scope::Admin], Some("acme")).await;
    let send = async |method: &str, path: &str, body: &str| {
        let request = bench
            .request(method, path)
            .bearer_auth(&key)
            .header("content-type", if path.contains("messages") { "message/rfc822" } else { "application/json" });
        bench.send(request.body(body.to_owned())).await
    };
    for (method, route, own, _) in TABLE.iter().filter(|it| it.3.is_some()) {
        let bodies: &[&str] = match *method {
            "GET" | "DELETE" => &[""],
            _ => &["", "{}", r#"{"list":"LIST","addresses":["foreign@example.org"]}"#, r#"{"cause":"hard"}"#],
        };
        for body in bodies {
            for address in ["jane@example.org", "foreign@example.org"] {
                let path = own.replace("jane@example.org", address).replace("0199c0de-7a11-7000-8000-000000000001", &receipt);
                let answered = send(method, &path, &body.replace("LIST", "acme")).await;
                assert!(!answered.text.contains("hidden"), "{method} {path} {answered:?}");
                // A list out of reach is answered as one that is not there.
                let at = |list: &str| {
                    path.replace("acme.weekly", list).replace("/acme", &format!("/{list}")).replace("list=acme", &format!("list={list}"))
                };
                if *route == "/v1/events" || *route == "/v1/changes" || at("nowhere") != path || body.contains("LIST") {
                    let query = if route.starts_with("/v1/events") || route.starts_with("/v1/changes") { "?list=LIST" } else { "" };
                    let asked = async |list: &str| {
                        let answered =
                            send(method, &format!("{}{}", at(list), query.replace("LIST", list)), &body.replace("LIST", list)).await;
                        (answered.status, answered.json()["detail"].as_str().unwrap_or_default().replace(list, "LIST"))
                    };
                    let (hidden, nowhere) = (asked("other.hidden").await, asked("never.heard").await);
                    assert_eq!(hidden, nowhere, "{method} {path} {body}");
                    assert!((400..500).contains(&hidden.0), "{method} {path} {body} {hidden:?}");
                }
            }
        }
    }
    assert_eq!(bench.get("/v1/lists/never.heard").await.status, 404, "and nothing was made of a list that is not there");
    let known = async |address: &str| send("GET", &format!("/v1/addresses/{address}"), "").await.json()["known"].clone();
    assert_eq!((known("jane@example.org").await, known("@never.example").await), ("known".into(), "never".into()));
    let fresh = bench.key_of("fresh", &[Read], Some("acme.daily")).await;
    let answered = bench.send(bench.request("GET", "/v1/addresses/foreign@example.org/why").bearer_auth(fresh)).await.json();
    assert!(answered["known"] == "never" || answered["causes"].as_array().is_some_and(|it| !it.is_empty()), "{answered}");
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let bench = Bench::with(|config| config.http.rate_limit = 3).await;
    let common = bench.key_of("common", &[Read], None).await;
    let own = bench.key_of("own", &[Read], None).await;
    let id = bench.state.store.keys().await.unwrap().iter().find(|it| it.name == "own").unwrap().id;
    bench.state.store.limit_key(id, Some(5)).await.unwrap();
    for (key, limit) in [(&common, 3), (&own, 5)] {
        for _ in 0..limit {
            assert_eq!(bench.send(bench.request("GET", "/v1/codes/550").bearer_auth(key)).await.status, 200);
        }
        let answered = bench.send(bench.request("GET", "/v1/codes/550").bearer_auth(key)).await;
        assert_eq!((answered.status, answered.problem().as_str()), (429, "too-many-requests"));
        let after: u64 = answered.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&after) && answered.text.contains(&format!("{limit} requests")), "{answered:?}");
    }
    assert_eq!(bench.send(bench.request("GET", "/healthz")).await.status, 200);
}

#[tokio::test]
async fn when_a_key_was_last_used_is_known() {
    let bench = Bench::new().await;
    let idle = bench.key_of("idle", &[Read], None).await;
    bench.get("/v1/lists").await;
    let keys = bench.state.store.keys().await.unwrap();
    let used = |name: &str| keys.iter().find(|it| it.name == name).unwrap().last_used_at;
    assert_eq!((used("tester"), used("idle")), (Some(NOW), None));
    assert!(!idle.is_empty());
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
    let operations =
        document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        });
    let mut nowhere = Vec::new();
    references(&document, &mut |it| {
        let name = it.strip_prefix("#/components/schemas/").unwrap_or_else(|| panic!("{it} leads out of the document"));
        if document["components"]["schemas"].get(name).is_none() {
            nowhere.push(name.to_owned());
        }
    });
    assert_eq!(nowhere, [] as [String; 0], "what is named is there");
    let bare: Vec<String> = operations.flat_map(|(name, operation)| without_example(&document, operation, &name)).collect();
    assert_eq!(bare, [] as [String; 0]);
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let about = document["info"]["description"].as_str().unwrap();
    for kind in ProblemKind::ALL {
        assert!(about.contains(&format!("`/problems/{kind}`")), "{kind}");
    }
}

/// Everything that a part of the document refers to.
fn references(part: &Value, found: &mut impl FnMut(&str)) {
    if let Some(reference) = part["$ref"].as_str() {
        found(reference);
    }
    let (items, fields) = (part.as_array().into_iter().flatten(), part.as_object().into_iter().flat_map(|it| it.values()));
    items.chain(fields).for_each(|it| references(it, found));
}

/// Parameters, bodies and answers without an example: whoever reads the description sees what goes over the wire.
fn without_example(document: &Value, operation: &Value, name: &str) -> Vec<String> {
    let shows = |content: &Value| {
        let schema = &content["schema"];
        // What may be left out is one of two, itself or null.
        let schema = schema["oneOf"].get(0).unwrap_or(schema);
        let of_reference = schema["$ref"].as_str().map(|it| &document["components"]["schemas"][it.rsplit('/').next().unwrap()]);
        let schema = of_reference.unwrap_or(schema);
        content.get("example").is_some() || ["example", "examples", "enum"].iter().any(|it| schema.get(it).is_some())
    };
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.filter(|it| it.get("example").is_none() && !shows(it)).map(|it| it["name"].to_string());
    let answers = operation["responses"].as_object().unwrap().values().filter_map(|it| it["content"].as_object());
    let contents = operation["requestBody"]["content"].as_object().into_iter().chain(answers).flatten();
    let contents = contents.filter(|(_, content)| !shows(content)).map(|(media_type, content)| format!("{media_type} {content}"));
    parameters.chain(contents).map(|it| format!("{name}: {it}")).collect()
}

#[tokio::test]
async fn the_page_comes_from_here() {
    let bench = Bench::new().await;
    let home = bench.send(bench.request("GET", "/docs")).await;
    assert_eq!((home.status, home.header("location")), (308, "/docs/"));
    let page = bench.send(bench.request("GET", "/docs/")).await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.text.contains("<title>Rebound API</title>"), "{page:?}");
    let initializer = bench.send(bench.request("GET", "/docs/swagger-initializer.js")).await;
    assert!(initializer.text.contains("/openapi.json") && initializer.text.contains("\"validatorUrl\": \"none\""), "{initializer:?}");
    for text in [&page.text, &initializer.text] {
        assert!(!text.contains("//cdn") && !text.contains("https://unpkg"), "{text}");
    }
    assert_eq!(bench.send(bench.request("GET", "/docs/nothing.js")).await.problem(), "not-found");
}
