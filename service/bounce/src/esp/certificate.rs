//! The certificate a provider signs with: exactly one PEM block and nothing around it. Neither chain nor dates are
//! checked, as Amazon's own libraries do not: what vouches for it is the HTTPS host it was fetched from, and a message
//! is signed long before a certificate expires.

use x509_parser::pem::parse_x509_pem;
use x509_parser::public_key::PublicKey;

use crate::esp::Refusal;
use crate::limits;

/// The RSA public key (RFC 8017 appendix A.1.1, DER) of a certificate.
pub(super) fn rsa_public_key(pem: &str) -> Result<Vec<u8>, Refusal> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let pem = pem.trim();
    if pem.len() > limits::CERTIFICATE_BYTES {
        return Err(Refusal::CertificateUnusable("it is larger than 16 KiB"));
    }
    if !pem.starts_with(BEGIN) || !pem.ends_with("-----END CERTIFICATE-----") || pem.matches("-----BEGIN").count() != 1 {
        return Err(Refusal::CertificateUnusable("it is not exactly one PEM certificate"));
    }
    let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| Refusal::CertificateUnusable("its PEM cannot be read"))?;
    let certificate = block.parse_x509().map_err(|_| Refusal::CertificateUnusable("its X.509 cannot be read"))?;
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(_)) => Ok(certificate.public_key().subject_public_key.data.to_vec()),
        _ => Err(Refusal::CertificateUnusable("its key is not RSA")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(key: &rcgen::KeyPair) -> String {
        rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap().self_signed(key).unwrap().pem()
    }

    #[test]
    fn exactly_one_rsa_certificate_is_taken() {
        let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let pem = certificate(&rsa);
        assert!(rsa_public_key(&pem).is_ok());
        assert!(rsa_public_key(&pem.replace('\n', "\r\n")).is_ok());
        let elliptic = certificate(&rcgen::KeyPair::generate().unwrap());
        let cut = pem.replace("MII", "");
        for wrong in [
            String::new(),
            "<html>".to_owned(),
            format!("hello\n{pem}"),
            format!("{pem}\n{pem}"),
            format!("{pem}\nhello"),
            rsa.serialize_pem(),
            elliptic,
            cut,
            format!("{}{pem}", " ".repeat(20_000)) + &"x".repeat(20_000),
        ] {
            assert!(matches!(rsa_public_key(&wrong), Err(Refusal::CertificateUnusable(_))), "{wrong}");
        }
    }

    #[test]
    fn a_certificate_one_byte_over_the_limit_is_refused() {
        let pem = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", "A".repeat(limits::CERTIFICATE_BYTES));
        let at = |length: usize| {
            let surplus = pem.len() - length;
            rsa_public_key(&pem.replacen(&"A".repeat(surplus), "", 1))
        };
        assert_eq!(at(limits::CERTIFICATE_BYTES + 1), Err(Refusal::CertificateUnusable("it is larger than 16 KiB")));
        assert_ne!(at(limits::CERTIFICATE_BYTES), Err(Refusal::CertificateUnusable("it is larger than 16 KiB")));
    }
}
