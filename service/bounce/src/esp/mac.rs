//! Keyed digests (HMAC, RFC 2104) as providers sign with. Compared as bytes and in constant time, by the crypto library.

use aws_lc_rs::{constant_time, hmac};
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::esp::{Credential, Refusal, Unverified};

/// The digest underneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

/// The MAC over the parts, one right after another.
pub(super) fn sign(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hash.algorithm(), key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// Whether one of the keys made one of the MACs over the parts; all are tried. A key that is empty makes none, and a source
/// that has one is misconfigured.
pub(super) fn check(hash: Hash, keys: &[impl AsRef<[u8]>], parts: &[&[u8]], macs: &[impl AsRef<[u8]>]) -> Result<(), Refusal> {
    if keys.is_empty() || keys.iter().any(|it| it.as_ref().is_empty()) {
        return Err(Refusal::NotConfigured("`secrets` that are not empty"));
    }
    let holds = keys.iter().fold(false, |found, key| {
        let mac = sign(hash, key.as_ref(), parts);
        macs.iter().fold(found, |found, it| constant_time::verify_slices_are_equal(&mac, it.as_ref()).is_ok() | found)
    });
    if holds { Ok(()) } else { Err(Refusal::Mismatch(Credential::Signature)) }
}

/// Whether a header of that name holds the HMAC-SHA256 of the raw body in hexadecimal digits, under one of the secrets as
/// they are written.
pub(super) fn check_hex_header(post: &Unverified<'_>, name: &str, secrets: &[String]) -> Result<(), Refusal> {
    let mac = from_hex(post.sole_header(name, Credential::Signature)?)?;
    check(Hash::Sha256, secrets, &[post.body], &[mac])
}

/// A MAC written in hexadecimal digits of either case.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, Refusal> {
    HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map_err(|_| Refusal::Mismatch(Credential::Signature))
}

/// Bytes in hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    HEXLOWER_PERMISSIVE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 section 4.3 and RFC 2202 section 3, test case 2.
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const SHA1: &str = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";

    #[test]
    fn the_test_vectors_of_the_rfcs_hold() {
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert_eq!(to_hex(&sign(Hash::Sha256, b"Jefe", &parts)), SHA256);
        assert_eq!(to_hex(&sign(Hash::Sha1, b"Jefe", &parts)), SHA1);
    }

    #[test]
    fn any_key_during_a_rotation_does_and_no_other() {
        let parts: [&[u8]; 1] = [b"what do ya want for nothing?"];
        let macs = [from_hex(&SHA256.to_uppercase()).unwrap()];
        assert_eq!(check(Hash::Sha256, &["new", "Jefe"], &parts, &macs), Ok(()));
        assert_eq!(check(Hash::Sha256, &["new"], &parts, &macs), Err(Refusal::Mismatch(Credential::Signature)));
        assert_eq!(check(Hash::Sha1, &["Jefe"], &parts, &macs), Err(Refusal::Mismatch(Credential::Signature)));
        assert_eq!(check(Hash::Sha256, &["Jefe"], &parts, &[macs[0].split_at(31).0]), Err(Refusal::Mismatch(Credential::Signature)));
        assert_eq!(check(Hash::Sha256, &["Jefe"], &parts, &[[0_u8; 0]]), Err(Refusal::Mismatch(Credential::Signature)));
    }

    #[test]
    fn a_header_holds_the_mac_of_the_body_once_and_to_the_bit() {
        let body = b"what do ya want for nothing?";
        let of = |secrets: &[&str], values: &[&str], body: &[u8]| {
            let secrets: Vec<_> = secrets.iter().map(|it| (*it).to_owned()).collect();
            let headers: Vec<_> = values.iter().map(|it| ("signature".to_owned(), (*it).to_owned())).collect();
            check_hex_header(&Unverified { method: "POST", url: "/", headers: &headers, body }, "signature", &secrets)
        };
        assert_eq!(of(&["new", "Jefe"], &[&SHA256.to_uppercase()], body), Ok(()));
        assert_eq!(of(&["Jefe"], &[], body), Err(Refusal::Missing(Credential::Signature)));
        assert_eq!(of(&["Jefe"], &[SHA256, SHA256], body), Err(Refusal::Repeated(Credential::Signature)));
        let mismatch = Err(Refusal::Mismatch(Credential::Signature));
        for wrong in ["", "zz", SHA1, &SHA256[1..], &SHA256[2..], &format!("{SHA256}00")] {
            assert_eq!(of(&["Jefe"], &[wrong], body), mismatch, "{wrong}");
        }
        for bit in 0..256 {
            let mut mac = from_hex(SHA256).unwrap();
            mac[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(of(&["Jefe"], &[&to_hex(&mac)], body), mismatch, "bit {bit}");
        }
        for bit in 0..body.len() * 8 {
            let mut body = body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(of(&["Jefe"], &[SHA256], &body), mismatch, "bit {bit}");
        }
        assert!(matches!(of(&[""], &[SHA256], body), Err(Refusal::NotConfigured(_))));
    }

    #[test]
    fn an_empty_key_lets_nobody_in() {
        let mac = sign(Hash::Sha256, b"", &[b"x"]);
        assert!(matches!(check(Hash::Sha256, &["Jefe", ""], &[b"x"], std::slice::from_ref(&mac)), Err(Refusal::NotConfigured(_))));
        assert!(matches!(check(Hash::Sha256, &[""; 0], &[b"x"], &[mac]), Err(Refusal::NotConfigured(_))));
    }
}
