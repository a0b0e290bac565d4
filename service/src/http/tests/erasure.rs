//! Erasing an address over HTTP.

use serde_json::json;

use super::*;

const JANE: &str = "/v1/addresses/jane@example.org";

async fn delete(bench: &Bench, query: &str, key: &str) -> Answered {
    bench.send(bench.request("DELETE", &format!("{JANE}{query}")).bearer_auth(key)).await
}

#[tokio::test]
async fn erase_then_check_still_blocks() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let done = delete(&bench, "", &bench.key).await.json();
    assert_eq!(
        (&done["known"], &done["block"], &done["receipts"], &done["events"]),
        (&"known".into(), &"kept".into(), &1.into(), &1.into())
    );
    assert_eq!((&done["standing"][0]["cause"], &done["standing"][0]["list"]), (&"hard".into(), &"acme".into()));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("hard"));
    assert_eq!(bench.metric("rebound_subjects_erased_total{block=\"kept\"}"), 1);

    let history = bench.get(JANE).await.json();
    assert_eq!(history["known"], "erased");
    let said = history["events"][0]["diagnostic"].as_str().unwrap();
    assert!(said.contains("User unknown") && !said.contains("jane"), "{said}");
    for feed in ["/v1/events", "/v1/changes"] {
        let page = bench.get(feed).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.iter().all(|it| it["recipient"] == json!(null)), "{feed} {page}");
    }
    let changes = bench.get("/v1/changes").await.json();
    let last = changes["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["change"], &last["list"], &last["actor"]), (&"erased".into(), &"acme".into(), &"tester".into()));
    assert_eq!(last["subject_id"], changes["items"][0]["subject_id"], "by which a mirror knows whom to drop");

    let why = bench.get(&format!("{JANE}/why")).await.json();
    let told = |it: &Value| it["what"] == "change" && it["summary"] == "the address was erased; by tester";
    assert!(why["story"].as_array().unwrap().iter().any(told), "{why}");

    let again = delete(&bench, "", &bench.key).await.json();
    assert_eq!((&again["known"], &again["receipts"], &again["events"]), (&"erased".into(), &0.into(), &0.into()));
}

#[tokio::test]
async fn a_forgotten_block_does_not_block() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let done = delete(&bench, "?forget_block=true", &bench.key).await.json();
    assert_eq!((&done["block"], &done["standing"][0]["cause"]), (&"forgotten".into(), &"hard".into()));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
    let again = bench.hand_in(HARD).await.json();
    assert_eq!(again["status"], "duplicate", "the bytes that were forgotten do not come back by themselves: {again}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}

#[tokio::test]
async fn what_was_never_heard_of_is_erased_already() {
    let bench = Bench::new().await;
    let done = delete(&bench, "", &bench.key).await;
    assert_eq!((done.status, &done.json()["known"]), (200, &"never".into()));
    let wrong = bench.send(bench.request("DELETE", "/v1/addresses/@example.org").bearer_auth(&bench.key)).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (400, "invalid-address"), "a domain is nobody");
}

#[tokio::test]
async fn a_key_of_one_list_erases_nobody() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let confined = bench.key_of("confined", &[Scope::Admin], Some("acme")).await;
    let refused = delete(&bench, "", &confined).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"));
    assert_eq!(bench.get(JANE).await.json()["known"], "known");
}

/// Posts that the source cannot read, each kept.
async fn not_understood(bench: &Bench, bodies: &[String]) {
    for body in bodies {
        let answered = bench.ask("POST", "/v1/messages?list=acme.weekly", "message/rfc822", body.clone()).await;
        assert_eq!((answered.status, &answered.json()["status"]), (200, &"unrecognised".into()), "{answered:?}");
    }
}

#[tokio::test]
async fn what_was_not_understood_is_searched_too() {
    let bench = Bench::new().await;
    let note = |number: usize, text: &str| format!("From: a@example.com\r\nSubject: note {number}\r\n\r\nAbout {text}.\r\n");
    let named = ["Jane@Example.org", "<jane@example.org>", "b+jane=example.org@lists.example.com"];
    let mut bodies: Vec<String> = (0..45).map(|it| note(it, "john@example.org and maryjane@example.org")).collect();
    bodies.extend(named.iter().enumerate().map(|(number, it)| note(100 + number, it)));
    not_understood(&bench, &bodies).await;

    let told = bench.get(&format!("{JANE}/export?raw=true")).await.json();
    let found = told["receipts_not_understood"].as_array().unwrap();
    assert_eq!((&told["known"], found.len()), (&"never".into(), 3), "{told}");
    assert!(found.iter().all(|it| it["raw_base64"].is_null() && it["is_kept"] == true), "whom else they name nobody knows: {told}");

    let done = delete(&bench, "", &bench.key).await.json();
    assert_eq!((&done["known"], &done["unread"], &done["unread_next"]), (&"never".into(), &3.into(), &json!(null)), "{done}");
    let raw = bench.get(&format!("/v1/receipts/{}/raw", found[0]["receipt_id"].as_str().unwrap())).await;
    assert_eq!((raw.status, raw.problem().as_str()), (404, "not-found"));
    assert_eq!(delete(&bench, "", &bench.key).await.json()["unread"], 0, "twice is once");
    assert_eq!(bench.get(&format!("{JANE}/export")).await.json()["receipts_not_understood"], json!([]));
    let others = bench.get("/v1/addresses/john@example.org/export").await.json();
    assert_eq!(others["receipts_not_understood"].as_array().unwrap().len(), 45, "what names others stays");
}
