//! Who is who without saying so: subjects and failures are known by keyed hashes (HMAC-SHA256 under the pepper), so the
//! database alone does not tell whether an address was ever mailed. The pepper is never stored here.

use aws_lc_rs::{digest, hmac};
use bounce::address::Address;
use bounce::kind::Kind;
use bounce::policy::FactKey;
use secrecy::{ExposeSecret, SecretString};

use crate::store::ids::{ListId, SubjectId};

/// Derives every key that hides an address or ties copies of a failure together.
#[derive(Clone)]
pub struct Identity {
    key: hmac::Key,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// Takes the pepper of the configuration.
    #[must_use]
    pub fn new(pepper: &SecretString) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, pepper.expose_secret().trim().as_bytes()) }
    }

    /// The subject that an address is.
    #[must_use]
    pub fn subject(&self, address: &Address) -> SubjectId {
        SubjectId(first_half(&hmac::sign(&self.key, address.expose().as_bytes())))
    }

    /// The key under which a failure is known: one for each message key it carries.
    #[must_use]
    pub fn fact(&self, boundary: ListId, subject: SubjectId, kind: Kind, message: &str) -> FactKey {
        FactKey(self.sixteen(&[b"fact", boundary.0.as_bytes(), &subject.0, kind.as_str().as_bytes(), message.as_bytes()]))
    }

    /// A value that tells whether a database was written under this pepper, and nothing else about it.
    #[must_use]
    pub fn check_value(&self) -> String {
        SubjectId(self.sixteen(&[b"pepper check"])).to_string()
    }

    /// Each part goes in behind its length, so no two different lists of parts give the same bytes; nor can they equal an
    /// address, which has no leading NUL.
    fn sixteen(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        first_half(&context.sign())
    }
}

fn first_half(tag: &hmac::Tag) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    half
}

/// SHA-256 of the parts, one right after another.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for it in parts {
        context.update(it);
    }
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(pepper: &str) -> Identity {
        Identity::new(&SecretString::from(pepper))
    }

    #[test]
    fn a_subject_is_the_first_half_of_an_hmac_of_the_normalised_address() {
        // echo -n jane@example.org | openssl dgst -sha256 -hmac pepper
        let subject = identity("pepper").subject(&Address::parse("<Jane@EXAMPLE.org>").unwrap());
        assert_eq!(subject.to_string(), "28dba94685e8032b8667719a1449c84a");
    }

    #[test]
    fn another_pepper_another_subject() {
        let address = Address::parse("jane@example.org").unwrap();
        assert_ne!(identity("a").subject(&address), identity("b").subject(&address));
        assert_ne!(identity("a").check_value(), identity("b").check_value());
    }

    #[test]
    fn parts_cannot_run_into_one_another() {
        let list = ListId::new();
        let fact = |kind, message: &str| identity("a").fact(list, SubjectId([1; 16]), kind, message);
        assert_ne!(fact(Kind::Bounce, "a"), fact(Kind::Delayed, "a"));
        assert_ne!(fact(Kind::Bounce, "a"), fact(Kind::Bounce, "b"));
        assert_eq!(fact(Kind::Bounce, "a"), fact(Kind::Bounce, "a"));
    }
}
