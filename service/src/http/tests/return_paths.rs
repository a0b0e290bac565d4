//! Signed return paths: a bounce that brings one back counts in full, any other only once it cannot be told from a forged one.

use bounce::address::Address;
use time::Duration;

use super::*;

const SECRET: &str = "a secret of sixteen octets or more";

async fn bench() -> Bench {
    Bench::with(|config| config.lists[0].token_keys = vec![format!("k2ab:{SECRET}"), format!("k3ab:{SECRET}")]).await
}

fn token(recipient: &str, at: OffsetDateTime) -> String {
    bounce::token::TokenKey::new("k2ab", "acme.weekly", SECRET).unwrap().mint(&Address::parse(recipient).unwrap(), at)
}

/// The bounce as it comes to an address, with a header in the message that came back.
fn bounce(to: &str, header: &str) -> String {
    HARD.replace("To: bounces@example.com", &format!("To: {to}"))
        .replace("From: news@example.com\r\n", &format!("From: news@example.com\r\n{header}"))
}

async fn attribution(bench: &Bench, message: &str) -> (String, Option<String>) {
    let answered = bench.hand_in(message).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    (answered.json()["events"][0]["attribution"].as_str().unwrap().to_owned(), bench.cause("acme.weekly", "jane@example.org").await)
}

#[tokio::test]
async fn a_bounce_that_brings_its_token_back_blocks_for_good() {
    let sent = NOW - Duration::days(3);
    let path = format!("b+{}@bounces.example.com", token("jane@example.org", sent));
    for (to, header) in [
        (path.as_str(), String::new()),
        (&path.to_uppercase(), String::new()),
        ("bounces@example.com", format!("X-Rebound-Token: {}\r\n", token("jane@example.org", sent))),
        ("bounces@example.com", format!("Return-Path: <{path}>\r\n")),
    ] {
        let bench = bench().await;
        assert_eq!(attribution(&bench, &bounce(to, &header)).await, ("attributed".to_owned(), Some("hard".to_owned())), "{to} {header}");
        let standing = bench.get("/v1/lists/acme.weekly/suppressions/jane@example.org").await.json();
        assert_eq!(standing["causes"][0]["provisional"], false, "{standing}");
    }
}

#[tokio::test]
async fn a_forged_report_changes_nothing_once_the_list_has_a_key() {
    let other = token("bob@example.org", NOW);
    let old = token("jane@example.org", NOW - Duration::days(40));
    for (to, said) in [
        ("bounces@example.com".to_owned(), ""),
        (format!("b+{other}@bounces.example.com"), "it was not made for this recipient"),
        (format!("b+{old}@bounces.example.com"), "longer ago than tokens hold"),
        (format!("b+{}@bounces.example.com", "k9ab".to_owned() + &other[4..]), ""),
    ] {
        let bench = bench().await;
        let answered = bench.hand_in(&bounce(&to, "")).await.json();
        assert_eq!(answered["events"][0]["attribution"], "unattributed", "{answered}");
        assert!(answered["notes"].to_string().contains(said), "{answered}");
        assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None, "{to}");
        // The real one comes later and counts, whatever was forged before.
        let real = bounce(&format!("b+{}@bounces.example.com", token("jane@example.org", NOW)), "");
        assert_eq!(attribution(&bench, &real).await, ("attributed".to_owned(), Some("hard".to_owned())));
    }
    let without = Bench::new().await;
    assert_eq!(attribution(&without, HARD).await, ("unattributed".to_owned(), Some("hard".to_owned())));
    let standing = without.get("/v1/lists/acme.weekly/suppressions/jane@example.org").await.json();
    assert_eq!(standing["causes"][0]["provisional"], true, "{standing}");
}

#[tokio::test]
async fn a_key_of_another_tree_proves_nothing_here() {
    let bench = Bench::with(|config| {
        config.lists[0].token_keys = vec![format!("k2ab:{SECRET}")];
        let mut other = crate::config::ListConfig::new(ListName::parse("other").unwrap());
        other.token_keys = vec![format!("k5ab:{SECRET}")];
        config.lists.push(other);
    })
    .await;
    let jane = Address::parse("jane@example.org").unwrap();
    let foreign = bounce::token::TokenKey::new("k5ab", "other", SECRET).unwrap().mint(&jane, NOW);
    let path = format!("b+{foreign}@bounces.example.com");
    assert_eq!(attribution(&bench, &bounce(&path, "")).await, ("unattributed".to_owned(), None));
    let post = bench.request("POST", "/webhooks/bounces").bearer_auth("letmein").header("content-type", "message/rfc822");
    assert_eq!(bench.send(post.body(bounce(&path, "X-Other: 1\r\n"))).await.status, 200);
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}

#[tokio::test]
async fn a_forged_copy_does_not_move_the_real_one_in_time() {
    let real = bounce(&format!("b+{}@bounces.example.com", token("jane@example.org", NOW)), "");
    let forged = HARD.replace("1 Jan 2026 00:00:00", "1 Jan 2020 00:00:00");
    for messages in [[&real, &forged], [&forged, &real]] {
        let bench = bench().await;
        for message in messages {
            assert_eq!(bench.hand_in(message).await.status, 200);
        }
        let standing = bench.get("/v1/lists/acme.weekly/suppressions/jane@example.org").await.json();
        assert_eq!(standing["causes"][0]["since"], "2026-01-01T00:00:00Z", "{standing}");
    }
}

#[tokio::test]
async fn of_several_recipients_only_the_one_of_the_token_is_proved() {
    let bench = bench().await;
    let second =
        "Final-Recipient: rfc822; bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers";
    let message = bounce(&format!("b+{}@bounces.example.com", token("bob@example.org", NOW)), "")
        .replace("--b\r\nContent-Type: text/rfc822-headers", second);
    assert_eq!(bench.hand_in(&message).await.status, 200);
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
    assert_eq!(bench.cause("acme.weekly", "bob@example.org").await.as_deref(), Some("hard"));
}

#[tokio::test]
async fn the_token_tells_who_was_mailed_where_a_report_names_an_alias() {
    let bench = bench().await;
    let message = bounce(&format!("b+{}@bounces.example.com", token("alias@example.net", NOW)), "To: alias@example.net\r\n");
    assert_eq!(bench.hand_in(&message).await.status, 200);
    assert_eq!(bench.cause("acme.weekly", "alias@example.net").await.as_deref(), Some("hard"));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
}

#[tokio::test]
async fn return_paths_are_made_and_checked_by_the_api() {
    let bench = bench().await;
    let wanted = serde_json::json!({"addresses": ["Jane@Example.org", "nobody"], "domain": "bounces.example.com"});
    let made = bench.json("POST", "/v1/lists/acme.weekly/return-paths", wanted).await.json();
    let path = made["return_paths"][0]["return_path"].as_str().unwrap();
    assert_eq!(path, format!("b+{}@bounces.example.com", token("jane@example.org", NOW)));
    assert_eq!((&made["key"], &made["invalid"][0]["address"]), (&"k2ab".into(), &"nobody".into()));
    let check = |address: &str| serde_json::json!({"return_path": path, "address": address});
    let found = bench.json("POST", "/v1/return-paths/check", check("jane@example.org")).await.json();
    assert_eq!((&found["holds"], &found["list"], &found["key"]), (&true.into(), &"acme.weekly".into(), &"k2ab".into()));
    let found = bench.json("POST", "/v1/return-paths/check", check("bob@example.org")).await.json();
    assert_eq!((&found["holds"], &found["list"]), (&false.into(), &Value::Null));

    let stranger = bench.key_of("stranger", &[Scope::Read], Some("other")).await;
    let request = bench.request("POST", "/v1/return-paths/check").bearer_auth(stranger).header("content-type", "application/json");
    let answered = bench.send(request.body(check("jane@example.org").to_string())).await;
    assert!(!answered.text.contains("acme") && answered.json()["holds"] == false, "{answered:?}");

    let answered = bench.json("POST", "/v1/lists/acme.daily/return-paths", serde_json::json!({"addresses": []})).await;
    assert_eq!((answered.status, answered.problem().as_str()), (409, "conflict"));
    for body in [serde_json::json!({}), serde_json::json!({"addresses": [], "domain": "a b"}), serde_json::json!({"addresses": "x"})] {
        assert_eq!(bench.json("POST", "/v1/lists/acme.weekly/return-paths", body).await.status, 400);
    }
}
