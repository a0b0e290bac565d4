//! Mail that is delivered to the program itself: by swaks over both protocols, with TLS, to several sources at once; and what its
//! sender hears when nothing can be kept.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use harness::{Proxy, TestDatabase, eventually};

use crate::smtp_bench::{Bench, Client25, DSN, GONE, swaks};

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_comes_to_a_signed_return_path_counts_and_a_forged_one_does_not() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(database.url());
    let service = bench.serve().await;
    let path = bench.return_path(GONE);
    // To a path made for somebody else, to one nobody made, and to none at all.
    for forged in [
        bench.return_path("bob@corp.example"),
        format!("b+{}@bounces.example.com", "k7ab".repeat(6)),
        "bounces@bounces.example.com".to_owned(),
    ] {
        let (status, heard) = swaks(bench.smtp, "<>", &forged, DSN, &[]);
        assert_eq!(status, Some(0), "{heard}");
        assert!(heard.contains("250 2.6.0"), "{heard}");
        assert!(!service.refuses("acme.weekly", GONE).await, "{heard}");
    }
    assert_eq!(service.attributions().await, ["unattributed"], "one failure, told three times");
    for port in [bench.smtp, bench.lmtp] {
        let protocol = if port == bench.lmtp { ["--protocol", "LMTP"] } else { ["--protocol", "ESMTP"] };
        let (status, heard) = swaks(port, "<>", &path.to_uppercase(), DSN, &protocol);
        assert_eq!(status, Some(0), "{heard}");
    }
    assert!(service.refuses("acme.weekly", GONE).await);
    assert_eq!(service.attributions().await, ["attributed"]);
    // Before a list has a key, a report that anyone may have written blocks for a while.
    let (status, heard) = swaks(bench.smtp, "<>", "anything@plain.example.com", &DSN.replace("jane@", "ann@"), &[]);
    assert_eq!(status, Some(0), "{heard}");
    let standing = service.read("/v1/lists/plain/suppressions/ann@corp.example").await;
    assert_eq!(standing["causes"][0]["provisional"], true, "{standing}");
    // The same mail again is the same receipt.
    let before = service.series("rebound_receipts_stored_total{outcome=\"duplicate\",source=\"returns\"}").await;
    swaks(bench.lmtp, "<>", &path.to_uppercase(), DSN, &["--protocol", "LMTP"]);
    assert_eq!(service.series("rebound_receipts_stored_total{outcome=\"duplicate\",source=\"returns\"}").await, before + 1);
    assert_eq!(service.series("rebound_smtp_messages_accepted_total{protocol=\"smtp\"}").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_gets_its_own_source_and_nobody_else_is_taken() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(database.url());
    let service = bench.serve().await;
    let recipients = format!("{},x@plain.example.com", bench.return_path(GONE));
    let (status, heard) = swaks(bench.lmtp, "<>", &recipients, DSN, &["--protocol", "LMTP"]);
    assert_eq!((status, heard.matches("250 2.6.0").count()), (Some(0), 2), "{heard}");
    assert!(service.refuses("acme.weekly", GONE).await && service.refuses("plain", GONE).await);
    for stranger in ["c@bounces.example.com", "b+x@other.example", "postmaster"] {
        let (_, heard) = swaks(bench.smtp, "<>", stranger, DSN, &[]);
        assert!(heard.contains("550 5.1.1"), "{heard}");
    }
    // A source that gets mail only is not there over HTTP.
    let post = reqwest::Client::new().post(format!("{}/webhooks/returns", service.replica.address())).body(DSN).send().await.unwrap();
    assert_eq!(post.status(), reqwest::StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_comes_again() {
    let database = TestDatabase::postgres().await;
    let wire = Proxy::before(database.url());
    let bench = Bench::on(wire.url()).with("SPOOL__ENABLED", "false");
    let service = bench.serve().await;
    let path = bench.return_path(GONE);
    wire.refuse();
    let (_, heard) = swaks(bench.smtp, "<>", &path, DSN, &[]);
    assert!(heard.contains("451 4.3.0"), "{heard}");
    assert_eq!(service.series("rebound_smtp_refused_total{protocol=\"smtp\",why=\"unavailable\"}").await, 1);
    wire.resume();
    eventually("it is taken", || async { swaks(bench.smtp, "<>", &path, DSN, &[]).0 == Some(0) }).await;
    assert!(service.refuses("acme.weekly", GONE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_is_offered_and_a_new_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("mx.pem"), folder.path().join("mx.key"));
    let renew = |name: &str| {
        let pair = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&pair).unwrap();
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        made.pem()
    };
    let first = renew("mx.bounces.example.com");
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(database.url())
        .with("SMTP__CERTIFICATE", &certificate.display().to_string())
        .with("SMTP__PRIVATE_KEY", &key.display().to_string());
    let service = bench.serve().await;
    let path = bench.return_path(GONE);
    let fits = |pem: &str| {
        let trusted = folder.path().join("trusted.pem");
        std::fs::write(&trusted, pem).unwrap();
        let verified = ["--tls", "--tls-verify", "--tls-ca-path", &trusted.display().to_string()];
        swaks(bench.smtp, "<>", &path, DSN, &verified)
    };
    let (status, heard) = fits(&first);
    assert!(status == Some(0) && heard.contains("TLS started with cipher TLS"), "{heard}");
    assert!(service.refuses("acme.weekly", GONE).await);
    let second = renew("mx.bounces.example.com");
    assert_ne!(fits(&second).0, Some(0), "it is not shown yet");
    eventually("the new one is shown", || async { fits(&second).0 == Some(0) }).await;
    assert_ne!(fits(&first).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lmtp_over_a_socket_of_the_file_system_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("lmtp");
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(database.url());
    let bench = bench.clone().with("SMTP__LMTP_LISTEN", &format!("127.0.0.1:{},unix:{}", bench.lmtp, socket.display()));
    let mut service = bench.serve().await;
    let path = bench.return_path(GONE);
    let place = socket.display().to_string();
    let deliver = || swaks(0, "<>", &path, DSN, &["--protocol", "LMTP", "--socket", &place]);
    service.replica.kill();
    service.replica.start_again().await;
    service.listens(bench.lmtp).await;
    let (status, heard) = deliver();
    assert_eq!(status, Some(0), "{heard}");
    assert!(service.refuses("acme.weekly", GONE).await);
    service.replica.signal("TERM");
    assert!(service.replica.ended().await.success());
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_the_message_under_way_and_takes_no_other() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(database.url());
    let mut service = bench.serve().await;
    let path = bench.return_path(GONE);
    let (mut idle, mut busy) = (Client25::connect(bench.smtp).await, Client25::connect(bench.smtp).await);
    assert!(idle.hear().await.starts_with("220 mx.bounces.example.com ESMTP"));
    busy.say(&format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{path}>\r\nDATA\r\n")).await;
    for code in ["220", "250", "250", "250", "354"] {
        assert!(busy.hear().await.starts_with(code));
    }
    service.replica.signal("TERM");
    assert!(idle.hear().await.starts_with("421 4.3.2"));
    assert_eq!(idle.hear().await, "");
    busy.say(&format!("{}.\r\n", DSN.replace('\n', "\r\n").replace("\r\r", "\r"))).await;
    assert!(busy.hear().await.starts_with("250 2.6.0"));
    assert!(busy.hear().await.starts_with("421 4.3.2"));
    assert!(service.replica.ended().await.success());
    service.replica.start_again().await;
    assert!(service.refuses("acme.weekly", GONE).await);
}
