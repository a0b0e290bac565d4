//! `rebound doctor` says of each thing that is wrong what it is and what to do, ends accordingly, and changes nothing.

use harness::{Installation, OwnDovecot, TestBroker, TestDatabase, eventually, free_port};
use serde_json::Value;

/// What it finds: how it ends, and of each area how well it is. Where something is wrong there is a remedy.
fn look(installation: &Installation, folder: &std::path::Path) -> (Option<i32>, Value) {
    let output = installation.command(&["doctor", "--format", "json"]).current_dir(folder).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    for it in report["findings"].as_array().unwrap() {
        assert_eq!(it["remedy"].is_null(), ["ok", "skipped"].iter().any(|well| it["health"] == **well), "{it}");
    }
    (output.status.code(), report)
}

fn health<'a>(report: &'a Value, area: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|it| it["area"] == area).map(|it| it["health"].as_str().unwrap()).collect()
}

fn sound(database: &TestDatabase, broker: &TestBroker) -> Installation {
    let source = "[{ name = \"bounces\", provider = \"mime\", list = \"acme.weekly\", bearer = [\"f3a9c1d07b5e4482\"] }]";
    Installation::on(database.url())
        .with_broker_at(broker, broker.url())
        .with("SOURCE", source)
        .with("SPOOL__MAX_BYTES", "1 MiB")
        .with("HTTP__LISTEN", "127.0.0.1:0")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_is_well_before_and_after_the_first_start() {
    let (database, broker, folder) = (TestDatabase::postgres().await, TestBroker::new(), tempfile::tempdir().unwrap());
    let installation = sound(&database, &broker);
    let (code, report) = look(&installation, folder.path());
    assert_eq!((code, &report["worst"]), (Some(0), &"ok".into()), "{report}");
    assert_eq!(health(&report, "migrations"), ["ok"]);
    assert_eq!(broker.depth().await, None, "a look declares nothing");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a look makes no file");

    let mut replica = installation.serve().await;
    eventually("the relay has declared its queue", || async { broker.depth().await.is_some() }).await;
    let address = replica.address().trim_start_matches("http://").to_owned();
    let (code, report) = look(&installation.clone().with("HTTP__LISTEN", &address), folder.path());
    assert_eq!((code, health(&report, "port"), health(&report, "API keys")), (Some(0), vec!["ok"], vec!["warning"]), "{report}");
    for area in ["database", "migrations", "pepper", "clock", "connections", "broker", "exchange", "queue", "spool", "credentials"] {
        assert_eq!(health(&report, area), ["ok"], "{area}: {report}");
    }
    replica.kill();

    let (code, report) = look(&installation.with("IDENTITY__PEPPER", "another pepper of thirty-two octets"), folder.path());
    assert_eq!((code, health(&report, "pepper")), (Some(78), vec!["unusable"]), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_is_told_beside_the_others() {
    let (database, broker, folder) = (TestDatabase::postgres().await, TestBroker::new(), tempfile::tempdir().unwrap());
    let installation = || sound(&database, &broker);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = nobody.local_addr().unwrap().to_string();
    std::thread::spawn(move || nobody.incoming().for_each(drop));

    let away =
        installation().with("DATABASE__URL", "postgres://rebound:s3cret@127.0.0.1:1/rebound").with("AMQP__URL", "amqp://127.0.0.1:1");
    let (code, report) = look(&away, folder.path());
    assert_eq!((code, health(&report, "database"), health(&report, "broker")), (Some(75), vec!["away"], vec!["away"]), "{report}");
    assert!(!report.to_string().contains("s3cret"));

    let by_hand = installation().with("DATABASE__MIGRATE_ON_START", "false").with("AMQP__DECLARE", "false").with("HTTP__LISTEN", &taken);
    let (code, report) = look(&by_hand, folder.path());
    assert_eq!(code, Some(1));
    for area in ["migrations", "exchange", "queue", "port"] {
        assert_eq!(health(&report, area), ["broken"], "{area}: {report}");
    }

    let weak = "[{ name = \"bounces\", provider = \"mime\", list = \"acme.weekly\", bearer = [\"change-me\"] }]";
    let (code, report) = look(&installation().with("SOURCE", weak).with("SPOOL__MAX_BYTES", "1024 GiB"), folder.path());
    assert_eq!((code, health(&report, "credentials"), health(&report, "spool")), (Some(0), vec!["warning"], vec!["warning"]), "{report}");

    let (code, report) = look(&installation().with("SPOOL__PATH", "/dev/null/spool").with("AMQP__BATCH", "0"), folder.path());
    assert_eq!((code, health(&report, "configuration"), health(&report, "everything else")), (Some(78), vec!["unusable"], vec!["skipped"]));
    let (code, report) = look(&installation().with("SPOOL__PATH", "/dev/null/spool"), folder.path());
    assert_eq!((code, health(&report, "spool")), (Some(78), vec!["unusable"]), "{report}");
}

/// Files of a certificate for these names that holds for so many days yet: certificate and key.
fn certify(folder: &std::path::Path, names: &[&str], days: i64) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut made = rcgen::CertificateParams::new(names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the program asks the machine's clock too")]
    let now = time::OffsetDateTime::now_utc();
    (made.not_before, made.not_after) = (now - time::Duration::days(60), now + time::Duration::days(days));
    let (certificate, private_key) = (folder.join("own.pem"), folder.join("own.key"));
    std::fs::write(&certificate, made.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&private_key, key.serialize_pem()).unwrap();
    (certificate.display().to_string(), private_key.display().to_string())
}

/// An installation that takes mail at two ports and a socket, over which nothing can be said but that it is well.
fn mailed(database: &TestDatabase, folder: &std::path::Path) -> (Installation, u16) {
    let source = "[{ name = \"returns\", provider = \"mime\", list = \"acme.weekly\", \
                  recipients = [\"b+*@bounces.example.com\", \"postmaster@mx.example.com\"] }]";
    let (certificate, key) = certify(folder, &["mx.example.com"], 60);
    let port = free_port();
    let installation = Installation::on(database.url())
        .with("SOURCE", source)
        .with("SPOOL__MAX_BYTES", "1 MiB")
        .with("SMTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("SMTP__LMTP_LISTEN", &format!("127.0.0.1:{},unix:{}", free_port(), folder.join("lmtp").display()))
        .with("SMTP__HOSTNAME", "mx.example.com")
        .with("SMTP__CERTIFICATE", &certificate)
        .with("SMTP__PRIVATE_KEY", &key)
        .with("HTTP__TLS__CERTIFICATE", &certificate)
        .with("HTTP__TLS__PRIVATE_KEY", &key);
    (installation, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_that_are_well_are_so_before_and_while_the_service_runs() {
    let (database, folder) = (TestDatabase::postgres().await, tempfile::tempdir().unwrap());
    let (installation, _) = mailed(&database, folder.path());
    let (code, report) = look(&installation, folder.path());
    assert_eq!((code, health(&report, "mail"), health(&report, "certificate")), (Some(0), vec!["ok"; 4], vec!["ok"; 2]), "{report}");
    assert!(!folder.path().join("lmtp").exists(), "a look makes no socket");

    let replica = installation.serve().await;
    let address = replica.address().trim_start_matches("https://").to_owned();
    let running = installation.with("HTTP__LISTEN", &address);
    eventually("it greets", || async { look(&running, folder.path()).1.to_string().matches("runs and takes mail").count() == 3 }).await;
    let (code, report) = look(&running, folder.path());
    assert_eq!((code, health(&report, "mail"), health(&report, "port")), (Some(0), vec!["ok"; 4], vec!["ok"]), "{report}");
    // To it, too, other commands find by HTTPS.
    let output = running.command(&["sources"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // A renewal that it does not take: another key.
    let key = std::fs::read(folder.path().join("own.key")).unwrap();
    certify(folder.path(), &["mx.example.com"], 60);
    std::fs::write(folder.path().join("own.key"), key).unwrap();
    let (code, report) = look(&running, folder.path());
    assert_eq!((code, health(&report, "certificate")), (Some(78), vec!["unusable"; 2]), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_edges_is_told() {
    let (database, folder) = (TestDatabase::postgres().await, tempfile::tempdir().unwrap());
    let (installation, port) = mailed(&database, folder.path());
    let stranger = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || stranger.incoming().for_each(drop));
    let nowhere = installation.clone().with("SMTP__LMTP_LISTEN", "unix:/dev/null/lmtp");
    let (code, report) = look(&nowhere, folder.path());
    assert_eq!((code, health(&report, "mail")), (Some(78), vec!["broken", "unusable", "ok"]), "{report}");

    certify(folder.path(), &["other.example.com"], 60);
    assert_eq!(health(&look(&installation, folder.path()).1, "certificate"), ["ok", "warning"], "it is for another name");
    certify(folder.path(), &["mx.example.com"], 3);
    assert_eq!(health(&look(&installation, folder.path()).1, "certificate"), ["warning"; 2], "it expires soon");
    certify(folder.path(), &["mx.example.com"], -1);
    let (code, report) = look(&installation, folder.path());
    assert_eq!((code, health(&report, "certificate")), (Some(1), vec!["broken"; 2]), "{report}");
    std::fs::remove_file(folder.path().join("own.pem")).unwrap();
    let (code, report) = look(&installation, folder.path());
    assert_eq!((code, health(&report, "certificate")), (Some(78), vec!["unusable"; 2]), "{report}");
    let checked = installation.command(&["config", "check"]).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.code() == Some(78) && told.contains("own.pem: cannot be read (http.tls.certificate)"), "{told}");

    // Whoever signs return paths takes more than single addresses, and somebody reads what is written to the postmaster.
    let single = "[{ name = \"returns\", provider = \"mime\", list = \"acme.weekly\", recipients = [\"b@bounces.example.com\"] }]";
    let signing = "[{ name = \"acme.weekly\", token_keys = [\"k7ab:a secret of sixteen octets or more\"] }]";
    let (_, report) = look(&installation.clone().with("SOURCE", single).with("LIST", signing), folder.path());
    assert_eq!(health(&report, "mail"), ["broken", "ok", "ok", "warning", "warning"], "{report}");
    let unheard = installation.without("SMTP__LISTEN").without("SMTP__LMTP_LISTEN");
    assert_eq!(health(&look(&unheard, folder.path()).1, "mail"), ["warning"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mailbox_is_logged_in_to_and_left_as_it_was() {
    let (database, folder, dovecot) = (TestDatabase::postgres().await, tempfile::tempdir().unwrap(), OwnDovecot::start().await);
    let source = "[{ name = \"fetched\", provider = \"mime\", list = \"acme.weekly\" }]";
    let installation = Installation::on(database.url()).with("SOURCE", source).with("SPOOL__MAX_BYTES", "1 MiB");
    let mailbox = |name: &str, host: &str, port: u16, more: &str| {
        let user = OwnDovecot::USER;
        format!("{{ name = \"{name}\", host = \"{host}\", port = {port}, user = \"{user}\", source = \"fetched\", {more} }}")
    };
    let password = format!("password = \"{}\"", OwnDovecot::PASSWORD);
    let authority = format!("ca_file = \"{}\", {password}", dovecot.authority().display());
    let plain = format!("tls = \"none\", {password}");
    let look_at = |mailboxes: &[String]| look(&installation.clone().with("MAILBOX", &format!("[{}]", mailboxes.join(", "))), folder.path());

    let well = [
        mailbox("plain", "127.0.0.1", dovecot.port(), &plain),
        mailbox("implicit", "localhost", dovecot.tls_port(), &authority),
        mailbox("starttls", "localhost", dovecot.port(), &format!("tls = \"starttls\", {authority}")),
    ];
    let (code, report) = look_at(&well);
    assert_eq!((code, health(&report, "mailbox")), (Some(0), vec!["ok"; 3]), "{report}");

    let wrong = [
        mailbox("folder", "127.0.0.1", dovecot.port(), &format!("{plain}, folders = [\"INBOX\", \"No such\"]")),
        mailbox("login", "127.0.0.1", dovecot.port(), "tls = \"none\", password = \"s3cret\""),
        mailbox("authority", "localhost", dovecot.tls_port(), &password),
    ];
    let (code, report) = look_at(&wrong);
    assert_eq!((code, health(&report, "mailbox")), (Some(1), vec!["broken"; 3]), "{report}");
    assert!(report.to_string().contains("folder: No such: ") && !report.to_string().contains("s3cret"), "{report}");

    // One that is not there, and one that never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap().port(), silent);
    let away = [mailbox("gone", "127.0.0.1", 1, &plain), mailbox("silent", "127.0.0.1", silent.0, &format!("{plain}, timeout = \"1s\""))];
    let (code, report) = look_at(&away);
    assert_eq!((code, health(&report, "mailbox")), (Some(75), vec!["away"; 2]), "{report}");
    assert!(report.to_string().contains("said nothing"), "{report}");
}

#[test]
fn people_are_told_without_colours_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let output = harness::rebound().arg("doctor").current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok        database") && text.contains("→ ") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn every_shell_is_given_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = harness::rebound().args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && ["doctor", "reprocess", "--dry-run"].iter().all(|it| text.contains(it.trim_start_matches('-'))),
            "{shell}"
        );
    }
}
