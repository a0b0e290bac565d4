//! A mail server that knows nobody: what a sender hears whose list is old.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server. It runs on the runtime of the test and ends when it is dropped.
#[derive(Debug)]
pub struct Refuser {
    port: u16,
    refused: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Refuser {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, count.clone()));
            }
        });
        Self { port, refused, server }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Recipients that it has refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Refuser {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn talk(stream: TcpStream, refused: Arc<AtomicUsize>) -> std::io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut lines = BufReader::new(input).lines();
    output.write_all(b"220 mx.corp.example ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match word.as_str() {
            "EHLO" | "HELO" => "250 mx.corp.example".to_owned(),
            "RCPT" => {
                refused.fetch_add(1, Ordering::SeqCst);
                let whom = line.split(['<', '>']).nth(1).unwrap_or_default();
                format!("550 5.1.1 <{whom}>: Recipient address rejected: User unknown in virtual mailbox table")
            }
            "DATA" => "554 5.5.1 no valid recipients".to_owned(),
            "QUIT" => "221 2.0.0 bye".to_owned(),
            _ => "250 2.0.0 ok".to_owned(),
        };
        output.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if word == "QUIT" {
            break;
        }
    }
    Ok(())
}
