//! Signing in with a key, and out again.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use governor::clock::{Clock as _, MonotonicClock};
use governor::{DefaultDirectRateLimiter, Quota};
use ipnet::IpNet;
use maud::html;
use moka::future::Cache;

use crate::console::cookies::{Jar, is_secure};
use crate::console::elements::token_field;
use crate::console::form::{Asked, Form};
use crate::console::page::{Page, Place, see};
use crate::console::session::{Mark, Visit, life, new_secret};
use crate::console::uploads::Uploads;
use crate::http::keys::{KEY_LENGTH, require_met};
use crate::http::{Problem, State};
use crate::store::Scope;

/// Addresses whose sign-ins are counted.
const COUNTED: u64 = 10_000;

/// How often somebody tried to sign in lately.
#[derive(Debug, Clone)]
pub(super) struct SignIns {
    a_minute: NonZeroU32,
    limiters: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl SignIns {
    pub(super) fn new(a_minute: u32) -> Self {
        let a_minute = NonZeroU32::new(a_minute).unwrap_or(NonZeroU32::MIN);
        let resting = std::time::Duration::from_mins(2);
        Self { a_minute, limiters: Cache::builder().max_capacity(COUNTED).time_to_idle(resting).build() }
    }

    async fn hold(&self, from: IpAddr) -> Result<(), Problem> {
        let new = async { Arc::new(DefaultDirectRateLimiter::direct(Quota::per_minute(self.a_minute))) };
        let limiter = self.limiters.get_with(from, new).await;
        limiter.check().map_err(|early| Problem::too_many_sign_ins(early.wait_time_from(MonotonicClock.now())))
    }
}

/// Who asks: the last address that no proxy of ours has.
fn client(request: &HttpRequest, proxies: &[IpNet]) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |it| it.ip().to_canonical());
    let is_ours = |it: &IpAddr| proxies.iter().any(|net| net.contains(it));
    if !is_ours(&peer) {
        return peer;
    }
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|it| it.to_str().ok());
    let hops: Vec<IpAddr> = forwarded.flat_map(|it| it.split(',')).filter_map(|it| it.trim().parse().ok()).collect();
    hops.into_iter().rev().find(|it| !is_ours(it)).unwrap_or(peer)
}

/// The page where one signs in.
pub(super) async fn get_sign_in(visit: Visit, asked: Asked) -> Result<HttpResponse, Problem> {
    if visit.caller.is_some() {
        return Ok(see("/console"));
    }
    Ok(sign_in_page(&visit, None, asked.0.get("next")).answer())
}

fn sign_in_page(visit: &Visit, wrong: Option<&str>, next: Option<&str>) -> Page {
    let content = html! {
        div.card.sign-in {
            p { "The key that you have for the API opens the console too, if it has the scope " code { "read" } ". What you may do here is what the key may do." }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            form method="post" action="/console/sign-in" {
                (token_field(visit))
                @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                label for="key" { "API key" }
                input #key type="password" name="key" autocomplete="current-password" required autofocus spellcheck="false"
                    aria-invalid=[wrong.map(|_| "true")];
                button.primary type="submit" { "Sign in" }
            }
            details {
                summary { "No key yet?" }
                p { "Make one on the machine where Rebound runs:" }
                pre { code { "rebound keys create my-name --scope read,write" } }
            }
        }
    };
    Page::new(visit, Place::Nowhere, "Sign in", &content)
}

/// Signs in: the key becomes a session of its own.
pub(super) async fn post_sign_in(
    state: web::Data<State>,
    sign_ins: web::Data<SignIns>,
    uploads: web::Data<Uploads>,
    request: HttpRequest,
    visit: Visit,
    form: Result<Form, Problem>,
) -> Result<HttpResponse, Problem> {
    sign_ins.hold(client(&request, &state.config.http.trusted_proxies)).await?;
    if Jar::Visit.read(&request).is_none() && visit.caller.is_none() {
        let why = if is_secure(&request) {
            "Your browser sent no cookie. Open the console by https:// (or on the machine itself by http://localhost), and allow its cookies."
        } else {
            "Your browser sent no cookie. Allow cookies for this page, and try again."
        };
        return Ok(sign_in_page(&visit, Some(why), None).with(StatusCode::BAD_REQUEST).answer());
    }
    require_met(&state)?;
    let Form(fields) = form?;
    let refuse = |why| Ok(sign_in_page(&visit, Some(why), fields.get("next")).with(StatusCode::UNPROCESSABLE_ENTITY).answer());
    let secret = fields.get("key").unwrap_or_default();
    let now = state.clock.now();
    let key = if secret.len() == KEY_LENGTH && secret.starts_with("rbk_") { state.store.find_key(secret).await? } else { None };
    let Some(key) = key.filter(|it| it.is_live(now)) else {
        return refuse("This key is not known, or was revoked or has expired.");
    };
    if !key.allows(Scope::Read) {
        return refuse("This key does not have the scope read.");
    }
    end_session(&state, &uploads, &request).await?;
    let session = new_secret()?;
    state.store.open_session(&session, key.id, life(&state), now).await?;
    // The request matters more than the note of it.
    drop(state.store.key_used(&key, now).await);
    let mut answer = see(fields.get("next").and_then(own).unwrap_or("/console"));
    answer.add_cookie(&Jar::Session.keep(&request, session, None)).map_err(Problem::internal)?;
    answer.add_cookie(&Jar::Visit.forget(&request)).map_err(Problem::internal)?;
    Ok(answer)
}

/// Ends the session that a request came with, if any, and lets go of what was kept for it.
async fn end_session(state: &State, uploads: &Uploads, request: &HttpRequest) -> Result<(), Problem> {
    if let Some(secret) = Jar::Session.read(request) {
        uploads.forget(Mark::of(&secret), Instant::now());
        state.store.close_session(&secret).await?;
    }
    Ok(())
}

/// A path of the console; anything else is nobody's business here.
fn own(next: &str) -> Option<&str> {
    let is_ours = next == "/console" || next.starts_with("/console/") || next.starts_with("/console?");
    (is_ours && next.bytes().all(|it| it.is_ascii_graphic() && it != b'\\')).then_some(next)
}

/// Signs out: the session ends, wherever its cookie is.
pub(super) async fn post_sign_out(
    state: web::Data<State>,
    uploads: web::Data<Uploads>,
    request: HttpRequest,
    _form: Form,
) -> Result<HttpResponse, Problem> {
    end_session(&state, &uploads, &request).await?;
    let mut answer = see("/console/sign-in");
    answer.add_cookie(&Jar::Session.forget(&request)).map_err(Problem::internal)?;
    let clear = header::HeaderName::from_static("clear-site-data");
    answer.headers_mut().insert(clear, header::HeaderValue::from_static("\"cache\""));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::console::uploads::Upload;
    use crate::http::tests::Bench;
    use crate::listing::Spool;
    use crate::store::ImportId;

    #[test]
    fn one_goes_on_to_pages_of_the_console_alone() {
        for ours in ["/console", "/console/events?kind=bounce", "/console?days=7"] {
            assert_eq!(own(ours), Some(ours));
        }
        for other in [
            "//evil.example",
            "https://evil.example",
            "/console\\@evil.example",
            "/v1/lists",
            "/consolex",
            "/console/\r\nSet-Cookie: x",
            "",
        ] {
            assert_eq!(own(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn what_was_kept_for_a_session_goes_with_it() {
        let (bench, uploads, secret) = (Bench::new().await, Uploads::new(100), new_secret().unwrap());
        let (preview, other, file) = (ImportId::new(), ImportId::new(), || Spool::new().unwrap().finish().unwrap());
        for (id, mark) in [(preview, Mark::of(&secret)), (other, Mark::of("other"))] {
            uploads.keep(id, mark, Upload { file: file(), format: None, cause: None }, Instant::now());
        }
        let request = TestRequest::default().insert_header(("cookie", format!("__Host-rebound-session={secret}"))).to_http_request();
        end_session(&bench.state, &uploads, &request).await.unwrap();
        let is_kept = |id, mark| uploads.find(id, mark, Instant::now()).unwrap().is_some();
        assert!(!is_kept(preview, Mark::of(&secret)) && is_kept(other, Mark::of("other")));
    }

    #[test]
    fn who_asks_is_told_by_proxies_of_ours_alone() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, client_is) in [
            ("192.0.2.1:9", "203.0.113.9", "192.0.2.1"),
            ("10.0.0.1:9", "203.0.113.9", "203.0.113.9"),
            ("10.0.0.1:9", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.1:9", "nonsense", "10.0.0.1"),
        ] {
            let request =
                TestRequest::default().peer_addr(peer.parse().unwrap()).insert_header(("x-forwarded-for", forwarded)).to_http_request();
            assert_eq!(client(&request, &proxies).to_string(), client_is, "{peer} {forwarded}");
        }
    }
}
