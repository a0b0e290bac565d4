//! The port that the service listens on: free, or taken by the service itself.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use super::finding::Finding;
use crate::config::HttpConfig;

const AREA: &str = "port";
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

async fn taken(listen: SocketAddr) -> Finding {
    let mut near = listen;
    if listen.ip().is_unspecified() {
        near.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    match asked(near).await.as_deref() {
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
