//! Diagnoses and codes.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_reply_is_explained() {
    let bench = Bench::new().await;
    let reply = "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown in virtual mailbox table";
    let by_json = bench.json("POST", "/v1/diagnose", json!({"reply": reply})).await.json();
    let by_text = bench.ask("POST", "/v1/diagnose", "text/plain; charset=utf-8", format!("{reply}\r\n")).await.json();
    assert_eq!(by_json, by_text);
    let report = &by_json["reports"][0];
    assert_eq!((&report["bounce_type"], &report["reason"], &report["status"]), (&"hard".into(), &"user_unknown".into(), &"5.1.1".into()));
    assert_eq!((&report["reply"], &report["code"]["code"]), (&550.into(), &"5.1.1".into()));
    for part in ["/evidence/rule", "/evidence/source", "/evidence/matched", "/code/advice", "/meaning/explanation", "/meaning/advice"] {
        assert!(report.pointer(part).and_then(Value::as_str).is_some_and(|it| !it.is_empty()), "{part} in {report}");
    }
}

#[tokio::test]
async fn a_code_alone_names_where_it_is_defined() {
    let bench = Bench::new().await;
    let report = bench.json("POST", "/v1/diagnose", json!({"reply": "552 5.2.3 no"})).await.json()["reports"][0].clone();
    assert_eq!((&report["evidence"]["rule"], &report["evidence"]["matched"]), (&"code.5.2.3".into(), &Value::Null));
    assert!(report["evidence"]["source"].as_str().is_some_and(|it| it.contains("RFC")), "{report}");
}

#[tokio::test]
async fn a_message_is_explained_and_not_recorded() {
    let bench = Bench::new().await;
    let diagnosis = bench.ask("POST", "/v1/diagnose", "message/rfc822", HARD).await.json();
    assert_eq!((&diagnosis["kind"], &diagnosis["dialect"]), (&"bounce".into(), &"postfix".into()));
    assert_eq!(diagnosis["reports"][0]["recipient"], "jane@example.org");
    assert_eq!(bench.get("/v1/addresses/jane@example.org").await.json()["known"], "never");
}

#[tokio::test]
async fn any_bytes_get_a_diagnosis() {
    let bench = Bench::new().await;
    let noise: Vec<u8> = (0..=255).rev().cycle().take(5000).collect();
    for content_type in ["text/plain", "message/rfc822"] {
        assert_eq!(bench.ask("POST", "/v1/diagnose", content_type, noise.clone()).await.status, 200, "{content_type}");
    }
    assert_eq!(bench.json("POST", "/v1/diagnose", json!({"reply": "\0"})).await.status, 200);
}

#[tokio::test]
async fn codes_are_explained_by_themselves_or_their_family() {
    let bench = Bench::new().await;
    for (asked, code) in [("550", "550"), ("5.1.1", "5.1.1"), ("5.7.620", "5.7.606..649"), ("5.1.99", "5.1.x"), ("599", "5xx")] {
        let found = bench.get(&format!("/v1/codes/{asked}")).await.json();
        assert_eq!(found["code"], code, "{asked}");
        assert!(found["advice"].as_str().is_some_and(|it| !it.is_empty()), "{found}");
    }
    let all = bench.get("/v1/codes").await.json();
    let count = |it: &str| all[it].as_array().unwrap().len();
    assert_eq!((count("codes"), count("reasons")), (bounce::classify::codes::codes().all().len(), 34));
}
