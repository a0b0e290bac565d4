//! Every bound on input, in one place. Each has a test that goes one past it, beside the code that holds it. What is over
//! a limit is left out with a note; it never costs the rest of the message.

/// Octets read of one header block before the rest is taken for the body.
pub const HEADER_BYTES: usize = 256 * 1024;
/// Fields kept of one header block.
pub const HEADER_FIELDS: usize = 2_000;
/// Octets a boundary may have. RFC 2046 section 5.1.1 allows 70; some senders write more.
pub const BOUNDARY_BYTES: usize = 250;
/// Multiparts inside each other; a deeper one is taken for a leaf.
pub const DEPTH: usize = 16;
/// Parts of one message; the rest belongs to the last one.
pub const PARTS: usize = 500;
/// Octets decoded of all human text together.
pub const TEXT_BYTES: usize = 1024 * 1024;
/// Octets decoded of one machine part.
pub const REPORT_BYTES: usize = 4 * 1024 * 1024;
/// Octets kept of one field of a machine part.
pub const FIELD_BYTES: usize = 64 * 1024;
/// Recipients reported of one message.
pub const RECIPIENTS: usize = 1_000;
/// Octets kept of a diagnostic or of the human text about one recipient.
pub const DIAGNOSTIC_BYTES: usize = 8 * 1024;
/// Octets of human text looked at around one address.
pub const PARAGRAPH_BYTES: usize = 4 * 1024;
/// Addresses looked at in human text.
pub const MENTIONS: usize = 2 * RECIPIENTS;
/// Octets of one encoded word (RFC 2047 section 2 allows 75; many write more).
pub const ENCODED_WORD_BYTES: usize = 1_000;
/// Headers of the returned message kept as hints.
pub const HINT_HEADERS: usize = 64;
/// Octets kept of one such header.
pub const HINT_BYTES: usize = 1_000;
/// Octets kept of all of them together: every report on a message carries them.
pub const HINTS_BYTES: usize = 16 * 1024;
/// Notes kept on one message.
pub const NOTES: usize = 20;
