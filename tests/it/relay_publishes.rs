//! The relay when all goes well: everything, in order, promptly, and no more at once than allowed.

use std::time::Duration;

use bounce::kind::Kind;
use harness::{Proxy, TestBroker, TestDatabase, eventually};
use service::config::AmqpConfig;
use service::telemetry::RelayState;

use crate::relay_fixture::{Outbox, Running, everything_in, ids, to};

#[tokio::test]
async fn what_is_committed_is_published_in_order_and_removed() {
    for outbox in [Outbox::postgres().await, Outbox::of(TestDatabase::sqlite()).await] {
        let broker = TestBroker::new();
        let committed = outbox.commit(Kind::Bounce, 100).await;
        assert_eq!(committed.len(), 200);
        // Several rounds of several windows.
        let relay = Running::start(&outbox.store, AmqpConfig { in_flight: 30, batch: 70, ..to(&broker, broker.url()) });
        let messages = broker.take(200).await;
        assert_eq!(ids(&messages), committed);
        outbox.is_empty_at_last().await;
        assert_eq!(everything_in(&broker).await, Vec::<String>::new());
        for (number, it) in messages.iter().enumerate() {
            let key = if number % 2 == 0 { "event.bounce.user_unknown.acme.weekly" } else { "suppression.added.hard.acme" };
            assert_eq!((it.exchange.as_str(), it.routing_key.as_str()), (broker.exchange(), key));
            assert!(it.persistent && it.content_type.as_deref() == Some("application/cloudevents+json"));
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_nobody_announces_is_found_by_the_timer() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let relay = Running::start(&outbox.store, to(&broker, broker.url()));
    relay.is_at_last(RelayState::Connected).await;
    let committed = outbox.commit(Kind::Delayed, 1).await;
    assert_eq!(ids(&broker.take(1).await), committed);
    relay.stop().await;
}

#[tokio::test]
async fn a_message_that_is_announced_does_not_wait_for_the_timer() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let config = AmqpConfig { poll_interval: Duration::from_hours(1), ..to(&broker, broker.url()) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    for _ in 0..3 {
        let committed = outbox.commit(Kind::Delayed, 1).await;
        relay.nudge.notify_one();
        assert_eq!(ids(&broker.take(1).await), committed);
    }
    relay.stop().await;
}

#[tokio::test]
async fn no_more_is_in_flight_than_allowed() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let config = AmqpConfig { in_flight: 7, confirm_timeout: Duration::from_hours(1), ..to(&broker, wire.url()) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    wire.stall_answers();
    let committed = outbox.commit(Kind::Delayed, 50).await;
    eventually("seven messages are in the queue", || async { broker.depth().await == Some(7) }).await;
    // Each look takes longer than handing over all the others would.
    for _ in 0..5 {
        assert_eq!(broker.depth().await, Some(7));
    }
    assert_eq!(outbox.rows().await.len(), 50);
    wire.resume();
    assert_eq!(ids(&broker.take(50).await), committed);
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, Vec::<String>::new());
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_waits_for_what_is_in_flight() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let config = AmqpConfig { in_flight: 20, ..to(&broker, wire.url()) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    wire.stall_answers();
    let committed = outbox.commit(Kind::Delayed, 50).await;
    eventually("the window is in the queue", || async { broker.depth().await == Some(20) }).await;
    relay.tell_to_stop();
    wire.resume();
    relay.ends().await;
    let left: Vec<String> = outbox.rows().await.into_iter().map(|it| it.message_id).collect();
    assert_eq!(left, committed[20..]);
    assert_eq!(everything_in(&broker).await, committed[..20]);
}

#[tokio::test]
async fn without_a_broker_the_relay_is_off_and_ends_when_told() {
    let outbox = Outbox::of(TestDatabase::sqlite()).await;
    let relay = Running::start(&outbox.store, AmqpConfig::for_testing());
    assert_eq!(relay.state(), RelayState::Off);
    relay.stop().await;
}
