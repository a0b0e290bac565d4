//! Everything about one person, for that person.

use data_encoding::BASE64;

use super::*;

const JANE: &str = "/v1/addresses/jane@example.org/export";

#[tokio::test]
async fn everything_that_is_held_is_told() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let weaker = HARD.replace("5.1.1", "5.0.0").replace("User unknown", "no");
    bench.hand_in(&weaker).await;
    bench.json("PUT", "/v1/lists/acme/suppressions/jane@example.org", serde_json::json!({"note": "by hand"})).await;

    let told = bench.get(JANE).await.json();
    assert_eq!((&told["address"], &told["known"]), (&"jane@example.org".into(), &"known".into()));
    let count = |it: &str| told[it].as_array().unwrap().len();
    assert_eq!((count("events"), count("suppressions"), count("receipts")), (1, 2, 2), "the copy that merged is a receipt too: {told}");
    assert!(told["changes"].as_array().unwrap().iter().any(|it| it["note"] == "by hand"), "{told}");
    assert!(told["receipts"].as_array().unwrap().iter().all(|it| it["raw_base64"].is_null() && it["is_kept"] == true), "{told}");

    let raw = bench.get(&format!("{JANE}?raw=true")).await.json();
    let bodies: Vec<Vec<u8>> = raw["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| BASE64.decode(it["raw_base64"].as_str().unwrap().as_bytes()).unwrap())
        .collect();
    assert_eq!(bodies, [HARD.as_bytes(), weaker.as_bytes()]);
}

#[tokio::test]
async fn what_tells_of_others_is_described_only() {
    let bench = Bench::new().await;
    let second =
        "Final-Recipient: rfc822; john@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers";
    bench.hand_in(&HARD.replacen("--b\r\nContent-Type: text/rfc822-headers", second, 1)).await;
    let told = bench.get(&format!("{JANE}?raw=true")).await.json();
    let receipt = &told["receipts"][0];
    assert_eq!((&receipt["tells_of_others"], &receipt["raw_base64"]), (&true.into(), &Value::Null), "{told}");
    assert!(!told.to_string().contains("john"), "{told}");
}

#[tokio::test]
async fn of_a_stranger_and_of_somebody_erased_there_is_little_to_tell() {
    let bench = Bench::new().await;
    assert_eq!(bench.get(JANE).await.json()["known"], "never");
    bench.hand_in(HARD).await;
    bench.send(bench.request("DELETE", "/v1/addresses/jane@example.org").bearer_auth(&bench.key)).await;
    let mut told = bench.get(&format!("{JANE}?raw=true")).await.json();
    assert_eq!((&told["known"], &told["receipts"][0]["is_kept"]), (&"erased".into(), &false.into()), "{told}");
    // The question itself is all that names the person.
    told["address"] = Value::Null;
    assert!(!told.to_string().contains("jane"), "{told}");
}

#[tokio::test]
async fn a_key_of_one_list_is_told_nothing() {
    let bench = Bench::new().await;
    let confined = bench.key_of("confined", &[Scope::Admin], Some("acme")).await;
    let refused = bench.send(bench.request("GET", JANE).bearer_auth(&confined)).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn what_imports_said_again_is_told() {
    let bench = Bench::new().await;
    for file in ["jane@example.org\n", "jane@example.org\njohn@example.org\n"] {
        let answered = bench.ask("POST", "/v1/lists/acme/import", "text/plain", file).await;
        let id = answered.json()["import_id"].as_str().unwrap().to_owned();
        while bench.get(&format!("/v1/imports/{id}")).await.json()["state"] == "running" {
            tokio::task::yield_now().await;
        }
    }
    let told = bench.get(JANE).await.json();
    let [again] = &told["imported_again"].as_array().unwrap()[..] else { panic!("{told}") };
    let said = told["changes"].as_array().unwrap().iter().find(|it| it["act"] == "import").unwrap();
    assert_eq!(again["change_id"], said["change_id"], "{told}");
    assert_ne!(again["import_id"], said["import_id"], "{told}");
}
