//! Forward Email (<https://forwardemail.net/en/faq>): the bounce webhook of its outbound SMTP. One bounce a post.
//!
//! What this one does differently: every post is a bounce, with the category that Zone-MTA's list of bounces gives it. The
//! vendor advises to drop the addresses of four categories, spam and block among them; but those are the sender's
//! fault, and here no address is given up for it. Posts are signed over the raw body with no time in it.
//!
//! Forward Email waits five seconds, wants a 200, and tries again once; so only what will never be right is refused.

mod payload;
#[cfg(test)]
mod tests;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::esp::mac::{self, Hash};
use crate::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified, batch};

/// What a body should have been, in refusals.
const EXPECTED: &str = "a bounce of Forward Email (a JSON object with recipient, response and bounce)";
/// The header with the signature.
const SIGNATURE: &str = "x-webhook-signature";

/// Forward Email.
#[derive(Debug)]
pub struct ForwardEmail;

impl Provider for ForwardEmail {
    fn name(&self) -> &'static str {
        "forwardemail"
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["secrets", "basic", "bearer", "header", "url_secret"]
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.secrets.is_empty();
        let signature = || mac::check_hex_header(post, SIGNATURE, &credentials.secrets);
        let attribution = credentials.signed_or_transport(post, has_key, signature)?;
        batch::one(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::one(post.post().body, EXPECTED) {
            Ok(events) => batch::decode("forwardemail", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("forwardemail", &refusal),
        }
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let mut sample = Sample::json(&json!({"email_id": format!("rebound-test-{}", now.unix_timestamp()), "recipient": TEST_RECIPIENT,
            "message": "no such user (test)", "response": "550 5.1.1 no such user (test)", "response_code": 550, "truth_source": false,
            "bounce": {"action": "reject", "message": "no such user (test)", "category": "recipient", "code": 550, "status": "5.1.1"},
            "headers": {}, "bounced_at": now.format(&Rfc3339).unwrap_or_default()}));
        if let Some(secret) = credentials.secrets.first().filter(|it| !it.is_empty()) {
            let mac = mac::sign(Hash::Sha256, secret.as_bytes(), &[&sample.body]);
            sample.headers.push((SIGNATURE.to_owned(), mac::to_hex(&mac)));
        }
        Ok(sample)
    }
}
