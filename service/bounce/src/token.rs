//! Signed return paths: a token that only we and the senders of a list can make, in the return path of each message and in a
//! header of it. A report that brings the token back was written by somebody who had the message (BATV and VERP in one).
//!
//! A token is 24 letters and digits of base32 (RFC 4648 section 6, without regard to case): four that name the key, four that
//! count the days since 1970-01-01 (UTC), sixteen that are the first 80 bits of an HMAC-SHA256 (RFC 2104) under the key's
//! secret, over these lines, each ended by a line feed: `rebound-token-1`, the list, the recipient, the four of the day.
//! `docs/return-paths.md` has the recipe and vectors for those who write it in another language.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE32_NOPAD;
use time::{Date, Duration, OffsetDateTime};

use crate::address::Address;

/// Header of a message that carries its token, beside the return path or in its place.
pub const HEADER: &str = "x-rebound-token";
/// Characters of a token.
pub const LENGTH: usize = 24;
/// Characters of the name of a key.
pub const KEY_ID: usize = 4;
/// Characters of the day.
const DAY: usize = 4;
/// Octets kept of the HMAC: 80 bits are 16 characters without a rest.
const MAC: usize = 10;
/// Bits of one character.
const BITS: u32 = 5;
/// How far the clock of whoever made a token may be ahead of ours.
const AHEAD: Duration = Duration::days(1);

/// Base32 of RFC 4648 section 6 in lower case, for return paths are often turned into it.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz234567";

/// Why a text proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not 24 characters of base32.
    #[error("it is not 24 letters and digits of base32 (a to z, 2 to 7)")]
    Malformed,
    /// No key of that name.
    #[error("it names a key that is not known here, or no longer")]
    UnknownKey,
    /// Made too long ago.
    #[error("it was made on {0}, longer ago than tokens hold")]
    Expired(Date),
    /// Made in the future.
    #[error("it says that it was made on {0}, which is yet to come")]
    NotYet(Date),
    /// Made for another recipient, or by somebody without the secret.
    #[error("it was not made for this recipient under this key")]
    Mismatch,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its name.
    #[error("the name of a key is four letters and digits of base32 (a to z, 2 to 7)")]
    Id,
    /// Its secret.
    #[error("the secret of a key has at least {} octets", TokenKey::SECRET)]
    Secret,
}

/// A key that makes and checks the tokens of one list.
#[derive(Clone)]
pub struct TokenKey {
    id: String,
    list: String,
    secret: hmac::Key,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).field("list", &self.list).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// Octets that a secret has at least: what the HMAC is cut to, and half as much again.
    pub const SECRET: usize = 16;

    /// A key of a list; the secret is taken as it is written.
    ///
    /// # Errors
    /// When the name or the secret cannot be one.
    pub fn new(id: &str, list: &str, secret: &str) -> Result<Self, KeyError> {
        let id = id.to_ascii_lowercase();
        if id.len() != KEY_ID || !id.chars().all(|it| ALPHABET.contains(it)) {
            return Err(KeyError::Id);
        }
        if secret.len() < Self::SECRET {
            return Err(KeyError::Secret);
        }
        Ok(Self { id, list: list.to_owned(), secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The list it is a key of.
    #[must_use]
    pub fn list(&self) -> &str {
        &self.list
    }

    /// The token for a message to a recipient that is sent on a day.
    #[must_use]
    pub fn mint(&self, recipient: &Address, at: OffsetDateTime) -> String {
        let day = day_text(days(at));
        let mac = self.mac(recipient, &day);
        let mac = mac.as_ref().get(..MAC).unwrap_or_default();
        format!("{}{day}{}", self.id, BASE32_NOPAD.encode(mac).to_ascii_lowercase())
    }

    fn mac(&self, recipient: &Address, day: &str) -> hmac::Tag {
        let text = format!("rebound-token-1\n{}\n{}\n{day}\n", self.list, recipient.expose());
        hmac::sign(&self.secret, text.as_bytes())
    }
}

/// The keys that are known, by name.
#[derive(Debug, Clone, Default)]
pub struct TokenKeys {
    by_id: BTreeMap<String, TokenKey>,
    max_age: Duration,
}

impl TokenKeys {
    /// These keys; what they made holds for so long. Of two of one name the last is kept.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = TokenKey>, max_age: Duration) -> Self {
        Self { by_id: keys.into_iter().map(|it| (it.id.clone(), it)).collect(), max_age }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Those of them whose list is one of these, for whoever may speak for no other.
    #[must_use]
    pub fn of_lists(&self, is_ours: impl Fn(&str) -> bool) -> Self {
        let ours = self.by_id.iter().filter(|(_, key)| is_ours(key.list()));
        Self { by_id: ours.map(|(id, key)| (id.clone(), key.clone())).collect(), max_age: self.max_age }
    }

    /// Every key, by name.
    pub fn iter(&self) -> impl Iterator<Item = &TokenKey> {
        self.by_id.values()
    }

    /// The key that made a token for that recipient, if it did and the token still holds.
    ///
    /// # Errors
    /// When it proves nothing, with the reason.
    pub fn check(&self, token: &str, recipient: &Address, at: OffsetDateTime) -> Result<&TokenKey, TokenError> {
        let token = Token::parse(token).ok_or(TokenError::Malformed)?;
        let key = self.by_id.get(&token.key_id).ok_or(TokenError::UnknownKey)?;
        let made = token.date().ok_or(TokenError::Malformed)?;
        let mac = key.mac(recipient, &day_text(token.day));
        let mac = mac.as_ref().get(..MAC).unwrap_or_default();
        constant_time::verify_slices_are_equal(mac, &token.mac).map_err(|_| TokenError::Mismatch)?;
        // Asked last, so that nobody learns the age of what they made up.
        if made > (at + AHEAD).date() {
            return Err(TokenError::NotYet(made));
        }
        if at.checked_sub(self.max_age).is_some_and(|it| made < it.date()) {
            return Err(TokenError::Expired(made));
        }
        Ok(key)
    }
}

/// A token taken apart.
struct Token {
    key_id: String,
    day: u32,
    mac: Vec<u8>,
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !is_base32(text) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        let (key_id, rest) = text.split_at_checked(KEY_ID)?;
        let (day, mac) = rest.split_at_checked(DAY)?;
        Some(Self { key_id: key_id.to_owned(), day: day_number(day)?, mac: BASE32_NOPAD.decode(mac.to_ascii_uppercase().as_bytes()).ok()? })
    }

    fn date(&self) -> Option<Date> {
        OffsetDateTime::UNIX_EPOCH.date().checked_add(Duration::days(i64::from(self.day)))
    }
}

/// Whether every character is one of base32.
fn is_base32(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_alphabetic() || matches!(it, b'2'..=b'7'))
}

/// What in a text may be a token: the last 24 characters of a local part behind a sign that parts it (`b+…@domain`), or a text
/// that is one as a whole.
#[must_use]
pub fn candidate(text: &str) -> Option<&str> {
    let text = text.trim().trim_matches(['<', '>']);
    let local = text.rsplit_once('@').map_or(text, |(local, _)| local);
    let at = local.len().checked_sub(LENGTH)?;
    let (before, token) = local.split_at_checked(at)?;
    (is_base32(token) && (before.is_empty() || before.ends_with(['+', '-', '=', '_', '.']))).then_some(token)
}

/// The return path that carries a token: 26 octets before the at sign, well within the 64 of RFC 5321 section 4.5.3.1.1.
#[must_use]
pub fn return_path(token: &str, domain: &str) -> String {
    format!("b+{token}@{domain}")
}

/// Days since 1970-01-01, as far as four characters reach: to the year 4840.
fn days(at: OffsetDateTime) -> u32 {
    u32::try_from(at.unix_timestamp().div_euclid(86_400)).unwrap_or_default() % (1 << (BITS * 4))
}

fn day_text(day: u32) -> String {
    let letter = |place: u32| char::from(ALPHABET.as_bytes()[(day >> (BITS * place)) as usize % ALPHABET.len()]);
    [3, 2, 1, 0].map(letter).iter().collect()
}

fn day_number(text: &str) -> Option<u32> {
    text.chars().try_fold(0, |sum, it| Some(sum << BITS | u32::try_from(ALPHABET.find(it)?).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const SECRET: &str = "a secret of sixteen octets or more";
    const AT: OffsetDateTime = datetime!(2026-11-22 13:00 UTC);

    fn key(id: &str, list: &str) -> TokenKey {
        TokenKey::new(id, list, SECRET).unwrap()
    }

    fn keys() -> TokenKeys {
        TokenKeys::new([key("k2ab", "acme.weekly"), key("k3ab", "acme.daily")], Duration::days(30))
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    /// The vectors of docs/return-paths.md, made with Python's `hmac` and `base64`.
    #[test]
    fn the_published_vectors_hold() {
        for (list, recipient, at, token) in [
            ("acme.weekly", "jane@corp.example", AT, "k2abaujld4xfrsqkxf5qcttj"),
            ("acme.weekly", "J\u{f6}rg+News@B\u{fc}cher.Example", AT, "k2abaujluq45pswzhzap57js"),
            ("acme.daily", "jane@corp.example", datetime!(2000-01-01 00:00 UTC), "k2abakwnrshddybmv5fxdvfe"),
        ] {
            assert_eq!(TokenKey::new("k2ab", list, SECRET).unwrap().mint(&address(recipient), at), token, "{list} {recipient}");
        }
    }

    #[test]
    fn a_token_holds_for_its_recipient_its_list_and_its_time() {
        let jane = address("jane@corp.example");
        let token = key("k2ab", "acme.weekly").mint(&jane, AT);
        assert_eq!(keys().check(&token, &jane, AT).unwrap().list(), "acme.weekly");
        assert_eq!(keys().check(&token.to_uppercase(), &jane, AT + Duration::days(30)).unwrap().id(), "k2ab");
        assert_eq!(keys().check(&token, &address("bob@corp.example"), AT).unwrap_err(), TokenError::Mismatch);
        assert_eq!(keys().check(&token, &jane, AT + Duration::days(31)).unwrap_err(), TokenError::Expired(AT.date()));
        assert_eq!(keys().check(&token, &jane, AT - Duration::days(1)).map(TokenKey::id), Ok("k2ab"));
        assert_eq!(keys().check(&token, &jane, AT - Duration::days(2)).unwrap_err(), TokenError::NotYet(AT.date()));
        assert_eq!(keys().check(&token.replace("k2ab", "k3ab"), &jane, AT).unwrap_err(), TokenError::Mismatch);
        assert_eq!(keys().check(&token.replace("k2ab", "k4ab"), &jane, AT).unwrap_err(), TokenError::UnknownKey);
        assert_eq!(TokenKeys::default().check(&token, &jane, AT).unwrap_err(), TokenError::UnknownKey);
    }

    #[test]
    fn no_character_of_a_token_may_be_another() {
        let jane = address("jane@corp.example");
        let token = key("k2ab", "acme.weekly").mint(&jane, AT);
        for at in 0..LENGTH {
            for other in ALPHABET.chars().filter(|it| !token[at..].starts_with(*it)) {
                let forged = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                assert!(keys().check(&forged, &jane, AT).is_err(), "{forged}");
            }
        }
    }

    #[test]
    fn a_return_path_fits_a_local_part_and_gives_its_token_back() {
        let token = key("k2ab", "acme.weekly").mint(&address("jane@corp.example"), AT);
        for text in [
            format!("b+{token}@bounces.example"),
            format!("<B+{}@BOUNCES.EXAMPLE>", token.to_uppercase()),
            format!(" {token} "),
            format!("bounce-{token}@x"),
        ] {
            assert_eq!(candidate(&text).unwrap().to_ascii_lowercase(), token, "{text}");
        }
        for text in ["", "b+@x", "jane@corp.example", &format!("b+1{token}@x"), &format!("{}1@x", &token[1..]), "äöüäöüäöüäöü"]
        {
            assert_eq!(candidate(text), None, "{text}");
        }
        assert!(format!("b+{token}").len() <= 64);
    }

    #[test]
    fn keys_that_prove_little_are_refused() {
        assert_eq!(TokenKey::new("k2a", "l", SECRET).unwrap_err(), KeyError::Id);
        assert_eq!(TokenKey::new("k2a1", "l", SECRET).unwrap_err(), KeyError::Id);
        assert_eq!(TokenKey::new("k2ab", "l", "short").unwrap_err(), KeyError::Secret);
        assert!(!format!("{:?}", key("k2ab", "l")).contains(SECRET));
    }

    proptest! {
        #[test]
        fn days_survive_their_four_characters(day in 0_u32..1 << 20) {
            prop_assert_eq!(day_number(&day_text(day)), Some(day));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", token in "[a-z2-7]{24}") {
            let jane = address("jane@corp.example");
            let _ = candidate(&text);
            prop_assert!(keys().check(&text, &jane, AT).is_err());
            prop_assert!(keys().check(&token, &jane, AT).is_err());
        }
    }
}
