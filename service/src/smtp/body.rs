//! The text of a message as it comes after DATA (RFC 5321 section 4.5.2): stuffed dots are taken away, and the end is CR LF dot
//! CR LF and nothing else. A CR or an LF that stands alone is refused, wherever it stands: what one server takes for the end of a
//! message and another does not is how a second message is smuggled in behind the first.

use memchr::memchr2;

/// What came of some octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// The end has not come yet.
    More,
    /// The end has come; so many octets were of the message.
    End(usize),
    /// A CR or an LF stands alone.
    Bare,
}

/// Why a message is read to its end without being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It is larger than allowed.
    TooLarge,
    /// There is no room for it now.
    NoRoom,
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    InLine,
    /// After a CR.
    Cr,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot at the start of a line and a CR.
    DotCr,
}

/// A message as it grows.
#[derive(Debug)]
pub(super) struct Body {
    at: At,
    limit: usize,
    text: Vec<u8>,
    dropped: Option<Dropped>,
}

impl Body {
    /// An empty one that may have so many octets.
    pub(super) fn new(limit: usize) -> Self {
        Self { at: At::default(), limit, text: Vec::new(), dropped: None }
    }

    /// Octets that it holds.
    pub(super) fn held(&self) -> usize {
        self.text.len()
    }

    /// Reads on without keeping anything, for the first reason that was given.
    pub(super) fn drop_text(&mut self, why: Dropped) {
        self.dropped.get_or_insert(why);
        self.text = Vec::new();
    }

    /// The message, or why it was not kept.
    pub(super) fn finish(self) -> Result<Vec<u8>, Dropped> {
        self.dropped.map_or(Ok(self.text), Err)
    }

    /// Reads octets up to the end of the message.
    pub(super) fn feed(&mut self, input: &[u8]) -> Fed {
        let mut read = 0;
        while let Some(&octet) = input.get(read) {
            let (next, kept): (At, &[u8]) = match (self.at, octet) {
                (At::LineStart, b'.') => (At::Dot, b""),
                (At::LineStart | At::InLine, b'\r') => (At::Cr, b""),
                (At::Dot, b'\r') => (At::DotCr, b""),
                (At::Cr, b'\n') => (At::LineStart, b"\r\n"),
                (At::DotCr, b'\n') => return Fed::End(read + 1),
                (At::Cr | At::DotCr, _) | (_, b'\n') => return Fed::Bare,
                (At::LineStart | At::InLine | At::Dot, _) => {
                    let rest = input.get(read..).unwrap_or_default();
                    let line = rest.get(..memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
                    self.keep(line);
                    self.at = At::InLine;
                    read += line.len();
                    continue;
                }
            };
            self.keep(kept);
            self.at = next;
            read += 1;
        }
        Fed::More
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.dropped.is_some() {
            return;
        }
        if self.text.len() + octets.len() > self.limit {
            return self.drop_text(Dropped::TooLarge);
        }
        self.text.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(input: &[u8]) -> (Fed, Vec<u8>) {
        let mut body = Body::new(1000);
        (body.feed(input), body.finish().unwrap())
    }

    #[test]
    fn stuffed_dots_are_taken_away() {
        for (input, text) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b".a\r\n...b\r\nc.\r\n.\r\n", b"a\r\n..b\r\nc.\r\n"),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
        ] {
            assert_eq!(read(input), (Fed::End(input.len()), text.to_vec()), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn nothing_else_ends_a_message_and_what_stands_alone_is_refused() {
        for input in [
            &b"a\n.\nb"[..],
            b"a\n.\r\n",
            b"a\r\n.\n",
            b"a\r.\r\n",
            b"a\r\n.\rb",
            b"a\r\r\n.\r\n",
            b"a\r.\r",
            b".\n",
            b"\n",
            b"..\n.\r\n",
            b"a\n\r\n.\r\n",
        ] {
            assert_eq!(read(input).0, Fed::Bare, "{}", input.escape_ascii());
        }
        for input in [&b"a.\r\n"[..], b"a\r\n.b\r\n", b"a\r\n..\r\n", b"a\r\n.\r", b""] {
            assert_eq!(read(input).0, Fed::More, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn one_octet_over_the_limit_is_too_many() {
        let mut body = Body::new(5);
        assert_eq!(body.feed(b"abc\r\n.\r\n"), Fed::End(8));
        assert_eq!(body.finish(), Ok(b"abc\r\n".to_vec()));
        let mut body = Body::new(5);
        assert_eq!((body.feed(b"abcd\r\n.\r\n"), body.held()), (Fed::End(9), 0));
        assert_eq!(body.finish(), Err(Dropped::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_stuffed_comes_out_as_it_was(lines in proptest::collection::vec("[a.]{0,4}", 0..6), cut in 0..40_usize) {
            let text: String = lines.iter().map(|it| format!("{it}\r\n")).collect();
            let stuffed: String = lines.iter().map(|it| format!("{}{it}\r\n", if it.starts_with('.') { "." } else { "" })).collect();
            let sent = format!("{stuffed}.\r\nNOOP\r\n");
            let mut body = Body::new(1000);
            let (first, second) = sent.as_bytes().split_at(cut.min(stuffed.len()));
            prop_assert_eq!(body.feed(first), Fed::More);
            prop_assert_eq!(body.feed(second), Fed::End(second.len() - 6));
            prop_assert_eq!(body.finish(), Ok(text.into_bytes()));
        }
    }
}
