//! One connection that is kept open, and the little of HTTP/1.1 (RFC 9112) that a client of one known server needs. Requests are
//! bytes that were made beforehand, answers are read with `httparse` and mostly thrown away: a client library would cost as
//! much processor time as the service that is measured, on the same two cores.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most fields in the head of an answer.
const FIELDS: usize = 48;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Set once the server said that it will close.
    ends: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, without its framing.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// The head of an answer.
struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    ends: bool,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: Vec::with_capacity(4096), ends: false })
    }

    /// Sends a request and waits for its answer. After an error the connection is of no more use.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        if self.ends {
            *self = Self::open(self.address).await?;
        }
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.fill().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        self.ends = head.ends;
        let body = match head.framing {
            Framing::Length(length) => {
                while self.buffer.len() < head.length + length {
                    self.fill().await?;
                }
                self.buffer.get(head.length..head.length + length).unwrap_or_default().to_vec()
            }
            Framing::Chunked => self.chunks(head.length).await?,
        };
        Ok(Answer { status: head.status, body })
    }

    async fn chunks(&mut self, mut at: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            let Ok(size) = httparse::parse_chunk_size(rest) else { return Err(invalid("the size of a chunk")) };
            let httparse::Status::Complete((line, size)) = size else {
                self.fill().await?;
                continue;
            };
            let size = usize::try_from(size).map_err(|_| invalid("the size of a chunk"))?;
            let (from, to) = (at + line, at + line + size);
            while self.buffer.len() < to + 2 {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(self.buffer.get(from..to).unwrap_or_default());
            at = to + 2;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the service closed the connection")),
            _ => Ok(()),
        }
    }
}

fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes).map_err(|_| invalid("the head of an answer"))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut framing = Framing::Length(0);
    let mut ends = false;
    for field in response.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.parse().map_err(|_| invalid("the length of an answer"))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if field.name.eq_ignore_ascii_case("connection") {
            ends = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(Head { status: response.code.unwrap_or_default(), length, framing, ends }))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read"))
}

/// A whole request as it goes over the wire.
pub(crate) fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: load.test\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answered_with(pieces: &'static [&'static str]) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let answer = Connection::open(address).await.unwrap().ask(&request("GET", "/", &[], b"")).await;
        server.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_are_read_however_they_are_framed_and_cut() {
        let pieces = &["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\n\r\nhe", "llo"];
        assert_eq!(answered_with(pieces).await.unwrap().body, b"hello");
        let pieces = &["HTTP/1.1 503 Come again\r\ntransfer-encoding: chunked\r\n\r\n3", "\r\nhel\r\n2\r\nl", "o\r\n0\r\n\r\n"];
        let answer = answered_with(pieces).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, b"hello".as_slice()));
        assert!(answered_with(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"]).await.is_err());
    }
}
