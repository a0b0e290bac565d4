//! `rebound doctor` says of each thing that is wrong what it is and what to do, ends accordingly, and changes nothing.

use harness::{Installation, TestBroker, TestDatabase, eventually};
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

    let mail = "[{ name = \"returns\", provider = \"mime\", list = \"acme.weekly\", recipients = [\"b+*@bounces.example.com\"] }]";
    let mail = installation().with("SOURCE", mail).with("SMTP__HOSTNAME", "mx.example.com").with("SMTP__LISTEN", "127.0.0.1:0");
    let (code, report) = look(&mail.clone().with("SMTP__LMTP_LISTEN", &taken), folder.path());
    assert_eq!((code, health(&report, "mail ports")), (Some(1), vec!["ok", "broken"]), "{report}");

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
