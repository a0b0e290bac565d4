//! An exchange and a queue of a real RabbitMQ that belong to one test.

use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicGetOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

use crate::{eventually, eventually_some, finish, server, unique_name};

/// Names on the real RabbitMQ that no other test has; what the test declared under them is deleted when this is dropped.
///
/// Nothing is declared here: that is the work of the service, or of [`bind`](Self::bind) for a further queue.
#[derive(Debug)]
pub struct TestBroker {
    url: String,
    exchange: String,
    queue: String,
    further: Vec<String>,
}

/// A message as a consumer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Which exchange it was published to.
    pub exchange: String,
    /// By which key it was routed.
    pub routing_key: String,
    /// The property `message_id`, by which a consumer knows a message that comes twice.
    pub message_id: Option<String>,
    /// The property `content_type`.
    pub content_type: Option<String>,
    /// Whether it survives a restart of the broker.
    pub persistent: bool,
    /// Whether the broker gave it to someone before.
    pub redelivered: bool,
    /// The body, which is JSON in everything we publish.
    pub body: serde_json::Value,
}

impl TestBroker {
    /// Takes unique names on the broker that `tests/run` started.
    #[must_use]
    pub fn new() -> Self {
        Self::at(&server("REBOUND_TEST_AMQP_URL"))
    }

    /// The same on a broker of the test's own.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), exchange: unique_name("rebound.test"), queue: unique_name("rebound.events.test"), further: vec![] }
    }

    /// Where the broker is, as the configuration's `amqp.url` wants it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// This test's name for the exchange, as the configuration's `amqp.exchange` wants it.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// This test's name for the queue, as the configuration's `amqp.queue` wants it.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// A connection past all of the service's code, straight to the broker.
    pub async fn connect(&self) -> Connection {
        connect(&self.url).await
    }

    /// Declares a further queue and binds it to the exchange, as a consumer with a narrower interest does. Gives its name.
    pub async fn bind(&mut self, pattern: &str) -> String {
        self.bind_with(pattern, FieldTable::default()).await
    }

    /// The same for a queue that takes no more than so many messages and refuses the rest.
    pub async fn bind_small(&mut self, pattern: &str, most: i32) -> String {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(most));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        self.bind_with(pattern, arguments).await
    }

    async fn bind_with(&mut self, pattern: &str, arguments: FieldTable) -> String {
        let queue = unique_name("rebound.consumer.test");
        let (connection, channel) = self.open().await;
        channel
            .queue_declare(queue.as_str().into(), QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }, arguments)
            .await
            .expect("a new queue can be declared");
        channel
            .queue_bind(
                queue.as_str().into(),
                self.exchange.as_str().into(),
                pattern.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("the exchange is declared");
        close(connection).await;
        self.further.push(queue.clone());
        queue
    }

    /// Takes that many messages from the test's queue, in their order, waiting until there are so many.
    pub async fn take(&self, count: usize) -> Vec<Published> {
        self.take_from(&self.queue, count).await
    }

    /// Takes that many messages from a queue, in their order, waiting until it is declared and there are so many.
    pub async fn take_from(&self, queue: &str, count: usize) -> Vec<Published> {
        eventually(&format!("the queue {queue} is declared"), || async { self.depth_of(queue).await.is_some() }).await;
        let (connection, channel) = self.open().await;
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let what = format!("{count} messages have come to {queue} (so far {})", taken.len());
            taken.push(eventually_some(&what, || take_one(&channel, queue)).await);
        }
        close(connection).await;
        taken
    }

    /// Takes all that waits in the test's queue, in its order.
    pub async fn drain(&self) -> Vec<Published> {
        let (connection, channel) = self.open().await;
        let mut taken = Vec::new();
        while let Some(message) = take_one(&channel, &self.queue).await {
            taken.push(message);
        }
        close(connection).await;
        taken
    }

    /// How many messages wait in the test's queue; `None` while it is not declared.
    pub async fn depth(&self) -> Option<u32> {
        self.depth_of(&self.queue).await
    }

    /// How many messages wait in a queue; `None` while it is not declared.
    pub async fn depth_of(&self, queue: &str) -> Option<u32> {
        let (connection, channel) = self.open().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        close(connection).await;
        declared.ok().map(|queue| queue.message_count())
    }

    async fn open(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a connection gives a channel");
        (connection, channel)
    }
}

impl Default for TestBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let (url, exchange) = (self.url.clone(), self.exchange.clone());
        let queues: Vec<String> = self.further.drain(..).chain([self.queue.clone()]).collect();
        let done = finish(async move {
            let connection = connect(&url).await;
            let channel = connection.create_channel().await.expect("a connection gives a channel");
            for queue in queues {
                channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.expect("a queue can be deleted");
            }
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.expect("an exchange can be deleted");
            close(connection).await;
        });
        // A second panic would end the process and with it every other test's report.
        assert!(done || std::thread::panicking(), "the broker could not be cleaned of {}", self.exchange);
    }
}

async fn connect(url: &str) -> Connection {
    let attempt = Connection::connect(url, ConnectionProperties::default());
    let connected = tokio::time::timeout(Duration::from_secs(30), attempt).await.expect("the broker answers within 30 s");
    connected.unwrap_or_else(|error| panic!("connecting to {url}: {error}"))
}

async fn close(connection: Connection) {
    connection.close(200, "done".into()).await.expect("a connection closes");
}

/// Takes and acknowledges one message, if there is one. Asking for one at a time leaves the rest untouched for the next taker.
async fn take_one(channel: &Channel, queue: &str) -> Option<Published> {
    let message = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the queue is declared")?;
    message.ack(BasicAckOptions::default()).await.expect("the channel is open");
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
    Some(Published {
        exchange: message.exchange.to_string(),
        routing_key: message.routing_key.to_string(),
        message_id: text(message.properties.message_id()),
        content_type: text(message.properties.content_type()),
        persistent: *message.properties.delivery_mode() == Some(2),
        redelivered: message.redelivered,
        body: serde_json::from_slice(&message.data).unwrap_or_else(|error| panic!("a message that is not JSON: {error}")),
    })
}
