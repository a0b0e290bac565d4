//! The mail edge: SMTP for the MX of a bounce domain, LMTP for a mail server beside us. A session is a machine without sockets
//! (`session`); `connection` moves octets between it and the wire, and `delivery` hands its messages to the intake, which is
//! the same for all edges. Nothing is relayed and nothing is sent: a message is for an address that a source has, or refused.
//!
//! Everybody may connect to an MX, so everything is bounded: connections, commands, mistakes, octets and time.

mod body;
mod connection;
mod delivery;
mod gate;
mod grammar;
mod listen;
mod mail;
mod reply;
mod route;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Endpoint, SmtpConfig};
use crate::telemetry::{MailProtocol, Stage};
use crate::tls::{Certificate, CertificateError};

use self::connection::{House, Times};
use self::gate::{Gate, Limits};
use self::listen::Listener;
use self::route::Routes;
use self::session::Terms;

pub use self::delivery::Delivery;

/// Why the edge cannot open.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// An address is taken or not ours.
    #[error("{endpoint} cannot be listened on (smtp.listen, smtp.lmtp_listen)")]
    Listen {
        /// Which.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate.
    #[error("STARTTLS cannot be offered")]
    Certificate(#[from] CertificateError),
}

/// The edge, ready to run.
#[derive(Debug)]
pub struct Smtp {
    listeners: Vec<Listener>,
    gate: Gate,
    house: Arc<House>,
    certificate: Option<Arc<Certificate>>,
}

impl Smtp {
    /// Listens where the configuration says; `None` if nowhere.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the certificate not be used.
    pub fn bind(config: &Config, delivery: Delivery) -> Result<Option<Self>, SmtpError> {
        let smtp = &config.smtp;
        if !smtp.is_on() {
            return Ok(None);
        }
        let mut listeners = Vec::new();
        let of_smtp = smtp.listen.iter().map(|it| (MailProtocol::Smtp, Endpoint::Tcp(*it)));
        for (protocol, endpoint) in of_smtp.chain(smtp.lmtp_listen.iter().map(|it| (MailProtocol::Lmtp, it.clone()))) {
            let bound = Listener::bind(protocol, &endpoint);
            listeners.push(bound.map_err(|source| SmtpError::Listen { endpoint, source })?);
        }
        let certificate = smtp.identity().map(|it| Certificate::open(it, Stage::Smtp, &delivery.telemetry, &delivery.clock)).transpose()?;
        let tls = certificate.as_ref().map(Certificate::server).transpose()?.map(Arc::new);
        // A quarter of all, and one message at least.
        let room_of_address = connection::units((smtp.max_bytes.bytes() / 4).max(smtp.max_message.bytes()));
        let limits =
            Limits { total: smtp.max_connections, of_address: smtp.max_connections_per_address, rate: smtp.rate_limit, room_of_address };
        let house = House {
            terms: Arc::new(terms(smtp, Routes::new(&config.sources))),
            times: Times { command: smtp.command_timeout, text: smtp.data_timeout, session: smtp.session_timeout },
            tls,
            delivery,
            room: connection::room(smtp.max_bytes.bytes()),
            stop: CancellationToken::new(),
        };
        Ok(Some(Self { listeners, gate: Gate::new(limits, Instant::now()), house: Arc::new(house), certificate }))
    }

    /// The ports it listens on, by protocol.
    #[must_use]
    pub fn addresses(&self) -> Vec<(MailProtocol, SocketAddr)> {
        self.listeners.iter().filter_map(|it| Some((it.protocol(), it.address()?))).collect()
    }

    /// Serves until told to stop, and then until the messages under way are done; no longer than until it is told to end.
    pub async fn run(self, stop: CancellationToken, end: CancellationToken) {
        let Self { listeners, gate, house, certificate } = self;
        let (telemetry, tasks) = (house.delivery.telemetry.clone(), TaskTracker::new());
        if let Some(certificate) = certificate {
            tasks.spawn(certificate.watch(house.stop.clone()));
        }
        for listener in listeners {
            telemetry.smtp_listens(listener.protocol(), &listener.endpoint());
            tasks.spawn(listener.run(gate.clone(), house.clone(), tasks.clone(), end.clone()));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = end.cancelled() => {}
        }
        house.stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

fn terms(smtp: &SmtpConfig, routes: Routes) -> Terms {
    Terms {
        hostname: smtp.name().to_owned(),
        max_message: smtp.max_message.bytes(),
        max_recipients: smtp.max_recipients,
        max_commands: smtp.max_commands,
        max_errors: smtp.max_errors,
        routes,
    }
}
