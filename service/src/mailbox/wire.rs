//! Lines and literals of IMAP (RFC 3501, section 4) over a connection: whole answers come in, commands go out. An answer is cut
//! out by its own lengths before anybody reads what it says, so that one which cannot be read costs nothing but itself. Every
//! wait has an end and every answer a size.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::error::MailboxError;

/// Octets of an answer without what it quotes: a search in a folder of a million messages.
const LINE_BYTES: usize = 16 << 20;

/// A connection to a server, whatever protects it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that speaks in lines and literals.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    /// How long the server may say nothing.
    patience: Duration,
    /// Octets that an answer may quote.
    quoted: usize,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, patience: Duration, quoted: usize) -> Self {
        Self { stream: BufReader::with_capacity(64 * 1024, stream), patience, quoted }
    }

    /// The connection, to be protected from here on. What was said ahead of that could be anybody's (RFC 3501, section 6.2.1).
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, MailboxError> {
        if self.stream.buffer().is_empty() { Ok(self.stream.into_inner()) } else { Err(MailboxError::SaidAhead) }
    }

    /// Sends a line.
    pub(super) async fn send(&mut self, line: &str) -> Result<(), MailboxError> {
        let text = format!("{line}\r\n");
        let patience = self.patience;
        let sending = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(patience, sending).await.map_err(|_| MailboxError::Silent(patience))?.map_err(MailboxError::Broken)
    }

    /// The next answer, whole, with all that it quotes.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, MailboxError> {
        let mut answer = Vec::new();
        let mut quoted = 0;
        loop {
            let from = answer.len();
            self.line(&mut answer, from + LINE_BYTES).await?;
            let Some(length) = literal(&answer, from) else { return Ok(answer) };
            quoted += length;
            if quoted > self.quoted {
                return Err(MailboxError::TooMuch(self.quoted));
            }
            self.octets(&mut answer, length).await?;
        }
    }

    /// Whether something can be read now or within that time.
    pub(super) async fn speaks_within(&mut self, wait: Duration) -> Result<bool, MailboxError> {
        match timeout(wait, self.stream.fill_buf()).await {
            Err(_) => Ok(false),
            Ok(Ok([])) => Err(MailboxError::Closed),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(MailboxError::Broken(error)),
        }
    }

    async fn line(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<(), MailboxError> {
        loop {
            let buffer = fill(&mut self.stream, self.patience).await?;
            let end = memchr::memchr(b'\n', buffer).map(|it| it + 1);
            let taken = end.unwrap_or(buffer.len());
            into.extend_from_slice(buffer.get(..taken).unwrap_or_default());
            self.stream.consume(taken);
            if end.is_some() {
                return Ok(());
            }
            if into.len() > limit {
                return Err(MailboxError::TooMuch(limit));
            }
        }
    }

    async fn octets(&mut self, into: &mut Vec<u8>, mut count: usize) -> Result<(), MailboxError> {
        while count > 0 {
            let buffer = fill(&mut self.stream, self.patience).await?;
            let taken = buffer.len().min(count);
            into.extend_from_slice(buffer.get(..taken).unwrap_or_default());
            self.stream.consume(taken);
            count -= taken;
        }
        Ok(())
    }
}

/// What has come, waiting for it no longer than that.
async fn fill(stream: &mut BufReader<Box<dyn Stream>>, patience: Duration) -> Result<&[u8], MailboxError> {
    let buffer = timeout(patience, stream.fill_buf()).await.map_err(|_| MailboxError::Silent(patience))?;
    match buffer {
        Ok([]) => Err(MailboxError::Closed),
        Ok(buffer) => Ok(buffer),
        Err(error) => Err(MailboxError::Broken(error)),
    }
}

/// The length of the literal that a line announces at its end: `{123}`. A line that only tells something in words quotes nothing.
fn literal(answer: &[u8], from: usize) -> Option<usize> {
    let is_text = ["* OK", "* NO", "* BAD", "* BYE", "* PREAUTH", "+"];
    if from == 0 && (is_text.iter().any(|it| starts_with(answer, it)) || !answer.starts_with(b"*")) {
        return None;
    }
    let line = answer.get(from..)?;
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let digits = line.iter().rev().take_while(|it| it.is_ascii_digit()).count();
    let (head, digits) = line.split_at(line.len() - digits);
    if !head.ends_with(b"{") || digits.len() > 10 {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn starts_with(line: &[u8], word: &str) -> bool {
    line.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

/// Drops a connection as friends do.
pub(super) async fn shut(mut wire: Wire) -> io::Result<()> {
    wire.stream.shutdown().await?;
    // What is still on its way is let be.
    let _ = timeout(Duration::from_millis(200), wire.stream.read_u8()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &[u8], quoted: usize) -> Vec<Result<String, String>> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(Box::new(ours), Duration::from_secs(5), quoted);
        theirs.write_all(text).await.unwrap();
        drop(theirs);
        let mut read = Vec::new();
        loop {
            match wire.read().await {
                Ok(it) => read.push(Ok(String::from_utf8(it).unwrap())),
                Err(error) => {
                    read.push(Err(error.to_string()));
                    return read;
                }
            }
        }
    }

    #[tokio::test]
    async fn answers_are_cut_by_their_own_lengths() {
        let closed = MailboxError::Closed.to_string();
        for (text, expected) in [
            ("* OK ready\r\n* 1 EXISTS\r\n", vec!["* OK ready\r\n", "* 1 EXISTS\r\n"]),
            ("* 1 FETCH (BODY[] {4}\r\nA\r\n) UID 3)\r\nt1 OK\r\n", vec!["* 1 FETCH (BODY[] {4}\r\nA\r\n) UID 3)\r\n", "t1 OK\r\n"]),
            ("* 1 FETCH (A {1}\r\n* B {2}\r\nxx)\r\n* 2 EXISTS\r\n", vec!["* 1 FETCH (A {1}\r\n* B {2}\r\nxx)\r\n", "* 2 EXISTS\r\n"]),
            ("* OK wait {5}\r\n* 1 EXISTS\r\n", vec!["* OK wait {5}\r\n", "* 1 EXISTS\r\n"]),
            ("* X {99999999999}\r\n* X {a}\r\n", vec!["* X {99999999999}\r\n", "* X {a}\r\n"]),
            ("* 1 FETCH (BODY[] {0}\r\n)\r\n", vec!["* 1 FETCH (BODY[] {0}\r\n)\r\n"]),
        ] {
            let expected = expected.into_iter().map(|it| Ok(it.to_owned())).chain([Err(closed.clone())]).collect::<Vec<_>>();
            assert_eq!(read(text.as_bytes(), 100).await, expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_has_a_size() {
        let text = "* 1 FETCH (BODY[] {101}\r\n";
        assert_eq!(read(text.as_bytes(), 100).await, [Err(MailboxError::TooMuch(100).to_string())]);
        let twice = format!("* 1 FETCH (A {{60}}\r\n{0} B {{60}}\r\n{0})\r\n", "x".repeat(60));
        assert_eq!(read(twice.as_bytes(), 100).await, [Err(MailboxError::TooMuch(100).to_string())]);
    }

    #[tokio::test]
    async fn silence_ends() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(Box::new(ours), Duration::from_millis(20), 100);
        assert!(matches!(wire.read().await, Err(MailboxError::Silent(_))));
    }
}
