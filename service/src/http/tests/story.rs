//! Why, the raw receipts behind it, the lists and their policy.

use serde_json::json;

use super::*;

fn told<'a>(story: &'a Value, what: &str) -> Vec<&'a Value> {
    story["story"].as_array().unwrap().iter().filter(|it| it["what"] == what).collect()
}

#[tokio::test]
async fn the_story_tells_what_came_in_what_it_said_and_what_that_did() {
    let bench = Bench::new().await;
    let receipt = bench.hand_in(HARD).await.json()["receipt_id"].clone();
    bench.json("PUT", "/v1/lists/acme.weekly/suppressions/jane@example.org", json!({"action": "allow", "note": "she called"})).await;
    let root = "/v1/lists/acme/suppressions/jane@example.org?note=mistake";
    bench.send(bench.request("DELETE", root).bearer_auth(&bench.key)).await;
    let story = bench.get("/v1/addresses/Jane@EXAMPLE.org/why").await.json();
    assert_eq!((&story["address"], &story["known"]), (&"jane@example.org".into(), &"known".into()));
    let kinds: Vec<&str> = story["story"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["event", "receipt", "act", "change", "change", "act", "act", "change"].as_slice(), "{story:#}");
    assert_eq!(told(&story, "receipt")[0]["receipt"]["receipt_id"], receipt);
    let event = told(&story, "event")[0];
    assert_eq!(
        (&event["effect"]["effect"], &event["effect"]["cause"], &event["effect"]["list"]),
        (&"put".into(), &"hard".into(), &"acme".into())
    );
    assert_eq!(event["effect"]["summary"], "puts hard on acme, provisionally, until 2026-01-08T00:00:00Z");
    assert!(event["summary"].as_str().unwrap().starts_with("bounce, hard, user_unknown (5.1.1, 550), judged by "), "{event}");
    let acts: Vec<&str> = told(&story, "act").iter().map(|it| it["summary"].as_str().unwrap()).collect();
    assert_eq!(acts, ["tester allowed it: she called", "tester lifted the manual block: mistake", "tester released it: mistake"]);
    let effects: Vec<&str> = told(&story, "act").iter().map(|it| it["effect"]["summary"].as_str().unwrap()).collect();
    assert_eq!(effects, ["puts manual_allow on acme.weekly, for good", "nothing stood that it could lift", "lifts hard on acme"]);
    assert_eq!(story["causes"].as_array().unwrap().iter().filter(|it| it["holds"] == true).count(), 1);
}

#[tokio::test]
async fn strikes_are_counted_and_those_that_do_not_count_say_why() {
    let bench = Bench::new().await;
    let full = HARD.replace("5.1.1", "5.2.2").replace("User unknown", "mailbox full");
    for number in 0..2 {
        bench.hand_in(&full.replace("<1@", &format!("<{number}@"))).await;
    }
    bench.hand_in(&HARD.replace("5.1.1", "5.7.1").replace("User unknown", "blocked using Spamhaus").replace("<1@", "<9@")).await;
    let story = bench.get("/v1/addresses/jane@example.org/why").await.json();
    let effects: Vec<(&str, &str)> = told(&story, "event")
        .iter()
        .map(|it| (it["effect"]["effect"].as_str().unwrap(), it["effect"]["why"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(effects.len(), 3);
    for expected in [("strike", ""), ("ignored", "same_day"), ("ignored", "not_counted")] {
        assert!(effects.contains(&expected), "{expected:?} {effects:?}");
    }
    let strike = told(&story, "event").into_iter().find(|it| it["effect"]["effect"] == "strike").unwrap();
    assert_eq!((&strike["effect"]["strikes"], &strike["effect"]["of"]), (&1.into(), &5.into()));
    assert_eq!(strike["effect"]["summary"], "strike 1 of 5, over 0 days of at least 21: not yet");
}

#[tokio::test]
async fn a_confined_key_hears_its_part_of_the_story() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    bench.json("PUT", "/v1/lists/other/suppressions/jane@example.org", json!({"note": "secret"})).await;
    let heard = async |list: &str| {
        let key = bench.key_of(list, &[Scope::Read], Some(list)).await;
        bench.send(bench.request("GET", "/v1/addresses/jane@example.org/why").bearer_auth(key)).await
    };
    let other = heard("other").await;
    assert!(told(&other.json(), "event").is_empty() && !other.text.contains("acme"), "{other:?}");
    let daily = heard("acme.daily").await;
    assert!(told(&daily.json(), "event").is_empty() && told(&daily.json(), "receipt").is_empty(), "{daily:?}");
    assert_eq!(daily.json()["causes"][0]["cause"], "hard", "what stands above blocks here");
    let weekly = heard("acme.weekly").await;
    assert_eq!(told(&weekly.json(), "event").len(), 1);
    assert!(!weekly.text.contains("secret") && !daily.text.contains("acme.weekly"));
    let unheard = bench.get("/v1/addresses/never@example.org/why").await.json();
    assert_eq!((&unheard["known"], &unheard["story"]), (&"never".into(), &json!([])));
}

#[tokio::test]
async fn a_raw_receipt_is_an_attachment_for_an_admin_who_reaches_its_list() {
    let bench = Bench::new().await;
    let receipt = bench.hand_in(HARD).await.json()["receipt_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/receipts/{receipt}/raw");
    let raw = bench.get(&path).await;
    assert_eq!((raw.status, raw.text.as_str()), (200, HARD));
    assert_eq!((raw.header("content-type"), raw.header("x-content-type-options")), ("text/plain", "nosniff"));
    assert!(raw.header("content-disposition").starts_with("attachment; "), "{raw:?}");
    for (list, status) in [("acme", 200), ("acme.weekly", 200), ("acme.daily", 404), ("other", 404)] {
        let key = bench.key_of(&format!("admin of {list}"), &[Scope::Admin], Some(list)).await;
        let answered = bench.send(bench.request("GET", &path).bearer_auth(key)).await;
        assert_eq!(answered.status, status, "{list}");
    }
    for wrong in ["x", "0199c0de-7a11-7000-8000-000000000001"] {
        assert_eq!(bench.get(&format!("/v1/receipts/{wrong}/raw")).await.problem(), "not-found");
    }
}

#[tokio::test]
async fn what_blocks_by_the_domain_or_from_above_is_shown_at_the_address() {
    let bench = Bench::new().await;
    bench.json("PUT", "/v1/lists/acme/suppressions/@example.org", json!({"note": "partner left"})).await;
    let path = "/v1/lists/acme.weekly/suppressions/jane@example.org";
    let standing = bench.get(path).await.json();
    assert_eq!(standing["decided_by"], json!({"cause": "manual_block", "list": "acme", "by_domain": true}));
    let cause = &standing["causes"][0];
    assert_eq!((&cause["by_domain"], &cause["note"], &cause["list"]), (&true.into(), &"partner left".into(), &"acme".into()));
    let lifted = bench.send(bench.request("DELETE", path).bearer_auth(&bench.key)).await;
    assert_eq!((lifted.status, lifted.problem().as_str(), &lifted.json()["list"]), (409, "conflict", &"acme".into()));
    assert!(lifted.text.contains("@example.org"), "{lifted:?}");
}

#[tokio::test]
async fn a_manual_entry_may_have_an_end() {
    let bench = Bench::new().await;
    let path = "/v1/lists/acme/suppressions/jane@example.org";
    let put = async |end: &str| bench.json("PUT", path, json!({"expires_at": end})).await;
    assert_eq!(put("2026-01-01T00:29:59Z").await.problem(), "invalid-body");
    assert_eq!(put("tomorrow").await.problem(), "invalid-body");
    let blocked = put("2026-02-01T00:00:00Z").await.json();
    assert_eq!((&blocked["suppressed"], &blocked["causes"][0]["expires_at"]), (&true.into(), &"2026-02-01T00:00:00Z".into()));
    let sooner = put("2026-01-02T00:00:00Z").await.json();
    assert_eq!(sooner["causes"][0]["expires_at"], "2026-01-02T00:00:00Z", "the last word counts");
    let check = bench.get("/v1/check?list=acme&address=jane@example.org").await.json();
    assert_eq!(check["suppressed"][0]["expires_at"], "2026-01-02T00:00:00Z");
}

#[tokio::test]
async fn one_cause_is_lifted_by_its_name() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let path = "/v1/lists/acme/suppressions/jane@example.org";
    bench.json("PUT", path, json!({})).await;
    let lifted = bench.send(bench.request("DELETE", &format!("{path}?cause=hard")).bearer_auth(&bench.key)).await.json();
    assert_eq!(lifted["decided_by"]["cause"], "manual_block");
    let again = bench.send(bench.request("DELETE", &format!("{path}?cause=hard")).bearer_auth(&bench.key)).await;
    assert_eq!(again.status, 404);
}

#[tokio::test]
async fn lists_are_made_and_shown() {
    let bench = Bench::new().await;
    let made = bench.json("PUT", "/v1/lists/acme.receipts.eu", json!({"honours": ["hard", "unsubscribe"]})).await.json();
    assert_eq!(
        made,
        json!({"name": "acme.receipts.eu", "above": ["acme.receipts", "acme"], "honours": ["hard", "unsubscribe"], "standing": []})
    );
    bench.json("PUT", "/v1/lists/acme.receipts.eu/suppressions/jane@example.org", json!({})).await;
    let shown = bench.get("/v1/lists/acme.receipts.eu").await.json();
    assert_eq!(shown["standing"], json!([{"cause": "manual_block", "reason": null, "count": 1}]));
    let all = bench.json("PUT", "/v1/lists/acme.receipts.eu", json!({})).await.json();
    assert_eq!((&all["honours"], &all["standing"][0]["count"]), (&Value::Null, &1.into()));
    assert_eq!(bench.json("PUT", "/v1/lists/Acme", json!({})).await.problem(), "invalid-request");
    assert_eq!(bench.json("PUT", "/v1/lists/acme", json!({"honours": ["manual_block"]})).await.problem(), "invalid-body");
    assert_eq!(bench.get("/v1/lists/nowhere").await.problem(), "not-found");
    let key = bench.key_of("confined", &[Scope::Admin], Some("acme.weekly")).await;
    let put = async |list: &str| {
        let request = bench.request("PUT", &format!("/v1/lists/{list}")).bearer_auth(&key);
        bench.send(request.header("content-type", "application/json").body("{}")).await
    };
    for unreached in ["other", "acme.daily", "nowhere"] {
        let answered = put(unreached).await;
        assert_eq!((answered.status, &answered.json()["detail"]), (404, &format!("there is no list named {unreached:?}").into()));
    }
    let below = put("acme.weekly.vienna").await.json();
    assert_eq!(below["above"], json!(["acme.weekly"]), "a list that the key does not reach is not named");
}

#[tokio::test]
async fn the_policy_says_where_each_value_comes_from() {
    let bench = Bench::with(|config| {
        let strikes = |strikes| crate::config::PolicyOverride { strikes: Some(strikes), ..Default::default() };
        config.policy.insert(bounce::classify::reason::Reason::MailboxFull, strikes(4));
        let mut acme = crate::config::ListConfig::new(ListName::parse("acme").unwrap());
        acme.policy.insert(bounce::classify::reason::Reason::Expired, strikes(2));
        config.lists = vec![acme];
    })
    .await;
    let policy = bench.get("/v1/lists/acme.weekly/policy").await.json();
    assert_eq!((&policy["list"], &policy["root"], &policy["provisional_for"]), (&"acme.weekly".into(), &"acme".into(), &"7d".into()));
    let row = |reason: &str| policy["reasons"].as_array().unwrap().iter().find(|it| it["reason"] == reason).unwrap().clone();
    assert_eq!(
        (&row("mailbox_full")["strikes"]["from"], &row("mailbox_full")["window"]),
        (&"[policy]".into(), &json!({"value": "60d", "from": "default"}))
    );
    assert_eq!(row("expired")["strikes"]["from"], "[[list]] acme");
    assert_eq!(row("user_unknown")["lifetime"], json!({"value": "permanent", "from": "default"}));
    assert_eq!(policy["reasons"].as_array().unwrap().len(), 34);
    let other = bench.get("/v1/lists/other/policy").await.json();
    assert!(other["reasons"].as_array().unwrap().iter().all(|it| it["strikes"]["from"] != "[[list]] acme"));
}
