//! Public keys as an operator pastes them: PEM, or the base64 within it on one line or several. The DER is a
//! `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::esp::credentials::BASE64;
use crate::esp::{Credential, Refusal};

/// The object identifiers of RFC 5480 sections 2.1.1 and 2.1.1.1: an elliptic-curve key, on P-256.
const ELLIPTIC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";

/// Whether one of the keys, all on P-256, made the signature (ASN.1, SHA-256) over the message; all are tried. A key that
/// is none makes the source misconfigured.
pub(super) fn check_p256(keys: &[String], message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    let points = keys.iter().map(|it| p256(it)).collect::<Result<Vec<_>, _>>()?;
    let holds = points.iter().any(|it| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, it).verify(message, signature).is_ok());
    if holds { Ok(()) } else { Err(Refusal::Mismatch(Credential::Signature)) }
}

/// Whether all are keys on P-256.
pub(super) fn are_p256(keys: &[String]) -> Result<(), Refusal> {
    keys.iter().try_for_each(|it| p256(it).map(|_| ()))
}

/// Whether all are RSA keys.
pub(super) fn are_rsa(keys: &[String]) -> Result<(), Refusal> {
    keys.iter().try_for_each(|it| rsa(it).map(|_| ()))
}

/// The point that a key on P-256 is.
fn p256(text: &str) -> Result<Vec<u8>, Refusal> {
    let point = || {
        let der = der(text)?;
        let (rest, info) = SubjectPublicKeyInfo::from_der(&der).ok()?;
        let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
        let is_p256 = info.algorithm.algorithm.to_id_string() == ELLIPTIC && curve.to_id_string() == P256;
        (rest.is_empty() && is_p256).then(|| info.subject_public_key.data.to_vec())
    };
    point().ok_or(Refusal::NotConfigured("`public_keys` that are on P-256, in PEM or base64"))
}

/// The digest under an RSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RsaHash {
    Sha1,
    Sha256,
}

impl RsaHash {
    /// From 1,024 bits on, which is what Postal made until its version 3.
    fn parameters(self) -> &'static RsaParameters {
        match self {
            Self::Sha1 => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        }
    }
}

/// Whether one of the RSA keys made all of the signatures (PKCS #1 v1.5, RFC 8017 section 8.2) over the message, of which
/// there must be one; all keys are tried. A key that is none makes the source misconfigured.
pub(super) fn check_rsa(keys: &[String], message: &[u8], signatures: &[(RsaHash, Vec<u8>)]) -> Result<(), Refusal> {
    let keys = keys.iter().map(|it| rsa(it)).collect::<Result<Vec<_>, _>>()?;
    let holds = |key: &[u8]| {
        let made =
            |(hash, signature): &(RsaHash, Vec<u8>)| UnparsedPublicKey::new(hash.parameters(), key).verify(message, signature).is_ok();
        !signatures.is_empty() && signatures.iter().all(made)
    };
    if keys.iter().any(|it| holds(it)) { Ok(()) } else { Err(Refusal::Mismatch(Credential::Signature)) }
}

/// The DER of an RSA key: a `SubjectPublicKeyInfo`, or the key alone (RFC 8017 appendix A.1.1).
fn rsa(text: &str) -> Result<Vec<u8>, Refusal> {
    let is_rsa = |it: &Vec<u8>| ParsedPublicKey::new(RsaHash::Sha256.parameters(), it).is_ok();
    der(text).filter(is_rsa).ok_or(Refusal::NotConfigured("`public_keys` that are RSA keys, in PEM or base64"))
}

/// The bytes of a key, out of its armour.
fn der(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|it| !it.starts_with("-----"));
    let base64: String = lines.flat_map(str::split_whitespace).collect();
    BASE64.decode(base64).ok().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    fn pair() -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
    }

    fn sign(pair: &rcgen::KeyPair, message: &[u8]) -> Vec<u8> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pair.serialize_der()).unwrap();
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    #[test]
    fn a_key_is_taken_however_it_is_pasted() {
        let pair = pair();
        let pem = pair.public_key_pem();
        let line: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
        let signature = sign(&pair, b"message");
        for key in [pem.clone(), pem.replace('\n', "\r\n"), line.clone(), format!(" {line}\n"), line.trim_end_matches('=').to_owned()] {
            assert_eq!(check_p256(std::slice::from_ref(&key), b"message", &signature), Ok(()), "{key}");
        }
        let other = self::pair().public_key_pem();
        assert_eq!(check_p256(&[other.clone(), pem], b"message", &signature), Ok(()));
        assert_eq!(check_p256(&[other], b"message", &signature), Err(Refusal::Mismatch(Credential::Signature)));
    }

    #[test]
    fn an_rsa_key_is_taken_however_it_is_pasted() {
        let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
        let signatures = [(RsaHash::Sha256, signature.clone())];
        let public = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
        let line = BASE64.encode(public.as_ref());
        let alone = BASE64.encode(key.public_key().as_ref());
        let pem = |it: &str, name: &str| {
            let lines: Vec<_> = it.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).unwrap()).collect();
            format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
        };
        for text in [line.clone(), pem(&line, "PUBLIC KEY"), pem(&alone, "RSA PUBLIC KEY"), alone] {
            assert_eq!(check_rsa(std::slice::from_ref(&text), b"message", &signatures), Ok(()), "{text}");
        }
        let mismatch = Err(Refusal::Mismatch(Credential::Signature));
        let keys = [line];
        assert_eq!(check_rsa(&keys, b"messagf", &signatures), mismatch);
        assert_eq!(check_rsa(&keys, b"message", &[]), mismatch);
        assert_eq!(check_rsa(&keys, b"message", &[(RsaHash::Sha1, signature.clone())]), mismatch);
        assert_eq!(check_rsa(&keys, b"message", &[signatures[0].clone(), (RsaHash::Sha1, signature)]), mismatch);
        for wrong in [String::new(), "***".to_owned(), "AAAA".to_owned(), pair().public_key_pem(), pair().serialize_pem()] {
            let found = check_rsa(&[keys[0].clone(), wrong.clone()], b"message", &signatures);
            assert!(matches!(found, Err(Refusal::NotConfigured(_))), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_is_none_lets_nobody_in() {
        let good = pair();
        let signature = sign(&good, b"message");
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
        let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap().public_key_pem();
        let trailing = BASE64.encode([der(&good.public_key_pem()).unwrap(), vec![0]].concat());
        for wrong in [String::new(), "***".to_owned(), "AAAA".to_owned(), p384, rsa, trailing, good.serialize_pem()] {
            let found = check_p256(&[good.public_key_pem(), wrong.clone()], b"message", &signature);
            assert!(matches!(found, Err(Refusal::NotConfigured(_))), "{wrong}");
        }
        assert_eq!(check_p256(&[], b"message", &signature), Err(Refusal::Mismatch(Credential::Signature)));
    }
}
