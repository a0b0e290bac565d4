//! Mailgun: webhooks of today (JSON, one event), those of before 2018 (forms), and mail that a route posts.
//!
//! All three carry the same seal: HMAC-SHA256 over a time and a token. It does not cover the body, so whoever sees one
//! post could make others of it: a token is good for one body only ([`Proof::once`]), and only as long as Mailgun tries
//! again, which is 8 hours. A subaccount's post has a second seal, that of the parent account; either does.
//!
//! A route lays the headers of a mail flat into its form. Anyone can write a mail with a header `event: bounced`, so a
//! form with the body of a mail is a mail, whatever else it says, and stays unattributed as every mail does.
//!
//! Only 406 makes Mailgun stop; after any other refusal it comes again for 8 hours. What will never be right is
//! answered that way: what cannot be read, and a token that was used with another body.

mod form;
mod payload;
mod seal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::esp::form::media_type;
use crate::esp::json::{self, Json, Notes};
use crate::esp::{Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::esp::{batch, mime};
use crate::kind::Attribution;

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event (a JSON object, or a form) or a mail (a form)";

/// Mailgun.
#[derive(Debug)]
pub struct Mailgun;

/// A body that was read.
enum Body<'a> {
    /// An event with its seals.
    Event(Value),
    /// An event of the old form.
    OldEvent(form::Form<'a>),
    /// A mail that a route posted.
    Mail(form::Form<'a>),
    /// A mail out of a receipt.
    Message,
}

fn read<'a>(post: &Unverified<'a>) -> Result<Body<'a>, Refusal> {
    let malformed = |found: String| Refusal::Malformed { expected: EXPECTED, found };
    let content_type = post.header("content-type").unwrap_or_default();
    match media_type(content_type).as_str() {
        "message/rfc822" => Ok(Body::Message),
        "multipart/form-data" | "application/x-www-form-urlencoded" => {
            let form = form::Form::read(content_type, post.body).map_err(|it| malformed(it.to_owned()))?;
            Ok(if form.is_mail() { Body::Mail(form) } else { Body::OldEvent(form) })
        }
        _ => match json::parse(post.body).map_err(malformed)? {
            event @ Value::Object(_) => Ok(Body::Event(event)),
            _ => Err(malformed("it is JSON, but no object".to_owned())),
        },
    }
}

impl Provider for Mailgun {
    fn name(&self) -> &'static str {
        "mailgun"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal> {
        let is_signed = !credentials.secrets.is_empty();
        let transport = if is_signed { credentials.transport(post)? } else { Some(credentials.transport_required(post)?) };
        let body = read(post)?;
        let seals = match &body {
            Body::Event(event) => seal::of_event(Json::new(event)),
            Body::OldEvent(form) | Body::Mail(form) => form.seals(),
            Body::Message => return Err(Refusal::MediaType("application/json, multipart/form-data, application/x-www-form-urlencoded")),
        };
        let once = if is_signed { Some(seal::check(&seals, &credentials.secrets, now)?) } else { None };
        let attribution = match (&body, is_signed) {
            (Body::Mail(_), _) => Attribution::Unattributed,
            (_, true) => Attribution::Signed,
            (_, false) => transport.unwrap_or(Attribution::Unattributed),
        };
        Ok(Proof { attribution, once })
    }

    /// Of a mail the message alone.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let media_type = post.header("content-type").filter(|it| it.len() <= 200).unwrap_or("application/json");
        match read(post) {
            Ok(Body::Mail(form)) => Content { media_type: Cow::Borrowed("message/rfc822"), bytes: Cow::Owned(form.message()) },
            _ => Content { media_type: Cow::Borrowed(media_type), bytes: Cow::Borrowed(post.body) },
        }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let event = match read(post.post()) {
            Ok(Body::Message) => return mime::read(post.post().body),
            Ok(Body::Mail(form)) => return mime::read(&form.message()),
            Ok(Body::Event(event)) => event,
            Ok(Body::OldEvent(form)) => form.event(),
            Err(refusal) => return Decoded::unreadable("mailgun", &refusal),
        };
        let mut notes = Notes::default();
        let (reports, unrecognised) = match payload::meaning(Json::new(&event), &mut notes) {
            batch::Meaning::Reports(reports) => (reports, 0),
            batch::Meaning::Nothing => (Vec::new(), 0),
            batch::Meaning::Unknown(why) => {
                notes.add(why);
                (Vec::new(), 1)
            }
        };
        Decoded::new("mailgun", reports, notes.finish(), unrecognised)
    }

    fn test_recipients(&self) -> &'static [&'static str] {
        &["alice@example.com"]
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let mut event = json!({"event-data": {
            "event": "failed", "severity": "permanent", "reason": "bounce", "id": format!("rebound-test-{}", now.unix_timestamp_nanos()),
            "timestamp": now.unix_timestamp(), "recipient": TEST_RECIPIENT,
            "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "5.1.1 no such user (test)"},
        }});
        if let Some(secret) = credentials.secrets.first() {
            event["signature"] = seal::sign(secret, now)?;
        }
        Ok(Sample::json(&event))
    }

    fn refusal_status(&self, refusal: &Refusal) -> u16 {
        match refusal {
            Refusal::Malformed { .. } | Refusal::MediaType(_) | Refusal::TooMany(_) | Refusal::Replayed => 406,
            other => other.default_status(),
        }
    }
}
