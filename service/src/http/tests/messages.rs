//! Messages handed in by the API.

use super::*;

#[tokio::test]
async fn a_bounce_is_recorded_and_blocks() {
    let bench = Bench::new().await;
    let recorded = bench.hand_in(HARD).await.json();
    assert_eq!((&recorded["status"], &recorded["kind"], &recorded["dialect"]), (&"recorded".into(), &"bounce".into(), &"postfix".into()));
    let (event, change) = (&recorded["events"][0], &recorded["changes"][0]);
    assert_eq!(
        (&event["recipient"], &event["bounce_type"], &event["status"]),
        (&"jane@example.org".into(), &"hard".into(), &"5.1.1".into())
    );
    assert_eq!((&event["occurred_at"], &event["attribution"]), (&"2026-01-01T00:00:00Z".into(), &"unattributed".into()));
    assert_eq!((&change["change"], &change["list"], &change["provisional"]), (&"added".into(), &"acme".into(), &true.into()));
    assert_eq!(change["recipient"], "jane@example.org");
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await.as_deref(), Some("hard"));
    assert_eq!(bench.metric("rebound_receipts_stored_total{outcome=\"new\",source=\"api\"}"), 1);
    let last = bench.metric("rebound_source_last_receipt_timestamp_seconds{source=\"api\"}");
    assert!(last > 0, "when something was handed in last is known, as it is of sources: {last}");
}

#[tokio::test]
async fn messages_by_no_key_or_a_wrong_one_are_counted_as_forged() {
    let bench = Bench::new().await;
    let reader = bench.key_of("reader", &[Scope::Read], None).await;
    for key in ["x", "rbk_0000000000000000000000000000000000000000000", &reader] {
        let request = bench.request("POST", "/v1/messages?list=acme").bearer_auth(key);
        assert!([401, 403].contains(&bench.send(request).await.status), "{key}");
    }
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"api\",why=\"credentials\"}"), 3);
    let request = bench.request("GET", "/v1/check?list=acme&address=a@b.example").bearer_auth("rbk_x");
    assert_eq!(bench.send(request).await.status, 401);
    assert_eq!(bench.metric("rebound_receipts_refused_total{source=\"api\",why=\"credentials\"}"), 3, "a question hands nothing in");
}

#[tokio::test]
async fn the_same_message_twice_is_a_duplicate_however_it_comes() {
    let bench = Bench::new().await;
    let first = bench.hand_in(HARD).await.json();
    let form = format!("--x\r\nContent-Disposition: form-data; name=\"message\"; filename=\"b.eml\"\r\n\r\n{HARD}\r\n--x--\r\n");
    for again in
        [bench.hand_in(HARD).await, bench.ask("POST", "/v1/messages?list=acme.weekly", "multipart/form-data; boundary=x", form).await]
    {
        let again = again.json();
        assert_eq!((&again["status"], &again["receipt_id"]), (&"duplicate".into(), &first["receipt_id"]));
        assert_eq!(again["events"], Value::Array(vec![]));
    }
}

#[tokio::test]
async fn for_another_list_the_same_message_is_another_receipt() {
    let bench = Bench::new().await;
    bench.hand_in(HARD).await;
    let other = bench.ask("POST", "/v1/messages?list=other", "message/rfc822", HARD).await.json();
    assert_eq!(other["status"], "recorded");
    assert_eq!(bench.cause("other", "jane@example.org").await.as_deref(), Some("hard"));
}

#[tokio::test]
async fn what_is_not_understood_is_kept_and_what_says_nothing_is_not() {
    let bench = Bench::new().await;
    let odd = bench.hand_in("Subject: hello\r\n\r\nNothing came back.\r\n").await.json();
    assert_eq!((&odd["status"], odd["receipt_id"].is_string(), &odd["dialect"]), (&"unrecognised".into(), true, &Value::Null));
    let noise: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let noise = bench.ask("POST", "/v1/messages?list=acme", "application/octet-stream", noise).await;
    assert_eq!((noise.status, &noise.json()["status"]), (200, &"unrecognised".into()));
}

#[tokio::test]
async fn nul_and_invalid_utf8_and_the_year_9999_cost_one_field() {
    let bench = Bench::new().await;
    let message = HARD.replace("User unknown", "User\0unknown").replace("1 Jan 2026", "31 Dec 9999");
    let mut message = message.into_bytes();
    let at = message.windows(4).position(|it| it == b"User").unwrap();
    message.splice(at..at, [0xff, 0xfe]);
    let recorded = bench.ask("POST", "/v1/messages?list=acme.weekly", "message/rfc822", message).await;
    let event = &recorded.json()["events"][0];
    assert_eq!((&event["reason"], &event["occurred_at"]), (&"user_unknown".into(), &"2026-01-01T00:30:00Z".into()), "{recorded:?}");
}
