//! The queue behind the relay, from the other side: emptied into the ledger while load runs or after it, and filled straight by lapin
//! to see what the broker could take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use tokio::task::JoinHandle;

use crate::posts::{self, Posts};

/// How long nothing may come before the queue counts as empty.
const SILENCE: Duration = Duration::from_secs(10);

/// Connects.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await.context("RabbitMQ cannot be reached")
}

/// Takes exchange and queue of a measurement away.
pub(crate) async fn remove(url: &str, exchange: &str, queue: &str) -> anyhow::Result<()> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await?;
    Ok(())
}

/// Empties a queue into a ledger until it is stopped.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    task: JoinHandle<()>,
}

impl Reader {
    pub(crate) async fn start(url: &str, queue: &str, posts: Arc<Posts>) -> anyhow::Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(2000, BasicQosOptions::default()).await?;
        let consumer = channel.basic_consume(queue.into(), "load".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
        Ok(Self { connection, task: tokio::spawn(read(consumer, posts)) })
    }

    /// Goes on until everything acknowledged was seen, or nothing comes any more.
    pub(crate) async fn finish(self, posts: &Posts) -> anyhow::Result<()> {
        let mut left = posts.ledger.unpublished();
        let mut since = Instant::now();
        while left > 0 && since.elapsed() < SILENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = posts.ledger.unpublished();
            if now < left {
                (left, since) = (now, Instant::now());
            }
        }
        self.task.abort();
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }
}

async fn read(mut consumer: Consumer, posts: Arc<Posts>) {
    let mut unacknowledged = 0;
    while let Some(Ok(delivery)) = consumer.next().await {
        if let Some(number) = event_in(&delivery.data, posts.run) {
            posts.ledger.published(number);
        }
        unacknowledged += 1;
        if unacknowledged == 500 {
            let _ = delivery.acker.ack(BasicAckOptions { multiple: true }).await;
            unacknowledged = 0;
        }
    }
}

/// The number of the event that a message is about, if it says that one was recorded.
fn event_in(message: &[u8], run: u32) -> Option<u64> {
    memchr::memmem::find(message, b"rebound.event.recorded")?;
    let from = memchr::memmem::find(message, b"\"recipient\":\"")? + b"\"recipient\":\"".len();
    let rest = message.get(from..)?;
    let to = memchr::memchr(b'"', rest)?;
    posts::number(run, std::str::from_utf8(rest.get(..to)?).ok()?)
}

/// Publishes messages to a quorum queue of its own as the relay does (persistent, mandatory, confirmed, so many in flight) and tells
/// how many a second were confirmed.
pub(crate) async fn publish(url: &str, messages: &[(String, String)], in_flight: usize) -> anyhow::Result<f64> {
    let (exchange, queue) = ("rebound_load_raw", "rebound_load_raw.events");
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    declare(&channel, exchange, queue).await?;
    let start = Instant::now();
    let mut waiting = FuturesUnordered::new();
    for (routing_key, payload) in messages {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_message_id("0199c0de-7a11-7000-8000-000000000002".into())
            .with_type("rebound.event.recorded".into())
            .with_app_id("rebound".into());
        let confirm = channel.basic_publish(exchange.into(), routing_key.as_str().into(), options, payload.as_bytes(), properties).await?;
        waiting.push(confirm);
        if waiting.len() >= in_flight {
            confirmed(waiting.next().await)?;
        }
    }
    while let Some(confirm) = waiting.next().await {
        confirmed(Some(confirm))?;
    }
    let rate = messages.len() as f64 / start.elapsed().as_secs_f64();
    connection.close(200, "done".into()).await?;
    remove(url, exchange, queue).await?;
    Ok(rate)
}

fn confirmed(confirm: Option<lapin::Result<lapin::Confirmation>>) -> anyhow::Result<()> {
    match confirm {
        Some(Ok(it)) if it.is_ack() => Ok(()),
        other => anyhow::bail!("a message was not confirmed: {other:?}"),
    }
}

async fn declare(channel: &Channel, exchange: &str, queue: &str) -> anyhow::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, arguments).await?;
    channel.queue_bind(queue.into(), exchange.into(), "#".into(), QueueBindOptions::default(), FieldTable::default()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recorded_events_of_this_run_are_found_in_messages() {
        let message =
            |kind: &str| format!(r#"{{"type":"{kind}","data":{{"recipient":"{}","list":"a"}}}}"#, posts::address(3, 41)).into_bytes();
        assert_eq!(event_in(&message("rebound.event.recorded"), 3), Some(41));
        assert_eq!(event_in(&message("rebound.event.recorded"), 4), None);
        assert_eq!(event_in(&message("rebound.suppression.changed"), 3), None);
    }
}
