//! What the edges share: proving a post, fetching what that takes, and handing it to the intake. No HTTP server here, so
//! other edges can use the same door.

mod fetch;
mod messages;
mod webhooks;

use std::borrow::Cow;

use bytes::Bytes;

pub use fetch::{FetchError, Fetcher};
pub use messages::take_message;
pub use webhooks::{Door, Post, PostError};

/// What a receipt keeps of a body: the body itself without a copy where it is the whole of it.
fn shared(body: &Bytes, content: Cow<'_, [u8]>) -> Bytes {
    match content {
        Cow::Borrowed(it) if std::ptr::eq(it, body.as_ref()) => body.clone(),
        other => other.into_owned().into(),
    }
}
