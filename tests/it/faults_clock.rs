//! The clock of the machine jumps back. What was recorded stays, what comes is taken, and what was put off is not put off for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bounce::kind::Kind;
use harness::{Plan, TestApp, TestBroker, TestDatabase, eventually};
use reqwest::StatusCode;
use service::clock::Clock;
use service::config::AmqpConfig;
use time::Duration;

use crate::relay_fixture::{Outbox, Running, ids, to};

const DSN: &str = include_str!("../../docs/bounce.eml");

/// A clock, and by how much it is set back, in seconds.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let back = Arc::new(AtomicI64::new(0));
    let set = back.clone();
    (Clock::from(move || Clock::system().now() - Duration::seconds(set.load(Ordering::SeqCst))), back)
}

/// Whom the feed of events names, read in small pages.
async fn recipients(app: &TestApp) -> Vec<String> {
    let (mut after, mut read) = (String::new(), Vec::new());
    loop {
        let page = app.read(&format!("/v1/events?limit=2{after}")).await;
        read.extend(page["items"].as_array().unwrap().iter().map(|it| it["recipient"].as_str().unwrap().to_owned()));
        if page["more"] == false {
            return read;
        }
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_loses_nor_repeats_nor_releases() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let (clock, back) = clock();
    let app = Plan::on(database.url()).with_broker(&broker).with_clock(clock).start().await;
    let jumps = [0, 3600, 3 * 86_400, 60, 40 * 86_400];
    for (number, jump) in jumps.iter().enumerate() {
        back.store(*jump, Ordering::SeqCst);
        let message = DSN.replace("jane@", &format!("person{number}@")).replace("weekly-1.jane", &format!("weekly-{number}"));
        for _ in 0..2 {
            assert_eq!(app.post_message(&message).await.status(), StatusCode::OK);
        }
        for earlier in 0..=number {
            assert!(app.is_suppressed(&format!("person{earlier}@corp.example")).await, "{earlier} after {number}");
        }
    }
    // A reader of the feed misses nothing, although what came later says that it was earlier.
    let all: Vec<String> = (0..jumps.len()).map(|it| format!("person{it}@corp.example")).collect();
    // Transactions of other tests hold the feed back.
    eventually("the feed has all in the order in which they came", || async { recipients(&app).await == all }).await;
    let messages = broker.take(2 * jumps.len()).await;
    assert!(messages.iter().all(|it| !it.redelivered));
    app.stop().await;
}

#[tokio::test]
async fn what_was_put_off_before_the_clock_was_set_back_is_tried_all_the_same() {
    let (outbox, mut broker) = (Outbox::postgres().await, TestBroker::new());
    let (clock, back) = clock();
    let committed = outbox.commit(Kind::Delayed, 3).await;
    let relay = Running::start_by(clock, &outbox.store, AmqpConfig { queue: None, ..to(&broker, broker.url()) });
    eventually("all were tried", || async { outbox.rows().await.iter().all(|it| it.attempts > 0) }).await;
    back.store(86_400, Ordering::SeqCst);
    let queue = broker.bind("#").await;
    let mut taken = ids(&broker.take_from(&queue, 3).await);
    taken.sort_unstable_by_key(|it| committed.iter().position(|id| id == it));
    assert_eq!(taken, committed);
    outbox.is_empty_at_last().await;
    relay.stop().await;
}
