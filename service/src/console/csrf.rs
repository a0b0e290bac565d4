//! Forms are answered only if one of our own pages sent them: each carries a token that only we can make of the visitor's cookie, and
//! the browser must not say that they come from elsewhere.

use actix_web::HttpRequest;
use actix_web::http::header;
use aws_lc_rs::constant_time;
use data_encoding::BASE64URL_NOPAD;
use url::Url;

use crate::http::edge::host;
use crate::http::{Problem, ProblemKind};
use crate::store::sha256;

/// Octets of what proves a form, and of what hides it.
const LENGTH: usize = 16;

/// A token for a form of this visitor. It is another one each time, so that compressing pages tells nothing of it.
pub(super) fn token(secret: &str) -> String {
    let mut pad = [0; LENGTH];
    // Without randomness the token proves as much; it only is the same each time.
    let _ = aws_lc_rs::rand::fill(&mut pad);
    let hidden = proof(secret).into_iter().zip(pad).map(|(a, b)| a ^ b);
    BASE64URL_NOPAD.encode(&pad.into_iter().chain(hidden).collect::<Vec<u8>>())
}

/// Whether a token was made for a form of this visitor.
pub(super) fn proves(token: &str, secret: &str) -> bool {
    let Ok(bytes) = BASE64URL_NOPAD.decode(token.as_bytes()) else { return false };
    let Some((pad, hidden)) = bytes.split_at_checked(LENGTH) else { return false };
    let open: Vec<u8> = pad.iter().zip(hidden).map(|(a, b)| a ^ b).collect();
    hidden.len() == LENGTH && constant_time::verify_slices_are_equal(&open, &proof(secret)).is_ok()
}

fn proof(secret: &str) -> Vec<u8> {
    let mut proof = sha256(&[b"form\0", secret.as_bytes()]).to_vec();
    proof.truncate(LENGTH);
    proof
}

/// Holds a form to what the browser says of where it comes from (Fetch Metadata; RFC 6454 section 7).
pub(super) fn require_own_origin(request: &HttpRequest) -> Result<(), Problem> {
    let header = |name: &str| request.headers().get(name).map(|it| it.to_str().unwrap_or("?"));
    let is_own = match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => Url::parse(origin).is_ok_and(|it| names(&it, host(request))),
        (None, None) => true,
    };
    if is_own { Ok(()) } else { Err(refused()) }
}

/// Whether an origin is that of the host that was asked for. Behind a proxy we do not know its scheme.
fn names(origin: &Url, host: &str) -> bool {
    let name = origin.host_str().unwrap_or_default();
    match origin.port() {
        Some(port) => host.eq_ignore_ascii_case(&format!("{name}:{port}")),
        None => host.eq_ignore_ascii_case(name),
    }
}

/// What is told to whoever sends a form that is not ours.
pub(super) fn refused() -> Problem {
    Problem::new(ProblemKind::Forbidden, "this form was not sent by a page of this console, or its page is too old; nothing was done")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_token_proves_the_form_of_its_visitor_alone() {
        let (one, other) = (token("one"), token("one"));
        assert_ne!(one, other, "compression must not find it twice");
        assert!(proves(&one, "one") && proves(&other, "one"));
        assert!(!proves(&one, "two"));
        for wrong in ["", "x", "AAAA", &one[1..], &format!("{one}AAAA"), "????????????????????????????????????????????"] {
            assert!(!proves(wrong, "one"), "{wrong}");
        }
    }

    #[test]
    fn a_form_from_elsewhere_is_refused() {
        for (headers, is_own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://other.example")], true),
            (&[("origin", "http://bounces.example.com:8080")], true),
            (&[("origin", "http://bounces.example.com")], false),
            (&[("origin", "https://other.example:8080")], false),
            (&[("origin", "null")], false),
            (&[], true),
        ] {
            let mut request = TestRequest::default().insert_header(("host", "bounces.example.com:8080"));
            for header in headers {
                request = request.insert_header(*header);
            }
            assert_eq!(require_own_origin(&request.to_http_request()).is_ok(), is_own, "{headers:?}");
        }
    }
}
