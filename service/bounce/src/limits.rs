//! Every bound on input, in one place. Each has a test that goes one past it.

// Posts of providers (`esp`).

/// Bytes of a signing certificate in PEM; a real one has about 2,000.
pub const CERTIFICATE_BYTES: usize = 16 * 1024;
/// Characters of a URL that is fetched.
pub const FETCHED_URL_BYTES: usize = 2048;
/// Recipients read of one event. SES takes 50 per message; the rest of a longer list is left with a note.
pub const EVENT_RECIPIENTS: usize = 1000;
/// Notes kept of one post; after these only their number grows.
pub const POST_NOTES: usize = 50;
/// Bytes kept of one text field of a post.
pub const POST_FIELD_BYTES: usize = 8 * 1024;
/// Headers and tags kept of one event as hints.
pub const POST_HINTS: usize = 50;
/// Bytes kept of one hint.
pub const POST_HINT_BYTES: usize = 512;
/// Parts of a multipart/form-data post.
pub const FORM_PARTS: usize = 32;
/// Bytes of the header block of one such part.
pub const FORM_PART_HEADER_BYTES: usize = 8 * 1024;
/// Bytes of its boundary; RFC 2046 section 5.1.1 allows 70.
pub const FORM_BOUNDARY_BYTES: usize = 70;
