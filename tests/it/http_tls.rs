//! HTTPS that the program itself speaks: which versions and protocols, whose certificate, and what becomes of those who speak plain
//! HTTP, say nothing at all, or renew a certificate badly.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use harness::{Installation, Replica, TestDatabase, eventually};
use reqwest::{Certificate, Client, StatusCode, header, tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "bounces.example.com";
/// After this long an answer will not come any more.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// A folder with the files of a certificate, and how they are named in a configuration.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another certificate, with its key, and what to trust to find it good.
    fn renew(&self, days: i64) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut made = rcgen::CertificateParams::new(vec![NAME.to_owned(), "localhost".to_owned()]).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the program asks the machine's clock too")]
        let now = OffsetDateTime::now_utc();
        (made.not_before, made.not_after) = (now - Duration::days(90), now + Duration::days(days));
        let pem = made.self_signed(&key).unwrap().pem();
        std::fs::write(self.path("http.pem"), &pem).unwrap();
        std::fs::write(self.path("http.key"), key.serialize_pem()).unwrap();
        pem
    }

    fn installation(&self, database_url: &str) -> Installation {
        Installation::on(database_url)
            .with("HTTP__TLS__CERTIFICATE", &self.path("http.pem").display().to_string())
            .with("HTTP__TLS__PRIVATE_KEY", &self.path("http.key").display().to_string())
    }
}

fn port(replica: &Replica) -> u16 {
    replica.address().rsplit(':').next().unwrap().parse().unwrap()
}

/// A client without connections yet that trusts one certificate, and finds the name of that certificate at a replica.
fn client(replica: &Replica, trusted: &str, version: tls::Version) -> Client {
    let at = replica.address().strip_prefix("https://").unwrap().parse().unwrap();
    let trusted = [Certificate::from_pem(trusted.as_bytes()).unwrap()];
    let builder = Client::builder().no_proxy().tls_certs_only(trusted).resolve(NAME, at);
    builder.tls_version_min(version).tls_version_max(version).build().unwrap()
}

async fn get(replica: &Replica, trusted: &str, path: &str) -> reqwest::Result<reqwest::Response> {
    client(replica, trusted, tls::Version::TLS_1_3).get(format!("https://{NAME}:{}{path}", port(replica))).send().await
}

/// Whether whoever trusts that certificate gets an answer.
async fn answers(replica: &Replica, trusted: &str) -> bool {
    get(replica, trusted, "/healthz").await.is_ok_and(|it| it.status() == StatusCode::OK)
}

/// A connection that offers a protocol.
async fn offering(replica: &Replica, trusted: &str, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port(replica))).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never() {
    let (database, files) = (TestDatabase::postgres().await, Files::new());
    let first = files.renew(30);
    let replica = files.installation(database.url()).serve().await;
    assert!(replica.address().starts_with("https://"));
    assert!(answers(&replica, &first).await);
    let page = async |trusted: &str| get(&replica, trusted, "/metrics").await.unwrap().text().await.unwrap();
    assert!(page(&first).await.contains("rebound_failures_total{stage=\"http\"} 0"));

    // The key of another.
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(files.path("http.key"), key).unwrap();
    let told = "reading the certificate again (the one before is kept) failed";
    eventually("a key that does not fit is told of", || async { replica.said(told) }).await;
    assert!(replica.said("is not the key of") && replica.said("http.tls.private_key"));
    assert!(page(&first).await.contains("rebound_failures_total{stage=\"http\"} 1"));
    // One that has expired.
    let expired = files.renew(-1);
    eventually("one that has expired is told of", || async { replica.said("has expired on") }).await;
    assert!(answers(&replica, &first).await && !answers(&replica, &expired).await);

    let second = files.renew(60);
    eventually("the new one is shown", || answers(&replica, &second)).await;
    assert!(!answers(&replica, &first).await && replica.said("certificate reloaded"));
    let page = page(&second).await;
    let until = page.lines().find_map(|it| it.strip_prefix("rebound_certificate_expiry_timestamp_seconds{edge=\"http\"} ")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the program asks the machine's clock too")]
    let days = (until.parse::<i64>().unwrap() - OffsetDateTime::now_utc().unix_timestamp()) / 86_400;
    assert!((59..=60).contains(&days), "{until}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_in_its_versions_and_plain_http_is_not() {
    let (database, files) = (TestDatabase::postgres().await, Files::new());
    let trusted = files.renew(30);
    // So that whoever says nothing goes on saying nothing.
    let replica = files.installation(database.url()).with("HTTP__HEADER_TIMEOUT", "10m").serve().await;
    for version in [tls::Version::TLS_1_2, tls::Version::TLS_1_3] {
        let client = client(&replica, &trusted, version);
        let answer = client.get(format!("https://{NAME}:{}/readyz", port(&replica))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{version:?}");
    }

    let mut plain = TcpStream::connect(("127.0.0.1", port(&replica))).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    // It may also be reset.
    let _ = plain.read_to_end(&mut heard).await;
    // An alert of TLS at most (RFC 8446 section 6).
    assert!(heard.is_empty() || heard[0] == 21, "{heard:?}");

    // More than the framework lets shake hands at once by itself.
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(("127.0.0.1", port(&replica))).await.unwrap());
    }
    let answered = tokio::time::timeout(PATIENCE, answers(&replica, &trusted)).await;
    assert_eq!(answered, Ok(true), "those who say nothing keep nobody waiting");
}

/// The length of a text in a head (RFC 7541 section 5.1, with a prefix of 7 bits).
fn length(octets: usize) -> Vec<u8> {
    let Some(mut rest) = octets.checked_sub(127) else { return vec![u8::try_from(octets).unwrap()] };
    let mut length = vec![127];
    while rest > 127 {
        length.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    length.push(u8::try_from(rest).unwrap());
    length
}

/// Asks whether it is alive by HTTP/2 (RFC 9113), with so many further fields of so many octets; the first octet of the answer's fields.
async fn by_http_2(replica: &Replica, trusted: &str, more: usize, octets: usize) -> u8 {
    let mut stream = offering(replica, trusted, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // GET https://bounces.example.com/healthz, by the static table, and fields that are in no table.
    let mut fields = vec![0x82, 0x87, 0x41, u8::try_from(NAME.len()).unwrap()];
    fields.extend_from_slice(NAME.as_bytes());
    fields.extend_from_slice(b"\x04\x08/healthz");
    for _ in 0..more {
        fields.extend_from_slice(b"\x00\x01x");
        fields.extend_from_slice(&length(octets));
        fields.resize(fields.len() + octets, b'y');
    }
    // A preface and empty settings; then frames of the greatest size, the last of which ends the head, and the first the request.
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let frames: Vec<&[u8]> = fields.chunks(1 << 14).collect();
    for (at, frame) in frames.iter().enumerate() {
        let (kind, ends_request) = if at == 0 { (1, 1) } else { (9, 0) };
        let ends_head = if at + 1 == frames.len() { 4 } else { 0 };
        let [_, length @ ..] = u32::try_from(frame.len()).unwrap().to_be_bytes();
        request.extend_from_slice(&length);
        request.extend_from_slice(&[kind, ends_request | ends_head, 0, 0, 0, 1]);
        request.extend_from_slice(frame);
    }
    stream.write_all(&request).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            return payload[0];
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_to_whoever_offers_it() {
    let (database, files) = (TestDatabase::postgres().await, Files::new());
    let trusted = files.renew(30);
    let replica = files.installation(database.url()).serve().await;
    // `:status: 200` and `400` of the static table (RFC 7541 appendix A).
    assert_eq!(by_http_2(&replica, &trusted, 90, 1 << 10).await, 0x88);
    assert_eq!(by_http_2(&replica, &trusted, 90, 2 << 10).await, 0x8c, "a head that HTTP/1 would not let through either");
    assert_eq!(by_http_2(&replica, &trusted, 96, 0).await, 0x88);
    for many in [97, 30_000] {
        assert_eq!(by_http_2(&replica, &trusted, many, 0).await, 0x8c, "{many} fields with nothing in them");
    }
    let stream = offering(&replica, &trusted, b"http/1.1").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_secure_and_browsers_insist_only_where_they_are_told_to() {
    let (database, files) = (TestDatabase::postgres().await, Files::new());
    let trusted = files.renew(30);
    for (hsts, said) in [("0s", None), ("365d", Some("max-age=31536000"))] {
        let replica = files.installation(database.url()).with("HTTP__TLS__HSTS", hsts).serve().await;
        let at = port(&replica);
        // By a name of this machine, where plain HTTP would do without.
        let trusting = client(&replica, &trusted, tls::Version::TLS_1_3);
        let answer = trusting.get(format!("https://localhost:{at}/console/sign-in")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("__Host-rebound-visit=") && cookie.contains("; Secure"), "{cookie}");
        assert_eq!(answer.headers().get(header::STRICT_TRANSPORT_SECURITY).map(|it| it.to_str().unwrap()), said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_is_told_before_anything_starts() {
    let (database, files) = (TestDatabase::postgres().await, Files::new());
    let started = || -> Output { files.installation(database.url()).command(&["serve"]).output().unwrap() };
    let refused = |why: &str| {
        let output = started();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains("TLS cannot be spoken") && told.contains(why), "{told}");
    };
    refused("http.pem: cannot be read (http.tls.certificate)");
    files.renew(30);
    let key = std::fs::read(files.path("http.key")).unwrap();
    files.renew(30);
    std::fs::write(files.path("http.key"), key).unwrap();
    refused("http.key: is not the key of ");
    std::fs::write(files.path("http.pem"), "not a certificate").unwrap();
    refused("http.pem: is no PEM file of what it should hold (http.tls.certificate)");
    // One that has expired is shown: who asks decides, and whatever else the service does goes on.
    let expired = files.renew(-1);
    let replica = files.installation(database.url()).serve().await;
    assert!(replica.said("has expired on"));
    assert!(!answers(&replica, &expired).await);
}
