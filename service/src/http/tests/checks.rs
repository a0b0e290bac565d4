//! Checks, by GET, by JSON and by NDJSON.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn a_bad_line_is_named_and_costs_the_others_nothing() {
    let bench = bench().await;
    let mut body =
        b"\xef\xbb\xbfjane@example.org\n\xff\xfe@example.org\n{\"address\":\"jane@example.org\",\"id\":7}\n{\"mail\":1}\n".to_vec();
    body.extend(b"x".repeat(20_000));
    body.extend(b"\nnobody\n\n[1]\njane@example.org");
    let answered = bench.ask("POST", "/v1/check?list=acme.weekly", "application/x-ndjson", body).await;
    let lines: Vec<Value> = answered.text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.last(), Some(&json!({"done": true, "checked": 8, "suppressed": 3, "invalid": 5})));
    let invalid: Vec<(u64, &str)> =
        lines.iter().filter(|it| it["error"].is_string()).map(|it| (it["line"].as_u64().unwrap(), it["error"].as_str().unwrap())).collect();
    assert_eq!(
        invalid,
        [
            (2, "the line is not UTF-8"),
            (4, "the line is not a JSON object with the text `address`"),
            (5, "the line is too long for an address"),
            (6, "the address is not of the form local@domain"),
            (8, "the address is not of the form local@domain"),
        ]
    );
}

/// A check by NDJSON of which the body is yet to be sent.
async fn open_check(bench: &Bench) -> TcpStream {
    let mut stream = TcpStream::connect(bench.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/check?list=acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        bench.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn send_chunk(stream: &mut TcpStream, text: &str) {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
}

/// Reads on until the answer holds a text.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(wanted) {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn lines_are_answered_while_more_of_them_come() {
    let bench = Bench::with(|config| config.http.max_check = 10).await;
    bench.json("PUT", "/v1/lists/acme/suppressions/@blocked.example", json!({})).await;
    let mut stream = open_check(&bench).await;
    // Two steps and a bit: the answer to the first is due before the last line is sent.
    send_chunk(&mut stream, &format!("first@blocked.example\n{}", "reader@free.example\n".repeat(4500))).await;
    read_until(&mut stream, "first@blocked.example").await;
    send_chunk(&mut stream, "last@blocked.example").await;
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let rest = read_until(&mut stream, "\"done\"").await;
    assert!(rest.contains("last@blocked.example") && rest.contains("\"checked\":4502"), "no bound on lines: {rest}");

    let whole = bench.request("POST", "/v1/check?list=acme").bearer_auth(&bench.key).header("accept", "application/json");
    let whole = bench.send(whole.header("content-type", "application/x-ndjson").body("a@b.example\n".repeat(11))).await;
    assert_eq!((whole.status, whole.problem().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn a_check_that_breaks_off_does_not_say_that_it_is_done() {
    let bench = bench().await;
    let mut stream = open_check(&bench).await;
    send_chunk(&mut stream, &"any@blocked.example\n".repeat(4500)).await;
    let mut said = read_until(&mut stream, "any@blocked.example").await;
    stream.shutdown().await.unwrap();
    stream.read_to_string(&mut said).await.unwrap_or_default();
    assert!(!said.contains("\"done\":true") && !said.ends_with("0\r\n\r\n"), "neither a last line nor a well formed end: {said}");
}

#[tokio::test]
async fn why_is_said_to_who_asks_and_may_know() {
    let bench = bench().await;
    bench.hand_in(&HARD.replace("jane@", "joan@")).await;
    let path = "/v1/check?list=acme.weekly&address=joan@example.org";
    assert_eq!(bench.get(path).await.json()["suppressed"][0].get("why"), None);
    let why = bench.get(&format!("{path}&why=true")).await.json()["suppressed"][0]["why"].clone();
    assert_eq!((&why["event"]["reason"], &why["event"]["recipient"]), (&"user_unknown".into(), &"joan@example.org".into()));
    assert!(why["explanation"].is_string() && why["advice"].is_string(), "{why}");
    let asked = json!({"addresses": ["x@blocked.example", "joan@example.org"]});
    let many = bench.json("POST", "/v1/check?list=acme.weekly&why=true", asked).await.json();
    assert_eq!((&many["suppressed"][0]["why"]["note"], &many["suppressed"][0]["why"]["event"]), (&"partner left".into(), &Value::Null));
    assert_eq!(many["suppressed"][1]["why"]["event"]["reason"], "user_unknown");
    let key = bench.key_of("daily", &[Scope::Read], Some("acme.daily")).await;
    let request = bench.request("GET", "/v1/check?list=acme.daily&address=joan@example.org&why=true").bearer_auth(key);
    let confined = bench.send(request).await;
    assert_eq!(confined.json()["suppressed"][0]["why"]["event"], Value::Null, "it was said of another list");
    assert!(!confined.text.contains("acme.weekly"), "{confined:?}");
}

#[tokio::test]
async fn an_error_names_its_parameter() {
    let bench = bench().await;
    for (path, name) in [
        ("/v1/check?list=acme&address=a@b.example&why=perhaps", "`why`"),
        ("/v1/check?address=a@b.example", "`list`"),
        ("/v1/check?list=acme&adress=a@b.example", "`adress`"),
        ("/v1/check?list=acme&list=acme&address=a@b.example", "`list`"),
        ("/v1/events?limit=many", "`limit`"),
        ("/v1/events?limit=-1", "`limit`"),
        ("/v1/events?limit=1001", "`limit`"),
        ("/v1/events?after=x", "`after`"),
    ] {
        let answered = bench.get(path).await;
        assert_eq!((answered.status, answered.problem().as_str()), (400, "invalid-request"), "{path}");
        assert!(answered.json()["detail"].as_str().unwrap().contains(name), "{answered:?}");
    }
}
