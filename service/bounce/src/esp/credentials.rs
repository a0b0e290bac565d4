//! Passwords, tokens and secrets that come beside the body. Every comparison is of SHA-256 digests in constant time, so
//! neither the length nor a common prefix of a secret can be told from how long an answer takes. An entry that is
//! configured but empty proves nothing and refuses everything.

use std::collections::BTreeMap;

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::esp::form;
use crate::esp::{Credential, Refusal, Unverified};
use crate::kind::Attribution;

/// What a source may be asked to prove a post with. The same keys for all providers; each takes those it knows.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// HMAC and Svix keys; several during rotation.
    pub secrets: Vec<String>,
    /// Public keys, PEM or base64 DER.
    pub public_keys: Vec<String>,
    /// `user:password`.
    pub basic: Vec<String>,
    /// Bearer tokens.
    pub bearer: Vec<String>,
    /// A header that must have this value.
    pub header: Option<HeaderSecret>,
    /// A secret in the path or the query.
    pub url_secret: Option<String>,
    /// Topics that may post (SNS).
    pub topic_arns: Vec<String>,
    /// Hosts where a subscription may be confirmed, for copies of SNS; those of Amazon are known.
    pub confirm_hosts: Vec<String>,
    /// The exact address configured at the provider, where it is signed.
    pub url: Option<String>,
    /// Whether posts that nothing proves are taken, as if anyone could have written them.
    pub insecure: bool,
    /// Certificates already fetched, URL to PEM.
    pub certificates: BTreeMap<String, String>,
}

/// A header with a secret value.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSecret {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Base64 as senders write it: padding or none.
pub(super) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Whether two byte strings are the same, in a time that depends on neither.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    let digest = |it| digest::digest(&digest::SHA256, it);
    constant_time::verify_slices_are_equal(digest(left).as_ref(), digest(right).as_ref()).is_ok()
}

/// Whether the value is one of those, all of which are compared.
fn one_of<'a>(value: &[u8], allowed: impl Iterator<Item = &'a str>) -> bool {
    allowed.fold(false, |found, it| same(value, it.as_bytes()) | found)
}

impl Credentials {
    /// Checks whatever is configured of basic, bearer, header and URL secret; all must hold. Basic and bearer share one
    /// header field, so either does. `None` where none is configured, which proves nothing.
    pub(super) fn transport(&self, post: &Unverified<'_>) -> Result<Option<Attribution>, Refusal> {
        let checks = [self.authorization(post)?, self.header(post)?, self.url_secret(post)?];
        Ok(checks.contains(&Check::Holds).then_some(Attribution::Authenticated))
    }

    /// The keys that are set, as a source names them.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let all = [
            ("secrets", !self.secrets.is_empty()),
            ("public_keys", !self.public_keys.is_empty()),
            ("topic_arns", !self.topic_arns.is_empty()),
            ("basic", !self.basic.is_empty()),
            ("bearer", !self.bearer.is_empty()),
            ("header", self.header.is_some()),
            ("url_secret", self.url_secret.is_some()),
        ];
        all.into_iter().filter_map(|(key, set)| set.then_some(key)).collect()
    }

    /// Whether that key is set.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys().contains(&key)
    }

    /// Whether something is configured that comes beside the body.
    pub(super) fn has_transport(&self) -> bool {
        ["basic", "bearer", "header", "url_secret"].into_iter().any(|it| self.has(it))
    }

    /// As [`Credentials::transport`], for providers that sign nothing: at least one must be configured, unless the source
    /// was declared insecure.
    pub(super) fn transport_required(&self, post: &Unverified<'_>) -> Result<Attribution, Refusal> {
        let insecure = self.insecure.then_some(Attribution::Unattributed);
        self.transport(post)?.or(insecure).ok_or(Refusal::NotConfigured("key, `basic`, `bearer`, `header` or `url_secret`"))
    }

    /// For providers that can sign. Where a key is configured, the signature must hold, and so must whatever else is
    /// configured; without a key, the rest alone has to do.
    #[expect(clippy::fn_params_excessive_bools, reason = "which of the keys a provider signs with is its own affair")]
    pub(super) fn signed_or_transport(
        &self,
        post: &Unverified<'_>,
        has_key: bool,
        signature: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Attribution, Refusal> {
        if !has_key {
            return self.transport_required(post);
        }
        self.transport(post)?;
        signature()?;
        Ok(Attribution::Signed)
    }

    /// Basic (RFC 7617) or bearer (RFC 6750).
    fn authorization(&self, post: &Unverified<'_>) -> Result<Check, Refusal> {
        if self.basic.is_empty() && self.bearer.is_empty() {
            return Ok(Check::NotConfigured);
        }
        if self.basic.iter().any(|it| it.is_empty() || it == ":") || self.bearer.iter().any(String::is_empty) {
            return Err(Refusal::NotConfigured("`basic` or `bearer` that is not empty"));
        }
        let wanted = if self.basic.is_empty() { Credential::Bearer } else { Credential::Basic };
        let (scheme, value) = post.sole_header("authorization", wanted)?.trim().split_once(' ').ok_or(Refusal::Missing(wanted))?;
        let value = value.trim();
        let (kind, holds) = if scheme.eq_ignore_ascii_case("basic") && !self.basic.is_empty() {
            let plain = BASE64.decode(value).map_err(|_| Refusal::Mismatch(Credential::Basic))?;
            (Credential::Basic, one_of(&plain, self.basic.iter().map(String::as_str)))
        } else if scheme.eq_ignore_ascii_case("bearer") && !self.bearer.is_empty() {
            (Credential::Bearer, one_of(value.as_bytes(), self.bearer.iter().map(String::as_str)))
        } else {
            return Err(Refusal::Missing(wanted));
        };
        if holds { Ok(Check::Holds) } else { Err(Refusal::Mismatch(kind)) }
    }

    fn header(&self, post: &Unverified<'_>) -> Result<Check, Refusal> {
        let Some(secret) = &self.header else { return Ok(Check::NotConfigured) };
        if secret.name.is_empty() || secret.value.is_empty() {
            return Err(Refusal::NotConfigured("`header` with a name and a value"));
        }
        let value = post.sole_header(&secret.name.to_ascii_lowercase(), Credential::Header)?;
        if same(value.trim().as_bytes(), secret.value.trim().as_bytes()) {
            Ok(Check::Holds)
        } else {
            Err(Refusal::Mismatch(Credential::Header))
        }
    }

    /// The secret is a whole segment of the path or a whole value of the query.
    fn url_secret(&self, post: &Unverified<'_>) -> Result<Check, Refusal> {
        let Some(secret) = &self.url_secret else { return Ok(Check::NotConfigured) };
        if secret.is_empty() {
            return Err(Refusal::NotConfigured("`url_secret` that is not empty"));
        }
        let (path, query) = path_and_query(post.url);
        let in_path = path.split('/').map(|it| form::decoded(it.as_bytes(), form::Plus::Literal));
        let in_query = form::pairs(query.as_bytes(), form::Plus::Literal).map(|(name, value)| if value.is_empty() { name } else { value });
        let holds = in_path.chain(in_query).fold(false, |found, it| same(&it, secret.as_bytes()) | found);
        // Whoever calls without the secret cannot be told from who calls with a wrong one.
        if holds { Ok(Check::Holds) } else { Err(Refusal::Mismatch(Credential::UrlSecret)) }
    }
}

/// How a configured credential fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    NotConfigured,
    Holds,
}

/// Path and query of a URL, absolute or not; empty where there is none.
pub(super) fn path_and_query(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(it, _)| it);
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let path = match before.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => before,
    };
    (path, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(credentials: &Credentials, url: &str, headers: &[(&str, &str)]) -> Result<Option<Attribution>, Refusal> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        credentials.transport(&Unverified { method: "POST", url, headers: &headers, body: b"" })
    }

    const HOLDS: Result<Option<Attribution>, Refusal> = Ok(Some(Attribution::Authenticated));

    #[test]
    fn without_credentials_nothing_is_proved() {
        assert_eq!(check(&Credentials::default(), "/", &[]), Ok(None));
        let post = Unverified { method: "POST", url: "/", headers: &[], body: b"" };
        assert!(matches!(Credentials::default().transport_required(&post), Err(Refusal::NotConfigured(_))));
    }

    #[test]
    fn basic_and_bearer_share_a_field_so_either_does() {
        let both = Credentials { basic: vec!["old:1".into(), "jane:pa:ss".into()], bearer: vec!["tok".into()], ..Credentials::default() };
        for (value, outcome) in [
            ("Basic amFuZTpwYTpzcw==", HOLDS),
            ("basic  amFuZTpwYTpzcw", HOLDS),
            ("Basic b2xkOjE=", HOLDS),
            ("Bearer tok", HOLDS),
            ("Bearer toK", Err(Refusal::Mismatch(Credential::Bearer))),
            ("Basic amFuZTpwYTpz", Err(Refusal::Mismatch(Credential::Basic))),
            ("Basic \u{1}", Err(Refusal::Missing(Credential::Basic))),
            ("Basic ***", Err(Refusal::Mismatch(Credential::Basic))),
            ("Digest x", Err(Refusal::Missing(Credential::Basic))),
            ("", Err(Refusal::Missing(Credential::Basic))),
        ] {
            let expected = if value == "Basic \u{1}" { Err(Refusal::Mismatch(Credential::Basic)) } else { outcome };
            assert_eq!(check(&both, "/", &[("authorization", value)]), expected, "{value:?}");
        }
        assert_eq!(check(&both, "/", &[]), Err(Refusal::Missing(Credential::Basic)));
        let bearer = Credentials { bearer: vec!["tok".into()], ..Credentials::default() };
        assert_eq!(check(&bearer, "/", &[("authorization", "Basic dG9r")]), Err(Refusal::Missing(Credential::Bearer)));
    }

    #[test]
    fn the_url_secret_is_a_whole_segment_or_a_whole_value() {
        let credentials = Credentials { url_secret: Some("s3 cr+t/é".into()), ..Credentials::default() };
        for url in [
            "https://h.example/webhooks/x/s3%20cr+t%2F%C3%A9",
            "https://h.example/webhooks/x?a=1&code=s3%20cr%2Bt%2F%C3%A9&b#f",
            "/webhooks/x?s3%20cr+t%2f%c3%a9",
        ] {
            assert_eq!(check(&credentials, url, &[]), HOLDS, "{url}");
        }
        for url in ["", "/", "https://s3%20cr+t%2F%C3%A9/webhooks", "/x/s3%20cr+t%2F%C3%A9x", "/x?s3=cr", "/x#s3%20cr+t%2F%C3%A9", "/%zz?%"]
        {
            assert_eq!(check(&credentials, url, &[]), Err(Refusal::Mismatch(Credential::UrlSecret)), "{url}");
        }
    }

    #[test]
    fn all_configured_kinds_must_hold() {
        let header = Some(HeaderSecret { name: "X-Token".into(), value: "t".into() });
        let credentials = Credentials { header, url_secret: Some("u".into()), ..Credentials::default() };
        assert_eq!(check(&credentials, "/u", &[("x-token", "t")]), HOLDS);
        assert_eq!(check(&credentials, "/u", &[]), Err(Refusal::Missing(Credential::Header)));
        assert_eq!(check(&credentials, "/u", &[("x-token", "T")]), Err(Refusal::Mismatch(Credential::Header)));
        assert_eq!(check(&credentials, "/v", &[("x-token", "t")]), Err(Refusal::Mismatch(Credential::UrlSecret)));
    }

    #[test]
    fn an_empty_credential_lets_nobody_in() {
        let header = Some(HeaderSecret { name: "x-token".into(), value: String::new() });
        for credentials in [
            Credentials { basic: vec![String::new()], ..Credentials::default() },
            Credentials { basic: vec![":".into()], ..Credentials::default() },
            Credentials { bearer: vec![String::new()], ..Credentials::default() },
            Credentials { url_secret: Some(String::new()), ..Credentials::default() },
            Credentials { header, ..Credentials::default() },
        ] {
            let found = check(&credentials, "/", &[("authorization", "Basic Og=="), ("x-token", "")]);
            assert!(matches!(found, Err(Refusal::NotConfigured(_))), "{found:?}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials { basic: vec!["jane:pass".into()], ..Credentials::default() };
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
    }
}
