//! Checks, by GET, by JSON and by NDJSON.

use serde_json::json;

use super::*;

async fn bench() -> Bench {
    let bench = Bench::new().await;
    for (path, body) in
        [("acme.weekly/suppressions/jane@example.org", json!({})), ("acme/suppressions/@blocked.example", json!({"note": "partner left"}))]
    {
        assert_eq!(bench.json("PUT", &format!("/v1/lists/{path}"), body).await.status, 200);
    }
    bench
}

#[tokio::test]
async fn one_address_is_answered_with_its_weightiest_cause() {
    let bench = bench().await;
    let answered = bench.get("/v1/check?list=acme.weekly&address=%22Jane%22@EXAMPLE.org").await.json();
    let expected = json!({
        "checked": 1, "invalid": [],
        "suppressed": [{"address": "\"Jane\"@EXAMPLE.org", "normalised": "jane@example.org", "cause": "manual_block", "reason": null,
            "list": "acme.weekly", "by_domain": false, "provisional": false, "since": "2026-01-01T00:30:00Z", "expires_at": null,
            "event_id": null}],
    });
    assert_eq!(answered, expected);
    let clear = json!({"checked": 1, "suppressed": [], "invalid": []});
    assert_eq!(bench.get("/v1/check?list=acme.daily&address=jane@example.org").await.json(), clear);
    assert_eq!(bench.metric("rebound_addresses_checked_total{answer=\"suppressed\"}"), 1);
}

#[tokio::test]
async fn a_domain_blocks_its_addresses_below_its_list() {
    let bench = bench().await;
    let answered = bench.get("/v1/check?list=acme.daily&address=any@blocked.example").await.json();
    let found = &answered["suppressed"][0];
    assert_eq!((&found["list"], &found["by_domain"], found.get("normalised")), (&"acme".into(), &true.into(), None));
    assert_eq!(bench.cause("other", "any@blocked.example").await, None);
}

#[tokio::test]
async fn a_plus_in_the_query_is_a_plus() {
    let bench = bench().await;
    bench.json("PUT", "/v1/lists/acme/suppressions/jane+news@example.org", json!({})).await;
    for address in ["jane+news@example.org", "jane%2Bnews@example.org", "jane%2bnews%40example.org"] {
        assert_eq!(bench.cause("acme", address).await.as_deref(), Some("manual_block"), "{address}");
    }
}

#[tokio::test]
async fn a_bad_address_costs_its_neighbours_nothing() {
    let bench = bench().await;
    let asked =
        json!({"list": "acme.weekly", "addresses": ["nobody", "jane@example.org", 5, null, "a\0@b.example", "john@example.org", ""]});
    let answered = bench.json("POST", "/v1/check", asked).await.json();
    assert_eq!(answered["checked"], 7);
    assert_eq!(answered["suppressed"].as_array().unwrap().len(), 1);
    let invalid: Vec<&Value> = answered["invalid"].as_array().unwrap().iter().map(|it| &it["address"]).collect();
    assert_eq!(invalid, [&json!("nobody"), &json!(null), &json!(null), &json!("a\0@b.example"), &json!("")]);
    assert_eq!(bench.metric("rebound_addresses_checked_total{answer=\"invalid\"}"), 5);
    assert_eq!(bench.metric("rebound_addresses_checked_total{answer=\"clear\"}"), 1);
}

#[tokio::test]
async fn many_addresses_are_answered_in_the_order_asked() {
    let bench = bench().await;
    let mut addresses: Vec<String> = (0..4500).map(|it| format!("reader{it}@example.net")).collect();
    addresses[1] = "x@blocked.example".to_owned();
    addresses[4400] = "jane@example.org".to_owned();
    let answered = bench.json("POST", "/v1/check", json!({"list": "acme.weekly", "addresses": addresses})).await.json();
    let found: Vec<&str> = answered["suppressed"].as_array().unwrap().iter().map(|it| it["address"].as_str().unwrap()).collect();
    assert_eq!((&answered["checked"], found), (&4500.into(), vec!["x@blocked.example", "jane@example.org"]));

    let request = bench.request("POST", "/v1/check?list=acme.weekly").bearer_auth(&bench.key);
    let lines = bench.send(request.header("content-type", "application/x-ndjson").body(addresses.join("\n"))).await;
    let lines: Vec<Value> = lines.text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.iter().filter_map(|it| it["address"].as_str()).collect::<Vec<_>>(), ["x@blocked.example", "jane@example.org"]);
    assert_eq!(lines.last(), Some(&json!({"done": true, "checked": 4500, "suppressed": 2, "invalid": 0})));
}

#[tokio::test]
async fn lines_and_json_are_asked_for_as_one_likes() {
    let bench = bench().await;
    let send = async |path: &str, content_type: &str, accept: &str, body: &str| {
        let request = bench.request("POST", path).bearer_auth(&bench.key).header("content-type", content_type).header("accept", accept);
        bench.send(request.body(body.to_owned())).await
    };
    let lines = "\njane@example.org\r\n\"john@example.org\"\nnobody\n\n";
    let query = "/v1/check?list=acme.weekly";
    let whole = send(query, "application/x-ndjson", "application/json", lines).await;
    assert_eq!((whole.json()["checked"].clone(), whole.json()["invalid"][0]["address"].clone()), (3.into(), "nobody".into()));
    let asked = json!({"list": "acme.weekly", "addresses": ["jane@example.org", "nobody"]}).to_string();
    for (path, content_type, accept, body) in
        [(query, "application/x-ndjson", "*/*", lines), ("/v1/check", "application/json", "application/x-ndjson", &asked)]
    {
        let answered = send(path, content_type, accept, body).await;
        assert_eq!(answered.header("content-type"), "application/x-ndjson");
        let last: Value = serde_json::from_str(answered.text.lines().last().unwrap()).unwrap();
        assert_eq!((&last["done"], &last["suppressed"], &last["invalid"]), (&true.into(), &1.into(), &1.into()));
        assert!(answered.text.contains(r#""error":"the address is not of the form local@domain""#), "{answered:?}");
    }
    let empty = send(query, "application/x-ndjson", "*/*", "").await;
    assert_eq!(empty.json(), json!({"done": true, "checked": 0, "suppressed": 0, "invalid": 0}));
}

#[tokio::test]
async fn a_large_answer_is_compressed_if_asked() {
    let bench = bench().await;
    let addresses: Vec<String> = (0..500).map(|it| format!("reader{it}@blocked.example")).collect();
    let request = bench.request("POST", "/v1/check").bearer_auth(&bench.key).header("accept-encoding", "gzip");
    let body = json!({"list": "acme.weekly", "addresses": addresses}).to_string();
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
}
