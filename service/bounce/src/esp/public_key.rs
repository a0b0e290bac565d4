//! Public keys as an operator pastes them: PEM, or the base64 within it on one line or several. The DER is a
//! `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
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
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

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
