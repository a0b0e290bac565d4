//! A look at the broker that changes nothing there: whether it lets us in, and has what we publish to.

use lapin::Connection;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{ErrorKind, ExchangeKind};

use super::{Link, short};
use crate::config::{AmqpConfig, SecretUrl};

/// AMQP 0-9-1, not-found.
const NOT_FOUND: u16 = 404;

/// Whether something is declared at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// It is there.
    There,
    /// It is not.
    Missing,
    /// The broker does not let us look at it.
    Forbidden,
}

/// What a broker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broker {
    /// The exchange of `amqp.exchange`.
    pub exchange: Declared,
    /// The queue of `amqp.queue`, if one is configured.
    pub queue: Option<Declared>,
    /// Whether it lets nobody publish: its alarm of memory or disk is on.
    pub is_blocked: bool,
}

/// Why nothing is known of a broker.
#[derive(Debug, thiserror::Error)]
#[error("the broker cannot be looked at")]
pub struct ProbeError(#[from] super::LinkError);

/// Connects as the relay would, and looks.
///
/// # Errors
/// When it is not there, or does not let us in.
pub async fn probe(url: &SecretUrl, config: &AmqpConfig) -> Result<Broker, ProbeError> {
    let nothing_new = AmqpConfig { declare: false, ..config.clone() };
    let link = Link::open(url, &nothing_new).await?;
    let look = async {
        let exchange = exchange(&link.connection, &config.exchange).await;
        let queue = match &config.queue {
            Some(name) => Some(queue(&link.connection, name).await),
            None => None,
        };
        Broker { exchange, queue, is_blocked: link.is_blocked() }
    };
    let found = tokio::time::timeout(config.connect_timeout, look).await;
    link.close().await;
    found.map_err(|_| ProbeError(super::LinkError::Unreachable(config.connect_timeout)))
}

/// Each look has a channel of its own, which ends when what it looks for is not there.
async fn exchange(connection: &Connection, name: &str) -> Declared {
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let asked = async {
        let channel = connection.create_channel().await?;
        channel.exchange_declare(short(name).unwrap_or_default(), ExchangeKind::Topic, options, FieldTable::default()).await
    };
    declared(asked.await)
}

async fn queue(connection: &Connection, name: &str) -> Declared {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = async {
        let channel = connection.create_channel().await?;
        channel.queue_declare(short(name).unwrap_or_default(), options, FieldTable::default()).await
    };
    declared(asked.await)
}

fn declared<T>(answer: lapin::Result<T>) -> Declared {
    match answer {
        Ok(_) => Declared::There,
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(it) if it.get_id() == NOT_FOUND => Declared::Missing,
            _ => Declared::Forbidden,
        },
    }
}
