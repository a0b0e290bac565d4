//! The connection to the broker: made anew after every failure, never repaired, so that there is one road only. Exchange and
//! queue are declared on it, and messages handed over.

mod probe;

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::constants::REPLY_SUCCESS;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind, PublisherConfirm};

use crate::config::{AmqpConfig, SecretUrl};
use crate::outbox::socket::Socket;
use crate::store::Pending;

pub use probe::{Broker, Declared, ProbeError, probe};

/// Seconds between signs of life, unless the URL asks for others: a broker that is gone shows within twice that time even
/// when there is nothing to publish.
const HEARTBEAT: u16 = 10;
/// Time for a polite end.
const GOODBYE: Duration = Duration::from_secs(1);
/// AMQP 0-9-1, precondition-failed: what is declared is there already and is different.
const PRECONDITION_FAILED: u16 = 406;

/// Why nothing can be published.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    // The text of the parser is left out: it may quote the URL.
    #[error(
        "amqp.url cannot be read; write amqp://user:password@host:5672/%2f, with what is not a letter or digit in user and password percent-encoded"
    )]
    Url,
    #[error("the broker did not answer within {0:?} (amqp.connect_timeout)")]
    Unreachable(Duration),
    #[error("the broker is not there or does not let us in (amqp.url)")]
    Connect(#[source] lapin::Error),
    #[error(
        "there is an exchange {0:?} (amqp.exchange) already that is not a durable topic exchange; delete it, name another one, \
         or set amqp.declare = false to publish to it as it is"
    )]
    OtherExchange(String, #[source] lapin::Error),
    #[error(
        "there is a queue {0:?} (amqp.queue) already that is not a durable quorum queue without further arguments; delete it, \
         name another one, or set amqp.declare = false to use it as it is"
    )]
    OtherQueue(String, #[source] lapin::Error),
    #[error("{0:?} could not be declared; if it must not be, set amqp.declare = false")]
    Declare(String, #[source] lapin::Error),
    #[error("the connection to the broker broke")]
    Broken(#[source] lapin::Error),
    #[error("the connection to the broker is gone")]
    Gone,
    #[error("the broker took nothing for {0:?} (amqp.publish_timeout)")]
    NotTaken(Duration),
    #[error("the broker left a message unconfirmed for {0:?} (amqp.confirm_timeout)")]
    Unconfirmed(Duration),
    #[error("the broker lets nobody publish: its alarm of memory or disk is on")]
    Blocked,
}

/// A connection with one channel in confirm mode.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    channel: Channel,
    exchange: ShortString,
    /// Ends what is left when everything else is dropped.
    _socket: Socket,
}

impl Link {
    /// Connects and declares.
    pub(super) async fn open(url: &SecretUrl, config: &AmqpConfig) -> Result<Self, LinkError> {
        let limit = config.connect_timeout;
        let late = |_| LinkError::Unreachable(limit);
        let properties = ConnectionProperties::default().with_connection_name("rebound".into());
        let (socket, connecting) = Socket::connect(uri(&url.current())?, properties, limit);
        let connection = tokio::time::timeout(limit, connecting).await.map_err(late)?.map_err(LinkError::Connect)?;
        let channel = tokio::time::timeout(limit, channel(&connection)).await.map_err(late)?.map_err(LinkError::Connect)?;
        if config.declare {
            tokio::time::timeout(limit, declare(&channel, config)).await.map_err(late)??;
        }
        let exchange = short(&config.exchange).unwrap_or_else(|| ShortString::from(""));
        Ok(Self { connection, channel, exchange, _socket: socket })
    }

    /// Whether it is still there, as far as is known.
    pub(super) fn check(&self) -> Result<(), LinkError> {
        if self.connection.status().connected() && self.channel.status().connected() { Ok(()) } else { Err(LinkError::Gone) }
    }

    /// Whether the broker has told us to wait. Then lapin sends nothing at all, so time limits mean nothing.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked() && self.connection.status().connected()
    }

    /// Hands one message over; what comes back is the wait for its confirm. `None` for a message that AMQP cannot carry,
    /// which would otherwise end the connection, again and again.
    pub(super) async fn publish(&self, message: &Pending) -> Option<lapin::Result<PublisherConfirm>> {
        let routing_key = short(&message.routing_key)?;
        // Mandatory: a message that no queue takes comes back instead of vanishing.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            // Persistent: a queue that is durable keeps it over a restart of the broker.
            .with_delivery_mode(2)
            // By this consumers know a message that comes twice, and we the one that is returned.
            .with_message_id(message_id(message).into())
            .with_type(short(&message.message_type)?)
            .with_timestamp(u64::try_from(message.created_at.unix_timestamp()).unwrap_or_default())
            .with_app_id("rebound".into());
        let payload = message.payload.as_bytes();
        Some(self.channel.basic_publish(self.exchange.clone(), routing_key, options, payload, properties).await)
    }

    /// Ends the connection politely.
    pub(super) async fn close(self) {
        // When it fails, or takes too long, the socket is cut: now, since everything is dropped here.
        let _ = tokio::time::timeout(GOODBYE, self.connection.close(REPLY_SUCCESS, "OK".into())).await;
    }
}

/// The property by which a message is known.
pub(super) fn message_id(message: &Pending) -> String {
    message.message_id.to_string()
}

fn uri(url: &SecretUrl) -> Result<AMQPUri, LinkError> {
    let mut uri: AMQPUri = url.expose().parse().map_err(|_| LinkError::Url)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Ok(uri)
}

/// AMQP's short string, of up to 255 octets.
fn short(text: &str) -> Option<ShortString> {
    ShortString::try_new(text).ok()
}

async fn channel(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Makes sure that there are exchange and queue. Declaring what is there already, and is the same, does nothing.
async fn declare(channel: &Channel, config: &AmqpConfig) -> Result<(), LinkError> {
    let name = |it: &str| short(it).unwrap_or_else(|| ShortString::from(""));
    // Durable: it is there again after a restart of the broker, and so are its bindings.
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(name(&config.exchange), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .map_err(|error| declared(&config.exchange, error, LinkError::OtherExchange))?;
    let Some(queue) = &config.queue else { return Ok(()) };
    // Quorum: replicated, and a confirm means that a majority of the replicas has it on the disk.
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(name(queue), durable, arguments).await.map_err(|error| declared(queue, error, LinkError::OtherQueue))?;
    channel
        .queue_bind(name(queue), name(&config.exchange), "#".into(), QueueBindOptions::default(), FieldTable::default())
        .await
        .map_err(|error| LinkError::Declare(queue.clone(), error))
}

fn declared(name: &str, error: lapin::Error, other: fn(String, lapin::Error) -> LinkError) -> LinkError {
    match error.kind() {
        ErrorKind::ProtocolError(it) if it.get_id() == PRECONDITION_FAILED => other(name.to_owned(), error),
        _ => LinkError::Declare(name.to_owned(), error),
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPSoftError};

    use super::*;
    use crate::telemetry::chain;

    #[test]
    fn a_url_that_cannot_be_read_is_not_quoted() {
        for url in ["amqp:rebound:s3cret", "amqp://rebound:s3cret@mq:port", "s3cret", "amqp://mq/%2f?heartbeat=s3cret"] {
            let error = uri(&SecretUrl::new(url)).unwrap_err();
            assert!(matches!(error, LinkError::Url) && !chain(&error).contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_url_may_ask_for_another_heartbeat() {
        let heartbeat = |it| uri(&SecretUrl::new(it)).unwrap().query.heartbeat;
        assert_eq!(heartbeat("amqp://mq/%2f"), Some(HEARTBEAT));
        assert_eq!(heartbeat("amqp://mq/%2f?heartbeat=60"), Some(60));
    }

    #[test]
    fn what_is_there_already_and_is_different_is_told_with_key_and_remedy() {
        let refused =
            |kind: AMQPSoftError| lapin::Error::from(ErrorKind::ProtocolError(AMQPError::new(kind.into(), "inequivalent".into())));
        let text = chain(&declared("rebound", refused(AMQPSoftError::PRECONDITIONFAILED), LinkError::OtherExchange));
        assert!(
            text.contains("\"rebound\" (amqp.exchange)") && text.contains("amqp.declare = false") && text.contains("inequivalent"),
            "{text}"
        );
        let text = chain(&declared("events", refused(AMQPSoftError::PRECONDITIONFAILED), LinkError::OtherQueue));
        assert!(text.contains("\"events\" (amqp.queue)"), "{text}");
        let text = chain(&declared("events", refused(AMQPSoftError::ACCESSREFUSED), LinkError::OtherQueue));
        assert!(text.starts_with("\"events\" could not be declared"), "{text}");
    }

    #[test]
    fn a_text_of_more_than_255_octets_is_no_short_string() {
        assert!(short(&"a".repeat(255)).is_some());
        assert!(short(&"a".repeat(256)).is_none());
    }
}
