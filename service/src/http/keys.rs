//! Who calls. API keys are looked up by their hash and kept for a short time, so that a busy caller does not cost a query
//! for each request and goes on for a while when the database is away. A revoked key may therefore work for up to
//! [`KEPT_FOR`] longer. Keys that are not known are never kept. Where there is a spool, a key is remembered for longer
//! (`spool.keys_for`) and believed while the database cannot be asked, but only to hand something in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use aws_lc_rs::constant_time;
use futures_util::future::{Ready, ready};
use governor::clock::{Clock as _, MonotonicClock};
use governor::{DefaultDirectRateLimiter, Quota};
use moka::future::Cache;
use time::OffsetDateTime;

use crate::http::State;
use crate::http::problem::{Problem, ProblemKind};
use crate::spool::Found;
use crate::store::{ApiKey, KeyId, List, Scope, Store, StoreError, sha256};

/// How long a key that was found is believed without asking again.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long a request waits until it is noted that its key was used.
const NOTE_LIMIT: Duration = Duration::from_secs(1);
/// Keys kept.
const KEPT: u64 = 10_000;
/// What a key looks like: `rbk_` and 32 random octets in base64url.
pub(crate) const KEY_LENGTH: usize = 47;
const CHALLENGE: &str = "Bearer realm=\"rebound\"";
const CHALLENGE_AGAIN: &str = "Bearer realm=\"rebound\", error=\"invalid_token\"";

/// Keys that were found lately, by the hash of their secret.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    found: Cache<[u8; 32], Known>,
    /// Keys that were found before that, for when the database cannot be asked.
    remembered: Cache<[u8; 32], Arc<ApiKey>>,
    /// How many requests keys have made lately, by key and limit.
    limiters: Cache<(KeyId, NonZeroU32), Arc<DefaultDirectRateLimiter>>,
}

/// A key, and when the database was asked for it.
#[derive(Debug, Clone)]
struct Known {
    key: Arc<ApiKey>,
    at: OffsetDateTime,
}

impl Known {
    /// Whether it is believed without asking again. A clock that was set back proves nothing.
    fn is_fresh(&self, now: OffsetDateTime) -> bool {
        self.at <= now && now - self.at < KEPT_FOR
    }
}

/// Until the database was met nobody knows whether it is the right one.
pub(crate) fn require_met(state: &State) -> Result<(), Problem> {
    let is_unmet = state.intake.presence().is_some_and(|(it, _)| it.now() == Found::Unmet);
    if is_unmet { Err(Problem::not_ready()) } else { Ok(()) }
}

impl Keys {
    pub(super) fn new(remembered_for: Duration) -> Self {
        Self {
            found: Cache::builder().max_capacity(KEPT).time_to_live(KEPT_FOR).build(),
            remembered: Cache::builder().max_capacity(KEPT).time_to_live(remembered_for).build(),
            // After a minute of rest a limiter is as good as new.
            limiters: Cache::builder().max_capacity(KEPT).time_to_idle(Duration::from_mins(2)).build(),
        }
    }

    /// The live key that a request shows, to do something of that scope.
    pub(super) async fn caller(&self, request: &HttpRequest, scope: Scope, state: &State) -> Result<Caller, Problem> {
        require_met(state)?;
        let secret = bearer(request).ok_or_else(|| Problem::unauthorized("this route needs an API key", CHALLENGE))?;
        if !(secret.len() == KEY_LENGTH && secret.starts_with("rbk_")) {
            return Err(unknown());
        }
        let hash = sha256(&[secret.as_bytes()]);
        let now = state.clock.now();
        let key = match self.found.get(&hash).await.filter(|it| it.is_fresh(now)) {
            Some(known) => known.key,
            None => self.look_up(secret, hash, scope, state).await?,
        };
        if key.is_live(now) { Ok(Caller(key)) } else { Err(unknown()) }
    }

    /// The key of the database; or that which is remembered, when the database does not say and nothing is asked of it.
    async fn look_up(&self, secret: &str, hash: [u8; 32], scope: Scope, state: &State) -> Result<Arc<ApiKey>, Problem> {
        let remembered = if scope == Scope::Ingest { self.remembered.get(&hash).await } else { None };
        let found = match state.intake.presence().filter(|_| scope == Scope::Ingest) {
            None => state.store.find_key(secret).await,
            Some((presence, _)) if !presence.is_there() => return remembered.ok_or_else(Problem::database_away),
            Some((presence, patience)) => {
                let Ok(found) = tokio::time::timeout(patience, state.store.find_key(secret)).await else {
                    presence.doubt();
                    return remembered.ok_or_else(Problem::database_away);
                };
                found
            }
        };
        let key = match (found, remembered) {
            (Ok(found), _) => Arc::new(found.ok_or_else(unknown)?),
            (Err(error), Some(remembered)) if error.is_outage() => return Ok(remembered),
            (Err(error), _) => return Err(error.into()),
        };
        let now = state.clock.now();
        if key.is_live(now) {
            // The request matters more than the note of it.
            drop(tokio::time::timeout(NOTE_LIMIT, state.store.key_used(&key, now)).await);
        }
        self.found.insert(hash, Known { key: key.clone(), at: now }).await;
        self.remembered.insert(hash, key.clone()).await;
        Ok(key)
    }

    /// Holds a key to the number of requests that it may make; `common` is that of the configuration, 0 for any.
    pub(crate) async fn hold(&self, caller: &Caller, common: u32) -> Result<(), Problem> {
        let Some(limit) = NonZeroU32::new(caller.0.rate_limit.unwrap_or(common)) else { return Ok(()) };
        let new = async { Arc::new(DefaultDirectRateLimiter::direct(Quota::per_minute(limit))) };
        let limiter = self.limiters.get_with((caller.0.id, limit), new).await;
        limiter.check().map_err(|early| Problem::too_many(limit.get(), early.wait_time_from(MonotonicClock.now())))
    }
}

fn unknown() -> Problem {
    Problem::unauthorized("the API key is not known, or was revoked or has expired", CHALLENGE_AGAIN)
}

/// Whoever calls, proved. A handler gets it where the page of routes asks for a scope.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<ApiKey>);

impl Caller {
    /// Whoever has proved to hold this key in another way than by showing it.
    pub(crate) const fn of(key: Arc<ApiKey>) -> Self {
        Self(key)
    }

    /// Whether it may do something of this scope.
    pub(crate) fn allows(&self, scope: Scope) -> bool {
        self.0.allows(scope)
    }

    /// Name of the key: the actor in the audit.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The list it is confined to, with those below.
    pub(crate) fn confined_to(&self) -> Option<&Arc<List>> {
        self.0.list.as_ref()
    }

    /// Whether it may see this list.
    pub(crate) fn reaches(&self, list: &List) -> bool {
        self.0.reaches(list)
    }

    /// Holds the caller to a scope.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        let allowed = self.0.allows(scope);
        if allowed { Ok(()) } else { Err(Problem::new(ProblemKind::Forbidden, format!("this takes a key with the scope {scope}"))) }
    }

    /// The list of that name. One that the key does not reach is answered as if it were not there.
    pub(crate) async fn list(&self, store: &Store, name: &str) -> Result<Arc<List>, Problem> {
        let list = store.list(name).await?;
        if self.reaches(&list) { Ok(list) } else { Err(StoreError::UnknownList(list.name.clone()).into()) }
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        // Only a route that asks for no scope has none: a fault of the page of routes, which lets nobody in.
        ready(caller.ok_or_else(|| Problem::unauthorized("this route needs an API key", CHALLENGE)))
    }
}

/// Holds a request to one fixed token.
pub(super) fn require_token(request: &HttpRequest, token: &str) -> Result<(), Problem> {
    let given = bearer(request).ok_or_else(|| Problem::unauthorized("this route needs its token (telemetry.metrics_token)", CHALLENGE))?;
    let same = constant_time::verify_slices_are_equal(&sha256(&[given.as_bytes()]), &sha256(&[token.as_bytes()]));
    same.map_err(|_| Problem::unauthorized("this is not the token of this route (telemetry.metrics_token)", CHALLENGE_AGAIN))
}

/// The bearer token of a request, RFC 6750 section 2.1.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
