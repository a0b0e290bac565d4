//! A raw message that somebody hands in by the API. Whoever holds the key is known; who wrote the mail is not, so what it
//! says stays unattributed unless it brings a token of ours back.

use std::sync::Arc;

use bounce::esp::{Refusal, Unverified, mime};
use bounce::kind::Attribution;
use bounce::token::TokenKeys;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::inbound::shared;
use crate::intake::{Arrival, Source};
use crate::store::List;

/// The arrival that a body is, raw or uploaded by a form, for a list. `source` is the name it is recorded under.
///
/// # Errors
/// When there is no message in it.
pub fn take_message(
    source: &str,
    list: Arc<List>,
    tokens: &TokenKeys,
    content_type: Option<&str>,
    body: &Bytes,
    now: OffsetDateTime,
) -> Result<Arrival, Refusal> {
    let headers: Vec<(String, String)> = content_type.map(|it| ("content-type".to_owned(), it.to_owned())).into_iter().collect();
    let message = mime::message(&Unverified { method: "POST", url: "", headers: &headers, body })?;
    let bytes = shared(body, message);
    Ok(Arrival {
        tokens: Vec::new(),
        source: Arc::new(Source::of_messages(source, list.clone(), tokens)),
        media_type: "message/rfc822".to_owned(),
        bytes,
        attribution: Attribution::Unattributed,
        received_at: now,
        list: Some(list),
    })
}
