//! Mailchimp Transactional (Mandrill): a form with one field, `mandrill_events`, a JSON array.
//!
//! The signature is HMAC-SHA1 over the address of the webhook, to the letter as it was given to Mandrill, and over the
//! fields of the form. The address is taken from the source (`url`), never from the request: a proxy may have
//! changed that, and whoever posts chooses it.
//!
//! The key is known only after Mandrill has tried the address: by `HEAD`, or by an empty array signed with the key
//! `test-webhook`, which everybody knows. That key is good for an empty array and for nothing else. A source that has no other key yet
//! asks for events to come again.
//!
//! Mandrill wants a 200 and tries again after anything else; nothing makes it stop.

mod payload;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use serde_json::json;
use time::OffsetDateTime;

use crate::esp::credentials::BASE64;
use crate::esp::form::{self, Pair};
use crate::esp::mac::{self, Hash};
use crate::esp::{
    Answer, Content, Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified,
    batch,
};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "a form with one field `mandrill_events`, an array of events (JSON)";
/// The key that an empty array is signed with while a webhook is being made.
const TEST_KEY: &str = "test-webhook";
/// The field with the events.
const FIELD: &[u8] = b"mandrill_events";

/// Mailchimp Transactional.
#[derive(Debug)]
pub struct Mandrill;

impl Provider for Mandrill {
    fn name(&self) -> &'static str {
        "mandrill"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["POST", "HEAD"]
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn handshake(&self, post: &Unverified<'_>, _credentials: &Credentials) -> Result<Option<Answer>, Refusal> {
        Ok((post.method == "HEAD").then(Answer::ok))
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refusal> {
        if credentials.secrets.is_empty() { Ok(()) } else { url(credentials).map(|_| ()) }
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let is_signed = !credentials.secrets.is_empty();
        let transport = if is_signed { credentials.transport(post)? } else { Some(credentials.transport_required(post)?) };
        let pairs = pairs(post)?;
        let events = events(&pairs)?;
        let is_empty = is_empty(events);
        if is_signed {
            let keys: Vec<&str> = real_keys(credentials).chain(is_empty.then_some(TEST_KEY)).collect();
            signed(post, url(credentials)?, &keys, &pairs)?;
        }
        batch::events(events, EXPECTED)?;
        // Anyone may have sent an empty array.
        let attribution = match (is_empty, is_signed) {
            (true, _) => Attribution::Unattributed,
            (false, true) => Attribution::Signed,
            (false, false) => transport.unwrap_or(Attribution::Unattributed),
        };
        Ok(Proof::of(attribution))
    }

    /// The events alone, out of their form.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let found = pairs(post).ok().and_then(|pairs| pairs.into_iter().find(|(name, _)| **name == *FIELD));
        let bytes = found.map_or(Cow::Borrowed(post.body), |(_, events)| events);
        Content { media_type: Cow::Borrowed("application/json"), bytes }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let content = match form::media_type(post.post().header("content-type").unwrap_or_default()).as_str() {
            "application/json" => Cow::Borrowed(post.post().body),
            _ => self.content(post.post()).bytes,
        };
        match batch::events(&content, EXPECTED) {
            Ok(events) => batch::decode("mandrill", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("mandrill", &refusal),
        }
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["example.webhook@mandrillapp.com"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let id = format!("rebound-test-{}", now.unix_timestamp_nanos());
        let events = json!([{"event": "hard_bounce", "_id": id, "ts": now.unix_timestamp(), "msg": {
            "_id": id, "ts": now.unix_timestamp(), "email": TEST_RECIPIENT, "state": "bounced", "bounce_description": "bad_mailbox",
            "bgtools_code": 10, "diag": "smtp;550 5.1.1 no such user (test)", "tags": [], "metadata": {},
        }}]);
        let events = events.to_string();
        let mut headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        if !credentials.secrets.is_empty() {
            let key = real_keys(credentials).next().ok_or(NO_REAL_KEY)?;
            let data = data(url(credentials)?, &[(Cow::Borrowed(FIELD), Cow::Borrowed(events.as_bytes()))]);
            headers.push(("x-mandrill-signature".to_owned(), BASE64.encode(mac::sign(Hash::Sha1, key.as_bytes(), &[&data]))));
        }
        let body = format!("mandrill_events={}", form::encoded(events.as_bytes()));
        Ok(Sample { method: "POST", query: String::new(), headers, body: body.into_bytes() })
    }
}

const NO_REAL_KEY: Refusal = Refusal::NotConfigured("`secrets` with the key that Mandrill shows once the webhook is made");

/// The keys of a source that prove events.
fn real_keys(credentials: &Credentials) -> impl Iterator<Item = &str> {
    credentials.secrets.iter().map(String::as_str).filter(|it| *it != TEST_KEY)
}

fn url(credentials: &Credentials) -> Result<&str, Refusal> {
    credentials.url.as_deref().filter(|it| !it.is_empty()).ok_or(Refusal::NotConfigured("`url`, the address as it was given to Mandrill"))
}

fn signed(post: &Unverified<'_>, url: &str, keys: &[&str], pairs: &[Pair<'_>]) -> Result<(), Refusal> {
    if keys.is_empty() {
        return Err(NO_REAL_KEY);
    }
    let signature = post.sole_header("x-mandrill-signature", Credential::Signature)?;
    let signature = BASE64.decode(signature.trim()).map_err(|_| Refusal::Mismatch(Credential::Signature))?;
    mac::check(Hash::Sha1, keys, &[&data(url, pairs)], &[signature])
}

/// What is signed: the address, and name and value of each field, in the order of the names.
fn data(url: &str, pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
    let fields = sorted.into_iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]);
    std::iter::once(url.as_bytes()).chain(fields).collect::<Vec<_>>().concat()
}

/// The fields of the form.
fn pairs<'a>(post: &Unverified<'a>) -> Result<Vec<Pair<'a>>, Refusal> {
    let content_type = post.header("content-type").unwrap_or_default();
    match form::media_type(content_type).as_str() {
        "" | "application/x-www-form-urlencoded" => Ok(form::fields(post.body).map_err(malformed)?.collect()),
        "multipart/form-data" => {
            let parts = form::parts(content_type, post.body).map_err(malformed)?.into_iter().filter(|it| !it.is_file);
            Ok(parts.map(|it| (Cow::Owned(it.name.unwrap_or_default().into_bytes()), Cow::Borrowed(it.body))).collect())
        }
        _ => Err(Refusal::MediaType("application/x-www-form-urlencoded")),
    }
}

fn events<'p>(pairs: &'p [Pair<'_>]) -> Result<&'p [u8], Refusal> {
    let mut found = pairs.iter().filter(|(name, _)| **name == *FIELD);
    let (_, events) = found.next().ok_or_else(|| malformed("it has no field `mandrill_events`"))?;
    if found.next().is_some() {
        return Err(malformed("it has more than one field `mandrill_events`"));
    }
    if !events.trim_ascii_start().starts_with(b"[") {
        return Err(malformed("the field is no array"));
    }
    Ok(events)
}

fn is_empty(events: &[u8]) -> bool {
    events.trim_ascii().strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]")).is_some_and(|it| it.trim_ascii().is_empty())
}

fn malformed(found: &str) -> Refusal {
    Refusal::Malformed { expected: EXPECTED, found: found.to_owned() }
}
