//! A broker whose alarm of memory or disk is on: it tells the relay to wait, and the relay does, on the connection it has.

use std::io;
use std::time::Duration;

use bounce::kind::Kind;
use harness::{TestBroker, eventually};
use sea_orm::ConnectionTrait as _;
use service::config::AmqpConfig;
use service::telemetry::RelayState;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use crate::relay_fixture::{Outbox, Running, everything_in, to};

/// AMQP 0-9-1 frames of `RabbitMQ`'s extension: a method (1) on channel 0, its size, class 10 (connection), method 60 (blocked)
/// with a reason or 61 (unblocked), and the end of the frame.
const BLOCKED: &[u8] = b"\x01\x00\x00\x00\x00\x00\x0b\x00\x0a\x00\x3c\x06memory\xce";
const UNBLOCKED: &[u8] = b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x3d\xce";

/// A wire for one connection, which says to the client what the broker says and, between two frames of it, what the test does.
async fn wire(broker: &str) -> (String, mpsc::UnboundedSender<Vec<u8>>) {
    let mut url = Url::parse(broker).unwrap();
    let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let (say, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
    let of_broker = say.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
        tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        tokio::spawn(async move {
            while let Ok(frame) = frame(&mut from_server).await {
                of_broker.send(frame).unwrap();
            }
        });
        while let Some(frame) = said.recv().await {
            to_client.write_all(&frame).await.unwrap();
        }
    });
    (url.into(), say)
}

/// A frame is a type, a channel and the size of what follows, which ends in an octet of its own.
async fn frame(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).await?;
    let size = u32::from_be_bytes(frame[3..7].try_into().unwrap()) as usize;
    frame.resize(7 + size + 1, 0);
    from.read_exact(&mut frame[7..]).await?;
    Ok(frame)
}

#[tokio::test]
async fn a_relay_that_is_told_to_wait_waits_and_keeps_its_connection() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let (url, say) = wire(broker.url()).await;
    let short = Duration::from_millis(50);
    let config = AmqpConfig { publish_timeout: short, ..to(&broker, &url) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;

    say.send(BLOCKED.to_vec()).unwrap();
    let committed = outbox.commit(Kind::Delayed, 300).await;
    eventually("it is told of", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 3.0 }).await;
    assert_eq!(relay.state(), RelayState::Connected);
    assert!(outbox.rows().await.iter().all(|it| it.attempts == 0));

    // The wire is there for one connection only, so all this came over the first.
    say.send(UNBLOCKED.to_vec()).unwrap();
    outbox.is_empty_at_last().await;
    assert_eq!(everything_in(&broker).await, committed);
    relay.stop().await;
}

/// It has read more than it may hand over, and waits for room: meanwhile another one may become active.
#[tokio::test]
async fn a_relay_that_is_told_to_wait_and_loses_its_lock_starts_over() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let (url, say) = wire(broker.url()).await;
    let short = Duration::from_millis(50);
    let config = AmqpConfig { publish_timeout: short, poll_interval: short, batch: 10, ..to(&broker, &url) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    say.send(BLOCKED.to_vec()).unwrap();
    outbox.commit(Kind::Delayed, 300).await;
    eventually("it is told of", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 1.0 }).await;
    let holders = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' \
                   and database = (select oid from pg_database where datname = current_database())";
    outbox.database.connect().await.execute_unprepared(holders).await.unwrap();
    // The wire is there for one connection only, so it cannot come back.
    relay.is_at_last(RelayState::Disconnected).await;
    relay.stop().await;
    assert_eq!(outbox.rows().await.len(), 300);
}

#[tokio::test]
async fn a_relay_that_is_told_to_wait_can_be_stopped() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let (url, say) = wire(broker.url()).await;
    let config = AmqpConfig { publish_timeout: Duration::from_millis(50), ..to(&broker, &url) };
    let relay = Running::start(&outbox.store, config);
    relay.is_at_last(RelayState::Connected).await;
    say.send(BLOCKED.to_vec()).unwrap();
    let committed = outbox.commit(Kind::Delayed, 3).await;
    eventually("it is told of", || async { relay.measured("rebound_failures_total{stage=\"relay\"}") >= 1.0 }).await;
    relay.stop().await;
    let left: Vec<String> = outbox.rows().await.into_iter().map(|it| it.message_id).collect();
    assert_eq!(left, committed);
}
