//! Elastic Email: an event is a `GET`, and everything it says stands in the query. Nothing is signed; a secret in the
//! address or a password in it proves the post.
//!
//! What this one does differently: the query becomes the content of the receipt, reduced to the fields of an event, for the
//! secret may stand in it as well. The same fields by `POST`, as a form or JSON, are read too. A `GET` without an event is how
//! Elastic Email tries the address when it is saved, and is answered with 200 like any other. After 1000 failures it stops
//! for good, and whether it tries one event twice is not known; no answer is better than another for it.

mod fields;
mod payload;
#[cfg(test)]
mod tests;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::esp::batch;
use crate::esp::{Answer, Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of Elastic Email (a form, a JSON object or an array of them)";

/// Elastic Email.
#[derive(Debug)]
pub struct ElasticEmail;

impl Provider for ElasticEmail {
    fn name(&self) -> &'static str {
        "elasticemail"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["GET", "POST"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let attribution = credentials.transport_required(post)?;
        let text = fields::text(post);
        if fields::is_json(&text) {
            batch::events(&text, EXPECTED)?;
        } else if post.method != "GET" && fields::event(&text).is_none() {
            let found = "it has none of the fields of an event".to_owned();
            return Err(Refusal::Malformed { expected: EXPECTED, found });
        }
        Ok(Proof::of(attribution))
    }

    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let bytes = fields::text(post);
        let media_type = if fields::is_json(&bytes) { "application/json" } else { "application/x-www-form-urlencoded" };
        Content { media_type: media_type.into(), bytes }
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let text = fields::text(post.post());
        let decoded = if fields::is_json(&text) {
            match batch::events(&text, EXPECTED) {
                Ok(events) => batch::decode(self.name(), events.iter().map(|it| it.get()), payload::meaning),
                Err(refusal) => return Decoded::unreadable(self.name(), &refusal),
            }
        } else {
            let event = fields::event(&text).map(|it| it.to_string());
            batch::decode(self.name(), event.as_slice().iter().map(String::as_str), payload::meaning)
        };
        // A proxy must not answer the next event of the same address in our place.
        Decoded { answer: Answer { headers: vec![("cache-control", "no-store".to_owned())], ..Answer::ok() }, ..decoded }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        const DATE: &[time::format_description::BorrowedFormatItem<'_>] = format_description!(
            "[month padding:none]%2F[day padding:none]%2F[year]+[hour repr:12 padding:none]%3A[minute]%3A[second]+[period case:upper]"
        );
        let date = now.to_offset(time::UtcOffset::UTC).format(DATE).unwrap_or_default();
        let to = TEST_RECIPIENT.replace('@', "%40");
        let query = format!("to={to}&date={date}&status=Error&category=NoMailbox&messageid=rebound-test-{}", now.unix_timestamp());
        Ok(Sample { method: "GET", query, headers: Vec::new(), body: Vec::new() })
    }
}
