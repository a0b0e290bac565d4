//! Every page of the console on a real Postgres, with what some weeks bring in it: what each of them tells is what came.

use std::fmt::Write as _;

use harness::{Plan, Sight, TestApp, TestBroker, TestDatabase, Visitor, eventually, yesterday};
use reqwest::StatusCode;
use sea_orm::ConnectionTrait as _;
use serde_json::json;

const LETTER: &str = "From: someone@example.net\r\nTo: bounces@example.com\r\nSubject: Hello\r\n\r\nJust a letter.\r\n";
const LISTED: &str = "550 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org; \
                      https://www.spamhaus.org/query/ip/192.0.2.25";
const NOTE: &str = "asked <b>by</b> telephone";

/// Addresses of one receiver whose users are unknown: more than a page has.
const GONE: usize = 56;

/// A bounce that Amazon calls passing, in the words of a receiver.
fn refused(app: &TestApp, to: &str, status: &str, words: &str) -> String {
    let event = json!({
        "eventType": "Bounce",
        "bounce": { "bounceType": "Transient", "bounceSubType": "General", "feedbackId": to, "timestamp": yesterday(),
            "bouncedRecipients": [{ "emailAddress": to, "action": "failed", "status": status, "diagnosticCode": format!("smtp; {words}") }] },
        "mail": { "messageId": format!("m-{to}"), "destination": [to], "timestamp": yesterday() },
    });
    app.sns(&format!("n-{to}"), &event)
}

fn complaint(app: &TestApp, from: &str) -> String {
    let event = json!({
        "eventType": "Complaint",
        "complaint": { "timestamp": yesterday(), "feedbackId": from, "complaintFeedbackType": "abuse",
            "complainedRecipients": [{ "emailAddress": from }] },
        "mail": { "messageId": format!("m-{from}"), "destination": [from], "timestamp": yesterday() },
    });
    app.sns(&format!("n-{from}"), &event)
}

/// A service on Postgres to which everything came that a page can tell of.
async fn filled(database: &TestDatabase) -> TestApp {
    let app = Plan::on(database.url()).start().await;
    let mut posts: Vec<String> = (0..GONE).map(|it| app.ses_bounce(&format!("gone{it}@gone.example"), &format!("gone-{it}"))).collect();
    posts.extend((0..3).map(|it| refused(&app, &format!("blocked{it}@listed.example"), "5.7.1", LISTED)));
    posts.push(refused(&app, "full@small.example", "4.2.2", "452 4.2.2 The email account is over quota"));
    posts.push(complaint(&app, "angry@isp.example"));
    let posted = posts.into_iter().map(|it| app.post_webhook("ses", it));
    for answer in futures_util::future::join_all(posted).await {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(app.post_webhook("ses", "{}".to_owned()).await.status().is_client_error());
    assert_eq!(app.post_message(include_str!("../../docs/bounce.eml")).await.status(), StatusCode::OK);
    assert_eq!(app.post_message(LETTER).await.status(), StatusCode::OK);
    app
}

/// The pages of a filter, and what it led to on each of them.
async fn rows(visitor: &Visitor, path: &str, row: &str, onwards: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        assert!(pages.len() < 10, "{path} goes on for ever");
        let page = visitor.get(&path).await;
        pages.push(page.links(row).into_iter().filter(|it| it.len() > row.len() + 20).collect());
        next = page.link(onwards);
    }
    pages
}

fn counts(pages: &[Vec<String>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

/// Whom a page of an address is about, where the page leads that looks it up.
async fn look_up(visitor: &Visitor, address: &str) -> String {
    let found = visitor.post("/console/address", &[("address", address)]).await;
    assert_eq!(found.status, StatusCode::SEE_OTHER, "{address}: {}", found.text);
    found.location
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_counts_what_came() {
    let database = TestDatabase::postgres().await;
    let app = filled(&database).await;
    let visitor = app.visitor().await;
    let by_reason = visitor.get("/console?by=reason").await;
    by_reason.assert_says(&["Bounces of the last 24 hours, by reason", "User unknown DNSBL listed Mailbox full Other"]);
    for span in ["24h", "7d", "30d"] {
        let page = visitor.get(&format!("/console?span={span}")).await;
        page.assert_says(&[
            // Of the sample one more, of a user who is unknown too.
            "Hard bounces 57",
            "Soft bounces 4",
            "Complaints 1",
            "Unsubscribes 0",
            "Sender faults 3",
            "user unknown recipient 57",
            "DNSBL listed you 3",
            "mailbox full mailbox 1",
            "gone.example 56",
            "listed.example 3",
            "small.example 1",
            "corp.example 1",
            "1 receipt not understood.",
            "3 failures that you can mend.",
            "ses 61",
            "api 2",
            "Outbox 0 messages wait",
            "Database there",
        ]);
        assert!(!page.text.contains("no time to count"), "{}", page.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_what_they_say() {
    let database = TestDatabase::postgres().await;
    let app = filled(&database).await;
    let visitor = app.visitor().await;
    let events = async |query: &str| rows(&visitor, &format!("/console/events?{query}"), "/console/events/", "Older").await;
    let all = events("").await;
    assert_eq!(counts(&all), [50, 12]);
    let mut each: Vec<_> = all.concat();
    each.sort_unstable();
    each.dedup();
    assert_eq!(each.len(), 62, "none stands on two pages");
    for (query, found) in [
        ("kind=bounce&bounce_type=hard", vec![50, 7]),
        ("bounce_type=soft", vec![4]),
        ("kind=complaint", vec![1]),
        ("reason=dnsbl_listed", vec![3]),
        ("reason=user_unknown&domain=gone.example", vec![50, 6]),
        ("domain=listed.example&kind=bounce&attribution=signed&list=acme&span=24h", vec![3]),
        ("domain=nowhere.example", vec![0]),
        ("source=ses&span=30d", vec![50, 11]),
        ("source=api", vec![1]),
        ("list=acme.weekly", vec![50, 12]),
        ("attribution=unattributed", vec![1]),
        ("attribution=attributed", vec![0]),
    ] {
        assert_eq!(counts(&events(query).await), found, "{query}");
    }
    visitor.get("/console/events?domain=nowhere.example").await.assert_says(&["No event fits."]);
    let listed = events("reason=dnsbl_listed").await.concat();
    visitor.get(&listed[0]).await.assert_says(&[
        "soft bounce",
        "@listed.example",
        LISTED,
        "Reason DNSBL listed you",
        "Codes 550 5.7.1",
        "Attribution signed weighs full",
        "What it means",
    ]);
    let raw = visitor.get(&listed[0]).await.link("Download the raw message").unwrap();
    assert!(visitor.get(&raw).await.markup.contains("zen.spamhaus.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_is_told_what_to_mend() {
    let database = TestDatabase::postgres().await;
    let app = filled(&database).await;
    let page = app.visitor().await.get("/console/faults").await;
    page.assert_says(&["Listed on zen.spamhaus.org 3 failures", "By ses.", LISTED, "What to do:", "Receivers: listed.example (3)"]);
    assert!(page.links("https://").contains(&"https://www.spamhaus.org/query/ip/192.0.2.25".to_owned()), "{}", page.markup);
    assert!(!page.text.contains("gone.example") && !page.text.contains("small.example"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_tells_its_story_and_does_what_is_asked() {
    let database = TestDatabase::postgres().await;
    let app = filled(&database).await;
    let visitor = app.visitor().await;
    let place = look_up(&visitor, "gone1@gone.example").await;
    visitor.get(&place).await.assert_says(&[
        "suppressed hard (user unknown) on acme",
        "receipt",
        "hard bounce user unknown 550 5.1.1 by ses, signed",
        "blocks puts hard on acme, for good",
        "Erase this address",
    ]);
    let act = async |fields: &[(&str, &str)]| {
        let fields: Vec<_> = [("address", "gone1@gone.example"), ("list", "acme")].into_iter().chain(fields.iter().copied()).collect();
        let page = visitor.post("/console/address/act", &fields).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        page
    };
    act(&[("act", "release"), ("cause", "hard")]).await.assert_says(&["may be mailed", "hard user unknown acme released"]);
    assert!(!app.is_suppressed("gone1@gone.example").await);
    act(&[("act", "block"), ("note", NOTE)]).await.assert_says(&["suppressed manual block on acme", NOTE]);
    assert!(app.is_suppressed("gone1@gone.example").await);
    let erased = visitor.post("/console/address/erase", &[("address", "gone1@gone.example"), ("sure", "yes")]).await;
    erased.assert_says(&["The address is erased."]);
    assert!(app.is_suppressed("gone1@gone.example").await);
    let unknown = visitor.post("/console/address", &[("address", "nobody@nowhere.example")]).await;
    unknown.assert_says(&["Nothing was ever heard of it"]);
}

/// The page of an import, once it has ended.
async fn ended(visitor: &Visitor, place: &str) -> Sight {
    eventually("the import ends", || async { !visitor.get(place).await.markup.contains("http-equiv=\"refresh\"") }).await;
    visitor.get(place).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_looked_through_imported_and_undone() {
    let database = TestDatabase::postgres().await;
    let app = filled(&database).await;
    let visitor = app.visitor().await;
    visitor.get("/console/lists").await.assert_says(&["acme every cause", "acme.weekly every cause"]);
    let file: String = (0..60).fold("address,cause\nnonsense,hard\n".to_owned(), |mut file, it| {
        writeln!(file, "left{it}@away.example,unsubscribe").unwrap();
        file
    });
    let sent = visitor.upload("/console/lists/acme.weekly/import", &[("mode", "preview")], &file).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let preview = ended(&visitor, &sent.location).await;
    preview.assert_says(&["preview completed into acme.weekly", "Would be added 60", "Refused lines 1", "Nothing was written."]);
    assert!(!app.is_suppressed("left1@away.example").await);
    let confirm = format!("{}/confirm", sent.location);
    let done = visitor.post(&confirm, &[]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    ended(&visitor, &done.location).await.assert_says(&["completed into acme.weekly", "Added 60", "Refused lines 1", "Undo this import"]);
    assert!(app.is_suppressed("left1@away.example").await);
    let again = visitor.post(&confirm, &[]).await;
    assert_eq!((again.status, &again.location), (StatusCode::SEE_OTHER, &done.location), "a file is imported once");
    let added = visitor.post("/console/lists/acme.weekly/add", &[("address", "@evil.example"), ("act", "block"), ("note", NOTE)]).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);

    let entries =
        async |query: &str| counts(&rows(&visitor, &format!("/console/lists/acme.weekly?{query}"), "/console/address/", "Next").await);
    // What holds there: 60 who left, the domain, and at the root 57 who are gone and a complaint.
    for (query, found) in [
        ("", vec![50, 50, 19]),
        ("own=yes", vec![50, 11]),
        ("cause=unsubscribe", vec![50, 10]),
        ("cause=hard&reason=user_unknown", vec![50, 7]),
        ("cause=complaint", vec![1]),
        ("cause=manual_block&own=yes", vec![1]),
        ("cause=soft", vec![0]),
    ] {
        assert_eq!(entries(query).await, found, "{query}");
    }
    visitor
        .get("/console/lists/acme.weekly?cause=manual_block")
        .await
        .assert_says(&["@evil.example manual block blocks acme.weekly", NOTE]);
    let removed = visitor.post("/console/lists/acme.weekly/remove", &[("address", "@evil.example"), ("act", "release")]).await;
    removed.assert_says(&["it may be mailed again."]);
    assert_eq!(entries("cause=manual_block&own=yes&all=yes").await, [1]);
    visitor.get("/console/imports").await.assert_says(&["acme.weekly preview completed", "acme.weekly completed"]);
    assert_eq!(visitor.post(&format!("{}/undo", done.location), &[]).await.status, StatusCode::SEE_OTHER);
    ended(&visitor, &done.location).await.assert_says(&["undone into acme.weekly", "Undone by"]);
    assert!(!app.is_suppressed("left1@away.example").await);
    assert_eq!(entries("cause=unsubscribe").await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_shown_and_tried_again() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    // A broker that is not there: what is to be published waits.
    let app = Plan::on(database.url()).with_broker_at(&broker, "amqp://guest:guest@127.0.0.1:1/%2f").start().await;
    for it in 0..2 {
        assert_eq!(app.post_message(&LETTER.replace("Hello", &format!("Hello {it}"))).await.status(), StatusCode::OK);
    }
    assert_eq!(app.post_message(include_str!("../../docs/bounce.eml")).await.status(), StatusCode::OK);
    let visitor = app.visitor().await;
    let page = visitor.get("/console/quarantine").await;
    page.assert_says(&[
        "unrecognised",
        "api acme.weekly message/rfc822",
        "2 messages wait for the broker.",
        "The broker refused none of them.",
    ]);
    assert_eq!(page.markup.matches("name=\"receipt\"").count(), 2);
    let receipt = page.markup.split("name=\"receipt\" value=\"").nth(1).and_then(|it| it.split('"').next()).unwrap();
    visitor.post("/console/quarantine/retry", &[("receipt", receipt)]).await.assert_says(&["Read again: 1 understood"]);
    assert_eq!(visitor.get("/console/quarantine").await.markup.matches("name=\"receipt\"").count(), 2, "it still says nothing");
    eventually("the relay gives up", || async { visitor.get("/console").await.text.contains("The broker cannot be reached") }).await;

    let db = database.connect().await;
    let refuse = "update outbox set attempts = 3, last_error = 'NO_ROUTE <312>', not_before = now() + interval '5 minutes' \
                  where sequence = (select max(sequence) from outbox)";
    db.execute_unprepared(refuse).await.unwrap();
    visitor.get("/console/quarantine").await.assert_says(&["3 NO_ROUTE <312>"]);
    visitor.post("/console/outbox/retry", &[]).await.assert_says(&["1 message will be tried again at once."]);
    let shown = visitor.post("/console/diagnose", &[("text", LISTED)]).await;
    shown.assert_says(&["soft bounce DNSBL listed you", "Block list zen.spamhaus.org", "Such a failure never blocks the address"]);
    db.close().await.unwrap();
}
