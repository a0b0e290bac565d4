//! A second handle on the socket of a connection, to end it when asking politely does not help.
//!
//! lapin has a thread for each connection, which lives until the socket ends. A broker that accepts connections and then
//! says nothing, or one that has blocked us, would keep that thread and the socket for as long as it likes, and each new
//! attempt would add another. So what is dropped is cut.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AMQPUriTcpExt as _, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};

/// Ends the socket when dropped.
#[derive(Debug)]
pub(super) struct Socket(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Connecting,
    Open(TcpStream),
    Cut,
}

impl Socket {
    /// Connects, with that much time for TCP and TLS. The AMQP handshake takes as long as it takes; when the caller has
    /// enough of it, dropping the socket ends it.
    pub(super) fn connect(
        uri: AMQPUri,
        properties: ConnectionProperties,
        limit: Duration,
    ) -> (Self, impl Future<Output = lapin::Result<Connection>>) {
        let state = Arc::new(Mutex::new(State::Connecting));
        let shared = Arc::clone(&state);
        let connecting = async move {
            // Stands in the call, from which the types of the closure follow: lapin does not name them.
            Connection::connector(
                uri,
                lapin::runtime::default_runtime()?,
                async move |uri, runtime| {
                    let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
                    let connecting = async {
                        let stream = plain.connect_async(&runtime).await?;
                        if let AsyncTcpStream::Plain(it) = &stream {
                            hold(&shared, it.get_ref())?;
                        }
                        match uri.scheme {
                            AMQPScheme::AMQP => Ok(stream),
                            AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, OwnedTLSConfig::default().as_ref()).await,
                        }
                    };
                    let connected = tokio::time::timeout(limit, connecting).await;
                    Ok(connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
                },
                properties,
            )
            .await
        };
        (Self(state), connecting)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(stream) = std::mem::replace(&mut *state, State::Cut) {
            // It fails for a socket that has ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Keeps a handle on the socket, unless nobody wants it any more.
fn hold(state: &Mutex<State>, stream: &impl AsFd) -> io::Result<()> {
    let handle = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*state, State::Cut) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    *state = State::Open(handle);
    Ok(())
}
