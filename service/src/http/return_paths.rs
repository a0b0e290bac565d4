//! Signed return paths: made for those who do not make them themselves, and checked for those who wonder.

use actix_web::{HttpRequest, web};
use bounce::address::Address;
use bounce::token::{self, TokenError, TokenKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Size;
use crate::http::State;
use crate::http::body::{self, Limit};
use crate::http::keys::Caller;
use crate::http::parameters;
use crate::http::problem::{Problem, ProblemKind, ProblemView};
use crate::store::StoreError;

/// Addresses of one request.
const ADDRESSES: usize = 10_000;
const BODY_LIMIT: Limit = Limit(Size(4 << 20), "for return paths");

/// For whom to make return paths.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"addresses": ["jane@example.org"], "domain": "bounces.example.com"}))]
pub(super) struct Wanted {
    /// The recipients, up to 10,000.
    addresses: Vec<String>,
    /// The domain to which bounces come. Without it only tokens are made, for a return path or the header `X-Rebound-Token`.
    domain: Option<String>,
}

/// What was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "list": "acme.weekly", "key": "k7ab",
    "return_paths": [{"address": "jane@example.org", "token": "k7abaujld4xfrsqkxf5qcttj", "return_path": "b+k7abaujld4xfrsqkxf5qcttj@bounces.example.com"}],
    "invalid": []
}))]
pub(super) struct Made {
    /// The list that the tokens name.
    list: String,
    /// The name of the key that made them: the first of the list's `token_keys`.
    key: String,
    /// One for each address, in their order.
    return_paths: Vec<Signed>,
    /// What is no address, with the reason.
    invalid: Vec<Invalid>,
}

/// The return path of messages to one recipient that are sent today (UTC).
#[derive(Debug, Serialize, ToSchema)]
struct Signed {
    /// The address as lists know it.
    address: String,
    /// The token.
    token: String,
    /// `b+<token>@<domain>`, where a domain was given.
    return_path: Option<String>,
}

/// What is no address.
#[derive(Debug, Serialize, ToSchema)]
struct Invalid {
    /// As it was given.
    address: String,
    /// Why it is none.
    error: String,
}

/// A token and whom it should be for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"return_path": "b+k7abaujld4xfrsqkxf5qcttj@bounces.example.com", "address": "jane@example.org"}))]
pub(super) struct Question {
    /// A return path, or the token alone.
    return_path: String,
    /// The recipient it should have been made for.
    address: String,
}

/// What a token proves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"holds": true, "list": "acme.weekly", "key": "k7ab", "reason": null}))]
pub(super) struct Verdict {
    /// Whether it was made for this recipient, and still holds.
    holds: bool,
    /// The list it names, if it holds.
    list: Option<String>,
    /// The key that made it, if it holds.
    key: Option<String>,
    /// Why it does not hold, if it does not.
    reason: Option<String>,
}

/// Makes signed return paths.
///
/// Senders can make them themselves: docs/return-paths.md has the recipe. A bounce that comes back to such an address counts
/// in full; anything else that anybody may have written is only recorded, once the list has a key.
#[utoipa::path(post, path = "/v1/lists/{list}/return-paths", tag = "intake", security(("bearer" = ["write"])),
    params(("list" = String, Path, example = "acme.weekly")), request_body = Wanted,
    responses(
        (status = 200, description = "one for each address", body = Made),
        (status = 400, description = "the body is not what is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope write", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "the list has no `token_keys`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_return_paths(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Made>, Problem> {
    let list = caller.list(&state.store, &path).await?;
    let body = body::read(&request, payload, BODY_LIMIT).await?;
    let wanted: Wanted = body::json(&request, &body)?;
    if wanted.addresses.len() > ADDRESSES {
        return Err(Problem::new(ProblemKind::TooLarge, format!("more than {ADDRESSES} addresses; ask in several requests")));
    }
    if wanted.domain.as_deref().is_some_and(|it| Address::parse(&format!("b@{it}")).is_err()) {
        return Err(Problem::new(ProblemKind::InvalidBody, "`domain` is not the name of a domain"));
    }
    let declared = state.config.lists.iter().find(|it| it.name.as_str() == list.name);
    let Some(key) = declared.and_then(|it| it.token_keys().next()) else {
        let detail = format!("{} has no key of signed return paths; set `token_keys` in its [[list]]", list.name);
        return Err(Problem::new(ProblemKind::Conflict, detail).at_list(list.name.clone()));
    };
    Ok(web::Json(made(&key, &wanted, state.clock.now())))
}

fn made(key: &TokenKey, wanted: &Wanted, now: time::OffsetDateTime) -> Made {
    let mut made = Made { list: key.list().to_owned(), key: key.id().to_owned(), return_paths: Vec::new(), invalid: Vec::new() };
    for given in &wanted.addresses {
        match parameters::address(given) {
            Ok(address) => {
                let token = key.mint(&address, now);
                let return_path = wanted.domain.as_deref().map(|it| token::return_path(&token, it));
                made.return_paths.push(Signed { address: address.expose().to_owned(), token, return_path });
            }
            Err(error) => made.invalid.push(Invalid { address: given.clone(), error: error.to_string() }),
        }
    }
    made
}

/// Says what a signed return path proves.
#[utoipa::path(post, path = "/v1/return-paths/check", tag = "diagnosis", security(("bearer" = ["read"])), request_body = Question,
    responses(
        (status = 200, description = "whether it holds, and why not", body = Verdict),
        (status = 400, description = "not the body that is asked for", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn post_return_path_check(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Verdict>, Problem> {
    let body = body::read(&request, payload, BODY_LIMIT).await?;
    let question: Question = body::json(&request, &body)?;
    let address = match parameters::address(&question.address) {
        Ok(address) => address,
        Err(error) => return Ok(web::Json(Verdict { holds: false, list: None, key: None, reason: Some(error.to_string()) })),
    };
    let keys = state.sources.tokens();
    let token = token::candidate(&question.return_path).ok_or(TokenError::Malformed);
    let found = token.and_then(|it| keys.check(it, &address, state.clock.now()));
    let is_seen = match &found {
        Ok(key) => match state.store.list(key.list()).await {
            Ok(list) => caller.reaches(&list),
            Err(StoreError::UnknownList(_)) => false,
            Err(error) => return Err(error.into()),
        },
        Err(_) => false,
    };
    let key = match found {
        // Whoever may not see the list learns no more than of a key that is not there.
        Ok(_) if !is_seen => Err(TokenError::UnknownKey),
        Err(TokenError::Malformed) => Err(TokenError::Malformed),
        Err(_) if caller.confined_to().is_some() => Err(TokenError::UnknownKey),
        other => other,
    };
    Ok(web::Json(match key {
        Ok(key) => Verdict { holds: true, list: Some(key.list().to_owned()), key: Some(key.id().to_owned()), reason: None },
        Err(error) => Verdict { holds: false, list: None, key: None, reason: Some(error.to_string()) },
    }))
}
