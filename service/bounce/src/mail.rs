//! The one place that knows MIME and `mail-parser`: raw bytes in, headers and decoded parts out.
//!
//! `mail-parser` itself has no limits (deep nesting overflows its stack, long boundaries take quadratic time), so only its
//! charset tables are used; the walk over the parts is our own, in one pass and within [`crate::limits`]. Parts are
//! decoded when somebody asks for them, so a large returned message costs nothing.

mod decode;
mod headers;
mod html;
mod walk;

use std::borrow::Cow;
use std::sync::OnceLock;

pub use headers::Headers;

use crate::limits;
use headers::Block;
use walk::{Leaf, Walk};

/// A mail, walked once; it borrows from its bytes.
#[derive(Debug)]
pub struct Mail<'a> {
    raw: &'a [u8],
    bytes: Cow<'a, [u8]>,
    walk: Walk,
    human: OnceLock<String>,
}

impl<'a> Mail<'a> {
    /// Parses a mail. Never fails: what cannot be parsed is a mail with one part.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Self {
        let bytes = with_line_feeds(raw);
        let walk = walk::walk(&bytes);
        Self { raw, bytes, walk, human: OnceLock::new() }
    }

    /// The bytes as they came.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The headers of the mail itself.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.walk.top.view(&self.bytes)
    }

    /// The text of the first header of that name, unfolded and decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers().first(name)
    }

    /// The media type of the whole, in lower case; empty where none is given.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.walk.kind.essence
    }

    /// The `report-type` parameter in lower case, RFC 6522 section 3.
    #[must_use]
    pub fn report_type(&self) -> Option<&str> {
        self.walk.kind.report_type.as_deref()
    }

    /// The leaves in order. What lies inside a message/rfc822 is not among them.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = Part<'_>> {
        self.walk.leaves.iter().map(|leaf| Part { bytes: &self.bytes, leaf })
    }

    /// The first part of one of these media types.
    #[must_use]
    pub fn part(&self, essences: &[&str]) -> Option<Part<'_>> {
        self.parts().find(|it| essences.contains(&it.content_type()))
    }

    /// What was odd about the form of the message.
    pub fn notes(&self) -> impl Iterator<Item = &'static str> {
        self.walk.notes.iter().copied()
    }

    /// Everything written for people, decoded, with `\n` as line end: the text parts, one of each multipart/alternative.
    #[must_use]
    pub fn human(&self) -> &str {
        self.human.get_or_init(|| self.human_text())
    }

    fn human_text(&self) -> String {
        let mut out = String::new();
        let mut plain_of = None;
        for part in self.parts() {
            let room = limits::TEXT_BYTES.saturating_sub(out.len());
            if room == 0 {
                break;
            }
            let text = match part.content_type() {
                "" | "text/plain" | "text/enriched" => part.text(room),
                "text/html" if plain_of.is_none_or(|it| it != part.leaf.parent) => Cow::Owned(html::text(&part.text(room))),
                essence if essence.starts_with("text/") && !matches!(essence, "text/html" | "text/rfc822-headers" | "text/rfc822") => {
                    part.text(room)
                }
                _ => continue,
            };
            if !text.trim().is_empty() {
                if self.is_alternative(part.leaf.parent) {
                    plain_of = Some(part.leaf.parent);
                }
                if !out.is_empty() {
                    out.push_str("\n\n");
                }
                out.push_str(&text);
            }
        }
        out
    }

    fn is_alternative(&self, multipart: usize) -> bool {
        multipart.checked_sub(1).and_then(|it| self.walk.multiparts.get(it)).is_some_and(|(essence, _)| essence == "multipart/alternative")
    }
}

/// One leaf of a mail.
#[derive(Debug, Clone, Copy)]
pub struct Part<'m> {
    bytes: &'m [u8],
    leaf: &'m Leaf,
}

impl<'m> Part<'m> {
    /// The media type in lower case; empty where none is given.
    #[must_use]
    pub fn content_type(&self) -> &'m str {
        &self.leaf.kind.essence
    }

    /// The file name, if the part has one.
    #[must_use]
    pub fn name(&self) -> Option<&'m str> {
        self.leaf.kind.name.as_deref()
    }

    /// The headers of the part.
    #[must_use]
    pub fn headers(&self) -> Headers<'m> {
        self.leaf.block.view(self.bytes)
    }

    /// The octets with the transfer encoding undone, as far as `limit`.
    #[must_use]
    pub fn octets(&self, limit: usize) -> Cow<'m, [u8]> {
        decode::transfer(self.bytes.get(self.leaf.body.clone()).unwrap_or_default(), &self.leaf.encoding, limit)
    }

    /// The decoded text, as far as `limit`, with `\n` as line end.
    #[must_use]
    pub fn text(&self, limit: usize) -> Cow<'m, str> {
        let label = self.leaf.kind.charset.as_deref();
        match self.octets(limit) {
            Cow::Borrowed(octets) => with_plain_line_ends(decode::charset(octets, label)),
            Cow::Owned(octets) => Cow::Owned(with_plain_line_ends(decode::charset(&octets, label)).into_owned()),
        }
    }

    /// The header of a part as text, for senders that leave out the blank line in front of the body.
    #[must_use]
    pub fn header_text(&self) -> Cow<'m, str> {
        with_plain_line_ends(decode::charset(self.bytes.get(self.leaf.block.start..self.leaf.block.end).unwrap_or_default(), None))
    }

    /// The part read as a message of its own: its header, and no more of it than `limit`.
    #[must_use]
    pub fn message(&self, limit: usize) -> Message<'m> {
        Message::parse(self.octets(limit))
    }
}

/// The header block of a message inside the mail.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    bytes: Cow<'m, [u8]>,
    block: Block,
}

impl<'m> Message<'m> {
    /// Reads the header of a message.
    #[must_use]
    pub fn parse(bytes: Cow<'m, [u8]>) -> Self {
        let from = bytes.iter().take_while(|it| matches!(it, b'\n' | b'\r' | b' ' | b'\t')).count();
        let block = Block::scan(&bytes, from, |_| false);
        Self { bytes, block }
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.block.view(&self.bytes)
    }

    /// What follows the header, as octets.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.block.end..).unwrap_or_default()
    }
}

/// A mail whose lines end in bare CR gets line feeds; any other stays as it is.
fn with_line_feeds(raw: &[u8]) -> Cow<'_, [u8]> {
    let first = memchr::memchr2(b'\r', b'\n', raw).and_then(|at| raw.get(at..)).unwrap_or_default();
    if first.starts_with(b"\r") && !first.starts_with(b"\r\n") && !first.starts_with(b"\r\r\n") {
        Cow::Owned(raw.iter().map(|it| if *it == b'\r' { b'\n' } else { *it }).collect())
    } else {
        Cow::Borrowed(raw)
    }
}

/// CRLF and lone CR become LF.
fn with_plain_line_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = memchr::memchr(b'\r', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        // `\r\r\n` is one line end too: some gateways write it.
        let after = after.trim_start_matches('\r');
        if !after.starts_with('\n') {
            out.push('\n');
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The lines of a text, each with its line end; as `split_inclusive`, by the vector.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at(end);
        rest = tail;
        (!line.is_empty()).then_some(line)
    })
}

/// Gives every word of a text to `take`; as `split_whitespace`, which is slow on ASCII.
pub(crate) fn each_word<'t>(text: &'t str, take: impl FnMut(&'t str)) {
    // ASCII by itself does not count the vertical tab among the blanks.
    if text.is_ascii() && !text.contains('\u{b}') {
        text.split_ascii_whitespace().for_each(take);
    } else {
        text.split_whitespace().for_each(take);
    }
}

#[cfg(test)]
mod tests;
