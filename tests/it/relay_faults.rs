//! What happens to brokers in operation: an exchange is deleted, a queue is full, a connection dies in silence, a password is
//! changed. The relay goes on by itself, and nothing is lost.

use std::collections::BTreeSet;

use bounce::kind::Kind;
use harness::{Balancer, Installation, Load, Proxy, TestBroker, TestDatabase, eventually};
use lapin::options::ExchangeDeleteOptions;
use service::config::AmqpConfig;
use service::store::Chosen;
use service::telemetry::RelayState;

use crate::relay_fixture::{Outbox, Running, everything_in_queue, ids, to};

#[tokio::test]
async fn an_exchange_that_is_deleted_while_it_runs_is_declared_again() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let relay = Running::start(&outbox.store, to(&broker, broker.url()));
    let before = outbox.commit(Kind::Delayed, 3).await;
    assert_eq!(ids(&broker.take(3).await), before);

    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.exchange_delete(broker.exchange().into(), ExchangeDeleteOptions::default()).await.unwrap();
    let after = outbox.commit(Kind::Delayed, 300).await;
    let taken: BTreeSet<String> = ids(&broker.take(300).await).into_iter().collect();
    assert_eq!(taken, after.into_iter().collect());
    outbox.is_empty_at_last().await;
    connection.close(200, "done".into()).await.unwrap();
    relay.stop().await;
}

/// A full queue with `reject-publish` answers with nacks: those messages stay, and come when there is room.
#[tokio::test]
async fn what_a_full_queue_refuses_is_put_off_and_not_lost() {
    let (outbox, mut broker) = (Outbox::postgres().await, TestBroker::new());
    let config = AmqpConfig { queue: None, ..to(&broker, broker.url()) };
    let declaring = Running::start(&outbox.store, config.clone());
    declaring.is_at_last(RelayState::Connected).await;
    declaring.stop().await;
    let queue = broker.bind_small("#", 20).await;

    let committed: BTreeSet<String> = outbox.commit(Kind::Delayed, 60).await.into_iter().collect();
    let relay = Running::start(&outbox.store, config);
    eventually("some are refused", || async { outbox.rows().await.iter().any(|it| it.attempts > 0) }).await;
    let refused = outbox.rows().await.into_iter().find(|it| it.attempts > 0).unwrap();
    assert_eq!(refused.last_error.as_deref(), Some("the broker could not take it (nack)"));
    assert!(relay.measured("rebound_messages_published_total{outcome=\"nacked\"}") >= 1.0);
    assert_eq!(relay.state(), RelayState::Connected, "a refusal is no outage");

    let mut seen = BTreeSet::new();
    while !outbox.rows().await.is_empty() {
        seen.extend(everything_in_queue(&broker, &queue).await);
        // A person who has made room does not wait until they are due.
        outbox.store.outbox_retry(&Chosen::All).await.unwrap();
        relay.nudge.notify_one();
        tokio::task::yield_now().await;
    }
    seen.extend(everything_in_queue(&broker, &queue).await);
    assert_eq!(seen, committed);
    relay.stop().await;
}

/// Nothing is to be published, so only the heartbeats can tell.
#[tokio::test]
async fn a_connection_that_dies_in_silence_is_noticed_and_made_anew() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(broker.url());
    let relay = Running::start(&outbox.store, to(&broker, &format!("{}?heartbeat=1", wire.url())));
    relay.is_at_last(RelayState::Connected).await;
    wire.stall();
    relay.is_at_last(RelayState::Disconnected).await;
    wire.cut();
    relay.is_at_last(RelayState::Connected).await;
    assert!(wire.accepted() >= 2);
    let committed = outbox.commit(Kind::Delayed, 3).await;
    assert_eq!(ids(&broker.take(3).await), committed);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_is_read_from_its_file() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amqp");
    let wrong = broker.url().replace("guest:guest@", "guest:before@");
    assert_ne!(wrong, broker.url());
    std::fs::write(&file, format!("{wrong}\n")).unwrap();
    let installation = Installation::on(database.url()).with_broker_at(&broker, "").without("AMQP__URL");
    let installation = installation.with("AMQP__URL_FILE", file.to_str().unwrap());
    let replica = installation.serve().await;
    let metrics = || async { reqwest::get(format!("{}/metrics", replica.address())).await.unwrap().text().await.unwrap() };
    let failed = "rebound_failures_total{stage=\"relay\"} ";
    eventually("it is not let in, twice", || async {
        metrics().await.lines().find_map(|it| it.strip_prefix(failed)?.parse::<u32>().ok()).is_some_and(|it| it >= 2)
    })
    .await;
    let load = Load::start(&std::sync::Arc::new(Balancer::before([replica.address()])), 2);
    load.acknowledged(5).await;
    std::fs::write(&file, format!("{}\n", broker.url())).unwrap();
    load.finish().await.balance(&database.connect().await, &broker).await;
}
