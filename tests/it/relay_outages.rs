//! The relay when something is away: nothing is lost, ids stay, and an outage is not an attempt.

use std::time::Duration;

use bounce::kind::Kind;
use harness::{Proxy, TestBroker, eventually};
use sea_orm::ConnectionTrait as _;
use service::clock::Clock;
use service::config::{AmqpConfig, SecretUrl};
use service::store::{Pending, Place};
use service::telemetry::RelayState;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::relay_fixture::{Outbox, Running, everything_in, first_seen, ids, open, to};

#[tokio::test]
async fn a_broker_that_is_absent_at_the_start_may_come_later() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::refusing(broker.url());
    let committed = outbox.commit(Kind::Delayed, 5).await;
    let relay = Running::start(&outbox.store, to(&broker, wire.url()));
    eventually("it was tried twice", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 2.0 }).await;
    eventually("the outbox is measured", || async { relay.shows("rebound_outbox_depth 5") }).await;
    assert!(relay.measured("rebound_outbox_oldest_age_seconds") > 0.0);
    assert_eq!(relay.state(), RelayState::Disconnected);
    assert!(outbox.rows().await.iter().all(|it| it.attempts == 0));
    wire.resume();
    assert_eq!(ids(&broker.take(5).await), committed);
    outbox.is_empty_at_last().await;
    eventually("the outbox is measured again", || async { relay.shows("rebound_outbox_depth 0") }).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_broker_cut_off_in_the_middle_of_a_burst_costs_nothing() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let committed = outbox.commit(Kind::Delayed, 1000).await;
    wire.stall_at(leaked(&committed[450]));
    let relay = Running::start(&outbox.store, to(&broker, wire.url()));
    eventually("the wire holds a message back", || async { wire.held() > 0 }).await;
    wire.refuse();
    relay.is_at_last(RelayState::Disconnected).await;
    let rows = outbox.rows().await;
    assert!(rows.len() > 500 && rows.iter().all(|it| it.attempts == 0), "an outage is not an attempt");

    wire.resume();
    wire.stall_answers_to(leaked(&committed[900]));
    eventually("the wire holds a confirm back", || async { wire.held() > 1 }).await;
    wire.cut();
    outbox.is_empty_at_last().await;
    let seen = everything_in(&broker).await;
    assert_eq!(first_seen(&seen), committed);
    relay.stop().await;
}

#[tokio::test]
async fn a_broker_that_hangs_is_left_and_found_again() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let config = AmqpConfig { confirm_timeout: Duration::from_millis(300), ..to(&broker, wire.url()) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    wire.stall_answers();
    let committed = outbox.commit(Kind::Delayed, 10).await;
    relay.is_at_last(RelayState::Disconnected).await;
    assert!(relay.measured("rebound_messages_published_total{outcome=\"timed_out\"}") >= 1.0);
    assert!(outbox.rows().await.iter().all(|it| it.attempts == 0), "an outage is not an attempt");
    // What was held back for the connection that was left must confirm nothing.
    wire.resume();
    outbox.is_empty_at_last().await;
    assert_eq!(first_seen(&everything_in(&broker).await), committed);
    assert!(wire.accepted() >= 2);
    relay.stop().await;
}

/// Each attempt must end its own socket, and with it the thread that lapin keeps for it.
#[tokio::test]
async fn a_broker_that_accepts_and_says_nothing_is_not_collected() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}/%2f", mute.local_addr().unwrap());
    let config = AmqpConfig { connect_timeout: Duration::from_millis(100), ..to(&broker, &url) };
    let relay = Running::start(&outbox.store, config);
    for _ in 0..2 {
        let (mut client, _) = mute.accept().await.unwrap();
        let mut said = Vec::new();
        let read = tokio::time::timeout(Duration::from_mins(1), client.read_to_end(&mut said));
        read.await.expect("the relay ends the socket").unwrap();
        assert_eq!(said, b"AMQP\x00\x00\x09\x01");
    }
    assert_eq!(relay.state(), RelayState::Disconnected);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_killed_loses_nothing() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let committed = outbox.commit(Kind::Delayed, 300).await;
    wire.stall_answers_to(leaked(&committed[250]));
    let config = to(&broker, wire.url());
    let relay = Running::start(&outbox.store, config.clone());
    eventually("the wire holds a confirm back", || async { wire.held() > 0 }).await;
    relay.kill().await;
    assert!(outbox.rows().await.len() >= 100, "those of the second window are confirmed to nobody");

    wire.cut();
    let relay = Running::start(&outbox.store, config);
    outbox.is_empty_at_last().await;
    let seen = everything_in(&broker).await;
    assert!(seen.len() > 300, "some were in flight and come twice");
    assert_eq!(first_seen(&seen), committed);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_confirmed_while_the_database_is_away_is_not_published_again() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(outbox.database.url());
    let store = open(wire.url()).await;
    let committed = outbox.commit(Kind::Delayed, 20).await;
    wire.stall_at("delete from outbox");
    let relay = Running::start(&store, to(&broker, broker.url()));
    eventually("the wire holds the deletion back", || async { wire.held() > 0 }).await;
    wire.refuse();
    relay.is_at_last(RelayState::Disconnected).await;
    assert_eq!(outbox.rows().await.len(), 20);
    wire.resume();
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, committed);

    // And it goes on.
    let committed = outbox.commit(Kind::Delayed, 3).await;
    assert_eq!(ids(&broker.take(3).await), committed);
    relay.stop().await;
}

/// Whoever restores a backup, or has another database take the place of this one, gets rows with the same numbers and other messages.
#[tokio::test]
async fn what_is_owed_to_rows_of_before_takes_no_message_of_a_database_wound_back() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(outbox.database.url());
    let store = open(wire.url()).await;
    let before = outbox.commit(Kind::Delayed, 20).await;
    wire.stall_at("delete from outbox");
    let relay = Running::start(&store, to(&broker, broker.url()));
    eventually("the wire holds the deletion back", || async { wire.held() > 0 }).await;
    wire.refuse();
    relay.is_at_last(RelayState::Disconnected).await;

    let numbers = outbox.sequences().await;
    outbox.database.connect().await.execute_unprepared("truncate outbox restart identity").await.unwrap();
    let after = outbox.commit(Kind::Delayed, 20).await;
    assert_eq!(outbox.sequences().await, numbers, "the same places, other messages");
    wire.resume();
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, [before, after].concat());
    relay.stop().await;
}

#[tokio::test]
async fn what_became_of_one_message_is_written_to_no_other() {
    let outbox = Outbox::postgres().await;
    outbox.commit(Kind::Delayed, 2).await;
    let now = Clock::system().now();
    let pending = outbox.store.outbox_pending(i64::MIN, 10, now).await.unwrap();
    let [first, second] = pending.iter().map(Pending::place).collect::<Vec<_>>()[..] else { panic!("not two: {pending:?}") };
    let other = Place { message_id: second.message_id, ..first };
    outbox.store.outbox_refused(other, "returned", now).await.unwrap();
    outbox.store.outbox_done(&[other]).await.unwrap();
    assert_eq!(outbox.rows().await.iter().map(|it| it.attempts).collect::<Vec<_>>(), [0, 0]);
    outbox.store.outbox_refused(first, "returned", now).await.unwrap();
    outbox.store.outbox_done(&[second, other]).await.unwrap();
    let left = outbox.rows().await;
    assert_eq!(left.iter().map(|it| (&*it.message_id, it.attempts)).collect::<Vec<_>>(), [(&*first.message_id.to_string(), 1)]);
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_like_any_other() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wrong = broker.url().replace("guest:guest@", "guest:wrong@");
    assert_ne!(wrong, broker.url());
    let config = AmqpConfig { url: Some(SecretUrl::new(&wrong)), ..to(&broker, broker.url()) };
    let relay = Running::start(&outbox.store, config);
    eventually("it was tried twice", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 2.0 }).await;
    assert_eq!(relay.state(), RelayState::Disconnected);
    relay.stop().await;
}

/// The proxy keeps the word for as long as the test runs.
fn leaked(id: &str) -> &'static str {
    Box::leak(id.to_owned().into_boxed_str())
}
