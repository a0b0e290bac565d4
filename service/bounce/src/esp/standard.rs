//! Standard Webhooks (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>), which
//! is what Svix signs with: HMAC-SHA256 over id, time and raw body. A retry is signed anew, so the window is short.

use std::borrow::Cow;

use base64::Engine;
use time::OffsetDateTime;

use crate::esp::credentials::BASE64;
use crate::esp::mac::{self, Hash};
use crate::esp::{Content, Credential, Credentials, Refusal, Unverified, form};

/// How far the signed time may be off, in seconds.
pub(super) const WINDOW: u32 = 300;
/// Parameter of the media type that keeps the id in a receipt.
const ID: &str = "webhook-id";
/// Signatures looked at; a sender gives one for each of its keys.
const SIGNATURES: usize = 16;

/// Proves a post by its `webhook-` headers, or by those that Svix names `svix-`.
pub(super) fn check(post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<(), Refusal> {
    let keys = keys(&credentials.secrets)?;
    let prefix = prefix(post);
    let header = |name: &str| post.sole_header(&format!("{prefix}-{name}"), Credential::Signature);
    let (id, time, signatures) = (header("id")?, header("timestamp")?, header("signature")?);
    let macs: Vec<Vec<u8>> =
        signatures.split_ascii_whitespace().filter_map(|it| BASE64.decode(it.strip_prefix("v1,")?).ok()).take(SIGNATURES).collect();
    mac::check(Hash::Sha256, &keys, &[id.as_bytes(), b".", time.as_bytes(), b".", post.body], &macs)?;
    fresh(time, now, WINDOW)
}

/// The id of the message, the same for all attempts to deliver it; the one that [`check`] looks at, not one beside it. Of a
/// stored receipt, what [`content`] kept of it.
pub(super) fn id(post: &Unverified<'_>) -> Option<String> {
    let in_header = |prefix: &str| post.header(&format!("{prefix}-id")).map(str::trim).filter(|it| !it.is_empty());
    // Where something else proves the post, the signature may be missing and the id there under either name.
    in_header(prefix(post)).or_else(|| in_header("svix")).map(str::to_owned).or_else(|| form::parameter(post.header("content-type")?, ID))
}

/// What a receipt keeps: the body, and the id as a parameter of its type.
pub(super) fn content<'a>(post: &Unverified<'a>) -> Content<'a> {
    let plain = |it: &String| it.len() <= 100 && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.'));
    let id = id(post).filter(plain);
    let media_type = id.map_or(Cow::Borrowed("application/json"), |it| Cow::Owned(format!("application/json; {ID}={it}")));
    Content { media_type, bytes: Cow::Borrowed(post.body) }
}

/// Which of the two names its headers go by.
fn prefix(post: &Unverified<'_>) -> &'static str {
    if post.header("svix-signature").is_some() { "svix" } else { "webhook" }
}

/// The headers that prove a body, in the names of the standard.
pub(super) fn sign(secret: &str, id: &str, now: OffsetDateTime, body: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let time = now.unix_timestamp().to_string();
    let key = key(secret)?;
    let mac = mac::sign(Hash::Sha256, &key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
    let signature = format!("v1,{}", BASE64.encode(mac));
    let headers = [("webhook-id", id.to_owned()), ("webhook-timestamp", time), ("webhook-signature", signature)];
    Ok(headers.map(|(name, value)| (name.to_owned(), value)).into())
}

/// Whether the secrets, if there are any, are keys.
pub(super) fn check_secrets(credentials: &Credentials) -> Result<(), Refusal> {
    keys(&credentials.secrets).map(|_| ())
}

fn keys(secrets: &[String]) -> Result<Vec<Vec<u8>>, Refusal> {
    secrets.iter().map(|it| key(it)).collect()
}

fn key(secret: &str) -> Result<Vec<u8>, Refusal> {
    let text = secret.trim();
    let key = BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_default();
    if key.is_empty() { Err(Refusal::NotConfigured("`secrets` of the form whsec_<base64>")) } else { Ok(key) }
}

/// Whether a time in Unix seconds is within so many seconds of now.
pub(super) fn fresh(time: &str, now: OffsetDateTime, window: u32) -> Result<(), Refusal> {
    let at: i64 = time.trim().parse().map_err(|_| Refusal::Stale(window))?;
    if now.unix_timestamp().abs_diff(at) <= u64::from(window) { Ok(()) } else { Err(Refusal::Stale(window)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const SECRET: &str = "whsec_c2VjcmV0IG9mIG91cnM=";

    fn verify(secrets: &[&str], headers: &[(String, String)], body: &[u8], now: OffsetDateTime) -> Result<(), Refusal> {
        let credentials = Credentials { secrets: secrets.iter().map(|it| (*it).to_owned()).collect(), ..Credentials::default() };
        check(&Unverified { method: "POST", url: "/", headers, body }, &credentials, now)
    }

    fn signed() -> Vec<(String, String)> {
        sign(SECRET, "msg_1", NOW, b"{}").unwrap()
    }

    fn changed(at: usize, edit: impl Fn(&str) -> String) -> Vec<(String, String)> {
        let mut headers = signed();
        headers[at].1 = edit(&headers[at].1);
        headers
    }

    #[test]
    fn what_was_signed_holds_under_either_name_and_during_rotation() {
        assert_eq!(verify(&[SECRET], &signed(), b"{}", NOW), Ok(()));
        assert_eq!(verify(&["bmV3ZXI", SECRET], &signed(), b"{}", NOW), Ok(()));
        let svix: Vec<_> = signed().into_iter().map(|(name, value)| (name.replace("webhook", "svix"), value)).collect();
        assert_eq!(verify(&[SECRET], &svix, b"{}", NOW), Ok(()));
        assert_eq!(verify(&[SECRET], &changed(2, |it| format!("v1a,xyz v1,AAAA {it}")), b"{}", NOW), Ok(()));
    }

    #[test]
    fn each_part_is_covered() {
        let mismatch = Err(Refusal::Mismatch(Credential::Signature));
        assert_eq!(verify(&[SECRET], &signed(), b"{} ", NOW), mismatch);
        assert_eq!(verify(&[SECRET], &changed(0, |_| "msg_2".into()), b"{}", NOW), mismatch);
        assert_eq!(verify(&[SECRET], &changed(1, |_| "1767225601".into()), b"{}", NOW), mismatch);
        assert_eq!(verify(&[SECRET], &changed(2, |it| it.replace("v1,", "v2,")), b"{}", NOW), mismatch);
        assert_eq!(verify(&["whsec_b3RoZXI="], &signed(), b"{}", NOW), mismatch);
        for missing in 0..3 {
            let mut headers = signed();
            headers.remove(missing);
            assert_eq!(verify(&[SECRET], &headers, b"{}", NOW), Err(Refusal::Missing(Credential::Signature)));
        }
        let twice = [signed(), signed()].concat();
        assert_eq!(verify(&[SECRET], &twice, b"{}", NOW), Err(Refusal::Repeated(Credential::Signature)));
    }

    #[test]
    fn the_window_ends_to_the_second() {
        let at = |seconds: i64| verify(&[SECRET], &signed(), b"{}", NOW + time::Duration::seconds(seconds));
        assert_eq!([at(300), at(-300)], [Ok(()), Ok(())]);
        assert_eq!([at(301), at(-301)], [Err(Refusal::Stale(WINDOW)), Err(Refusal::Stale(WINDOW))]);
        assert_eq!(fresh("9223372036854775807", NOW, WINDOW), Err(Refusal::Stale(WINDOW)));
    }

    #[test]
    fn every_bit_of_every_header_is_covered() {
        for at in 0..3 {
            for bit in 0..signed()[at].1.len() * 8 {
                let headers = changed(at, |it| {
                    let mut bytes = it.as_bytes().to_vec();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    // What is no ASCII any more does not come through an HTTP library; it must be refused all the same.
                    String::from_utf8_lossy(&bytes).into_owned()
                });
                assert!(verify(&[SECRET], &headers, b"{}", NOW).is_err(), "bit {bit} of {:?}", headers[at]);
            }
        }
    }

    #[test]
    fn the_id_is_the_one_that_was_signed() {
        let of = |headers: &[(String, String)]| id(&Unverified { method: "POST", url: "/", headers, body: b"" });
        let mut headers = signed();
        headers.push(("svix-id".to_owned(), "slipped_in".to_owned()));
        assert_eq!(of(&headers).as_deref(), Some("msg_1"));
        let svix: Vec<_> = signed().into_iter().map(|(name, value)| (name.replace("webhook", "svix"), value)).collect();
        assert_eq!(of(&svix).as_deref(), Some("msg_1"));
        let unsigned: Vec<_> = svix.into_iter().filter(|(name, _)| name == "svix-id").collect();
        assert_eq!(of(&unsigned).as_deref(), Some("msg_1"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_secret_that_is_none_lets_nobody_in() {
        for secret in ["", "whsec_", "whsec_***"] {
            assert!(matches!(verify(&[secret], &signed(), b"{}", NOW), Err(Refusal::NotConfigured(_))), "{secret}");
        }
        assert!(matches!(verify(&[], &signed(), b"{}", NOW), Err(Refusal::NotConfigured(_))));
    }
}
