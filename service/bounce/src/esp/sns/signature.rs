//! The proof that Amazon signed an envelope: RSA PKCS #1 v1.5 over the canonical lines, SHA-1 in signature version 1 and
//! SHA-256 in version 2.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey};
use base64::Engine;

use crate::esp::certificate;
use crate::esp::credentials::BASE64;
use crate::esp::sns::address::is_certificate_url;
use crate::esp::sns::{Envelope, malformed};
use crate::esp::{Credential, Credentials, Refusal};

impl Envelope {
    /// Whether Amazon signed this.
    pub(in crate::esp) fn check_signature(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let (Some(version), Some(signature), Some(url)) = (&self.signature_version, &self.signature, &self.signing_cert_url) else {
            return Err(Refusal::Missing(Credential::Signature));
        };
        let algorithm: &'static RsaParameters = match version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(malformed("the field SignatureVersion is neither 1 nor 2")),
        };
        let mismatch = Refusal::Mismatch(Credential::Signature);
        let signature = BASE64.decode(signature).map_err(|_| mismatch.clone())?;
        if !is_certificate_url(url) {
            return Err(Refusal::NotAllowed("the host or path of SigningCertURL"));
        }
        let pem = credentials.certificates.get(url).ok_or_else(|| Refusal::CertificateNeeded { url: url.clone() })?;
        let key = certificate::rsa_public_key(pem)?;
        UnparsedPublicKey::new(algorithm, key).verify(self.canonical().as_bytes(), &signature).map_err(|_| mismatch)
    }
}
