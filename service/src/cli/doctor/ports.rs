//! The port that the service listens on: free, or taken by the service itself.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use reqwest::tls::TlsInfo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::HttpConfig;
use crate::tls;

const AREA: &str = "port";
/// How long a service on this very machine may take to say that it is alive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at it.
pub(super) async fn look(config: &HttpConfig) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::ok(AREA, format!("{} is free; no service runs here", config.listen)),
        Err(error) => unbound(config, &error).await,
    }
}

/// What it is if we may not have it. The right to a port below 1024 is asked for before it is looked whether somebody has it, so that is
/// seen by connecting alone.
async fn unbound(config: &HttpConfig, error: &io::Error) -> Finding {
    let is_taken = match error.kind() {
        ErrorKind::AddrInUse => true,
        ErrorKind::PermissionDenied => matches!(timeout(PATIENCE, TcpStream::connect(near(config.listen))).await, Ok(Ok(_))),
        _ => false,
    };
    if is_taken {
        return taken(config).await;
    }
    let remedy = "correct http.listen: an address of this machine, and a port above 1023 or the capability to bind it";
    Finding::unusable(AREA, format!("{} cannot be listened on: {error}", config.listen), remedy)
}

/// Where a listener of this machine is reached from here.
pub(super) fn near(listen: SocketAddr) -> SocketAddr {
    let mut near = listen;
    if listen.ip().is_unspecified() {
        near.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    near
}

async fn taken(config: &HttpConfig) -> Finding {
    let listen = config.listen;
    let files = config.tls.identity();
    let scheme = if files.is_some() { "https" } else { "http" };
    let Some(said) = asked(&format!("{scheme}://{}", near(listen))).await else {
        return Finding::broken(
            AREA,
            format!("{listen} is taken by another program, or by a service that does not speak {scheme}"),
            "end that (`ss -ltnp` names it), restart it if http.tls has changed, or set http.listen to a free port",
        );
    };
    let in_files = files.and_then(|it| tls::inspect(&it).ok()).map(|it| it.der);
    match said.status.as_str() {
        "ready" if said.certificate != in_files && in_files.is_some() => Finding::warning(
            AREA,
            format!("{listen}: the service runs, and shows another certificate than http.tls.certificate holds now"),
            "wait ten seconds if it was renewed just now; else its log says why it keeps the one before",
        ),
        "ready" => Finding::ok(AREA, format!("{listen}: the service runs and is ready")),
        status => Finding::warning(
            AREA,
            format!("{listen}: the service runs and says {status}"),
            "curl its /readyz, and look at what is said of the database here",
        ),
    }
}

/// What a service says of itself.
struct Said {
    status: String,
    /// The certificate that it showed.
    certificate: Option<Vec<u8>>,
}

/// Asks, and hears nothing but one of ours. Its certificate is for another name than this address, and may be the very thing that is
/// wrong; no secret is told here.
async fn asked(base: &str) -> Option<Said> {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.tls_danger_accept_invalid_certs(true).tls_info(true).build().ok()?;
    let answer = client.get(format!("{base}/readyz")).send().await.ok()?;
    let certificate = answer.extensions().get::<TlsInfo>().and_then(|it| it.peer_certificate()).map(<[u8]>::to_vec);
    let answer: serde_json::Value = answer.json().await.ok()?;
    // Any program may have a status; ours also tells of its database.
    answer["database"].as_str()?;
    let status = answer["status"].as_str().filter(|it| matches!(*it, "ready" | "spooling" | "stopping" | "not_ready"))?;
    Some(Said { status: status.to_owned(), certificate })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    #[tokio::test]
    async fn a_port_that_only_the_service_may_have_is_told_by_who_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = HttpConfig { listen: listener.local_addr().unwrap(), ..HttpConfig::default() };
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(unbound(&config, &denied).await.health, Health::Broken, "by another program");
        let listen = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
        assert_eq!(unbound(&HttpConfig { listen, ..config }, &denied).await.health, Health::Unusable);
    }
}
