//! Names and addresses out of paths and queries.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use bounce::address::{Address, AddressError};
use futures_util::future::{Ready, ready};
use serde::de::DeserializeOwned;

use crate::http::problem::{Problem, ProblemKind};

/// What decoding leaves where a text is not UTF-8.
const NOT_UTF8: char = '\u{fffd}';

/// The query as what a route takes. A plus stands for itself: in the addresses that are asked for it means one, and
/// nothing else here has a blank.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> Params<T> {
    /// Reads the query of a request.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let query = request.query_string().replace('+', "%2B");
        let read = web::Query::<T>::from_query(&query).map(|it| Self(it.into_inner()));
        read.map_err(|it| Problem::new(ProblemKind::InvalidRequest, format!("the query cannot be read: {it}")))
    }
}

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// An address that somebody asks about.
pub(super) fn address(text: &str) -> Result<Address, AddressError> {
    utf8(text).and_then(Address::parse)
}

/// An address or the entry of a domain.
pub(super) fn entry(text: &str) -> Result<Address, AddressError> {
    utf8(text).and_then(Address::parse_entry)
}

/// No address has a replacement character; where one is, the text was not UTF-8.
fn utf8(text: &str) -> Result<&str, AddressError> {
    if text.contains(NOT_UTF8) { Err(AddressError::Local) } else { Ok(text) }
}

/// How many items somebody asks for.
pub(super) fn limit(asked: Option<u64>) -> Result<u64, Problem> {
    match asked.unwrap_or(100) {
        limit @ 1..=1000 => Ok(limit),
        _ => Err(Problem::new(ProblemKind::InvalidRequest, "`limit` goes from 1 to 1000")),
    }
}
