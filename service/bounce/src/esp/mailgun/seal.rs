//! The three fields that prove a post: a time, a token, and their HMAC-SHA256 under the webhook signing key of the account.

use std::borrow::Cow;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::esp::json::Json;
use crate::esp::mac::{self, Hash};
use crate::esp::{Credential, Once, Refusal, standard};

/// How far the time may be off, in seconds: less than nine hours. Mailgun tries for eight, and it is not known whether it
/// stamps anew.
pub(super) const WINDOW: u32 = 9 * 3600 - 1;

/// The three fields, as they were written.
#[derive(Debug)]
pub(super) struct Seal<'a> {
    pub(super) timestamp: Cow<'a, str>,
    pub(super) token: Cow<'a, str>,
    pub(super) signature: Cow<'a, str>,
}

/// The seals of an event: of the account, and of its parent.
pub(super) fn of_event(event: Json<'_>) -> Vec<Seal<'_>> {
    let seal = |name: &str| {
        let seal = event.at(name);
        let field = |name: &str| seal.at(name).exact();
        Some(Seal { timestamp: field("timestamp")?, token: field("token")?, signature: field("signature")? })
    };
    ["signature", "parent-signature"].into_iter().filter_map(seal).collect()
}

/// Whether one of them holds; then the tokens of all that do are to be remembered. Whoever saw the post could otherwise take
/// the seal that was not looked at for another.
pub(super) fn check(seals: &[Seal<'_>], secrets: &[String], now: OffsetDateTime) -> Result<Once, Refusal> {
    let mut held: Option<Once> = None;
    let mut first = None;
    for seal in seals {
        match seal.check(secrets, now) {
            Ok(until) => {
                let once = held.get_or_insert_with(|| Once { tokens: Vec::new(), until });
                once.until = once.until.max(until);
                if !once.tokens.iter().any(|it| *it == seal.token) {
                    once.tokens.push(seal.token.clone().into_owned());
                }
            }
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    held.ok_or_else(|| first.unwrap_or(Refusal::Missing(Credential::Signature)))
}

impl Seal<'_> {
    /// Until when it would be believed, if it holds.
    fn check(&self, secrets: &[String], now: OffsetDateTime) -> Result<OffsetDateTime, Refusal> {
        // Mailgun writes lower case, so there is one spelling of a seal.
        if self.signature.bytes().any(|it| it.is_ascii_uppercase()) {
            return Err(Refusal::Mismatch(Credential::Signature));
        }
        let mac = mac::from_hex(&self.signature)?;
        mac::check(Hash::Sha256, secrets, &[self.timestamp.as_bytes(), self.token.as_bytes()], &[mac])?;
        // Nothing stands between time and token: were a digit moved from one to the other, the MAC would hold. The time
        // would be off by centuries then.
        standard::fresh(&self.timestamp, now, WINDOW)?;
        let signed_at = self.timestamp.parse().ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
        signed_at.and_then(|it| it.checked_add(Duration::seconds(i64::from(WINDOW)))).ok_or(Refusal::Stale(WINDOW))
    }
}

/// A seal as Mailgun makes it.
pub(super) fn sign(secret: &str, now: OffsetDateTime) -> Result<Value, Refusal> {
    if secret.is_empty() {
        return Err(Refusal::NotConfigured("`secrets` that are not empty"));
    }
    let timestamp = now.unix_timestamp().to_string();
    let token = mac::to_hex(&mac::sign(Hash::Sha256, secret.as_bytes(), &[b"token", now.unix_timestamp_nanos().to_string().as_bytes()]));
    let token: String = token.chars().take(50).collect();
    let signature = mac::to_hex(&mac::sign(Hash::Sha256, secret.as_bytes(), &[timestamp.as_bytes(), token.as_bytes()]));
    Ok(json!({"timestamp": timestamp, "token": token, "signature": signature}))
}
