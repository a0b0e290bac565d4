//! The ports that the service listens on: free, or taken by the service itself.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::finding::Finding;
use crate::config::{Endpoint, HttpConfig, SmtpConfig};

const AREA: &str = "port";
const MAIL: &str = "mail ports";
/// Octets of a greeting, RFC 5321 section 4.5.3.1.5.
const GREETING: usize = 512;
/// How long a service on this very machine may take to say that it is alive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at it.
pub(super) async fn look(config: &HttpConfig) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::ok(AREA, format!("{} is free; no service runs here", config.listen)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => taken(config.listen).await,
        Err(error) => {
            let remedy = "correct http.listen: an address of this machine, and a port above 1023 or the capability to bind it";
            Finding::unusable(AREA, format!("{} cannot be listened on: {error}", config.listen), remedy)
        }
    }
}

/// Looks at those that take mail, if there are any.
pub(super) async fn look_at_mail(config: &SmtpConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for endpoint in config.listen.iter().copied().map(Endpoint::Tcp).chain(config.lmtp_listen.iter().cloned()) {
        // A socket in the file system is made anew by each start.
        let Endpoint::Tcp(listen) = endpoint else { continue };
        findings.push(match TcpListener::bind(listen) {
            Ok(_) => Finding::ok(MAIL, format!("{listen} is free; nobody takes mail here")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => greeted(listen).await,
            Err(error) => {
                let remedy = "correct smtp.listen or smtp.lmtp_listen: an address of this machine, and a port above 1023 or the \
                    capability to bind it (CAP_NET_BIND_SERVICE; docs/smtp.md)";
                Finding::unusable(MAIL, format!("{listen} cannot be listened on: {error}"), remedy)
            }
        });
    }
    findings
}

/// Whether whoever takes mail there greets as we do.
async fn greeted(listen: SocketAddr) -> Finding {
    let greeting = tokio::time::timeout(PATIENCE, async {
        let mut line = String::new();
        let reader = BufReader::new(TcpStream::connect(near(listen)).await?);
        tokio::io::AsyncReadExt::take(reader, GREETING as u64).read_line(&mut line).await.map(|_| line)
    });
    let line = greeting.await.ok().and_then(Result::ok).unwrap_or_default();
    if line.starts_with("220 ") && line.trim_end().ends_with(" Rebound") {
        return Finding::ok(MAIL, format!("{listen}: the service takes mail"));
    }
    Finding::broken(
        MAIL,
        format!("{listen} is taken by another program"),
        "end that (`ss -ltnp` names it; a Postfix or Exim?), or set smtp.listen and smtp.lmtp_listen to free ports",
    )
}

/// Where a listener is reached from this machine.
fn near(listen: SocketAddr) -> SocketAddr {
    let mut near = listen;
    if listen.ip().is_unspecified() {
        near.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    near
}

async fn taken(listen: SocketAddr) -> Finding {
    match asked(near(listen)).await.as_deref() {
        Some("ready") => Finding::ok(AREA, format!("{listen}: the service runs and is ready")),
        Some(status @ ("spooling" | "stopping" | "not_ready")) => Finding::warning(
            AREA,
            format!("{listen}: the service runs and says {status}"),
            "curl its /readyz, and look at what is said of the database here",
        ),
        _ => Finding::broken(
            AREA,
            format!("{listen} is taken by another program"),
            "end that (`ss -ltnp` names it), or set http.listen to a free port",
        ),
    }
}

/// What a service there says of itself, if it is ours.
async fn asked(address: SocketAddr) -> Option<String> {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(reqwest::redirect::Policy::none()).build().ok()?;
    let answer: serde_json::Value = client.get(format!("http://{address}/readyz")).send().await.ok()?.json().await.ok()?;
    // Any program may have a status; ours also tells of its database.
    answer["database"].as_str()?;
    answer["status"].as_str().map(str::to_owned)
}
