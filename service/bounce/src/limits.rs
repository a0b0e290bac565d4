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
/// Texts of a mail that are looked at as possible tokens of ours.
pub const TOKENS: usize = 8;
/// Octets kept of all of them together: every report on a message carries them.
pub const HINTS_BYTES: usize = 16 * 1024;

// Posts of providers (`esp`).

/// Bytes of a signing certificate in PEM; a real one has about 2,000.
pub const CERTIFICATE_BYTES: usize = 16 * 1024;
/// Characters of a URL that is fetched.
pub const FETCHED_URL_BYTES: usize = 2048;
/// Recipients read of one event. SES takes 50 per message; the rest of a longer list is left with a note.
pub const EVENT_RECIPIENTS: usize = 1000;
/// Events of one post. The greatest that a provider documents is 5,000; a post of more is refused.
pub const POST_EVENTS: usize = 10_000;
/// Events of one post in our own format. It is for systems that report as they go, and one post is one transaction.
pub const GENERIC_EVENTS: usize = 1_000;
/// Events of one post that are not understood and kept each on its own; with more, the post as a whole is kept as well.
pub const POST_SET_ASIDE: usize = 100;
/// Notes kept of one post; after these only their number grows.
pub const POST_NOTES: usize = 50;
/// Bytes kept of one text field of a post.
pub const POST_FIELD_BYTES: usize = 8 * 1024;
/// Headers and tags kept of one event as hints.
pub const POST_HINTS: usize = 50;
/// Bytes kept of one hint.
pub const POST_HINT_BYTES: usize = 512;
/// Fields of an urlencoded post. No provider sends a hundred; each field costs far more memory than its bytes.
pub const FORM_FIELDS: usize = 20_000;
/// Parts of a multipart/form-data post. Mailgun posts every header of a message as a part of its own.
pub const FORM_PARTS: usize = 300;
/// Bytes of the header block of one such part.
pub const FORM_PART_HEADER_BYTES: usize = 8 * 1024;
/// Bytes of its boundary; RFC 2046 section 5.1.1 allows 70.
pub const FORM_BOUNDARY_BYTES: usize = 70;
