//! Who sees which page. The table names every page; one that is not in it fails the test.

use std::collections::BTreeSet;

use super::*;
use crate::console::routes::ROUTES;
use crate::store::Scope::{Admin, Read, Write};

const ID: &str = "0199c0de-7a11-7000-8000-000000000001";

/// Method, path of the page, a path to ask for, what is filled in, and the scope; none for what everybody sees.
type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], Option<Scope>);

const TABLE: &[Row] = &[
    ("GET", "/console/sign-in", "/console/sign-in", &[], None),
    ("POST", "/console/sign-in", "/console/sign-in", &[("key", "x")], None),
    ("POST", "/console/sign-out", "/console/sign-out", &[], None),
    ("POST", "/console/theme", "/console/theme", &[("theme", "dark")], None),
    ("GET", "/console/assets/{file}", "/console/assets/x", &[], None),
    ("GET", "/console", "/console", &[], Some(Read)),
    ("GET", "/console/events", "/console/events", &[], Some(Read)),
    ("GET", "/console/events/{id}", "/console/events/0199c0de-7a11-7000-8000-000000000001", &[], Some(Read)),
    ("GET", "/console/address", "/console/address", &[], Some(Read)),
    ("POST", "/console/address", "/console/address", &[("address", "jane@example.org")], Some(Read)),
    (
        "POST",
        "/console/address/act",
        "/console/address/act",
        &[("address", "jane@example.org"), ("list", "acme"), ("act", "block")],
        Some(Write),
    ),
    ("POST", "/console/address/erase", "/console/address/erase", &[("address", "jane@example.org"), ("sure", "yes")], Some(Admin)),
    ("GET", "/console/address/{subject}", "/console/address/28dba94685e8032b8667719a1449c84a", &[], Some(Read)),
    ("GET", "/console/lists", "/console/lists", &[], Some(Read)),
    ("GET", "/console/lists/{list}", "/console/lists/acme", &[], Some(Read)),
    ("POST", "/console/lists/{list}/add", "/console/lists/acme/add", &[("address", "jane@example.org"), ("act", "block")], Some(Write)),
    (
        "POST",
        "/console/lists/{list}/remove",
        "/console/lists/acme/remove",
        &[("address", "jane@example.org"), ("act", "release")],
        Some(Write),
    ),
    ("GET", "/console/lists/{list}/export", "/console/lists/acme/export", &[], Some(Read)),
    ("GET", "/console/lists/{list}/import", "/console/lists/acme/import", &[], Some(Write)),
    ("POST", "/console/lists/{list}/import", "/console/lists/acme/import", &[], Some(Write)),
    ("GET", "/console/imports", "/console/imports", &[], Some(Read)),
    ("GET", "/console/imports/{id}", "/console/imports/0199c0de-7a11-7000-8000-000000000001", &[], Some(Read)),
    ("POST", "/console/imports/{id}/confirm", "/console/imports/0199c0de-7a11-7000-8000-000000000001/confirm", &[], Some(Write)),
    ("POST", "/console/imports/{id}/undo", "/console/imports/0199c0de-7a11-7000-8000-000000000001/undo", &[], Some(Write)),
    ("GET", "/console/diagnose", "/console/diagnose", &[], Some(Read)),
    ("POST", "/console/diagnose", "/console/diagnose", &[("text", "550 5.1.1 User unknown")], Some(Read)),
    ("GET", "/console/faults", "/console/faults", &[], Some(Read)),
    ("GET", "/console/quarantine", "/console/quarantine", &[], Some(Read)),
    ("POST", "/console/quarantine/retry", "/console/quarantine/retry", &[("receipt", ID)], Some(Write)),
    ("POST", "/console/outbox/retry", "/console/outbox/retry", &[], Some(Write)),
    ("GET", "/console/receipts/{id}/raw", "/console/receipts/0199c0de-7a11-7000-8000-000000000001/raw", &[], Some(Admin)),
    ("GET", "/console/{rest:.*}", "/console/nowhere", &[], None),
];

#[test]
fn the_table_names_every_page_and_its_scope() {
    let table: BTreeSet<_> = TABLE.iter().map(|(method, path, .., scope)| (*method, *path, *scope)).collect();
    assert_eq!(ROUTES.iter().map(|it| (it.method, it.path, it.scope)).collect::<BTreeSet<_>>(), table);
    assert_eq!(table.len(), ROUTES.len());
}

#[tokio::test]
async fn every_page_asks_for_its_scope_and_for_nothing_else() {
    let bench = bench().await;
    let reader = Browser::of(&bench, "reader", &[Read], None).await;
    let writer = Browser::of(&bench, "writer", &[Read, Write], None).await;
    let admin = Browser::with(&bench, &bench.key).await;
    for (method, _, path, fields, wanted) in TABLE {
        let Some(wanted) = wanted else { continue };
        for cookie in ["", "rebound-session=", "rebound-session=x", &format!("rebound-session={}", "x".repeat(43))] {
            let answered = bench.send(bench.request(method, path).header("cookie", cookie)).await;
            assert_eq!(answered.status, 303, "{method} {path} {answered:?}");
            assert!(answered.header("location").starts_with("/console/sign-in"), "{method} {path} {answered:?}");
            assert!(answered.text.is_empty());
        }
        // A key of the API is no session, and the other way round.
        let answered = bench.send(bench.request(method, path).bearer_auth(&bench.key)).await;
        assert_eq!(answered.status, 303, "{method} {path}");
        for (browser, may) in [(&reader, *wanted == Read), (&writer, *wanted != Admin), (&admin, true)] {
            let answered = if *method == "GET" { browser.get(path).await } else { browser.post(path, fields).await };
            let is_upload = path.ends_with("/import") && *method == "POST";
            match (may, is_upload) {
                (true, false) => assert!(!matches!(answered.status, 401 | 403 | 500..), "{method} {path} {answered:?}"),
                (true, true) => assert_eq!(answered.status, 400, "not an upload: {answered:?}"),
                (false, _) => {
                    assert_eq!(answered.status, 403, "{method} {path} {answered:?}");
                    assert!(answered.text.contains(wanted.as_str()) && answered.text.contains("<h1>"), "{answered:?}");
                }
            }
        }
    }
    let answered = bench.get("/v1/lists").await;
    assert_eq!(answered.status, 200);
    let answered = bench.send(bench.request("GET", "/v1/lists").header("cookie", &admin.cookie)).await;
    assert_eq!(answered.status, 401, "a session opens the console alone");
}

#[tokio::test]
async fn no_form_is_answered_that_no_page_of_ours_sent() {
    let bench = bench().await;
    let admin = Browser::with(&bench, &bench.key).await;
    let other = Browser::of(&bench, "other", &[Admin], None).await;
    let page = admin.get("/console/address").await;
    let stranger = other.get("/console/address").await;
    for (method, _, path, fields, _) in TABLE.iter().filter(|it| it.0 == "POST") {
        for (given, site) in [
            (None, "same-origin"),
            (Some(""), "same-origin"),
            (Some(token(&stranger.text)), "same-origin"),
            (Some(token(&page.text)), "cross-site"),
            (Some(token(&page.text)), "same-site"),
        ] {
            let fields: Vec<_> = given.map(|it| ("token", it)).into_iter().chain(fields.iter().copied()).collect();
            let types: &[&str] = if path.ends_with("/import") {
                &["multipart/form-data; boundary=b"]
            } else {
                &["application/x-www-form-urlencoded", "text/plain"]
            };
            for content_type in types {
                let text = if path.ends_with("/import") { multipart(&fields) } else { body(&fields) };
                let request = bench.request(method, path).header("cookie", &admin.cookie).header("content-type", *content_type);
                let answered = bench.send(request.header("sec-fetch-site", site).body(text)).await;
                assert_eq!(answered.status, 403, "{path} {given:?} {site} {content_type} {answered:?}");
            }
        }
    }
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None, "and nothing was done");
    assert_eq!(admin.get("/console").await.status, 200, "nor was anybody signed out");
}

pub(super) fn multipart(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\njane@example.org\r\n";
    format!("{}{file}--b--\r\n", fields.iter().map(field).collect::<String>())
}

#[tokio::test]
async fn a_key_of_one_tree_neither_reads_nor_learns_of_another() {
    let bench = bench().await;
    bench.state.store.ensure_list("other.covert", None, NOW).await.unwrap();
    let foreign = HARD.replace("jane@", "foreign@").replace("mx.example.net", "mx.covert.example").replace("<1@", "<2@");
    for (list, message) in [("acme.weekly", HARD), ("other.covert", &foreign), ("other.covert", "From: covert@example.org\r\n\r\ncovert")] {
        let path = format!("/v1/messages?list={list}");
        assert_eq!(bench.ask("POST", &path, "message/rfc822", message.to_owned()).await.status, 200);
    }
    let admin = Browser::with(&bench, &bench.key).await;
    let place = admin.post("/console/address", &[("address", "foreign@example.org")]).await.header("location").to_owned();
    let own = admin.post("/console/address", &[("address", "jane@example.org")]).await.header("location").to_owned();
    let events = bench.get("/v1/events?list=other").await.json();
    let (event, receipt) = (events["items"][0]["event_id"].as_str().unwrap(), events["items"][0]["receipt_id"].as_str().unwrap());
    let confined = Browser::of(&bench, "confined", &[Admin], Some("acme")).await;
    for path in [&place, &format!("/console/events/{event}"), &format!("/console/receipts/{receipt}/raw"), "/console/lists/other.covert"] {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
        let answered = confined.get(path).await;
        assert_eq!(answered.status, 404, "{path} {answered:?}");
        // A page may repeat the name that one asked for, and no more.
        assert!(
            !answered.text.replace("other.covert", "").contains("covert.example") && !answered.text.contains("foreign"),
            "{answered:?}"
        );
    }
    assert_eq!(confined.get(&own).await.status, 200);
    let unknown = confined.post("/console/address", &[("address", "foreign@example.org")]).await;
    assert!(unknown.status == 200 && unknown.text.contains("Nothing was ever heard of it"), "{unknown:?}");
    for (.., path, _, _) in TABLE.iter().filter(|it| it.0 == "GET") {
        let answered = confined.get(path).await;
        assert!(!answered.text.contains("covert"), "{path} {answered:?}");
    }
    for path in ["/console/quarantine/retry", "/console/outbox/retry", "/console/address/erase"] {
        let answered = confined.post(path, &[("receipt", receipt), ("address", "foreign@example.org"), ("sure", "yes")]).await;
        assert_eq!(answered.status, 403, "{path}");
    }
}
