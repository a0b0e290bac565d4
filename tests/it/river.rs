//! The main job, end to end: a bounce comes in by HTTP, the list changes, the event goes out, and whatever fails on the way
//! loses nothing.

use harness::{Plan, Proxy, TestApp, TestBroker, TestDatabase, eventually};
use reqwest::StatusCode;
use service::telemetry::RelayState;

/// The report that the README posts. It has no date, so it happened when it came in.
const DSN: &str = include_str!("../../docs/bounce.eml");
/// Whom that report is about.
const GONE: &str = "jane@corp.example";

fn message_for(address: &str) -> String {
    DSN.replace(GONE, address)
}

/// How many events the feed comes to serve. A page ends before the oldest transaction that runs anywhere on the server, and other
/// tests run there too; so this waits for the first, and counts what there is.
async fn events(app: &TestApp) -> usize {
    let count = async || app.read("/v1/events").await["items"].as_array().map_or(0, Vec::len);
    eventually("an event in the feed", || async { count().await > 0 }).await;
    count().await
}

async fn status_of(app: &TestApp, body: String) -> StatusCode {
    app.post_webhook("ses", body).await.status()
}

/// The addresses that suppression messages speak of, sorted.
async fn published(broker: &TestBroker, count: usize) -> Vec<String> {
    let mut keys: Vec<String> =
        broker.take(count).await.into_iter().map(|it| it.body["data"]["recipient"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn a_bounce_comes_in_the_list_changes_the_event_goes_out() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let app = Plan::on(database.url()).with_broker(&broker).start().await;
    assert!(!app.is_suppressed(GONE).await);

    let answer = app.post_message(DSN).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(app.is_suppressed(GONE).await);

    let messages = broker.take(2).await;
    let keys: Vec<&str> = messages.iter().map(|it| it.routing_key.as_str()).collect();
    assert_eq!(keys, ["event.bounce.user_unknown.acme.weekly", "suppression.added.hard.acme"]);
    for message in &messages {
        assert!(message.persistent);
        assert_eq!(message.content_type.as_deref(), Some("application/cloudevents+json"));
        assert_eq!(message.body["specversion"], "1.0");
        assert_eq!(message.body["data"]["recipient"], GONE);
    }
    assert_eq!(events(&app).await, 1);
    let metrics = app.metrics().await;
    assert!(metrics.contains("rebound_receipts_stored_total{"), "{metrics}");
    app.stop().await;
}

#[tokio::test]
async fn the_same_post_ten_times_is_one_event() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let app = Plan::on(database.url()).start().await;
        let body = app.ses_bounce("jane@example.org", "feedback-1");
        let posts = (0..10).map(|_| status_of(&app, body.clone()));
        assert_eq!(futures_util::future::join_all(posts).await, [StatusCode::OK; 10]);
        assert_eq!(events(&app).await, 1);
        assert!(app.is_suppressed("jane@example.org").await);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_forged_post_does_nothing() {
    let database = TestDatabase::sqlite();
    let app = Plan::on(database.url()).start().await;
    let forged = app.ses_bounce("jane@example.org", "feedback-1").replace("jane@", "john@");
    assert_eq!(status_of(&app, forged).await, StatusCode::UNAUTHORIZED);
    assert!(!app.is_suppressed("john@example.org").await);
    app.stop().await;
}

#[tokio::test]
async fn the_broker_may_come_later() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let proxy = Proxy::refusing(broker.url());
    let app = Plan::on(database.url()).with_broker_at(&broker, proxy.url()).start().await;
    assert_eq!(app.post_message(DSN).await.status(), StatusCode::OK);
    assert!(app.is_suppressed(GONE).await, "the list does not wait for the broker");
    proxy.resume();
    assert_eq!(published(&broker, 2).await, [GONE, GONE]);
    app.relay_is(RelayState::Connected).await;
    app.stop().await;
}

#[tokio::test]
async fn a_database_cut_in_the_middle_is_503_and_nothing_is_half_written() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(database.url());
    let app = Plan::on(proxy.url()).start().await;
    proxy.stall_at("COMMIT");
    let post = app.post_message(DSN);
    let cut = async {
        eventually("the commit is on the wire", || async { proxy.held() > 0 }).await;
        proxy.refuse();
    };
    let (answer, ()) = tokio::join!(post, cut);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    proxy.resume();
    assert!(!app.is_suppressed(GONE).await);
    assert_eq!(app.read("/v1/events").await["items"].as_array().map(Vec::len), Some(0));
    assert_eq!(app.post_message(DSN).await.status(), StatusCode::OK, "coming again helps");
    assert!(app.is_suppressed(GONE).await);
    app.stop().await;
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_made_good_by_coming_again() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let proxy = Proxy::before(database.url());
    let app = Plan::on(proxy.url()).with_broker(&broker).start().await;
    proxy.stall_answers_to("COMMIT");
    let cut = async {
        eventually("the answer is on the wire", || async { proxy.held() > 0 }).await;
        proxy.refuse();
    };
    let (answer, ()) = tokio::join!(app.post_message(DSN), cut);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "nobody can know that it was committed");
    proxy.resume();
    let again = app.post_message(DSN).await;
    assert_eq!(again.status(), StatusCode::OK, "{}", again.text().await.unwrap());
    assert_eq!(events(&app).await, 1);
    assert_eq!(published(&broker, 2).await, [GONE, GONE]);
    app.stop().await;
}

#[tokio::test]
async fn two_replicas_on_one_database_are_one_service() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let (one, two) =
        tokio::join!(Plan::on(database.url()).with_broker(&broker).start(), Plan::on(database.url()).with_broker(&broker).start());
    let people: Vec<String> = (0..20).map(|it| format!("person{it}@example.org")).collect();
    let posts = people.iter().flat_map(|it| [(&one, it), (&two, it)]).map(|(app, it)| app.post_message_owned(message_for(it)));
    assert!(futures_util::future::join_all(posts).await.iter().all(|it| *it == StatusCode::OK));
    for person in &people {
        assert!(two.is_suppressed(person).await);
    }
    let mut expected: Vec<String> = people.iter().flat_map(|it| [it.clone(), it.clone()]).collect();
    expected.sort();
    assert_eq!(published(&broker, 40).await, expected, "each event and each change once");
    let states = [one.relay_state().await, two.relay_state().await];
    assert!(states.contains(&"connected".to_owned()) && states.contains(&"standby".to_owned()), "{states:?}");
    one.stop().await;
    two.stop().await;
}
