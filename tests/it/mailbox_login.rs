//! TLS with an authority of one's own, passwords, and tokens that are refreshed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{OwnDovecot, TestDatabase, eventually};
use service::config::{After, MailboxConfig, MailboxTls, OAuth2Config, RotatingSecret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::mailbox_fixture::{bounce_of, fetching, holds, mailbox, person, series};

const FAILURES: &str = "rebound_mailbox_failures_total";

fn protected(dovecot: &OwnDovecot, tls: MailboxTls) -> MailboxConfig {
    let port = if tls == MailboxTls::Implicit { dovecot.tls_port() } else { dovecot.port() };
    MailboxConfig { host: "localhost".to_owned(), port, tls, ca_file: Some(dovecot.authority()), ..mailbox(dovecot, After::Move) }
}

#[tokio::test]
async fn tls_is_proved_by_an_authority_of_ones_own() {
    for tls in [MailboxTls::Implicit, MailboxTls::StartTls] {
        let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
        let app = fetching(&database, vec![protected(&dovecot, tls)]).await;
        let mut owner = dovecot.log_in().await;
        owner.put("INBOX", &bounce_of(&person(1))).await;
        holds(owner, "Rebound-Processed", "ALL", 1).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_password() {
    let (database, dovecot, other) = (TestDatabase::sqlite(), OwnDovecot::start().await, OwnDovecot::start().await);
    for (wrong, tls) in [
        (MailboxConfig { ca_file: Some(other.authority()), ..protected(&dovecot, MailboxTls::Implicit) }, "another authority"),
        (MailboxConfig { ca_file: Some(other.authority()), ..protected(&dovecot, MailboxTls::StartTls) }, "the same after STARTTLS"),
        (MailboxConfig { host: "127.0.0.1".to_owned(), ..protected(&dovecot, MailboxTls::Implicit) }, "another name"),
    ] {
        let app = fetching(&database, vec![wrong]).await;
        eventually(tls, || async { series(&app, FAILURES, "cause=\"tls\"").await > 1 }).await;
        assert_eq!(series(&app, FAILURES, "cause=\"login\"").await, 0);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_again() {
    let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let wrong = MailboxConfig { password: Some(RotatingSecret::new("open \"it\\")), ..mailbox(&dovecot, After::Move) };
    let app = fetching(&database, vec![wrong]).await;
    eventually("the login is refused", || async { series(&app, FAILURES, "cause=\"login\"").await > 1 }).await;
    assert_eq!(owner.count("INBOX", "ALL").await, 1);
    dovecot.set_password("open \"it\\");
    holds(owner, "Rebound-Processed", "ALL", 1).await;
    app.stop().await;
}

/// A provider of tokens: the first `grants` tokens are told apart by number, and of these only the newest holds.
struct Provider {
    address: String,
    granted: Arc<AtomicUsize>,
    revoked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (granted, revoked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (granted.clone(), revoked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, counts.0.clone(), counts.1.clone()));
            }
        });
        Self { address, granted, revoked }
    }
}

/// Answers one request: `POST /token` with a new token, `GET /info?access_token=…` with whom it is for.
async fn answer(mut stream: TcpStream, granted: Arc<AtomicUsize>, revoked: Arc<AtomicUsize>) -> std::io::Result<()> {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    let request = loop {
        let length = stream.read(&mut part).await?;
        request.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let body = text.split_once("\r\n\r\n").map(|it| it.1.len());
        let wanted = text.lines().find_map(|it| it.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
        if length == 0 || body.is_some_and(|it| it >= wanted) {
            break text;
        }
    };
    let (status, body) = if request.starts_with("POST /token ") {
        let is_right = ["grant_type=refresh_token", "refresh_token=remember%26me", "client_id=rebound", "scope=mail"]
            .iter()
            .all(|it| request.contains(it));
        if is_right {
            let number = granted.fetch_add(1, Ordering::SeqCst) + 1;
            ("200 OK", format!("{{\"access_token\":\"token-{number}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}"))
        } else {
            ("400 Bad Request", "{\"error\":\"invalid_grant\"}".to_owned())
        }
    } else {
        let newest = granted.load(Ordering::SeqCst);
        let is_known = request.contains(&format!("access_token=token-{newest} ")) && newest > revoked.load(Ordering::SeqCst);
        if is_known {
            ("200 OK", "{\"email\":\"box\"}".to_owned())
        } else {
            ("401 Unauthorized", "{\"error\":\"invalid_token\"}".to_owned())
        }
    };
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_and_asked_for_anew_once_it_is_refused() {
    let (database, provider) = (TestDatabase::sqlite(), Provider::start().await);
    let passdb = "auth_mechanisms = plain xoauth2\npassdb {\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {folder}/oauth2.conf\n}\n";
    let oauth2 = format!("tokeninfo_url = {}/info?access_token=\nusername_attribute = email\n", provider.address);
    let mut dovecot = OwnDovecot::start_with(passdb, &[("oauth2.conf", &oauth2)]).await;
    let tokens = OAuth2Config {
        token_url: format!("{}/token", provider.address),
        client_id: "rebound".to_owned(),
        client_secret: None,
        refresh_token: Some(RotatingSecret::new("remember&me")),
        scope: Some("mail".to_owned()),
    };
    let by_token = MailboxConfig {
        password: None,
        oauth2: Some(tokens),
        poll_interval: Duration::from_mins(1),
        ..protected(&dovecot, MailboxTls::Implicit)
    };
    let app = fetching(&database, vec![by_token]).await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    drop(holds(owner, "Rebound-Processed", "ALL", 1).await);
    assert_eq!((provider.granted.load(Ordering::SeqCst), series(&app, FAILURES, "cause=\"login\"").await), (1, 0));

    // The token that is known holds no longer, which only a new login finds out.
    provider.revoked.store(1, Ordering::SeqCst);
    dovecot.end();
    dovecot.start_again().await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(2))).await;
    holds(owner, "Rebound-Processed", "ALL", 2).await;
    assert_eq!((provider.granted.load(Ordering::SeqCst), series(&app, FAILURES, "cause=\"login\"").await), (2, 1));
    app.stop().await;
}

#[tokio::test]
async fn a_grant_that_is_refused_is_told() {
    let (database, dovecot, provider) =
        (TestDatabase::sqlite(), OwnDovecot::start_with("auth_mechanisms = plain xoauth2\n", &[]).await, Provider::start().await);
    let tokens = OAuth2Config {
        token_url: format!("{}/token", provider.address),
        client_id: "somebody else".to_owned(),
        client_secret: Some(RotatingSecret::new("s")),
        refresh_token: None,
        scope: None,
    };
    let by_token = MailboxConfig { password: None, oauth2: Some(tokens), ..mailbox(&dovecot, After::Move) };
    let app = fetching(&database, vec![by_token]).await;
    eventually("there is no token", || async { series(&app, FAILURES, "cause=\"token\"").await > 1 }).await;
    app.stop().await;
}
