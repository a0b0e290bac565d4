//! What stands on a list, page by page.

use serde_json::json;

use super::*;

/// What is put before, address, list and cause.
const PUT: &[(&str, &str, &str)] = &[
    ("jane@example.org", "acme", "hard"),
    ("john@example.org", "acme", "hard"),
    ("joan@example.org", "acme.weekly", "unsubscribe"),
    ("joan@example.org", "acme.weekly", "complaint"),
    ("@corp.example", "acme.weekly", "manual_block"),
    ("jack@example.org", "acme.daily", "unsubscribe"),
    ("foreign@example.org", "other", "hard"),
];

async fn bench() -> Bench {
    let bench = Bench::new().await;
    for (address, list, cause) in PUT {
        let file = format!("address,list,cause,reason,since\n{address},{list},{cause},user_unknown,2025-12-01T00:00:00Z\n");
        let answered = bench.ask("POST", &format!("/v1/lists/{list}/import"), "text/csv", file).await;
        assert_eq!(answered.status, 202, "{answered:?}");
        let id = answered.json()["import_id"].as_str().unwrap().to_owned();
        while bench.get(&format!("/v1/imports/{id}")).await.json()["state"] == "running" {
            tokio::task::yield_now().await;
        }
    }
    bench
}

fn named(page: &Value) -> Vec<(String, String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or("nobody").to_owned();
    page["items"].as_array().unwrap().iter().map(|it| (text(&it["address"]), text(&it["list"]), text(&it["cause"]))).collect()
}

/// All pages of that many entries.
async fn walk(bench: &Bench, path: &str, limit: usize) -> Vec<(String, String, String)> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("{path}limit={limit}{after}")).await.json();
        let names = named(&page);
        assert!(names.len() <= limit, "{page}");
        all.extend(names);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
        assert!(all.len() < 100, "it goes round in circles: {all:?}");
    }
}

fn of_weekly() -> Vec<(String, String, String)> {
    let mut all: Vec<_> = PUT.iter().filter(|it| matches!(it.1, "acme" | "acme.weekly")).copied().collect();
    all.sort_unstable();
    all.into_iter().map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).collect()
}

#[tokio::test]
async fn pages_of_any_size_hold_each_entry_once_and_in_the_same_order() {
    let bench = bench().await;
    let whole = walk(&bench, "/v1/lists/acme.weekly/suppressions?", 1000).await;
    let mut sorted = whole.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, of_weekly());
    assert!(whole[..3].iter().all(|it| it.1 == "acme.weekly"), "the list itself, then those above: {whole:?}");
    for limit in 1..=6 {
        assert_eq!(walk(&bench, "/v1/lists/acme.weekly/suppressions?", limit).await, whole, "{limit}");
    }
    assert_eq!(walk(&bench, "/v1/lists/acme.weekly/suppressions?own=true&", 1).await, whole[..3]);
    let domain = bench.get("/v1/lists/acme.weekly/suppressions?cause=manual_block").await.json();
    assert_eq!((named(&domain).len(), &domain["items"][0]["by_domain"]), (1, &true.into()));
}

#[tokio::test]
async fn what_changes_meanwhile_costs_no_other_entry() {
    let bench = bench().await;
    let whole = walk(&bench, "/v1/lists/acme.weekly/suppressions?holds=true&", 1000).await;
    let page = bench.get("/v1/lists/acme.weekly/suppressions?holds=true&limit=2").await.json();
    let path = format!("/v1/lists/{}/suppressions/{}?cause={}", whole[1].1, whole[1].0, whole[1].2);
    assert_eq!(bench.send(bench.request("DELETE", &path).bearer_auth(&bench.key)).await.status, 200);
    let next = page["next"].as_str().unwrap();
    let rest = bench.get(&format!("/v1/lists/acme.weekly/suppressions?holds=true&after={next}")).await.json();
    assert_eq!(named(&rest), whole[2..], "it goes on after an entry that no longer fits");
}

#[tokio::test]
async fn every_part_of_a_question_must_fit() {
    let bench = bench().await;
    bench.hand_in(&HARD.replace("jane@", "fresh@")).await;
    bench.json("PUT", "/v1/lists/acme.weekly/suppressions/brief@example.org", json!({"expires_at": "2026-01-01T01:00:00Z"})).await;
    let lifted = bench.request("DELETE", "/v1/lists/acme/suppressions/john@example.org").bearer_auth(&bench.key);
    assert_eq!(bench.send(lifted).await.status, 200);
    for (question, expected) in [
        ("", 7),
        ("cause=hard", 3),
        ("cause=hard&own=true", 0),
        ("cause=hard&holds=true", 2),
        ("holds=false", 1),
        ("holds=false&cause=unsubscribe", 0),
        ("reason=user_unknown&cause=complaint", 1),
        ("reason=mailbox_full", 0),
        ("provisional=true", 1),
        ("provisional=false&cause=hard", 2),
        ("holds=true&cause=manual_block", 2),
    ] {
        let page = bench.get(&format!("/v1/lists/acme.weekly/suppressions?{question}")).await.json();
        assert_eq!((named(&page).len(), &page["next"]), (expected, &Value::Null), "{question} {page}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let bench = bench().await;
    let next = bench.get("/v1/lists/acme.daily/suppressions?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    for wrong in [
        "after=",
        "after=e42.0199c0de7a1170008000000000000001",
        &format!("after={next}"),
        "limit=0",
        "limit=1001",
        "limit=-1",
        "cause=bounced",
        "reason=x",
        "holds=maybe",
        "provisional=",
        "own=1",
        "page=2",
    ] {
        let answered = bench.get(&format!("/v1/lists/acme.weekly/suppressions?{wrong}")).await;
        assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-request"), "{wrong} {answered:?}");
    }
    assert_eq!(bench.get("/v1/lists/nowhere/suppressions").await.problem(), "not-found");
}

#[tokio::test]
async fn a_page_shows_nothing_of_what_the_key_does_not_reach_and_nobody_who_was_erased() {
    let bench = bench().await;
    let key = bench.key_of("confined", &[Scope::Read], Some("acme.daily")).await;
    let ask = async |list: &str| bench.send(bench.request("GET", &format!("/v1/lists/{list}/suppressions")).bearer_auth(&key)).await;
    for list in ["acme", "acme.weekly", "other", "nowhere"] {
        assert_eq!(ask(list).await.status, 404, "{list}");
    }
    let page = ask("acme.daily").await;
    assert!(page.status == 200 && !page.text.contains("joan@") && !page.text.contains("foreign@"), "{page:?}");
    assert_eq!(bench.send(bench.request("DELETE", "/v1/addresses/jane@example.org").bearer_auth(&bench.key)).await.status, 200);
    let page = bench.get("/v1/lists/acme/suppressions").await;
    assert!(!page.text.contains("jane"), "{page:?}");
    let erased: Vec<Value> = page.json()["items"].as_array().unwrap().iter().filter(|it| it["address"].is_null()).cloned().collect();
    assert_eq!(erased.len(), 1, "{page:?}");
    assert!(erased[0]["holds"] == true && erased[0]["subject_id"].as_str().is_some_and(|it| it.len() == 32), "{erased:?}");
}
