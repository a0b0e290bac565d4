//! The one place that knows `mail-parser`: raw bytes in, headers and decoded parts out, behind a guard that refuses or
//! flattens the shapes the library does not survive.

/// A parsed mail that borrows from its bytes.
#[derive(Debug)]
pub struct Mail<'a> {
    raw: &'a [u8],
}

impl<'a> Mail<'a> {
    /// Parses a mail. Never fails: what cannot be parsed is a mail without parts.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes as they came.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}
