//! What people do to lists.

use serde_json::json;

use super::*;

const JANE: &str = "/v1/lists/acme.weekly/suppressions/jane@example.org";

fn causes(standing: &Value) -> Vec<(&str, bool)> {
    let mut causes: Vec<_> =
        standing["causes"].as_array().unwrap().iter().map(|it| (it["cause"].as_str().unwrap(), it["holds"].as_bool().unwrap())).collect();
    causes.sort_unstable();
    causes
}

#[tokio::test]
async fn a_block_stands_until_it_is_lifted() {
    let bench = Bench::new().await;
    let nothing = bench.get(JANE).await.json();
    assert_eq!(
        nothing,
        json!({"address": "jane@example.org", "list": "acme.weekly", "suppressed": false, "decided_by": null, "causes": []})
    );
    let blocked = bench.json("PUT", JANE, json!({"note": "asked by \0telephone"})).await.json();
    assert_eq!((&blocked["suppressed"], causes(&blocked)), (&true.into(), vec![("manual_block", true)]));
    assert_eq!(blocked["causes"][0]["note"], "asked by ␀telephone");
    assert_eq!(bench.get(JANE).await.json(), blocked);
    assert_eq!(bench.metric("rebound_suppressions_changed_total{cause=\"manual_block\",change=\"added\"}"), 1);
    let lifted = bench.send(bench.request("DELETE", &format!("{JANE}?note=back")).bearer_auth(&bench.key)).await.json();
    assert_eq!((&lifted["suppressed"], causes(&lifted)), (&false.into(), vec![("manual_block", false)]));
    let again = bench.send(bench.request("DELETE", JANE).bearer_auth(&bench.key)).await;
    assert_eq!((again.status, again.problem().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn an_empty_body_blocks_and_the_same_twice_is_the_same() {
    let bench = Bench::new().await;
    let put = async || bench.send(bench.request("PUT", JANE).bearer_auth(&bench.key)).await;
    let (first, second) = (put().await.json(), put().await.json());
    assert_eq!((&first["suppressed"], causes(&first), causes(&second)), (&true.into(), vec![("manual_block", true)], causes(&first)));
}

#[tokio::test]
async fn an_entry_comes_in_the_place_of_its_opposite() {
    let bench = Bench::new().await;
    bench.json("PUT", JANE, json!({"action": "block"})).await;
    let allowed = bench.json("PUT", JANE, json!({"action": "allow"})).await.json();
    assert_eq!((&allowed["suppressed"], causes(&allowed)), (&false.into(), vec![("manual_allow", true), ("manual_block", false)]));
    let blocked = bench.json("PUT", JANE, json!({"action": "block"})).await.json();
    assert_eq!((&blocked["suppressed"], causes(&blocked)), (&true.into(), vec![("manual_allow", false), ("manual_block", true)]));
}

#[tokio::test]
async fn an_allow_is_lifted_by_its_name() {
    let bench = Bench::new().await;
    bench.json("PUT", JANE, json!({"action": "allow"})).await;
    let delete = async |query: &str| bench.send(bench.request("DELETE", &format!("{JANE}{query}")).bearer_auth(&bench.key)).await;
    assert_eq!(delete("").await.status, 404, "a release lifts what blocks, and an allow does not");
    assert_eq!(delete("?cause=manual_block").await.status, 404);
    assert_eq!(causes(&delete("?cause=manual_allow").await.json()), [("manual_allow", false)]);
}

#[tokio::test]
async fn only_an_admin_overrides_consent() {
    let bench = Bench::new().await;
    let entry = json!({"action": "allow", "overrides_consent": true});
    let writer = bench.key_of("writer", &[Scope::Read, Scope::Write], None).await;
    let request = bench.request("PUT", JANE).bearer_auth(writer).header("content-type", "application/json");
    let answered = bench.send(request.body(entry.to_string())).await;
    assert_eq!((answered.status, answered.problem().as_str()), (403, "forbidden"));
    assert_eq!(causes(&bench.get(JANE).await.json()), []);
    let allowed = bench.json("PUT", JANE, entry).await.json();
    assert_eq!((causes(&allowed), &allowed["causes"][0]["overrides_consent"]), (vec![("manual_allow", true)], &true.into()));
}

#[tokio::test]
async fn what_failures_put_is_released_where_it_stands() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("hard"));
    let below = bench.send(bench.request("DELETE", JANE).bearer_auth(&bench.key)).await;
    assert_eq!((below.status, below.problem().as_str(), &below.json()["list"]), (409, "conflict", &"acme".into()));
    let root = JANE.replace("acme.weekly", "acme");
    let released = bench.send(bench.request("DELETE", &root).bearer_auth(&bench.key)).await.json();
    assert_eq!((&released["suppressed"], causes(&released)), (&false.into(), vec![("hard", false)]));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}

#[tokio::test]
async fn a_domain_is_an_entry_like_another() {
    let bench = Bench::new().await;
    let domain = "/v1/lists/acme/suppressions/@example.org";
    let blocked = bench.json("PUT", domain, json!({})).await.json();
    assert_eq!((&blocked["address"], &blocked["suppressed"]), (&"@example.org".into(), &true.into()));
    assert_eq!(bench.cause("acme.weekly", "anyone@example.org").await.as_deref(), Some("manual_block"));
    assert_eq!(bench.get("/v1/addresses/%40example.org").await.json()["suppressions"][0]["cause"], "manual_block");
}

#[tokio::test]
async fn a_note_has_an_end() {
    let bench = Bench::new().await;
    let answered = bench.json("PUT", JANE, json!({"note": "x".repeat(2001)})).await;
    assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-request"));
}

#[tokio::test]
async fn the_audit_names_the_key() {
    let bench = Bench::new().await;
    bench.json("PUT", JANE, json!({"note": "by hand"})).await;
    let history = bench.get("/v1/addresses/jane@example.org").await.json();
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|it| it["actor"] == "tester" && it["note"] == "by hand"), "{changes:?}");
    assert!(changes.iter().any(|it| it["change"] == "act" && it["act"] == "block"), "{changes:?}");
}
