//! Cookies: how they are named and what they may do. Over TLS, and away from the loopback address, they are `Secure` and bound to the host by
//! their prefix (RFC 6265bis section 4.1.3), so that neither a plain connection nor a neighbouring domain reads or sets one.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

use crate::http::edge::{host, is_protected};

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jar {
    /// The secret of a session.
    Session,
    /// The secret of somebody who is not signed in; forms are bound to it.
    Visit,
    /// How the pages look.
    Theme,
}

impl Jar {
    /// Its name for a request: with the prefix, where it goes over encrypted connections only.
    fn name(self, request: &HttpRequest) -> &'static str {
        let [secure, plain] = match self {
            Self::Session => ["__Host-rebound-session", "rebound-session"],
            Self::Visit => ["__Host-rebound-visit", "rebound-visit"],
            Self::Theme => ["__Host-rebound-theme", "rebound-theme"],
        };
        if is_secure(request) { secure } else { plain }
    }

    /// What the browser has of it.
    pub(super) fn read(self, request: &HttpRequest) -> Option<String> {
        request.cookie(self.name(request)).map(|it| it.value().to_owned()).filter(|it| !it.is_empty())
    }

    /// Has the browser keep something, until it is closed or for some time.
    pub(super) fn keep(self, request: &HttpRequest, value: String, lasting: Option<Duration>) -> Cookie<'static> {
        let secure = is_secure(request);
        let mut cookie =
            Cookie::build(self.name(request), value).path("/").http_only(true).secure(secure).same_site(SameSite::Lax).finish();
        cookie.set_max_age(lasting);
        cookie
    }

    /// Has the browser forget it.
    pub(super) fn forget(self, request: &HttpRequest) -> Cookie<'static> {
        self.keep(request, String::new(), Some(Duration::ZERO))
    }
}

/// Whether cookies go over encrypted connections only: unless the browser itself runs on this machine and asks for it, without TLS, by a
/// name of the loopback address. A proxy on this machine passes on the name under which it is known.
pub(super) fn is_secure(request: &HttpRequest) -> bool {
    let is_near = request.peer_addr().is_some_and(|it| it.ip().to_canonical().is_loopback());
    is_protected(request) || !(is_near && is_loopback(host(request)))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_a_browser_on_this_machine_may_go_without_encryption() {
        for (peer, host, secure) in [
            ("127.0.0.1:9", "localhost:8080", false),
            ("127.0.0.1:9", "127.0.0.1:8080", false),
            ("[::1]:9", "[::1]:8080", false),
            ("127.0.0.1:9", "bounces.example.com", true),
            ("127.0.0.1:9", "localhost.example.com", true),
            ("192.0.2.1:9", "localhost", true),
            ("127.0.0.1:9", "", true),
        ] {
            let request = TestRequest::default().peer_addr(peer.parse().unwrap()).insert_header(("host", host)).to_http_request();
            assert_eq!(is_secure(&request), secure, "{peer} {host}");
            let cookie = Jar::Session.keep(&request, "x".to_owned(), None).to_string();
            assert_eq!(cookie.starts_with("__Host-"), secure, "{cookie}");
            assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
            assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"), "{cookie}");
        }
    }
}
