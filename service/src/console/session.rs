//! Who looks: the session of a request, its key, and how the pages shall look. A page that takes a scope is reached only through
//! [`admit`], which hands the key on as the API does, so that what serves both holds both to the same rules.

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::{Ready, ready};
use std::sync::Arc;

use crate::console::cookies::Jar;
use crate::console::csrf;
use crate::console::page::Theme;
use crate::http::State;
use crate::http::keys::{Caller, Keys, require_met};
use crate::http::{Problem, ProblemKind};
use crate::store::{Scope, SessionLife, sha256};

/// What a secret of ours looks like: 32 random octets in base64url.
const SECRET_LENGTH: usize = 43;

/// Somebody who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// Who, if signed in.
    pub(super) caller: Option<Caller>,
    /// What forms are bound to.
    secret: String,
    /// How the pages shall look.
    pub(super) theme: Theme,
}

impl Visit {
    /// A token for a form on a page for this visitor.
    pub(super) fn token(&self) -> String {
        csrf::token(&self.secret)
    }

    /// Whether a form was on such a page.
    pub(super) fn sent(&self, token: &str) -> bool {
        csrf::proves(token, &self.secret)
    }

    /// What the session is known by to whoever keeps something for it.
    pub(super) fn mark(&self) -> Mark {
        Mark::of(&self.secret)
    }

    /// Whether the visitor may do something of this scope.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.as_ref().is_some_and(|it| it.allows(scope))
    }
}

impl FromRequest for Visit {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = request.extensions().get::<Self>().cloned();
        ready(visit.ok_or_else(|| Problem::new(ProblemKind::Forbidden, "this page is for nobody")))
    }
}

/// What a session is known by to whoever keeps something for it: a hash, by which nobody enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(pub(super) [u8; 32]);

impl Mark {
    /// That of the session with this secret.
    pub(super) fn of(secret: &str) -> Self {
        Self(sha256(&[secret.as_bytes()]))
    }
}

/// A secret for a cookie.
pub(super) fn new_secret() -> Result<String, Problem> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(Problem::internal)?;
    Ok(BASE64URL_NOPAD.encode(&random))
}

/// How long sessions last.
pub(super) fn life(state: &State) -> SessionLife {
    let config = &state.config.console;
    SessionLife { idle: config.idle_timeout, longest: config.session_lifetime }
}

/// Lets somebody in to a page that takes a scope, or sends them to sign in.
pub(super) async fn admit(scope: Option<Scope>, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let held = request.request().clone();
    match enter(scope, &held).await {
        Ok(Entered::In { visit, greeted }) => {
            if let Some(caller) = &visit.caller {
                held.extensions_mut().insert(caller.clone());
            }
            let secret = visit.secret.clone();
            held.extensions_mut().insert(visit);
            let mut response = next.call(request).await?;
            if greeted {
                let cookie = Jar::Visit.keep(&held, secret, None);
                response.response_mut().add_cookie(&cookie).map_err(Problem::internal)?;
            }
            Ok(response)
        }
        Ok(Entered::SignInFirst) => Ok(request.into_response(to_sign_in(&held))),
        Err(problem) => Ok(request.error_response(problem)),
    }
}

enum Entered {
    In { visit: Visit, greeted: bool },
    SignInFirst,
}

async fn enter(scope: Option<Scope>, request: &HttpRequest) -> Result<Entered, Problem> {
    let lost = || Problem::new(ProblemKind::Forbidden, "the console is not installed");
    let state = request.app_data::<web::Data<State>>().ok_or_else(lost)?;
    let keys = request.app_data::<web::Data<Keys>>().ok_or_else(lost)?;
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes {
        csrf::require_own_origin(request)?;
    }
    let theme = Jar::Theme.read(request).and_then(|it| it.parse().ok()).unwrap_or_default();
    if scope.is_some() {
        require_met(state)?;
    }
    let secret = Jar::Session.read(request).filter(|it| it.len() == SECRET_LENGTH);
    let key = match &secret {
        Some(secret) => state.store.session(secret, life(state), state.clock.now()).await,
        None => Ok(None),
    };
    // Whoever may be anybody is let in while the database is away, too.
    let key = if scope.is_none() { key.unwrap_or_default() } else { key? };
    match (scope, key, secret) {
        (scope, Some(key), Some(secret)) => {
            let caller = Caller::of(Arc::new(key));
            if let Some(scope) = scope {
                keys.hold(&caller, state.config.http.rate_limit).await?;
                caller.require(scope)?;
            }
            Ok(Entered::In { visit: Visit { caller: Some(caller), secret, theme }, greeted: false })
        }
        (Some(_), _, _) => Ok(Entered::SignInFirst),
        (None, _, _) => {
            let known = Jar::Visit.read(request).filter(|it| it.len() == SECRET_LENGTH);
            let greeted = known.is_none();
            let secret = known.map_or_else(new_secret, Ok)?;
            Ok(Entered::In { visit: Visit { caller: None, secret, theme }, greeted })
        }
    }
}

/// To the page where one signs in, and back from there to a page that can be asked for again.
fn to_sign_in(request: &HttpRequest) -> HttpResponse {
    let mut place = "/console/sign-in".to_owned();
    let wanted = request.uri().path_and_query().map(actix_web::http::uri::PathAndQuery::as_str).filter(|it| *it != "/console");
    if let (Method::GET, Some(wanted)) = (request.method().clone(), wanted) {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
        place = format!("{place}?{query}");
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).insert_header((header::CACHE_CONTROL, "no-store")).finish()
}
