//! Told to stop, the service says so first, then takes no more, finishes what it has begun, and is gone within its limit.

use std::collections::BTreeSet;
use std::sync::Arc;

use harness::{Balancer, Installation, Plan, Proxy, TestBroker, TestDatabase, eventually};
use reqwest::header::{CONNECTION, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use std::time::Duration;

const DSN: &str = include_str!("../../docs/bounce.eml");

fn event(recipient: &str) -> String {
    json!({ "type": "hard_bounce", "recipient": recipient, "timestamp": harness::yesterday(), "event_id": recipient }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_and_what_is_new_comes_again() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let wire = Proxy::before(database.url());
    let app =
        Arc::new(Plan::on(wire.url()).with_broker(&broker).with(|it| it.http.shutdown_timeout = Duration::from_mins(1)).start().await);
    // Upkeep commits as well.
    wire.stall_at("insert into receipt");
    let under_way = tokio::spawn({
        let app = app.clone();
        async move { app.post_message(DSN).await }
    });
    eventually("the post is being committed", || async { wire.held() > 0 }).await;

    app.tell_to_stop();
    let client = Client::new();
    let refused = || async {
        let post = client.post(format!("{}/webhooks/bounces", app.address())).bearer_auth("let-me-in");
        post.header("content-type", "message/rfc822").body(DSN).send().await.unwrap()
    };
    eventually("posts are to come again", || async { refused().await.status() == StatusCode::SERVICE_UNAVAILABLE }).await;
    let answer = refused().await;
    assert_eq!((&answer.headers()[RETRY_AFTER], &answer.headers()[CONNECTION]), (&"1".parse().unwrap(), &"close".parse().unwrap()));
    assert!(answer.text().await.unwrap().contains("nothing was recorded"));
    assert_eq!(app.get("/v1/lists").send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK);

    wire.resume();
    let ready = app.get("/readyz").send().await.ok();
    let answer = under_way.await.unwrap();
    assert_eq!((answer.status(), &answer.headers()[CONNECTION]), (StatusCode::OK, &"close".parse().unwrap()));
    // It may have come to its end before it was asked.
    if let Some(ready) = ready {
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json::<Value>().await.unwrap()["status"], "stopping");
    }
    Arc::into_inner(app).unwrap().stop().await;
    // What was committed at the last moment was published too, or waits for the next to do it.
    let rows = database.connect().await;
    let count = |query: &'static str| {
        let rows = &rows;
        async move {
            let row = rows.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.unwrap().unwrap();
            usize::try_from(row.try_get_by_index::<i64>(0).unwrap()).unwrap()
        }
    };
    assert_eq!(count("select count(*) from receipt").await, 1);
    // At least once: what the broker confirmed too late for the table to be told is in both.
    let mut told: BTreeSet<String> = broker.drain().await.into_iter().filter_map(|it| it.message_id).collect();
    let waiting = "select message_id::text as id from outbox";
    let waiting = rows.query_all_raw(Statement::from_string(DbBackend::Postgres, waiting)).await.unwrap();
    told.extend(waiting.iter().map(|it| it.try_get::<String>("", "id").unwrap()));
    assert_eq!(told.len(), 2, "{told:?}");
}

/// A request that never ends does not keep the service for ever, and a second signal not even until the limit.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_and_a_second_signal_ends_it_at_once() {
    let database = TestDatabase::postgres().await;
    let wire = Proxy::before(database.url());
    for (limit, signals) in [("1s", 1), ("1h", 2)] {
        wire.resume();
        let installation = Installation::on(wire.url()).with("HTTP__SHUTDOWN_TIMEOUT", limit).with("INTAKE__COMMIT_TIMEOUT", "25s");
        let mut replica = installation.serve().await;
        let balancer = Balancer::before([replica.address()]);
        let address = replica.address().to_owned();
        let held = wire.held();
        wire.stall_at("insert into receipt");
        let post = async {
            balancer.post("events", "application/json", &event("jane@corp.example")).await;
        };
        let stop = async {
            eventually("the post is being committed", || async { wire.held() > held }).await;
            replica.signal("TERM");
            let closes =
                || async { reqwest::get(format!("{address}/healthz")).await.is_ok_and(|it| it.headers().contains_key(CONNECTION)) };
            if signals == 2 {
                // Two that come at once may be one.
                eventually("it has heard the first", closes).await;
                replica.signal("TERM");
            }
            replica.ended().await
        };
        let (status, ()) = tokio::join!(stop, post);
        assert_eq!(status.code() == Some(130), signals == 2, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_time_of_the_lead_it_serves_and_asks_to_look_away() {
    let database = TestDatabase::postgres().await;
    let installation = Installation::on(database.url()).with("HTTP__SHUTDOWN_LEAD", "20s");
    let mut replica = installation.serve().await;
    let client = Client::new();
    let ready = || async { client.get(format!("{}/readyz", replica.address())).send().await.unwrap() };
    assert_eq!(ready().await.status(), StatusCode::OK);
    replica.signal("TERM");
    eventually("it says that it is stopping", || async { ready().await.status() == StatusCode::SERVICE_UNAVAILABLE }).await;
    assert_eq!(ready().await.json::<Value>().await.unwrap()["status"], "stopping");
    let post = client.post(format!("{}/webhooks/events", replica.address())).bearer_auth("let-me-in");
    let answer = post.header("content-type", "application/json").body(event("jane@corp.example")).send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()[CONNECTION]), (StatusCode::OK, &"close".parse().unwrap()));
    replica.signal("TERM");
    assert_eq!(replica.ended().await.code(), Some(130));
}
