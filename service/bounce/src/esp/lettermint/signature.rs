//! The header that proves a post of Lettermint.

use time::OffsetDateTime;

use crate::esp::mac::{self, Hash};
use crate::esp::{Credential, Refusal, Unverified, standard};

/// Its name.
pub(super) const HEADER: &str = "x-lettermint-signature";
/// Signatures looked at; a sender gives one for each of its keys.
const SIGNATURES: usize = 16;

/// Whether the header holds the HMAC-SHA256 of its time, a dot and the body, under one of the secrets as they are written.
pub(super) fn check(post: &Unverified<'_>, secrets: &[String], now: OffsetDateTime) -> Result<(), Refusal> {
    let header = post.sole_header(HEADER, Credential::Signature)?;
    let fields = || header.split(',').filter_map(|it| it.trim().split_once('='));
    let mut times = fields().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let time = times.next().ok_or(Refusal::Mismatch(Credential::Signature))?;
    if times.next().is_some() {
        return Err(Refusal::Repeated(Credential::Signature));
    }
    let macs: Vec<_> = fields().filter(|(name, _)| *name == "v1").filter_map(|(_, it)| mac::from_hex(it).ok()).take(SIGNATURES).collect();
    mac::check(Hash::Sha256, secrets, &[time.as_bytes(), b".", post.body], &macs)?;
    standard::fresh(time, now, standard::WINDOW)
}

/// The header that proves a body.
pub(super) fn sign(secret: &str, now: OffsetDateTime, body: &[u8]) -> (String, String) {
    let time = now.unix_timestamp().to_string();
    let mac = mac::sign(Hash::Sha256, secret.as_bytes(), &[time.as_bytes(), b".", body]);
    (HEADER.to_owned(), format!("t={time},v1={}", mac::to_hex(&mac)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::trial::NOW;

    fn of(value: &str, secrets: &[&str]) -> Result<(), Refusal> {
        let headers = [(HEADER.to_owned(), value.to_owned())];
        let secrets: Vec<_> = secrets.iter().map(|it| (*it).to_owned()).collect();
        check(&Unverified { method: "POST", url: "/", headers: &headers, body: b"{}" }, &secrets, NOW)
    }

    fn signed(seconds: i64) -> String {
        sign("own", NOW + time::Duration::seconds(seconds), b"{}").1
    }

    #[test]
    fn the_parts_come_in_any_order_and_one_of_several_signatures_does() {
        let (time, mac) = signed(0).split_once(',').map(|(time, mac)| (time.to_owned(), mac.to_owned())).unwrap();
        for header in [format!("{mac},{time}"), format!("{time}, v1=00 ,v0=x,{mac}"), format!("{time},{}", mac.replace("v1=", "v1= "))] {
            assert_eq!(of(&header, &["new", "own"]), Ok(()), "{header}");
        }
        assert_eq!(of(&format!("{time},{time},{mac}"), &["own"]), Err(Refusal::Repeated(Credential::Signature)));
        for header in ["", "t=", &time, &mac, "t=x,v1=zz", &format!("{time},{}", mac.replace("v1", "v2"))] {
            assert_eq!(of(header, &["own"]), Err(Refusal::Mismatch(Credential::Signature)), "{header}");
        }
    }

    #[test]
    fn the_window_ends_to_the_second() {
        assert_eq!([of(&signed(300), &["own"]), of(&signed(-300), &["own"])], [Ok(()), Ok(())]);
        assert_eq!([of(&signed(301), &["own"]), of(&signed(-301), &["own"])], [Err(Refusal::Stale(300)), Err(Refusal::Stale(300))]);
    }
}
