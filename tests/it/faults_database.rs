//! The database is killed, hangs, is slow, and is away together with the broker, under load. Nothing that was acknowledged is
//! lost, nobody waits for ever, and when all is back all comes to its place.

use std::sync::Arc;
use std::time::Duration;

use harness::{Balancer, End, Fate, Installation, Load, OwnPostgres, Proxy, TestBroker, TestDatabase, rounds};

/// Soon told that the database is away.
fn hasty(database_url: &str) -> Installation {
    Installation::on(database_url).with("DATABASE__ACQUIRE_TIMEOUT", "1s").with("INTAKE__COMMIT_TIMEOUT", "1s")
}

/// A PostgreSQL that syncs to the disk is cut off, and loses power, in the midst of commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_keeps_what_was_acknowledged() {
    let (mut postgres, broker) = (OwnPostgres::start().await, TestBroker::new());
    let installation = hasty(&postgres.url()).with_broker_at(&broker, broker.url());
    let replicas = [installation.serve().await, installation.serve().await];
    let balancer = Arc::new(Balancer::before(replicas.iter().map(harness::Replica::address)));
    let load = Load::start(&balancer, 8);
    for _ in 0..rounds(1, 10) {
        for how in [End::Immediate, End::Killed] {
            load.acknowledged(20).await;
            load.a_while(40).await;
            postgres.end(how);
            load.answered(5).await;
            postgres.start_again().await;
        }
    }
    load.acknowledged(20).await;
    load.finish().await.balance(&postgres.connect().await, &broker).await;
}

/// Both are away at once, and come back in either order.
#[tokio::test(flavor = "multi_thread")]
async fn database_and_broker_may_be_away_together() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let (to_database, to_broker) = (Proxy::before(database.url()), Proxy::before(broker.url()));
    let installation = hasty(to_database.url()).with_broker_at(&broker, to_broker.url());
    let replica = installation.serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    let load = Load::start(&balancer, 8);
    for (first, second) in [(&to_database, &to_broker), (&to_broker, &to_database)] {
        load.acknowledged(20).await;
        first.refuse();
        load.answered(5).await;
        second.refuse();
        load.answered(5).await;
        first.resume();
        load.answered(5).await;
        second.resume();
    }
    load.acknowledged(20).await;
    load.finish().await.balance(&database.connect().await, &broker).await;
}

/// Connections stay and nothing comes through: every post is answered by the time limits of the service, long before its sender
/// would lose patience. The load's client waits far longer than they allow, and the ledger holds that nobody waited in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_swallows_everything_hangs_nobody() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let wire = Proxy::before(database.url());
    let installation = hasty(wire.url()).with_broker_at(&broker, broker.url()).with("HTTP__REQUEST_TIMEOUT", "3s");
    let replica = installation.serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    let load = Load::start(&balancer, 8);
    load.acknowledged(20).await;
    wire.stall();
    load.answered(8).await;
    wire.stall_answers();
    load.answered(8).await;
    wire.cut();
    load.acknowledged(20).await;
    load.finish().await.balance(&database.connect().await, &broker).await;
}

/// Slow is not away: all is taken, only later.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_refuses_nobody() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let wire = Proxy::before(database.url());
    let installation = Installation::on(wire.url()).with_broker_at(&broker, broker.url());
    let replica = installation.serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    wire.slow_down(Duration::from_millis(20));
    let load = Load::start(&balancer, 8);
    load.acknowledged(40).await;
    let ledger = load.finish().await;
    assert_eq!((ledger.of(Fate::Refused).len(), ledger.of(Fate::Unknown).len()), (0, 0));
    ledger.balance(&database.connect().await, &broker).await;
}
