//! The broker is killed, cut off and silenced under load. Posts go on being taken, the outbox grows, and drains when it is back.

use std::sync::Arc;

use harness::{Balancer, Fate, Installation, Load, OwnRabbitMq, Proxy, TestBroker, TestDatabase, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_and_goes_is_nothing_to_those_who_post() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let installation = Installation::on(database.url()).with_broker_at(&broker, wire.url()).with("AMQP__CONFIRM_TIMEOUT", "1s");
    let replicas = [installation.serve().await, installation.serve().await];
    let balancer = Arc::new(Balancer::before(replicas.iter().map(harness::Replica::address)));
    let load = Load::start(&balancer, 8);
    let outages: [fn(&Proxy); 4] = [Proxy::refuse, Proxy::stall, Proxy::stall_answers, Proxy::cut];
    for outage in outages {
        load.acknowledged(15).await;
        outage(&wire);
        load.acknowledged(15).await;
        wire.cut();
    }
    let ledger = load.finish().await;
    assert_eq!((ledger.of(Fate::Refused).len(), ledger.of(Fate::Unknown).len()), (0, 0));
    ledger.balance(&database.connect().await, &broker).await;
}

/// What it has confirmed it has to have when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_has_what_it_confirmed() {
    let (database, mut rabbitmq) = (TestDatabase::postgres().await, OwnRabbitMq::start().await);
    let broker = TestBroker::at(&rabbitmq.url());
    let replica = Installation::on(database.url()).with_broker_at(&broker, broker.url()).serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    let load = Load::start(&balancer, 4);
    for _ in 0..rounds(1, 10) {
        load.acknowledged(20).await;
        load.a_while(40).await;
        rabbitmq.kill(broker.queue()).await;
        load.acknowledged(20).await;
        rabbitmq.start_again().await;
    }
    let ledger = load.finish().await;
    assert_eq!((ledger.of(Fate::Refused).len(), ledger.of(Fate::Unknown).len()), (0, 0));
    ledger.balance(&database.connect().await, &broker).await;
}
