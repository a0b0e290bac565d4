//! The feeds and the history of an address.

use serde_json::json;

use super::*;

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().unwrap()
}

#[tokio::test]
async fn a_feed_is_read_page_by_page_and_goes_on() {
    let bench = Bench::new().await;
    for it in 0..5 {
        bench.hand_in(&HARD.replace("jane@", &format!("jane{it}@")).replace("<1@", &format!("<{it}@"))).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("/v1/events?limit=2{after}")).await.json();
        seen.extend(items(&page).iter().map(|it| it["recipient"].as_str().unwrap().to_owned()));
        after = format!("&after={}", page["next"].as_str().unwrap());
        if page["more"] == false {
            break;
        }
        assert_eq!(items(&page).len(), 2);
    }
    assert_eq!(seen, (0..5).map(|it| format!("jane{it}@example.org")).collect::<Vec<_>>());
    assert_eq!(items(&bench.get(&format!("/v1/events?limit=2{after}")).await.json()), [] as [Value; 0]);
    bench.hand_in(&HARD.replace("jane@", "late@").replace("<1@", "<9@")).await;
    let page = bench.get(&format!("/v1/events?limit=2{after}")).await.json();
    assert_eq!(items(&page)[0]["recipient"], "late@example.org");
}

#[tokio::test]
async fn a_mirror_of_a_list_hears_of_what_stands_above_it() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    bench.json("PUT", "/v1/lists/acme.daily/suppressions/john@example.org", json!({})).await;
    bench.json("PUT", "/v1/lists/other/suppressions/joan@example.org", json!({})).await;
    let of = async |query: &str| {
        let page = bench.get(&format!("/v1/changes{query}")).await.json();
        items(&page).iter().map(|it| it["recipient"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("").await, ["jane@example.org", "john@example.org", "joan@example.org"]);
    assert_eq!(of("?list=acme").await, ["jane@example.org", "john@example.org"]);
    assert_eq!(of("?list=acme.weekly").await, ["jane@example.org"]);
    assert_eq!(of("?list=other").await, ["joan@example.org"]);
    let events = bench.get("/v1/events?list=acme.daily").await.json();
    assert_eq!(items(&events), [] as [Value; 0]);
}

#[tokio::test]
async fn the_history_of_an_address_says_why() {
    let bench = Bench::new().await;
    let receipt = bench.hand_in(HARD).await.json()["receipt_id"].clone();
    let history = bench.get("/v1/addresses/JANE@example.org").await.json();
    assert_eq!((&history["address"], &history["known"]), (&"jane@example.org".into(), &"known".into()));
    let (event, suppression, change) = (&history["events"][0], &history["suppressions"][0], &history["changes"][0]);
    assert_eq!((&event["reason"], &event["receipt_id"], &event["list"]), (&"user_unknown".into(), &receipt, &"acme.weekly".into()));
    assert_eq!(event["rules_version"], bench.state.rules.now().version());
    assert!(["rule", "explanation", "advice"].iter().all(|it| event[it].as_str().is_some_and(|it| !it.is_empty())), "{event}");
    assert_eq!(
        (&suppression["cause"], &suppression["event_id"], &suppression["list"]),
        (&"hard".into(), &event["event_id"], &"acme".into())
    );
    assert_eq!((&change["change"], &change["actor"]), (&"added".into(), &"rebound".into()));
    let never = bench.get("/v1/addresses/never@example.org").await.json();
    let nothing = json!({"address": "never@example.org", "known": "never", "suppressions": [], "events": [], "changes": []});
    assert_eq!(never, nothing);
}

#[tokio::test]
async fn a_confined_key_sees_its_part_of_a_history() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    bench.json("PUT", "/v1/lists/other/suppressions/jane@example.org", json!({})).await;
    let seen = async |list: &str| {
        let key = bench.key_of(list, &[Scope::Read], Some(list)).await;
        let history = bench.send(bench.request("GET", "/v1/addresses/jane@example.org").bearer_auth(key)).await.json();
        let count = |it: &str| history[it].as_array().unwrap().len();
        (count("events"), count("suppressions"))
    };
    assert_eq!(seen("acme").await, (1, 1));
    assert_eq!(seen("acme.weekly").await, (1, 1), "what stands above blocks here");
    assert_eq!(seen("acme.daily").await, (0, 1), "the event was said of another list");
    assert_eq!(seen("other").await, (0, 1));
}

#[tokio::test]
async fn each_feed_knows_its_own_cursors() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let events = bench.get("/v1/events").await.json();
    let changes = bench.get("/v1/changes").await.json();
    let (event, change) = (&items(&events)[0], &items(&changes)[0]);
    assert_eq!((&event["revision"], &change["revision"], &event["weight"]), (&1.into(), &1.into(), &"provisional".into()));
    assert!(event["subject_id"].as_str().is_some_and(|it| it.len() == 32) && event["subject_id"] == change["subject_id"]);
    let place = |page: &Value| page["next"].as_str().unwrap().to_owned();
    assert_eq!(bench.get(&format!("/v1/events?after={}", place(&changes))).await.problem(), "invalid-request");
    assert_eq!(bench.get(&format!("/v1/changes?after={}", place(&events))).await.problem(), "invalid-request");
    assert_eq!(bench.get(&format!("/v1/changes?after={}", place(&changes))).await.status, 200);
}
