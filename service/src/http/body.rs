//! Bodies, read by hand and not by extractors: credentials come first, limits come from the configuration, and every way a
//! body can be wrong has its problem.

use std::io::Write as _;

use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::config::Size;
use crate::http::edge::Receiving;
use crate::http::problem::{Problem, ProblemKind};
use crate::listing::{Spool, Spooled};

/// Octets written to a file at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A limit and the key that sets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Size, pub(crate) &'static str);

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.0.bytes();
        match (bytes >> 20, bytes >> 10) {
            (mib, _) if mib << 20 == bytes => write!(f, "{mib} MiB"),
            (_, kib) if kib << 10 == bytes => write!(f, "{kib} KiB"),
            _ => write!(f, "{bytes} octets"),
        }
    }
}

/// The raw body, within the limit.
pub(crate) async fn read(request: &HttpRequest, mut payload: web::Payload, limit: Limit) -> Result<Bytes, Problem> {
    not_encoded(request)?;
    let most = limit.0.bytes();
    let too_large = || Problem::too_large("the body", limit, limit.1);
    if announced(request).is_some_and(|it| it > most) {
        return Err(too_large());
    }
    request.extensions_mut().insert(Receiving);
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|it| unreadable(&it))?;
        if body.len() + chunk.len() > most {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    request.extensions_mut().remove::<Receiving>();
    Ok(body.freeze())
}

/// A list as it comes, kept in a file: it may be larger than the memory.
pub(super) async fn spool(request: &HttpRequest, payload: web::Payload, limit: Limit) -> Result<Spooled, Problem> {
    not_encoded(request)?;
    if announced(request).is_some_and(|it| it > limit.0.bytes()) {
        return Err(Problem::too_large("the list", limit, limit.1));
    }
    spool_stream(request, payload.map(|it| it.map_err(|it| unreadable(&it))), limit).await
}

/// Writes what comes into a temporary file, up to a limit.
pub(crate) async fn spool_stream(
    request: &HttpRequest,
    mut payload: impl Stream<Item = Result<Bytes, Problem>> + Unpin,
    limit: Limit,
) -> Result<Spooled, Problem> {
    let most = limit.0.bytes();
    let too_large = || Problem::too_large("the list", limit, limit.1);
    request.extensions_mut().insert(Receiving);
    let mut spool = web::block(Spool::new).await.map_err(Problem::internal)?.map_err(Problem::no_room)?;
    let (mut waiting, mut size) = (BytesMut::new(), 0);
    loop {
        let chunk = payload.next().await.transpose()?;
        size += chunk.as_ref().map_or(0, Bytes::len);
        if size > most {
            return Err(too_large());
        }
        waiting.extend_from_slice(chunk.as_deref().unwrap_or_default());
        if chunk.is_none() || waiting.len() >= WRITTEN_AT_ONCE {
            let some = waiting.split().freeze();
            let write = move || spool.write_all(&some).map(|()| spool);
            // Off the thread that serves requests: disks may take their time.
            spool = web::block(write).await.map_err(Problem::internal)?.map_err(Problem::no_room)?;
        }
        if chunk.is_none() {
            break;
        }
    }
    request.extensions_mut().remove::<Receiving>();
    web::block(|| spool.finish()).await.map_err(Problem::internal)?.map_err(Problem::no_room)
}

/// Bodies are taken as they are.
fn not_encoded(request: &HttpRequest) -> Result<(), Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|it| it.to_str().ok());
    let Some(encoding) = encoding.filter(|it| !it.trim().eq_ignore_ascii_case("identity")) else { return Ok(()) };
    let detail = format!("a body with Content-Encoding {:?} is not taken; send it as it is", encoding.chars().take(40).collect::<String>());
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
}

/// The octets that a request says its body has.
fn announced(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unreadable(error: &PayloadError) -> Problem {
    let detail = match error {
        PayloadError::Incomplete(_) | PayloadError::Io(_) => "the body ended before its announced end",
        PayloadError::EncodingCorrupted => "the chunks of the body are not well formed (RFC 9112 section 7.1)",
        _ => "the body cannot be read",
    };
    Problem::new(ProblemKind::InvalidBody, detail)
}

/// The media type of a request in lower case, without its parameters; empty if it names none.
pub(crate) fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is JSON's.
pub(super) fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")
}

/// A JSON body that may be left out: nothing at all, or `null`.
pub(super) fn json_or_default<T: DeserializeOwned + Default>(request: &HttpRequest, body: &[u8]) -> Result<T, Problem> {
    let is_left_out = body.is_empty() || (is_json(&media_type(request)) && body.trim_ascii() == b"null");
    if is_left_out { Ok(T::default()) } else { json(request, body) }
}

/// A JSON body as what a route takes.
pub(super) fn json<T: DeserializeOwned>(request: &HttpRequest, body: &[u8]) -> Result<T, Problem> {
    if !is_json(&media_type(request)) {
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, "this route takes application/json"));
    }
    if body.trim_ascii().is_empty() {
        return Err(Problem::new(ProblemKind::InvalidBody, "the body is empty; this route takes JSON"));
    }
    // A struct would be read from an array too, field by field, which nobody means.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::new(ProblemKind::InvalidBody, "the body is not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|it| Problem::new(ProblemKind::InvalidBody, format!("the body is not the JSON asked for: {it}")))
}
