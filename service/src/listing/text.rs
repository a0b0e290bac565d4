//! Octets to text to lines: any encoding becomes UTF-8 on the way, a few KiB at a time.

use std::io::{self, BufRead, Read};

use encoding_rs::Decoder;

use super::ROW_LIMIT;

/// Octets read at once.
const CHUNK: usize = 16 << 10;

/// Text of any encoding, read as UTF-8. What does not decode becomes U+FFFD, which no address has.
pub(super) struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    /// The decoder was told the end, and must not be asked again.
    is_over: bool,
    raw: Vec<u8>,
    text: Vec<u8>,
    /// What of `text` was not taken yet.
    from: usize,
    until: usize,
}

impl<R> std::fmt::Debug for Decoded<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoded({})", self.decoder.encoding().name())
    }
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(inner: R, decoder: Decoder) -> Self {
        // No encoding takes more than three octets in UTF-8 for each of its own; a few may wait in the decoder.
        let text = vec![0; 3 * CHUNK + 16];
        Self { inner, decoder, is_over: false, raw: vec![0; CHUNK], text, from: 0, until: 0 }
    }
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from == self.until && !self.is_over {
            let count = self.inner.read(&mut self.raw)?;
            self.is_over = count == 0;
            let raw = self.raw.get(..count).unwrap_or_default();
            let (_, _, written, _) = self.decoder.decode_to_utf8(raw, &mut self.text, self.is_over);
            (self.from, self.until) = (0, written);
        }
        Ok(self.text.get(self.from..self.until).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.from = self.until.min(self.from + count);
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

/// A line with what ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, the first being 1.
    pub(super) number: u64,
    /// The text; none when it has more than [`ROW_LIMIT`] octets.
    pub(super) text: Option<String>,
}

/// Lines, ended by LF, CR LF or CR.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, number: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        let mut too_long = false;
        let mut after_return = false;
        loop {
            let some = self.inner.fill_buf()?;
            if some.is_empty() {
                if text.is_empty() && !too_long {
                    return Ok(None);
                }
                break;
            }
            if after_return {
                if some.first() == Some(&b'\n') {
                    text.push(b'\n');
                    self.inner.consume(1);
                }
                break;
            }
            let end = some.iter().position(|it| matches!(it, b'\n' | b'\r'));
            let some = some.get(..end.map_or(some.len(), |it| it + 1)).unwrap_or_default();
            let count = some.len();
            too_long |= text.len() + count > ROW_LIMIT;
            if !too_long {
                text.extend_from_slice(some);
            }
            after_return = some.last() == Some(&b'\r');
            self.inner.consume(count);
            if end.is_some() && !after_return {
                break;
            }
        }
        self.number += 1;
        let text = (!too_long).then(|| String::from_utf8_lossy(&text).into_owned());
        Ok(Some(Line { number: self.number, text }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &str) -> Vec<Option<String>> {
        let mut lines = Lines::new(BufReader::with_capacity(3, text.as_bytes()));
        std::iter::from_fn(|| lines.next().unwrap()).map(|it| it.text).collect()
    }

    #[test]
    fn a_line_ends_with_any_of_the_three_and_keeps_its_end() {
        let found = lines("a\nbcd\r\n\refg\rh");
        assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), ["a\n", "bcd\r\n", "\r", "efg\r", "h"]);
        assert_eq!(lines(""), []);
    }

    #[test]
    fn a_line_over_the_limit_costs_itself() {
        let long = "x".repeat(ROW_LIMIT + 1);
        assert_eq!(lines(&format!("{long}\nshort")), [None, Some("short".to_owned())]);
        let longest = "x".repeat(ROW_LIMIT);
        assert_eq!(lines(&longest), [Some(longest)]);
    }

    #[test]
    fn every_encoding_reads_the_same() {
        let text = "jané@exämple.org\r\n".repeat(3000);
        let wide = |order: fn(u16) -> [u8; 2]| std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect::<Vec<u8>>();
        let latin: Vec<u8> = text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect();
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), encoding_rs::UTF_8),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), encoding_rs::UTF_8),
            (wide(u16::to_le_bytes), encoding_rs::UTF_16LE),
            (wide(u16::to_be_bytes), encoding_rs::UTF_16BE),
            (latin, encoding_rs::WINDOWS_1252),
        ] {
            let mut read = String::new();
            Decoded::new(bytes.as_slice(), encoding.new_decoder_with_bom_removal()).read_to_string(&mut read).unwrap();
            assert!(read == text, "{}", encoding.name());
        }
    }
}
