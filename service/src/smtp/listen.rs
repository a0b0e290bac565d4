//! Where connections come from: a port or a socket in the file system, and the loop that takes them.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, House, Wire};
use super::gate::{Gate, Pass};
use super::reply::Reply;
use crate::config::Endpoint;
use crate::telemetry::{MailProtocol, SmtpRefused, Stage};

/// Time after which a socket that could not take a connection, for want of files mostly, tries again.
const PAUSE: Duration = Duration::from_millis(500);

/// Connections that may wait to be taken. Whoever comes on top of them may believe to be connected and wait for a greeting that
/// never comes, so there are many; the kernel makes of them what `net.core.somaxconn` says.
const BACKLOG: u32 = 4096;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    protocol: MailProtocol,
    endpoint: Endpoint,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that has come.
enum Caller {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Listens.
    pub(super) fn bind(protocol: MailProtocol, endpoint: &Endpoint) -> io::Result<Self> {
        let socket = match endpoint {
            Endpoint::Tcp(address) => Socket::Tcp(bind_tcp(*address)?),
            Endpoint::Unix(path) => Socket::Unix(bind_unix(path)?),
        };
        Ok(Self { protocol, endpoint: endpoint.clone(), socket })
    }

    pub(super) const fn protocol(&self) -> MailProtocol {
        self.protocol
    }

    /// The port, where it is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        if let Socket::Tcp(it) = &self.socket { it.local_addr().ok() } else { None }
    }

    /// Where it listens, with the port that it was given.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.address().map_or_else(|| self.endpoint.clone(), Endpoint::Tcp)
    }

    /// Takes connections until told to stop, each a task of its own.
    pub(super) async fn run(self, gate: Gate, house: Arc<House>, tasks: TaskTracker, end: CancellationToken) {
        let telemetry = house.delivery.telemetry.clone();
        loop {
            let caller = tokio::select! {
                biased;
                () = house.stop.cancelled() => break,
                caller = self.accept() => caller,
            };
            let caller = match caller {
                Ok(caller) => caller,
                Err(error) => {
                    telemetry.failed(Stage::Smtp, "taking a connection", &error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match gate.enter(self.protocol, caller.peer(), Instant::now()) {
                Ok(pass) => {
                    tasks.spawn(attend(house.clone(), self.protocol, caller.wire(), pass, end.clone()));
                }
                Err(why) => {
                    telemetry.smtp_refused(self.protocol, why);
                    caller.turn_away(why);
                }
            }
        }
        if let Endpoint::Unix(path) = &self.endpoint {
            // Whoever comes next makes it anew.
            let _ = std::fs::remove_file(path);
        }
    }

    async fn accept(&self) -> io::Result<Caller> {
        match &self.socket {
            Socket::Tcp(it) => it.accept().await.map(|(stream, peer)| Caller::Tcp(stream, peer)),
            Socket::Unix(it) => it.accept().await.map(|(stream, _)| Caller::Unix(stream)),
        }
    }
}

impl Caller {
    fn peer(&self) -> Option<std::net::IpAddr> {
        if let Self::Tcp(_, peer) = self { Some(peer.ip()) } else { None }
    }

    fn wire(self) -> Box<dyn Wire> {
        match self {
            Self::Tcp(stream, _) => {
                // Replies are whole and small; the other side waits for them.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            Self::Unix(stream) => Box::new(stream),
        }
    }

    /// Says why without waiting for anything: one that is turned away must cost nothing.
    fn turn_away(self, why: SmtpRefused) {
        let reply = if why == SmtpRefused::Connections { Reply::TOO_MANY_CONNECTIONS } else { Reply::TOO_MANY_OF_ADDRESS };
        // The sockets stay as they are, which is not to block.
        let _ = match self {
            Self::Tcp(stream, _) => stream.into_std().and_then(|mut it| it.write(&reply.line())),
            Self::Unix(stream) => stream.into_std().and_then(|mut it| it.write(&reply.line())),
        };
    }
}

/// Serves a connection, until its end or that of all.
async fn attend(house: Arc<House>, protocol: MailProtocol, wire: Box<dyn Wire>, pass: Pass, end: CancellationToken) {
    let _open = Open::new(&house, protocol);
    tokio::select! {
        () = connection::serve(&house, protocol, wire, pass) => {}
        () = end.cancelled() => {}
    }
}

/// Counts a connection for as long as it is open, should it end by a panic too.
struct Open<'a>(&'a House, MailProtocol);

impl<'a> Open<'a> {
    fn new(house: &'a House, protocol: MailProtocol) -> Self {
        house.delivery.telemetry.smtp_opened(protocol);
        Self(house, protocol)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.delivery.telemetry.smtp_closed(self.1);
    }
}

/// Listens at a port.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Or a port that was in use a moment ago could not be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes the socket, in place of one that a process has left behind. Whoever may enter its folder may connect.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(socket)
}
