//! Keyed digests (HMAC, RFC 2104) as providers sign with. Compared as bytes and in constant time, by the crypto library.

use aws_lc_rs::{constant_time, hmac};
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::esp::{Credential, Refusal};

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
    fn an_empty_key_lets_nobody_in() {
        let mac = sign(Hash::Sha256, b"", &[b"x"]);
        assert!(matches!(check(Hash::Sha256, &["Jefe", ""], &[b"x"], std::slice::from_ref(&mac)), Err(Refusal::NotConfigured(_))));
        assert!(matches!(check(Hash::Sha256, &[""; 0], &[b"x"], &[mac]), Err(Refusal::NotConfigured(_))));
    }
}
