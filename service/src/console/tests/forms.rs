//! What a person does by the forms, and what comes of it.

use super::*;

#[tokio::test]
async fn an_address_is_released_blocked_and_erased() {
    let bench = bench().await;
    assert_eq!(bench.hand_in(HARD).await.status, 200);
    let admin = Browser::with(&bench, &bench.key).await;
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("hard"));
    let released = admin
        .post("/console/address/act", &[("address", "jane@example.org"), ("list", "acme"), ("cause", "hard"), ("act", "release")])
        .await;
    assert!(released.status == 200 && released.text.contains("may be mailed"), "{released:?}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
    let fields =
        [("address", "jane@example.org"), ("list", "acme.weekly"), ("act", "block"), ("note", "asked <b>by</b> telephone"), ("days", "7")];
    let blocked = admin.post("/console/address/act", &fields).await;
    assert!(blocked.text.contains("asked &lt;b&gt;by&lt;/b&gt; telephone") && blocked.text.contains("2026-01-08"), "{blocked:?}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("manual_block"));
    let unsure = admin.post("/console/address/erase", &[("address", "jane@example.org")]).await;
    assert_eq!(unsure.status, 400);
    let erased = admin.post("/console/address/erase", &[("address", "jane@example.org"), ("sure", "yes")]).await;
    assert!(erased.status == 200 && erased.text.contains("is erased"), "{erased:?}");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("manual_block"), "its block is kept");
    let known = admin.post("/console/address", &[("address", "jane@example.org")]).await;
    assert!(known.status == 200 && known.text.contains(">erased<"), "whoever knows the address sees its story: {known:?}");
}

#[tokio::test]
async fn an_address_stands_in_no_path() {
    let bench = bench().await;
    assert_eq!(bench.hand_in(HARD).await.status, 200);
    let admin = Browser::with(&bench, &bench.key).await;
    let found = admin.post("/console/address", &[("address", "Jane@Example.ORG")]).await;
    assert_eq!(found.status, 303, "{found:?}");
    assert!(found.header("location").starts_with("/console/address/") && !found.header("location").contains("example"), "{found:?}");
    for path in ["/console", "/console/events", "/console/lists/acme", "/console/faults", found.header("location")] {
        let page = admin.get(path).await;
        assert_eq!(page.status, 200);
        for link in page.text.split("href=\"").skip(1).map(|it| it.split('"').next().unwrap()) {
            assert!(!link.contains('@') && !link.contains("%40") && !link.contains("jane"), "{path} leads to {link}");
        }
    }
}

#[tokio::test]
async fn what_was_not_understood_is_read_again() {
    let bench = bench().await;
    assert_eq!(bench.hand_in("From: a@example.org\r\nSubject: Hello\r\n\r\nJust a letter.\r\n").await.status, 200);
    let admin = Browser::with(&bench, &bench.key).await;
    let page = admin.get("/console/quarantine").await;
    let id =
        page.text.split("name=\"receipt\" value=\"").nth(1).and_then(|it| it.split('"').next()).expect("a receipt to choose").to_owned();
    let again = admin.post("/console/quarantine/retry", &[("receipt", &id)]).await;
    assert!(again.status == 200 && again.text.contains("Read again"), "{again:?}");
    let raw = admin.get(&format!("/console/receipts/{id}/raw")).await;
    assert_eq!((raw.status, raw.header("content-type"), raw.header("x-content-type-options")), (200, "text/plain", "nosniff"), "{raw:?}");
    assert!(raw.header("content-disposition").starts_with("attachment;"), "{raw:?}");
}

#[tokio::test]
async fn the_theme_is_remembered() {
    let bench = bench().await;
    let admin = Browser::with(&bench, &bench.key).await;
    let answered = admin.post("/console/theme", &[("theme", "dark")]).await;
    assert_eq!(cookies(&answered), ["rebound-theme=dark"]);
    let page = bench.send(bench.request("GET", "/console").header("cookie", format!("{}; rebound-theme=dark", admin.cookie))).await;
    assert!(page.text.contains("data-theme=\"dark\""), "{page:?}");
    let page = bench.send(bench.request("GET", "/console").header("cookie", format!("{}; rebound-theme=\"><script>", admin.cookie))).await;
    assert!(page.text.contains("data-theme=\"auto\"") && !page.text.contains("<script"), "{page:?}");
}
