//! A provider that sends everything forty-six times, in any order, to three replicas of which each is restarted meanwhile.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use futures_util::StreamExt as _;
use harness::{Answer, Balancer, Installation, Ledger, Replica, TestBroker, TestDatabase, yesterday};
use serde_json::json;
use tokio::sync::mpsc;

/// As often as the busiest of the providers brings an event that it believes was not taken.
const COPIES: usize = 46;
const EVENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn forty_six_copies_in_any_order_count_once() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let installation = Installation::on(database.url()).with_broker_at(&broker, broker.url()).with("HTTP__SHUTDOWN_LEAD", "1s");
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(installation.serve().await);
    }
    let balancer = Arc::new(Balancer::before(replicas.iter().map(Replica::address)));

    let (order, when) = (RandomState::new(), yesterday());
    let mut copies: Vec<(usize, usize)> = (0..EVENTS).flat_map(|event| (0..COPIES).map(move |copy| (event, copy))).collect();
    copies.sort_unstable_by_key(|it| order.hash_one(it));
    let address = |event: usize| format!("person-{event}@corp.example");
    let (taken, mut count) = mpsc::unbounded_channel();
    let posting = tokio::spawn({
        let balancer = balancer.clone();
        async move {
            let post = |(event, copy): (usize, usize)| {
                let (balancer, taken, recipient, when) = (&balancer, taken.clone(), address(event), &when);
                // Every other copy has other bytes: the same fact, and not the same receipt.
                let body =
                    json!({ "type": "hard_bounce", "recipient": recipient, "timestamp": when, "event_id": event.to_string() }).to_string();
                let body = if copy % 2 == 0 { body } else { format!("[{body}]") };
                async move {
                    while !matches!(balancer.post("events", "application/json", &body).await, Answer::Answered(status, _) if status.is_success())
                    {
                    }
                    let _ = taken.send(());
                }
            };
            futures_util::stream::iter(copies).map(post).buffer_unordered(12).collect::<Vec<()>>().await;
        }
    });
    for turn in 0..replicas.len() {
        for _ in 0..EVENTS * COPIES / 5 {
            count.recv().await.unwrap();
        }
        replicas[turn].signal("TERM");
        assert!(replicas[turn].ended().await.success());
        replicas[turn].start_again().await;
        balancer.send_to(replicas.iter().map(Replica::address));
    }
    posting.await.unwrap();
    Ledger::of_copies((0..EVENTS).map(address), 2).balance(&database.connect().await, &broker).await;
}
