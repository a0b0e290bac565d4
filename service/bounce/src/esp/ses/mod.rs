//! Amazon SES through SNS: feedback notifications and event publishing.

use time::OffsetDateTime;

use crate::esp::{Credentials, Decoded, Provider, Refusal, Unverified, Verified};
use crate::kind::{Attribution, Kind};
use crate::report::Reading;

/// Amazon SES.
#[derive(Debug)]
pub struct Ses;

impl Provider for Ses {
    fn name(&self) -> &'static str {
        "ses"
    }

    fn prove(&self, _post: &Unverified<'_>, _credentials: &Credentials, _now: OffsetDateTime) -> Result<Attribution, Refusal> {
        Err(Refusal::Missing("signature"))
    }

    fn decode(&self, _post: &Verified<'_>) -> Decoded {
        Decoded { reading: Reading { kind: Kind::Other, dialect: "ses", reports: Vec::new(), notes: Vec::new() }, requests: Vec::new() }
    }
}
