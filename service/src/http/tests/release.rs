//! Release of many at once.

use serde_json::json;

use super::*;

async fn bench() -> Bench {
    let bench = Bench::new().await;
    for (number, address) in ["jane@corp.example", "john@corp.example", "joan@other.example"].iter().enumerate() {
        bench.hand_in(&HARD.replace("jane@example.org", address).replace("<1@", &format!("<{number}@"))).await;
    }
    bench.json("PUT", "/v1/lists/acme/suppressions/hand@corp.example", json!({})).await;
    bench
}

async fn release(bench: &Bench, body: Value) -> Value {
    let answered = bench.json("POST", "/v1/lists/acme/release", body).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    answered.json()
}

#[tokio::test]
async fn a_look_says_what_would_be_released_and_does_nothing() {
    let bench = bench().await;
    let looked = release(&bench, json!({"reason": "user_unknown"})).await;
    assert_eq!(
        (&looked["dry_run"], &looked["matched"], &looked["released"], &looked["bulk_id"]),
        (&true.into(), &3.into(), &0.into(), &Value::Null)
    );
    assert_eq!(looked["by"], json!([{"cause": "hard", "reason": "user_unknown", "count": 3}]));
    let mut sample: Vec<&str> = looked["sample"].as_array().unwrap().iter().map(|it| it["address"].as_str().unwrap()).collect();
    sample.sort_unstable();
    assert_eq!(sample, ["jane@corp.example", "joan@other.example", "john@corp.example"]);
    assert_eq!(bench.cause("acme.weekly", "jane@corp.example").await.as_deref(), Some("hard"));
}

#[tokio::test]
async fn what_fits_is_released_and_audited_under_one_id_and_sticks() {
    let bench = bench().await;
    let done = release(&bench, json!({"domains": ["Corp.Example"], "dry_run": false, "note": "their server was broken"})).await;
    assert_eq!((&done["matched"], &done["released"], &done["more"]), (&2.into(), &2.into(), &false.into()));
    assert_eq!(bench.cause("acme.weekly", "jane@corp.example").await, None);
    assert_eq!(bench.cause("acme.weekly", "joan@other.example").await.as_deref(), Some("hard"));
    assert_eq!(bench.cause("acme.weekly", "hand@corp.example").await.as_deref(), Some("manual_block"), "put by hand");
    let history = bench.get("/v1/addresses/jane@corp.example").await.json();
    let changes: Vec<&Value> = history["changes"].as_array().unwrap().iter().filter(|it| it["import_id"] == done["bulk_id"]).collect();
    assert_eq!(changes.len(), 2, "{history}");
    assert!(changes.iter().all(|it| it["actor"] == "tester"), "{changes:?}");
    assert!(changes.iter().any(|it| it["act"] == "release" && it["cause"] == "hard" && it["note"] == "their server was broken"));
    bench.hand_in(&HARD.replace("jane@example.org", "jane@corp.example").replace("<1@", "<late@")).await;
    assert_eq!(bench.cause("acme.weekly", "jane@corp.example").await, None, "an older failure that comes late");
    let again = release(&bench, json!({"domains": ["corp.example"], "dry_run": false})).await;
    assert_eq!((&again["matched"], &again["released"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn every_part_of_a_selection_must_fit() {
    let bench = bench().await;
    let rule = bench.get("/v1/addresses/jane@corp.example").await.json()["events"][0]["rule"].clone();
    for (selection, expected) in [
        (json!({"cause": "hard"}), 3),
        (json!({"cause": "soft"}), 0),
        (json!({"cause": "manual_block"}), 1),
        (json!({"reason": "mailbox_full"}), 0),
        (json!({"rule": rule}), 3),
        (json!({"rule": "nobody.knows"}), 0),
        (json!({"since": "2025-12-31T00:00:00Z"}), 3),
        (json!({"since": "2026-02-01T00:00:00Z"}), 0),
        (json!({"until": "2025-12-31T00:00:00Z"}), 0),
        (json!({"until": "2026-02-01T00:00:00Z", "domains": ["other.example", "nowhere.example"]}), 1),
        (json!({"import_id": "0199c0de-7a11-7000-8000-000000000001"}), 0),
    ] {
        assert_eq!(release(&bench, selection.clone()).await["matched"], expected, "{selection}");
    }
}

#[tokio::test]
async fn a_persons_will_is_released_only_by_its_name() {
    let bench = Bench::with(|config| config.sources.push(source("generic", "generic"))).await;
    bench.hand_in(HARD).await;
    let event = json!({"event_id": "c1", "type": "complaint", "recipient": "jane@example.org", "timestamp": "2026-01-01T00:00:00Z"});
    let post = bench.request("POST", "/webhooks/generic").bearer_auth("letmein").header("content-type", "application/json");
    let posted = bench.send(post.body(event.to_string())).await;
    assert_eq!(posted.status, 200, "{posted:?}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("complaint"));
    let done = release(&bench, json!({"domains": ["example.org"], "dry_run": false})).await;
    assert_eq!(done["by"], json!([{"cause": "hard", "reason": "user_unknown", "count": 1}]));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("complaint"));
    release(&bench, json!({"cause": "complaint", "dry_run": false})).await;
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}

#[tokio::test]
async fn a_release_of_everything_is_refused() {
    let bench = bench().await;
    for body in [json!({}), json!({"dry_run": false}), json!({"dry_run": false, "domains": []})] {
        let answered = bench.json("POST", "/v1/lists/acme/release", body).await;
        assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-body"));
    }
    for body in [json!({"cause": "nonsense"}), json!({"since": "yesterday"}), json!({"domains": ["-"]}), json!({"reasons": "x"})] {
        assert_eq!(bench.json("POST", "/v1/lists/acme/release", body.clone()).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_selection_by_import_lifts_what_the_import_put_and_nothing_beside_it() {
    let bench = bench().await;
    let list = "address,cause\njane@corp.example,import\n";
    let accepted = bench.ask("POST", "/v1/lists/acme/import", "text/csv", list).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.json()["import_id"].as_str().unwrap().to_owned();
    for _ in 0..1000 {
        if bench.get(&format!("/v1/imports/{id}")).await.json()["state"] == "completed" {
            break;
        }
        tokio::task::yield_now().await;
    }
    let causes = async || {
        let standing = bench.get("/v1/lists/acme/suppressions/jane@corp.example").await.json();
        let held = standing["causes"].as_array().unwrap().iter().filter(|it| it["holds"] == true).map(|it| it["cause"].clone());
        held.collect::<Vec<_>>()
    };
    assert_eq!(causes().await.len(), 2);
    let done = release(&bench, json!({"import_id": id, "dry_run": false})).await;
    assert_eq!((&done["matched"], &done["released"]), (&1.into(), &1.into()), "{done}");
    assert_eq!(causes().await, [json!("hard")]);
}
