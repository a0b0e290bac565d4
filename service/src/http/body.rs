//! Bodies, read by hand and not by extractors: credentials come first, limits come from the configuration, and every way a
//! body can be wrong has its problem.

use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::config::Size;
use crate::http::edge::Receiving;
use crate::http::problem::{Problem, ProblemKind};

/// A limit and the key that sets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) Size, pub(super) &'static str);

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
pub(super) async fn read(request: &HttpRequest, mut payload: web::Payload, limit: Limit) -> Result<Bytes, Problem> {
    let header = |name| request.headers().get(name).and_then(|it: &header::HeaderValue| it.to_str().ok());
    if let Some(encoding) = header(header::CONTENT_ENCODING).filter(|it| !it.trim().eq_ignore_ascii_case("identity")) {
        let detail =
            format!("a body with Content-Encoding {:?} is not taken; send it as it is", encoding.chars().take(40).collect::<String>());
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    }
    let most = limit.0.bytes();
    let too_large = || Problem::too_large("the body", limit, limit.1);
    if header(header::CONTENT_LENGTH).and_then(|it| it.parse::<usize>().ok()).is_some_and(|it| it > most) {
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

fn unreadable(error: &PayloadError) -> Problem {
    let detail = match error {
        PayloadError::Incomplete(_) | PayloadError::Io(_) => "the body ended before its announced end",
        PayloadError::EncodingCorrupted => "the chunks of the body are not well formed (RFC 9112 section 7.1)",
        _ => "the body cannot be read",
    };
    Problem::new(ProblemKind::InvalidBody, detail)
}

/// The media type of a request in lower case, without its parameters; empty if it names none.
pub(super) fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is JSON's.
pub(super) fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")
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
