//! The mbox format (RFC 4155, and `mboxrd` for the quoting): messages behind each other, each after a line
//! `From sender date`. Such a line separates only after a blank one and with a time of day in it, since few programs
//! quote what looks like one in a body.

use std::io::{self, BufRead, Read};

use super::too_large;

/// What begins a message.
const FROM: &[u8] = b"From ";
/// Octets of a line that may still be a separator.
const SEPARATOR_BYTES: usize = 1_000;

/// Whether a file that begins so is an mbox file: a line `From `, and a line at all (not one that ends in a bare CR).
pub(super) fn begins(head: &[u8]) -> bool {
    let line = head.split(|it| *it == b'\n').next().unwrap_or_default();
    let bare = line.strip_suffix(b"\r").unwrap_or(line);
    head.starts_with(FROM) && bare.len() <= SEPARATOR_BYTES && !bare.contains(&b'\r')
}

/// One message of an mbox file.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Whether there is no other.
    pub(super) is_alone: bool,
    /// Octets of the file up to the end of this message, those that were passed over included.
    pub(super) end: u64,
    /// The message, quoting undone.
    pub(super) content: io::Result<Vec<u8>>,
}

/// The messages of an mbox file, one after the other.
#[derive(Debug)]
pub(super) struct Mbox<R> {
    reader: R,
    limit: usize,
    number: usize,
    /// Octets that were read, and of these those of the line that ended the last message.
    octets: u64,
    ahead: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The separator of the first message has not been read.
    Start,
    /// The separator of the next message has been read.
    Separated,
    Ended,
}

impl<R: BufRead> Mbox<R> {
    /// Reads messages of up to `limit` octets.
    #[cfg(test)]
    const fn new(reader: R, limit: usize) -> Self {
        Self::after(reader, limit, 0, 0)
    }

    /// Reads messages of up to `limit` octets, where so many messages of so many octets have been read of the file before.
    pub(super) const fn after(reader: R, limit: usize, messages: usize, octets: u64) -> Self {
        Self { reader, limit, number: messages, octets, ahead: 0, state: State::Start }
    }

    /// The next line, cut where no message could hold it.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.by_ref().take(self.limit as u64 + 1).read_until(b'\n', &mut line)?;
        self.octets += line.len() as u64;
        Ok(line)
    }

    /// Reads as far as the next separator or the end.
    fn message(&mut self) -> io::Result<Vec<u8>> {
        self.ahead = 0;
        if self.state == State::Start {
            self.line()?;
        }
        let (mut message, mut is_after_blank, mut is_too_large) = (Vec::new(), false, false);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                self.state = State::Ended;
                break;
            }
            if is_after_blank && separates(&line) {
                self.state = State::Separated;
                self.ahead = line.len() as u64;
                break;
            }
            is_after_blank = line == b"\n" || line == b"\r\n";
            is_too_large |= message.len() + line.len() > self.limit;
            if is_too_large {
                message.clear();
            } else {
                message.extend_from_slice(unquoted(&line));
            }
        }
        if is_too_large {
            return Err(too_large());
        }
        drop_last_blank(&mut message);
        Ok(message)
    }
}

impl<R: BufRead> Iterator for Mbox<R> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.state == State::Ended {
            return None;
        }
        self.number += 1;
        let content = self.message();
        if content.as_ref().is_err_and(|it| it.kind() != io::ErrorKind::FileTooLarge) {
            self.state = State::Ended;
        }
        Some(Piece {
            number: self.number,
            is_alone: self.number == 1 && self.state == State::Ended,
            end: self.octets - self.ahead,
            content,
        })
    }
}

/// Whether a line after a blank one begins a message: `From x Mon Jan  5 10:00:00 2026`, in any of its variants.
fn separates(line: &[u8]) -> bool {
    let is_time = |it: &[u8]| match it {
        [a, b, b':', c, d, rest @ ..] => [a, b, c, d].iter().all(|it| it.is_ascii_digit()) && (rest.is_empty() || rest[0] == b':'),
        [a, b':', c, d, rest @ ..] => [a, c, d].iter().all(|it| it.is_ascii_digit()) && (rest.is_empty() || rest[0] == b':'),
        _ => false,
    };
    let is_year = |it: &[u8]| it.len() == 4 && it.iter().all(u8::is_ascii_digit);
    line.len() <= SEPARATOR_BYTES && line.starts_with(FROM) && {
        let mut words = line.split(u8::is_ascii_whitespace);
        words.clone().any(is_time) && words.any(is_year)
    }
}

/// `>From ` is `From `, `>>From ` is `>From `.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|it| **it == b'>').count();
    match line.get(quotes..) {
        Some(rest) if quotes > 0 && rest.starts_with(FROM) => line.get(1..).unwrap_or_default(),
        _ => line,
    }
}

/// The blank line in front of the next separator belongs to the format.
fn drop_last_blank(message: &mut Vec<u8>) {
    for blank in [&b"\n\r\n"[..], b"\n\n"] {
        if message.ends_with(blank) {
            message.truncate(message.len() + 1 - blank.len());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_LINE: &str = "From MAILER-DAEMON Mon Jan  5 10:00:00 2026\n";

    fn split(text: &str, limit: usize) -> Vec<(usize, bool, Option<String>)> {
        Mbox::new(text.as_bytes(), limit)
            .map(|it| (it.number, it.is_alone, it.content.ok().map(|it| String::from_utf8(it).unwrap())))
            .collect()
    }

    fn texts(text: &str) -> Vec<String> {
        split(text, 10_000).into_iter().map(|it| it.2.unwrap()).collect()
    }

    #[test]
    fn messages_stand_between_separators() {
        assert_eq!(texts(&format!("{FROM_LINE}A: 1\n\none\n\n{FROM_LINE}A: 2\n\ntwo\n\n")), ["A: 1\n\none\n", "A: 2\n\ntwo\n"]);
        assert_eq!(split(&format!("{FROM_LINE}A: 1\n"), 99), [(1, true, Some("A: 1\n".to_owned()))]);
        let crlf = FROM_LINE.replace('\n', "\r\n");
        assert_eq!(texts(&format!("{crlf}A: 1\r\n\r\none\r\n\r\n{crlf}A: 2\r\n")), ["A: 1\r\n\r\none\r\n", "A: 2\r\n"]);
    }

    #[test]
    fn a_sentence_is_no_separator() {
        for line in ["From the start it was clear.", "From 10:30 on we wait.", "From now on"] {
            let body = format!("A: 1\n\none\n\n{line}\nmore\n");
            assert_eq!(texts(&format!("{FROM_LINE}{body}")), [body]);
        }
        let after_text = format!("A: 1\n\none\n{FROM_LINE}");
        assert_eq!(texts(&format!("{FROM_LINE}{after_text}")), [after_text]);
    }

    #[test]
    fn separators_come_in_variants() {
        for line in [
            "From jane@example.com Sat Dec  6 13:46:11 2025",
            "From <> Thu Apr 29 23:45 2025",
            "From - Mon 1 Jan 2025 00:00:00 +0900",
            "From x Thu Apr 29 9:45:10 2025 remote from y",
        ] {
            assert_eq!(texts(&format!("{FROM_LINE}A: 1\n\n\n{line}\nA: 2\n")).len(), 2, "{line}");
        }
    }

    #[test]
    fn quoting_is_undone_by_one_level() {
        assert_eq!(texts(&format!("{FROM_LINE}A: 1\n\n>From x\n>>From y\n> From z\n")), ["A: 1\n\nFrom x\n>From y\n> From z\n"]);
    }

    #[test]
    fn a_message_over_the_limit_costs_only_itself() {
        let long = "x".repeat(90);
        let text = format!("{FROM_LINE}A: 1\n\n{long}\n{long}\n\n{FROM_LINE}A: 2\n");
        assert_eq!(split(&text, 100), [(1, false, None), (2, false, Some("A: 2\n".to_owned()))]);
        assert_eq!(split(&text, 10_000).len(), 2);
    }

    #[test]
    fn only_a_line_from_begins_an_mbox() {
        for (head, expected) in [
            (FROM_LINE.as_bytes(), true),
            (b"From: jane@example.com\n", false),
            (b"From x\rA: 1\rB: 2\r", false),
            (b"From x\r\nA: 1\r\n", true),
            (b"", false),
        ] {
            assert_eq!(begins(head), expected, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn reading_goes_on_where_a_message_ended() {
        let text = format!("{FROM_LINE}A: 1\n\none\n\n{FROM_LINE}A: 2\n\n{}\n\n{FROM_LINE}A: 3\n\nthree\n", "x".repeat(90));
        let all: Vec<Piece> = Mbox::new(text.as_bytes(), 80).collect();
        assert_eq!(all.last().map(|it| it.end), Some(text.len() as u64));
        for piece in &all {
            let end = usize::try_from(piece.end).unwrap();
            let rest = Mbox::after(&text.as_bytes()[end..], 80, piece.number, piece.end);
            let rest: Vec<_> =
                rest.filter(|it| end < text.len() || it.content.is_err()).map(|it| (it.number, it.end, it.content.ok())).collect();
            let expected: Vec<_> = all.iter().skip(piece.number).map(|it| (it.number, it.end, it.content.as_ref().ok().cloned())).collect();
            assert_eq!(rest, expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_split_without_loss_of_lines(text in "(From x 10:00 2026\n|From y\n|\n|a\n|>From b\n){0,20}") {
            let joined: usize = texts(&format!("{FROM_LINE}{text}")).iter().map(String::len).sum();
            proptest::prop_assert!(joined <= text.len());
        }
    }
}
