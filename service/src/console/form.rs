//! What somebody filled in: the fields of a form, which its page must have sent, and those of a query.

use std::pin::Pin;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Ready, ready};
use url::form_urlencoded;

use crate::config::Size;
use crate::console::csrf;
use crate::console::session::Visit;
use crate::http::{Limit, Problem, ProblemKind, media_type, read};

/// The most that a form may have.
const LIMIT: Limit = Limit(Size(4 << 20), "for a form");

/// Name of the field with the token of the form.
pub(super) const TOKEN: &str = "token";

/// Fields by name. What is left empty was not filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self(fields.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// What was filled in, without blanks around it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Everything that was filled in or chosen under that name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.trim())
    }

    /// The same as a word or a number of its kind.
    pub(super) fn word<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::new(ProblemKind::InvalidRequest, format!("the field \"{name}\" cannot be read"));
        self.get(name).map(str::parse).transpose().map_err(wrong)
    }

    /// What must be filled in.
    pub(super) fn require(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::new(ProblemKind::InvalidRequest, format!("the field \"{name}\" is empty")))
    }

    /// The same as a query, with another value of one field.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.0.iter().filter(|it| it.0 != name) {
            query.append_pair(name, value);
        }
        query.append_pair(name, value).finish()
    }
}

/// The fields of a form that a page of ours sent to this visitor.
#[derive(Debug)]
pub(super) struct Form(pub(super) Fields);

impl FromRequest for Form {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        Box::pin(async move {
            let visit = Visit::extract(&request).await?;
            let unreadable = |_| Problem::new(ProblemKind::InvalidBody, "the form cannot be read");
            if media_type(&request) != "application/x-www-form-urlencoded" {
                return Err(csrf::refused());
            }
            let fields = Fields::of(&read(&request, payload.await.map_err(unreadable)?, LIMIT).await?);
            if fields.get(TOKEN).is_some_and(|it| visit.sent(it)) { Ok(Self(fields)) } else { Err(csrf::refused()) }
        })
    }
}

/// The fields of the query.
#[derive(Debug)]
pub(super) struct Asked(pub(super) Fields);

impl FromRequest for Asked {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Fields::of(request.query_string().as_bytes()))))
    }
}
