//! The service itself is killed, and asked to go, under load: the ledger balances every time.

use std::sync::Arc;

use harness::{Balancer, Fate, Installation, Load, Replica, TestBroker, TestDatabase, rounds};

async fn three(installation: &Installation) -> Vec<Replica> {
    // One after the other: the first brings the schema up to date.
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(installation.serve().await);
    }
    replicas
}

fn addresses(replicas: &[Replica]) -> impl Iterator<Item = &str> {
    replicas.iter().map(Replica::address)
}

/// Five times, or fifty in `tests/run --soak`.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_nothing_and_keeps_no_half() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let installation = Installation::on(database.url()).with_broker_at(&broker, broker.url());
    let mut replica = installation.serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    let load = Load::start(&balancer, 8);
    for _ in 0..rounds(5, 50) {
        load.acknowledged(5).await;
        load.a_while(40).await;
        replica.kill();
        replica.start_again().await;
        balancer.send_to([replica.address()]);
    }
    load.acknowledged(5).await;
    load.finish().await.balance(&database.connect().await, &broker).await;
}

/// One is killed while another is asked to go: the third carries on.
#[tokio::test(flavor = "multi_thread")]
async fn of_three_replicas_any_may_die() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let installation = Installation::on(database.url()).with_broker_at(&broker, broker.url());
    let mut replicas = three(&installation).await;
    let balancer = Arc::new(Balancer::before(addresses(&replicas)));
    let load = Load::start(&balancer, 9);
    for _ in 0..rounds(2, 20) {
        load.a_while(60).await;
        replicas[0].kill();
        replicas[1].signal("TERM");
        load.a_while(60).await;
        assert!(replicas[1].ended().await.success());
        for dead in &mut replicas[..2] {
            dead.start_again().await;
        }
        balancer.send_to(addresses(&replicas));
    }
    let ledger = load.finish().await;
    ledger.balance(&database.connect().await, &broker).await;
}

/// Each replica in turn is asked to go and replaced. The balancer looks away in the time of the lead, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing_and_refuses_nothing() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let installation = Installation::on(database.url()).with_broker_at(&broker, broker.url()).with("HTTP__SHUTDOWN_LEAD", "2s");
    let mut replicas = [installation.serve().await, installation.serve().await];
    let balancer = Arc::new(Balancer::before(addresses(&replicas)));
    let load = Load::start(&balancer, 8);
    for turn in 0..replicas.len() {
        load.acknowledged(20).await;
        replicas[turn].signal("TERM");
        assert!(replicas[turn].ended().await.success());
        load.acknowledged(20).await;
        replicas[turn].start_again().await;
        balancer.send_to(addresses(&replicas));
    }
    load.acknowledged(20).await;
    let ledger = load.finish().await;
    assert_eq!((ledger.of(Fate::Refused).len(), ledger.of(Fate::Unknown).len()), (0, 0));
    ledger.balance(&database.connect().await, &broker).await;
}
