//! The broker is killed, cut off and silenced under load. Posts go on being taken, the outbox grows, and drains when it is back.

use std::sync::Arc;

use harness::{Balancer, Fate, Installation, Load, Proxy, TestBroker, TestDatabase};

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
