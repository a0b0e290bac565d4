//! Postal (<https://docs.postalserver.io/developer/webhooks>), which people host themselves. One event a post.
//!
//! What this one does differently: it signs with a private key of the installation. `X-Postal-Signature-256` is RSA over
//! the raw body with SHA-256, `X-Postal-Signature` the same with SHA-1, which older versions send alone. Both that are
//! there must hold, and one must be there. There is no time in them, and an event that comes twice changes nothing.
//!
//! A bounce that comes back after delivery is reported without its reason, so it is soft; a message that is held for
//! Postal's own suppression list was not tried. Postal tries six times within forty minutes, whatever is answered.

mod payload;
#[cfg(test)]
mod tests;

use base64::Engine;
use serde_json::json;
use time::OffsetDateTime;

use crate::esp::credentials::BASE64;
use crate::esp::public_key::{self, RsaHash};
use crate::esp::{
    Credential, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified, batch,
};

/// What a body should have been, in refusals.
const EXPECTED: &str = "an event of Postal (a JSON object with event, timestamp, payload and uuid)";
/// The headers with signatures.
const SIGNATURES: [(&str, RsaHash); 2] = [("x-postal-signature-256", RsaHash::Sha256), ("x-postal-signature", RsaHash::Sha1)];

/// Postal.
#[derive(Debug)]
pub struct Postal;

impl Provider for Postal {
    fn name(&self) -> &'static str {
        "postal"
    }

    fn has_global_ids(&self) -> bool {
        false
    }

    fn proved_by(&self) -> &'static [&'static str] {
        &["public_keys", "basic", "bearer", "header", "url_secret"]
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refusal> {
        public_key::are_rsa(&credentials.public_keys)
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        let has_key = !credentials.public_keys.is_empty();
        let attribution = credentials.signed_or_transport(post, has_key, || check(post, &credentials.public_keys))?;
        batch::one(post.body, EXPECTED)?;
        Ok(Proof::of(attribution))
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match batch::one(post.post().body, EXPECTED) {
            Ok(events) => batch::decode("postal", events.iter().map(|it| it.get()), payload::meaning),
            Err(refusal) => Decoded::unreadable("postal", &refusal),
        }
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        if !credentials.public_keys.is_empty() {
            return Err(NoSample::OnlyProviderSigns);
        }
        let time = now.unix_timestamp();
        Ok(Sample::json(&json!({"event": "MessageDeliveryFailed", "timestamp": time, "uuid": format!("rebound-test-{time}"), "payload": {
            "status": "HardFail", "details": "Permanent SMTP delivery error (test)", "output": "550 5.1.1 no such user (test)", "timestamp": time,
            "message": {"direction": "outgoing", "message_id": format!("rebound-test-{time}@rebound.invalid"), "to": TEST_RECIPIENT, "tag": null}}})))
    }
}

/// Whether one of the keys made every signature that is there.
fn check(post: &Unverified<'_>, keys: &[String]) -> Result<(), Refusal> {
    let mut signatures = Vec::new();
    for (name, hash) in SIGNATURES {
        match post.sole_header(name, Credential::Signature) {
            Ok(value) => signatures.push((hash, BASE64.decode(value.trim()).map_err(|_| Refusal::Mismatch(Credential::Signature))?)),
            Err(Refusal::Missing(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if signatures.is_empty() {
        return Err(Refusal::Missing(Credential::Signature));
    }
    public_key::check_rsa(keys, post.body, &signatures)
}
