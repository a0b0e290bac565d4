//! Errors on the wire: RFC 9457 problem documents with a stable `type`. This is the only place where an error of the
//! domain becomes a status. What went wrong inside is logged here and never told.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use bounce::address::AddressError;
use bounce::esp::{Provider, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::inbound::PostError;
use crate::intake::IntakeError;
use crate::listing::ListingError;
use crate::store::{BadCursor, StoreError};
use crate::telemetry::{Refused, RequestId, Stage, Telemetry};
use crate::transfer::TransferError;

/// Seconds after which to come again when the database is away.
const DATABASE_AWAY: u32 = 5;
/// Seconds after which to come again when only the moment is bad.
const BUSY: u32 = 1;

bounce::vocabulary! {
    /// What went wrong, as the last part of a problem's `type`.
    pub enum ProblemKind, "problem" {
        /// Path, query or form cannot be read.
        InvalidRequest = "invalid-request",
        /// The body is not what is asked for.
        InvalidBody = "invalid-body",
        /// What should be a mail address is none.
        InvalidAddress = "invalid-address",
        /// No credential, or one that opens nothing.
        Unauthorized = "unauthorized",
        /// The credential does not open this.
        Forbidden = "forbidden",
        /// No route, no source, no list, no code: the detail says which.
        NotFound = "not-found",
        /// The route is there, but not for this method.
        MethodNotAllowed = "method-not-allowed",
        /// The request took too long to arrive.
        RequestTimeout = "request-timeout",
        /// What should change stands elsewhere, or is there already.
        Conflict = "conflict",
        /// Over a limit.
        TooLarge = "too-large",
        /// Not a content type or encoding that is taken here.
        UnsupportedMediaType = "unsupported-media-type",
        /// More requests than the key may make.
        TooManyRequests = "too-many-requests",
        /// A fault of the service.
        Internal = "internal",
        /// Come again: the service has too much to do.
        Busy = "busy",
        /// Come again: something the service needs is away.
        Unavailable = "unavailable",
    }
}

impl ProblemKind {
    /// The usual status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidBody | Self::InvalidAddress => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A title that is the same for every problem of the kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request cannot be read",
            Self::InvalidBody => "The body is not what is asked for",
            Self::InvalidAddress => "Not a mail address",
            Self::Unauthorized => "No valid credential",
            Self::Forbidden => "The credential does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The request took too long",
            Self::Conflict => "Conflict",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Content type not taken",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "Internal error",
            Self::Busy => "Too busy",
            Self::Unavailable => "Temporarily unavailable",
        }
    }

    /// What it means and what to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::InvalidRequest => "A parameter is missing, unknown or not of its form; the detail names it. Correct the request.",
            Self::InvalidBody => "The body cannot be read as what this route takes; the detail says where. Correct the request.",
            Self::InvalidAddress => "What should be an address is not of the form local@domain (RFC 5321 section 4.1.2).",
            Self::Unauthorized => "Send `Authorization: Bearer rbk_…` with a key that is neither revoked nor expired.",
            Self::Forbidden => "Use a key with the scope that the detail names.",
            Self::NotFound => "There is nothing of that name that this key may see.",
            Self::MethodNotAllowed => "The header `Allow` names the methods of this route.",
            Self::RequestTimeout => "The body did not arrive within http.request_timeout. Send it again, or in smaller pieces.",
            Self::Conflict => "The detail says what stands in the way; where a list is, `list` names it.",
            Self::TooLarge => "The detail names the limit and the key of the configuration that sets it.",
            Self::UnsupportedMediaType => "The detail names the content types that are taken.",
            Self::TooManyRequests => "The key has made as many requests as it may. Come again after `Retry-After` seconds.",
            Self::Internal => "A fault of the service. The log has the cause under the request id.",
            Self::Busy => "Nothing was recorded. Send the same again after `Retry-After` seconds.",
            Self::Unavailable => "Nothing may have been recorded. Send the same again after `Retry-After` seconds; that is always safe.",
        }
    }
}

/// A problem document on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/not-found", "title": "Not found", "status": 404,
    "detail": "there is no list named \"acme.weekly\"", "request_id": "0199c0de-7a11-7000-8000-000000000001"
}))]
pub(super) struct ProblemView {
    /// What went wrong, stable; `/problems/<kind>`, where it is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the type.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// The list that stands in the way, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    /// The id under which the log knows the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// Something went wrong with a request.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: ProblemKind,
    status: StatusCode,
    detail: String,
    list: Option<String>,
    headers: Vec<(header::HeaderName, String)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem with what it is about this time. Of a 5xx the detail must say nothing of the inside.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, status: kind.status(), detail: detail.into(), list: None, headers: Vec::new(), cause: None }
    }

    /// A fault of ours; its cause is for the log.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let problem = Self::new(ProblemKind::Internal, "the service could not answer this; its log says why");
        Self { cause: Some(Arc::new(cause)), ..problem }
    }

    /// 401, with the challenge that tells how to do better.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>, challenge: &'static str) -> Self {
        Self::new(ProblemKind::Unauthorized, detail).with(header::WWW_AUTHENTICATE, challenge)
    }

    /// 405 with the methods that there are.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(ProblemKind::MethodNotAllowed, format!("this route takes {allow}")).with(header::ALLOW, allow)
    }

    /// 503, to come again after so many seconds.
    #[must_use]
    pub fn come_again(kind: ProblemKind, detail: impl Into<String>, after: u32) -> Self {
        Self::new(kind, detail).with(header::RETRY_AFTER, after.to_string())
    }

    /// 429, to come again after so long.
    #[must_use]
    pub fn too_many(limit: u32, after: std::time::Duration) -> Self {
        let detail = format!("this key may make {limit} requests a minute");
        // A second more, rather than to come too early again.
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Self::come_again(ProblemKind::TooManyRequests, detail, seconds)
    }

    /// What comes when the service was told to stop.
    #[must_use]
    pub fn stopping() -> Self {
        Self::come_again(ProblemKind::Unavailable, "the service is stopping; nothing was recorded", BUSY)
    }

    /// A request that did not end in time.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::come_again(ProblemKind::Unavailable, "the request was not answered in time (http.request_timeout)", DATABASE_AWAY)
    }

    /// The service has not met its database yet.
    #[must_use]
    pub fn not_ready() -> Self {
        Self::come_again(ProblemKind::Unavailable, "the service is not ready", DATABASE_AWAY)
    }

    /// The database is known to be away.
    #[must_use]
    pub fn database_away() -> Self {
        Self::come_again(ProblemKind::Unavailable, "the database is away; nothing was recorded", DATABASE_AWAY)
    }

    /// What comes cannot be kept on the disk.
    #[must_use]
    pub fn no_room(cause: std::io::Error) -> Self {
        let waiting =
            Self::come_again(ProblemKind::Unavailable, "there is no room to keep what comes; nothing was recorded", DATABASE_AWAY);
        Self { cause: Some(Arc::new(cause)), ..waiting }
    }

    /// A body over a limit that a key of the configuration sets.
    #[must_use]
    pub fn too_large(what: &str, limit: impl fmt::Display, key: &str) -> Self {
        Self::new(ProblemKind::TooLarge, format!("{what} is over the limit of {limit} ({key})"))
    }

    /// The word under which a receipt is counted that was not taken for this.
    #[must_use]
    pub(super) const fn refused_for(&self) -> Refused {
        match self.kind {
            ProblemKind::TooLarge => Refused::TooLarge,
            ProblemKind::Busy => Refused::Busy,
            ProblemKind::Unavailable | ProblemKind::RequestTimeout | ProblemKind::Internal => Refused::Unavailable,
            ProblemKind::Unauthorized | ProblemKind::Forbidden => Refused::Credentials,
            ProblemKind::MethodNotAllowed => Refused::Method,
            ProblemKind::UnsupportedMediaType => Refused::MediaType,
            _ => Refused::Malformed,
        }
    }

    /// Names the list that stands in the way.
    #[must_use]
    pub fn at_list(self, list: String) -> Self {
        Self { list: Some(list), ..self }
    }

    /// Somebody tries to sign in too often.
    #[must_use]
    pub(crate) fn too_many_sign_ins(after: std::time::Duration) -> Self {
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let detail = format!("there were too many attempts to sign in from your address; try again in {seconds} seconds");
        Self::come_again(ProblemKind::TooManyRequests, detail, seconds)
    }

    /// What is told to a person: status, title, detail, and what to do. What went wrong inside is logged.
    pub(crate) fn to_person(&self, telemetry: &Telemetry) -> (StatusCode, &'static str, &str) {
        if let Some(cause) = &self.cause {
            telemetry.failed(Stage::Http, "answering a request", cause.as_ref());
        }
        (self.kind.status(), self.kind.title(), &self.detail)
    }

    /// Seconds after which to come again, if it says.
    pub(crate) fn retry_after(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| *name == header::RETRY_AFTER).map(|(_, value)| value.as_str())
    }

    fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with the status that a provider understands.
    fn for_provider(self, status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(self.status), ..self }
    }

    /// The same of a post that did not get as far as the door: over a limit it never will, and for whatever else is ours it
    /// is to come again. What makes a provider do that is its own affair: 408 and 503 are the end of an event for some.
    #[must_use]
    pub(super) fn of_post(self, provider: &dyn Provider) -> Self {
        let status = match self.kind {
            ProblemKind::TooLarge => provider.refusal_status(&Refusal::TooMany(0)),
            ProblemKind::UnsupportedMediaType => provider.refusal_status(&Refusal::MediaType("")),
            ProblemKind::RequestTimeout | ProblemKind::Busy | ProblemKind::Unavailable | ProblemKind::Internal => provider.busy_status(),
            _ => return self,
        };
        self.for_provider(status)
    }

    fn refused(provider: &dyn Provider, refusal: &Refusal) -> Self {
        let kind = match refusal {
            Refusal::Method(methods) => {
                return Self::method_not_allowed(&methods.join(", ")).for_provider(provider.refusal_status(refusal));
            }
            Refusal::Malformed { .. } => ProblemKind::InvalidBody,
            Refusal::MediaType(_) => ProblemKind::UnsupportedMediaType,
            Refusal::NotAllowed(_) => ProblemKind::Forbidden,
            Refusal::Missing(_) | Refusal::Repeated(_) | Refusal::Mismatch(_) | Refusal::Stale(_) | Refusal::Replayed => {
                ProblemKind::Unauthorized
            }
            Refusal::TooMany(_) => ProblemKind::TooLarge,
            _ => return Self::unproved().for_provider(provider.refusal_status(refusal)),
        };
        let problem = Self::new(kind, refusal.to_string()).for_provider(provider.refusal_status(refusal));
        match refusal.challenge() {
            Some(challenge) => problem.with(header::WWW_AUTHENTICATE, challenge),
            None => problem,
        }
    }

    /// The service lacks what it takes to prove a post; the log says what.
    fn unproved() -> Self {
        Self::come_again(ProblemKind::Unavailable, "this post cannot be verified at the moment", DATABASE_AWAY)
    }

    /// The document, where it stands inside an answer that has begun.
    pub(super) fn told(&self) -> ProblemView {
        ProblemView {
            kind: format!("/problems/{}", self.kind),
            title: self.kind.title(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            list: self.list.clone(),
            request_id: None,
        }
    }

    /// The answer, and the one line of the log that a fault of ours gets.
    pub(super) fn answer(&self, id: Option<&RequestId>, telemetry: Option<&Telemetry>) -> HttpResponse {
        if let (Some(cause), Some(telemetry)) = (&self.cause, telemetry) {
            telemetry.failed(Stage::Http, "answering a request", cause.as_ref());
        }
        let mut answer = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            answer.insert_header((name.clone(), value.as_str()));
        }
        let view = ProblemView { request_id: id.map(|it| it.as_str().to_owned()), ..self.told() };
        answer.content_type("application/problem+json").body(serde_json::to_string(&view).unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.title())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.answer(None, None)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Outage(_) | StoreError::Collision(_) => Self { cause: Some(Arc::new(error)), ..Self::database_away() },
            StoreError::NotMigrated(_) | StoreError::WrongPepper => Self { cause: Some(Arc::new(error)), ..Self::not_ready() },
            StoreError::UnknownList(_) => Self::new(ProblemKind::NotFound, error.to_string()),
            StoreError::Exists(detail) => Self::new(ProblemKind::Conflict, detail),
            StoreError::Data(_) => Self {
                cause: Some(Arc::new(error)),
                ..Self::new(ProblemKind::InvalidRequest, "the database refuses a value of the request")
            },
            StoreError::Statement(_) | StoreError::BadRow { .. } => Self::internal(error),
        }
    }
}

impl From<IntakeError> for Problem {
    /// The intake has logged what there is to log.
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Full(_) => Self::come_again(ProblemKind::Busy, "too much is waiting to be recorded; nothing was recorded", BUSY),
            IntakeError::Stopping => Self::stopping(),
            IntakeError::Unavailable(_) | IntakeError::TooSlow(_) | IntakeError::Away => {
                Self::come_again(ProblemKind::Unavailable, "the database did not take it in time; send it again", DATABASE_AWAY)
            }
        }
    }
}

impl From<PostError> for Problem {
    /// What is ours to log of it has been logged at the door.
    fn from(error: PostError) -> Self {
        match error {
            PostError::Refused(provider, refusal) => Self::refused(provider, &refusal),
            PostError::Certificate(provider, _) => Self::unproved().for_provider(provider.busy_status()),
            PostError::Intake(provider, error) => Self::from(error).for_provider(provider.busy_status()),
            PostError::Request(provider, _) => {
                let failed = Self::come_again(ProblemKind::Unavailable, "what the post asks for failed; send it again", DATABASE_AWAY);
                failed.for_provider(provider.busy_status())
            }
        }
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Listing(ListingError::Io(error)) => Self::no_room(error),
            TransferError::Listing(error) => Self::new(ProblemKind::InvalidBody, error.to_string()),
            TransferError::Store(error) => error.into(),
            TransferError::Busy => Self::come_again(ProblemKind::Busy, error.to_string(), DATABASE_AWAY),
            TransferError::Stopping => Self::stopping(),
            TransferError::Panicked => Self::internal(error),
        }
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Self::new(ProblemKind::InvalidAddress, error.to_string())
    }
}

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(ProblemKind::InvalidRequest, error.to_string())
    }
}

impl From<Refusal> for Problem {
    /// Of a message that was handed in by the API.
    fn from(refusal: Refusal) -> Self {
        Self::refused(&bounce::esp::mime::Mime, &refusal)
    }
}
