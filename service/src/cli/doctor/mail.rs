//! The SMTP and LMTP listeners: whether each can listen, or is served by us already, and whether those who write are taken in.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use bounce::address::Address;
use rustix::fs::Access;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::finding::Finding;
use super::ports::near;
use crate::config::{Config, Endpoint};

const AREA: &str = "mail";
/// How long whoever listens may take to greet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a greeting (RFC 5321 section 4.5.3.1.5).
const GREETING: u64 = 512;

/// Looks at them, if there are any.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    if !config.smtp.is_on() {
        return unheard(config).into_iter().collect();
    }
    let mut findings = Vec::new();
    for listen in &config.smtp.listen {
        findings.push(port(*listen, &greeting(config, "ESMTP"), "smtp.listen").await);
    }
    for listen in &config.smtp.lmtp_listen {
        let greeting = greeting(config, "LMTP");
        findings.push(match listen {
            Endpoint::Tcp(listen) => port(*listen, &greeting, "smtp.lmtp_listen").await,
            Endpoint::Unix(path) => socket(path, &greeting).await,
        });
    }
    findings.extend(recipients(config));
    findings
}

/// What one of ours says first.
fn greeting(config: &Config, protocol: &str) -> String {
    format!("220 {} {protocol} Rebound", config.smtp.name())
}

/// Sources to which mail is written that nobody takes in.
fn unheard(config: &Config) -> Option<Finding> {
    let names: Vec<&str> = config.sources.iter().filter(|it| !it.recipients.is_empty()).map(|it| it.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        let what = format!("is not listened for, and {} has recipients", names.join(", "));
        Finding::warning(AREA, what, "set smtp.listen or smtp.lmtp_listen (docs/smtp.md), or remove the recipients")
    })
}

async fn port(listen: SocketAddr, greeting: &str, key: &str) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok(AREA, format!("{listen} is free; no service runs here")),
        Err(error) => unbound(listen, &error, greeting, key).await,
    }
}

/// What a port is that we may not have. The right to one below 1024 is asked for before it is looked whether somebody has it, so that
/// is seen by connecting alone.
async fn unbound(listen: SocketAddr, error: &io::Error, greeting: &str, key: &str) -> Finding {
    let connected = match error.kind() {
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied => {
            timeout(PATIENCE, TcpStream::connect(near(listen))).await.ok().and_then(Result::ok)
        }
        _ => None,
    };
    match (connected, error.kind()) {
        (Some(stream), _) => served(&listen, hear(stream).await.as_deref(), greeting, key),
        (None, ErrorKind::AddrInUse) => served(&listen, None, greeting, key),
        (None, ErrorKind::PermissionDenied) => Finding::unusable(
            AREA,
            format!("{listen} may not be listened on: {error}"),
            "give the service CAP_NET_BIND_SERVICE (docs/smtp.md; is this run as its user?), or a port above 1023 that 25 is mapped to",
        ),
        (None, _) => Finding::unusable(
            AREA,
            format!("{listen} cannot be listened on: {error}"),
            format!("correct {key}: an address of this machine, or 0.0.0.0 for all"),
        ),
    }
}

async fn socket(path: &Path, greeting: &str) -> Finding {
    let place = path.display();
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Finding::unusable(AREA, format!("{place} is there and no socket"), "remove it, or correct smtp.lmtp_listen")
        }
        Ok(_) => match timeout(PATIENCE, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => served(&place, hear(stream).await.as_deref(), greeting, "smtp.lmtp_listen"),
            // Nobody listens at it any more: the service makes it anew.
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => folder(path),
            Ok(Err(error)) => {
                let remedy = "let the service's user and that of the mail server enter its folder (is this run as one of them?)";
                Finding::broken(AREA, format!("{place} cannot be connected to: {error}"), remedy)
            }
            Err(_) => served(&place, None, greeting, "smtp.lmtp_listen"),
        },
        Err(_) => folder(path),
    }
}

/// Whether a socket can be made there.
fn folder(path: &Path) -> Finding {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(AREA, format!("{} can be made; no service runs here", path.display())),
        Err(error) => Finding::unusable(
            AREA,
            format!("{} cannot be made in its folder: {error}", path.display()),
            "make the folder and let the service's user write there (systemd: RuntimeDirectory=rebound), or correct smtp.lmtp_listen",
        ),
    }
}

/// The first line that somebody says.
async fn hear(stream: impl AsyncRead + Unpin) -> Option<String> {
    let mut line = Vec::new();
    timeout(PATIENCE, BufReader::new(stream.take(GREETING)).read_until(b'\n', &mut line)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn served(place: &dyn std::fmt::Display, heard: Option<&str>, greeting: &str, key: &str) -> Finding {
    match heard {
        Some(heard) if heard == greeting => Finding::ok(AREA, format!("{place}: the service runs and takes mail")),
        Some(heard) if heard.starts_with("421 ") => Finding::warning(
            AREA,
            format!("{place}: whoever runs there turns connections away: {heard}"),
            "if it is the service: is it stopping, or are smtp.max_connections… all in use (rebound_smtp_sessions_open)?",
        ),
        Some(heard) if heard.starts_with("220 ") && heard.ends_with(" Rebound") => Finding::warning(
            AREA,
            format!("{place}: a Rebound of another name or protocol runs there: {heard}"),
            format!("restart it if its configuration has changed, or correct {key} and smtp.hostname"),
        ),
        _ => Finding::broken(
            AREA,
            format!("{place} is taken by another program"),
            format!("end that (`ss -lxtnp` names it; mostly it is another mail server), or correct {key}"),
        ),
    }
}

/// Whether the recipients of the sources are those that somebody writes to.
fn recipients(config: &Config) -> Vec<Finding> {
    let patterns = || config.sources.iter().flat_map(|it| &it.recipients);
    let mut findings = Vec::new();
    let signs = config.lists.iter().any(|it| it.token_keys().next().is_some());
    if signs && !patterns().any(|it| it.to_string().contains('*')) {
        findings.push(Finding::warning(
            AREA,
            "a list signs return paths (token_keys), and no source takes mail to more than single addresses",
            "add a pattern such as \"b+*@bounces.example.com\" to the recipients of a source: docs/return-paths.md",
        ));
    }
    let postmaster = config.smtp.hostname.as_deref().filter(|_| !config.smtp.listen.is_empty()).map(|it| format!("postmaster@{it}"));
    let is_taken = |it: &str| Address::parse(it).is_ok_and(|it| patterns().any(|pattern| pattern.matches(&it)));
    if let Some(postmaster) = postmaster.filter(|it| !is_taken(it)) {
        findings.push(Finding::warning(
            AREA,
            format!("{postmaster} is refused, to which whoever has trouble with this server writes"),
            "add it to the recipients of a source (RFC 5321 section 4.5.1)",
        ));
    }
    if findings.is_empty() {
        let sources = config.sources.iter().filter(|it| !it.recipients.is_empty()).count();
        findings
            .push(Finding::ok(AREA, format!("{} patterns of recipients, of {sources} sources, and none is shared", patterns().count())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    #[test]
    fn who_listens_is_told_by_how_it_greets() {
        let health = |heard: Option<&str>| served(&"here", heard, "220 mx.example ESMTP Rebound", "smtp.listen").health;
        assert_eq!(health(Some("220 mx.example ESMTP Rebound")), Health::Ok);
        assert_eq!(health(Some("220 localhost LMTP Rebound")), Health::Warning);
        assert_eq!(health(Some("421 4.3.2 Too many connections, come again")), Health::Warning);
        assert_eq!([health(Some("220 mx.example ESMTP Postfix")), health(Some("")), health(None)], [Health::Broken; 3]);
    }

    #[tokio::test]
    async fn a_port_that_only_the_service_may_have_is_told_by_who_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (mut stream, said) in listener.incoming().flatten().zip(["220 mx ESMTP Rebound\r\n", "220 mx ESMTP Postfix\r\n"]) {
                io::Write::write_all(&mut stream, said.as_bytes()).unwrap();
            }
        });
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let look = async || unbound(listen, &denied, "220 mx ESMTP Rebound", "smtp.listen").await.health;
        assert_eq!((look().await, look().await), (Health::Ok, Health::Broken));
        let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
        assert_eq!(unbound(nobody, &denied, "", "smtp.listen").await.health, Health::Unusable);
    }

    #[tokio::test]
    async fn a_socket_is_told_by_what_stands_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("lmtp");
        assert_eq!(socket(&place, "").await.health, Health::Ok);
        assert!(!place.exists(), "a look makes nothing");
        drop(std::os::unix::net::UnixListener::bind(&place).unwrap());
        assert_eq!(socket(&place, "").await.health, Health::Ok, "left behind by a process that is gone");
        std::fs::remove_file(&place).unwrap();
        std::fs::write(&place, "").unwrap();
        assert_eq!(socket(&place, "").await.health, Health::Unusable);
        assert_eq!(socket(&folder.path().join("none/lmtp"), "").await.health, Health::Unusable);
    }
}
