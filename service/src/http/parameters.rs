//! Names and addresses out of paths and queries.

use std::borrow::Cow;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use bounce::address::{Address, AddressError};
use futures_util::future::{Ready, ready};
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::http::problem::{Problem, ProblemKind};

/// What decoding leaves where a text is not UTF-8.
const NOT_UTF8: char = '\u{fffd}';

/// The query as what a route takes. A plus stands for itself: in the addresses that are asked for it means one, and
/// nothing else here has a blank.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> Params<T> {
    /// Reads the query of a request.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let query = request.query_string().replace('+', "%2B");
        let parameters = url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.clone(), Value { name, value }));
        let read = T::deserialize(MapDeserializer::<_, de::value::Error>::new(parameters));
        read.map(Self).map_err(|it| Problem::new(ProblemKind::InvalidRequest, format!("the query cannot be read: {it}")))
    }
}

/// The value of a parameter, which knows its name: whatever is wrong with it, the error says of which parameter.
struct Value<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl Value<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> de::value::Error {
        de::Error::custom(format!("`{}`: {what}", self.name))
    }

    fn parse<N: std::str::FromStr>(&self, expected: &str) -> Result<N, de::value::Error> {
        self.value.parse().map_err(|_| self.wrong(format!("expected {expected}")))
    }
}

impl IntoDeserializer<'_> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for Value<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str::<Self::Error>(&self.value).map_err(|it| self.wrong(it))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_bool(self.parse("true or false")?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_u64(self.parse("a whole number")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Self::Error> {
        let word: de::value::StrDeserializer<'_, Self::Error> = (*self.value).into_deserializer();
        visitor.visit_enum(word).map_err(|it| self.wrong(it))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
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
pub(crate) fn address(text: &str) -> Result<Address, AddressError> {
    utf8(text).and_then(Address::parse)
}

/// An address or the entry of a domain.
pub(crate) fn entry(text: &str) -> Result<Address, AddressError> {
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
