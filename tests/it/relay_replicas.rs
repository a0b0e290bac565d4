//! Several relays on one database: one is active.

use bounce::kind::Kind;
use harness::{TestBroker, eventually};
use sea_orm::ConnectionTrait;
use service::telemetry::RelayState;

use crate::relay_fixture::{Outbox, Running, everything_in, ids, open, to};

#[tokio::test]
async fn of_two_relays_one_stands_by_and_takes_over() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let first = Running::start(&outbox.store, to(&broker, broker.url()));
    first.is_at_last(RelayState::Connected).await;
    let second = Running::start(&open(outbox.database.url()).await, to(&broker, broker.url()));
    second.is_at_last(RelayState::Standby).await;
    let committed = outbox.commit(Kind::Delayed, 100).await;
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, committed);
    assert_eq!((first.state(), second.state()), (RelayState::Connected, RelayState::Standby));

    first.stop().await;
    let committed = outbox.commit(Kind::Delayed, 100).await;
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, committed);
    assert_eq!(second.state(), RelayState::Connected);
    second.stop().await;
}

#[tokio::test]
async fn a_relay_whose_lock_is_gone_stops_publishing_and_starts_over() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let first = Running::start(&outbox.store, to(&broker, broker.url()));
    first.is_at_last(RelayState::Connected).await;
    let second = Running::start(&open(outbox.database.url()).await, to(&broker, broker.url()));
    second.is_at_last(RelayState::Standby).await;

    let database = outbox.database.connect().await;
    let holders = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' \
                   and database = (select oid from pg_database where datname = current_database())";
    database.execute_unprepared(holders).await.unwrap();
    eventually("the first one noticed", || async { first.measured("rebound_failures_total{stage=\"relay\"}") >= 1.0 }).await;
    let committed = outbox.commit(Kind::Delayed, 5).await;
    assert_eq!(ids(&broker.take(5).await), committed);
    outbox.is_empty_at_last().await;
    let active = || [&first, &second].into_iter().filter(|it| it.state() == RelayState::Connected).count();
    let standing_by = || [&first, &second].into_iter().filter(|it| it.state() == RelayState::Standby).count();
    eventually("one is active and one stands by", || async { (active(), standing_by()) == (1, 1) }).await;
    first.stop().await;
    second.stop().await;
}
