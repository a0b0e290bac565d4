//! A list on its way in: kept in a file without a name while it is read, so that it can be any size, is known by its digest
//! before anything is done with it, and is gone with the process. Its encoding shows only when all of it was seen: Latin-1
//! is what is not UTF-8.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use encoding_rs::DecoderResult;

use super::ROW_LIMIT;
use super::text::Decoded;

bounce::vocabulary! {
    /// How the text of a list is encoded.
    pub enum Encoding, "encoding" {
        /// UTF-8, with or without a byte order mark.
        Utf8 = "utf-8",
        /// UTF-16, the lower octet first.
        Utf16Le = "utf-16le",
        /// UTF-16, the higher octet first.
        Utf16Be = "utf-16be",
        /// Latin-1, in the form of Windows (code page 1252).
        Latin1 = "latin-1",
    }
}

impl Encoding {
    const fn is(self) -> &'static encoding_rs::Encoding {
        match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Utf16Le => encoding_rs::UTF_16LE,
            Self::Utf16Be => encoding_rs::UTF_16BE,
            Self::Latin1 => encoding_rs::WINDOWS_1252,
        }
    }
}

/// A list being taken in.
pub struct Spool {
    file: File,
    digest: digest::Context,
    size: u64,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({} octets)", self.size)
    }
}

impl Spool {
    /// Begins with nothing.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, digest: digest::Context::new(&digest::SHA256), size: 0 })
    }

    /// Octets so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// All of it is there.
    ///
    /// # Errors
    /// When it cannot be read again.
    pub fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush()?;
        let encoding = encoding(&mut self.file)?;
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(self.digest.finish().as_ref()) {
            *to = *from;
        }
        Ok(Spooled { file: self.file, digest: hash, size: self.size, encoding })
    }
}

impl Write for Spool {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        let count = self.file.write(some)?;
        self.digest.update(some.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A list that is all there.
#[derive(Debug)]
pub struct Spooled {
    file: File,
    /// SHA-256 of its octets.
    pub digest: [u8; 32],
    /// Its octets.
    pub size: u64,
    /// How its text is encoded.
    pub encoding: Encoding,
}

impl Spooled {
    /// The same once more, to be read when nobody reads this one any more: the place in the file is one.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, digest: self.digest, size: self.size, encoding: self.encoding })
    }

    /// The octets from the first on. One reader at a time: the place in the file is one.
    pub(super) fn input(&self) -> io::Result<Input> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Input { file: Arc::new(file), read: Arc::default() })
    }

    /// The beginning of the text: a row and its end fit.
    pub(super) fn head(&self) -> io::Result<String> {
        let mut head = Vec::new();
        self.text(&self.input()?).take(2 * ROW_LIMIT as u64).read_to_end(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    /// The text from the first character on.
    pub(super) fn text(&self, input: &Input) -> Decoded<Input> {
        Decoded::new(input.clone(), self.encoding.is().new_decoder_with_bom_removal())
    }
}

/// The octets of a list, counted as they are read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    file: Arc<File>,
    read: Arc<AtomicU64>,
}

impl Input {
    pub(super) fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.file.as_ref().read(to)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// By its byte order mark; else UTF-16 has a zero beside the first letter; else UTF-8 if all of it is, else Latin-1.
fn encoding(file: &mut File) -> io::Result<Encoding> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0; 3];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|it| !it.is_empty()) {
        match file.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    match head {
        [0xef, 0xbb, 0xbf] => return Ok(Encoding::Utf8),
        [0xff, 0xfe, _] if filled >= 2 => return Ok(Encoding::Utf16Le),
        [0xfe, 0xff, _] if filled >= 2 => return Ok(Encoding::Utf16Be),
        [letter, 0, _] if filled >= 2 && letter != 0 => return Ok(Encoding::Utf16Le),
        [0, letter, _] if filled >= 2 && letter != 0 => return Ok(Encoding::Utf16Be),
        _ => {}
    }
    file.seek(SeekFrom::Start(0))?;
    let mut decoder = encoding_rs::UTF_8.new_decoder_without_bom_handling();
    let (mut raw, mut text) = (vec![0; 8 << 10], vec![0; 32 << 10]);
    loop {
        let count = file.read(&mut raw)?;
        let some = raw.get(..count).unwrap_or_default();
        // The text has room for whatever the octets are.
        if let (DecoderResult::Malformed(..), _, _) = decoder.decode_to_utf8_without_replacement(some, &mut text, count == 0) {
            return Ok(Encoding::Latin1);
        }
        if count == 0 {
            return Ok(Encoding::Utf8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(bytes: &[u8]) -> Spooled {
        let mut spool = Spool::new().unwrap();
        bytes.chunks(7).for_each(|it| spool.write_all(it).unwrap());
        spool.finish().unwrap()
    }

    #[test]
    fn an_encoding_is_recognised() {
        let late = [vec![b'a'; 20_000], vec![0xe9]].concat();
        let split = [vec![b'a'; (8 << 10) - 1], "é".into()].concat();
        for (bytes, encoding) in [
            (b"".as_slice(), Encoding::Utf8),
            (b"a", Encoding::Utf8),
            (b"jane@example.org", Encoding::Utf8),
            ("jané@example.org".as_bytes(), Encoding::Utf8),
            (&split, Encoding::Utf8),
            (b"\xef\xbb\xbfa", Encoding::Utf8),
            (b"jan\xe9@example.org", Encoding::Latin1),
            (&late, Encoding::Latin1),
            (b"cut short \xc3", Encoding::Latin1),
            (b"\xff\xfea\0", Encoding::Utf16Le),
            (b"\xfe\xff\0a", Encoding::Utf16Be),
            (b"a\0b\0", Encoding::Utf16Le),
            (b"\0a\0b", Encoding::Utf16Be),
        ] {
            assert_eq!(spooled(bytes).encoding, encoding, "{bytes:?}");
        }
    }

    #[test]
    fn a_list_is_known_by_its_digest_and_can_be_read_again() {
        let spooled = spooled(b"jane@example.org\n");
        assert_eq!(spooled.size, 17);
        assert_eq!(spooled.digest, sha256(b"jane@example.org\n"));
        let again = spooled.again().unwrap();
        assert_eq!((again.digest, again.size, again.encoding), (spooled.digest, spooled.size, spooled.encoding));
        for spooled in [&spooled, &again, &spooled] {
            let (mut text, input) = (String::new(), spooled.input().unwrap());
            spooled.text(&input).read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), input.position()), ("jane@example.org\n", 17));
        }
    }

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap()
    }
}
