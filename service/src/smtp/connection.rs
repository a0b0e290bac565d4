//! One connection: drives a [`Session`] with what comes over the wire, within its times, and hands over its messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::gate::Pass;
use super::reply::Reply;
use super::session::{Next, Session, Terms, Tls};
use crate::telemetry::{MailProtocol, SmtpRefused};

/// Octets read at once.
const READ_AT_ONCE: usize = 16 << 10;
/// Octets and time that a peer has to stop talking once it was told that nobody listens: if its words are still on their way
/// when the connection is closed, it does not get ours.
const LINGER: (usize, Duration) = (32 << 20, Duration::from_secs(5));
/// Octets that one permit of the room stands for.
const UNIT: usize = 1024;

/// What all connections share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) terms: Arc<Terms>,
    pub(super) times: Times,
    /// Speaks TLS after STARTTLS, where that is offered.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) delivery: Delivery,
    /// Room for messages under way, in units.
    pub(super) room: Arc<Semaphore>,
    /// Told to stop: what is under way is finished.
    pub(super) stop: CancellationToken,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The next command.
    pub(super) command: Duration,
    /// One message.
    pub(super) text: Duration,
    /// A whole connection.
    pub(super) session: Duration,
}

/// A wire, with TLS or without.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Room in units, for `max` octets.
pub(super) fn room(max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((max / UNIT).min(Semaphore::MAX_PERMITS)))
}

/// Permits that so many octets take.
pub(super) const fn units(octets: usize) -> usize {
    octets.div_ceil(UNIT)
}

/// A connection under way.
struct Connection<'a> {
    house: &'a House,
    protocol: MailProtocol,
    pass: Pass,
    wire: Box<dyn Wire>,
    session: Session,
    input: BytesMut,
    replies: Vec<u8>,
    held: Vec<OwnedSemaphorePermit>,
    end: Instant,
    /// When what is waited for must have come.
    due: Instant,
    /// How far the session was when that was set: its commands, and whether a message is being read.
    mark: (usize, bool),
}

/// Serves one connection to its end.
pub(super) async fn serve(house: &House, protocol: MailProtocol, wire: Box<dyn Wire>, pass: Pass) {
    let tls = if house.tls.is_some() { Tls::Offered } else { Tls::None };
    let now = Instant::now();
    let connection = Connection {
        house,
        protocol,
        pass,
        wire,
        session: Session::new(house.terms.clone(), protocol, tls),
        input: BytesMut::new(),
        replies: Vec::new(),
        held: Vec::new(),
        end: now + house.times.session,
        due: now + house.times.command,
        mark: (0, false),
    };
    // Whoever is gone cannot be told that he is.
    let _ = connection.run().await;
}

impl Connection<'_> {
    async fn run(mut self) -> io::Result<()> {
        self.session.greet(&mut self.replies);
        loop {
            let next = self.session.take(&mut self.input, &mut self.replies);
            for why in self.session.refused() {
                self.house.delivery.telemetry.smtp_refused(self.protocol, why);
            }
            self.flush().await?;
            match next {
                Next::Input => {
                    self.make_room();
                    if !self.read().await? {
                        return timeout(self.house.times.command, self.wire.shutdown()).await?;
                    }
                }
                Next::Settle(mail) => {
                    let fates = self.house.delivery.deliver(self.protocol, &mail).await;
                    drop(mail);
                    self.give_room_back();
                    self.session.settled(&fates, &mut self.replies);
                }
                Next::Secure => self = self.secure().await?,
                Next::End => return self.close().await,
            }
        }
    }

    /// Reads some more; false at the end of what comes.
    async fn read(&mut self) -> io::Result<bool> {
        let mark = (self.session.commands(), self.session.is_in_text());
        if mark != self.mark {
            self.mark = mark;
            let times = &self.house.times;
            self.due = Instant::now() + if mark.1 { times.text } else { times.command };
        }
        // A message that began in time may be finished.
        let due = if mark.1 { self.due.min(Instant::now() + self.house.times.command) } else { self.due.min(self.end) };
        self.input.reserve(READ_AT_ONCE);
        let read = tokio::select! {
            biased;
            // Whoever is in the midst of a message goes on; it is asked again after.
            () = self.house.stop.cancelled(), if !mark.1 => {
                self.session.end(Reply::STOPPING, &mut self.replies);
                return Ok(true);
            }
            read = timeout_at(due, self.wire.read_buf(&mut self.input)) => read,
        };
        let Ok(read) = read else {
            self.house.delivery.telemetry.smtp_refused(self.protocol, SmtpRefused::TimedOut);
            if self.session.end(Reply::TIMED_OUT, &mut self.replies) {
                return Ok(true);
            }
            Reply::TIMED_OUT.write(&mut self.replies);
            self.flush().await?;
            return Ok(false);
        };
        Ok(read? > 0)
    }

    /// Takes room for what the message has grown to, or drops the message.
    fn make_room(&mut self) {
        let held = self.session.held();
        if held == 0 {
            self.give_room_back();
            return;
        }
        let taken: usize = self.held.iter().map(OwnedSemaphorePermit::num_permits).sum();
        let missing = units(held).saturating_sub(taken);
        if missing == 0 {
            return;
        }
        let is_of_share = self.pass.take_room(missing);
        let more =
            u32::try_from(missing).ok().filter(|_| is_of_share).and_then(|it| self.house.room.clone().try_acquire_many_owned(it).ok());
        match (more, self.held.first_mut()) {
            (Some(more), Some(first)) => first.merge(more),
            (Some(more), None) => self.held.push(more),
            (None, _) => {
                self.session.no_room();
                self.give_room_back();
            }
        }
    }

    fn give_room_back(&mut self) {
        self.held.clear();
        self.pass.give_room_back();
    }

    /// Speaks TLS from here on. What came in plain after the command is forgotten: it may be anybody's.
    async fn secure(mut self) -> io::Result<Self> {
        self.input.clear();
        let Some(tls) = self.house.tls.clone() else {
            Reply::TLS_UNAVAILABLE.write(&mut self.replies);
            return Ok(self);
        };
        let shaken = timeout(self.house.times.command, TlsAcceptor::from(tls).accept(self.wire)).await;
        match shaken.map_err(io::Error::from).and_then(|it| it) {
            Ok(wire) => {
                self.wire = Box::new(wire);
                self.session.secured();
                Ok(self)
            }
            Err(error) => {
                self.house.delivery.telemetry.smtp_refused(self.protocol, SmtpRefused::Tls);
                Err(error)
            }
        }
    }

    /// Writes what is to be said. Whoever does not listen is not waited for.
    async fn flush(&mut self) -> io::Result<()> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let Self { wire, replies, house, .. } = self;
        let write = async {
            wire.write_all(replies).await?;
            wire.flush().await
        };
        timeout(house.times.command, write).await??;
        self.replies.clear();
        Ok(())
    }

    /// Closes it so that the last reply arrives.
    async fn close(mut self) -> io::Result<()> {
        timeout(self.house.times.command, self.wire.shutdown()).await??;
        let (mut left, patience) = LINGER;
        let drain = async {
            while left > 0 {
                self.input.clear();
                self.input.reserve(READ_AT_ONCE);
                match self.wire.read_buf(&mut self.input).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        tokio::select! {
            drained = timeout(patience, drain) => drained.unwrap_or(Ok(())),
            () = self.house.stop.cancelled() => Ok(()),
        }
    }
}
