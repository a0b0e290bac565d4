//! Messages that the broker takes and no queue does: they stay, are tried again, and never pass for published.

use bounce::kind::Kind;
use harness::{TestBroker, eventually};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;
use sea_orm::ConnectionTrait as _;
use service::config::AmqpConfig;
use service::telemetry::RelayState;

use crate::relay_fixture::{Outbox, Running, everything_in_queue, first_seen, ids, to};

#[tokio::test]
async fn a_message_that_no_queue_takes_stays_until_one_does() {
    let (outbox, mut broker) = (Outbox::postgres().await, TestBroker::new());
    let committed = outbox.commit(Kind::Delayed, 3).await;
    let relay = Running::start(&outbox.store, AmqpConfig { queue: None, ..to(&broker, broker.url()) });
    eventually("all were tried", || async { outbox.rows().await.iter().all(|it| it.attempts > 0) }).await;
    for row in outbox.rows().await {
        assert_eq!(row.last_error.as_deref(), Some("returned: 312 NO_ROUTE"));
    }
    assert!(relay.measured("rebound_messages_published_total{outcome=\"returned\"}") >= 3.0);
    assert_eq!(relay.state(), RelayState::Connected);

    let queue = broker.bind("#").await;
    let mut taken = ids(&broker.take_from(&queue, 3).await);
    taken.sort_unstable_by_key(|it| committed.iter().position(|id| id == it));
    assert_eq!(taken, committed);
    outbox.is_empty_at_last().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_published_at_all_is_put_off_at_once() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    outbox.commit(Kind::Delayed, 1).await;
    let db = outbox.database.connect().await;
    db.execute_unprepared("update outbox set routing_key = repeat('x', 300)").await.unwrap();
    let relay = Running::start(&outbox.store, to(&broker, broker.url()));
    eventually("it was put off", || async { outbox.rows().await.iter().all(|it| it.attempts > 0) }).await;
    let why = outbox.rows().await.remove(0).last_error;
    assert_eq!(why.as_deref(), Some("its routing key or type has more than 255 octets"));
    relay.stop().await;
}

/// lapin hands a returned message out with whichever confirm comes next; taken at its word, messages would be lost.
#[tokio::test]
async fn of_many_in_flight_exactly_those_stay_that_no_queue_takes() {
    let (outbox, mut broker) = (Outbox::postgres().await, TestBroker::new());
    let declaring = Running::start(&outbox.store, AmqpConfig { queue: None, ..to(&broker, broker.url()) });
    declaring.is_at_last(RelayState::Connected).await;
    declaring.stop().await;
    let queue = broker.bind("event.#").await;

    outbox.commit(Kind::Bounce, 300).await;
    let rows = outbox.rows().await;
    let (events, changes): (Vec<_>, Vec<_>) = rows.into_iter().partition(|it| it.message_type == "rebound.event.recorded");
    assert_eq!((events.len(), changes.len()), (300, 300));
    let relay = Running::start(&outbox.store, AmqpConfig { queue: None, in_flight: 250, ..to(&broker, broker.url()) });
    eventually("all were tried", || async { outbox.rows().await.iter().all(|it| it.attempts > 0) }).await;
    relay.stop().await;

    let left: Vec<String> = outbox.rows().await.into_iter().map(|it| it.message_id).collect();
    let changes: Vec<String> = changes.into_iter().map(|it| it.message_id).collect();
    assert!(left == changes, "{} of 300 are left", left.len());
    let events: Vec<String> = events.into_iter().map(|it| it.message_id).collect();
    assert!(everything_in_queue(&broker, &queue).await == events, "each event comes once and in order");
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_reported_and_waited_out() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let channel = broker.connect().await.create_channel().await.unwrap();
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(broker.exchange().into(), ExchangeKind::Fanout, options, FieldTable::default()).await.unwrap();

    let committed = outbox.commit(Kind::Delayed, 1).await;
    let relay = Running::start(&outbox.store, to(&broker, broker.url()));
    eventually("it was tried twice", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 2.0 }).await;
    assert_eq!(relay.state(), RelayState::Disconnected);
    channel.exchange_delete(broker.exchange().into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert_eq!(ids(&broker.take(1).await), committed);
    outbox.is_empty_at_last().await;
    relay.stop().await;
}

#[tokio::test]
async fn what_stands_behind_a_message_that_no_queue_takes_does_not_wait_for_it() {
    let (outbox, mut broker) = (Outbox::postgres().await, TestBroker::new());
    let stuck = outbox.commit(Kind::Delayed, 1).await;
    let relay = Running::start(&outbox.store, AmqpConfig { queue: None, in_flight: 1, ..to(&broker, broker.url()) });
    eventually("it was tried", || async { outbox.rows().await.iter().all(|it| it.attempts > 0) }).await;
    let queue = broker.bind("event.bounce.#").await;
    let bounces = outbox.commit(Kind::Bounce, 3).await;
    let events: Vec<String> = bounces.into_iter().step_by(2).collect();
    assert_eq!(first_seen(&ids(&broker.take_from(&queue, 3).await)), events);
    let left = outbox.rows().await;
    assert!(left.iter().any(|it| it.message_id == stuck[0]));
    relay.stop().await;
}
