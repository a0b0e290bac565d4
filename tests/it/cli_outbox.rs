//! `rebound outbox`: a person looks at what waits for the broker, has it tried again, gives it up; on both databases.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

/// With a broker in the configuration that nobody is: what is taken in waits.
fn configured(database: &TestDatabase) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{}\"\n[amqp]\nurl = \"amqp://127.0.0.1:1/%2f\"\n\
         [identity]\npepper = \"a pepper that only this test knows about\"\n[[list]]\nname = \"acme.weekly\"\n\
         [[source]]\nname = \"bounces\"\nprovider = \"mime\"\nlist = \"acme.weekly\"\nbearer = [\"let-me-in\"]\n",
        database.url()
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    std::fs::write(folder.path().join("bounce.eml"), BOUNCE).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rebound().current_dir(folder).args(arguments).output().unwrap()
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(folder, &[&["outbox"], arguments, &["--format", "json"]].concat())).unwrap()
}

#[tokio::test]
async fn what_waits_is_listed_tried_again_and_given_up() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(&database);
        let folder = folder.path();
        assert_eq!(said(folder, &["outbox", "list"]), "nothing waits\n");
        said(folder, &["ingest", "--source", "bounces", "bounce.eml"]);
        let refused = "update outbox set attempts = 3, last_error = 'returned: 312 NO_ROUTE', not_before = '2099-01-01 00:00:00+00:00' \
                       where message_type = 'rebound.suppression.changed'";
        assert_eq!(database.connect().await.execute_unprepared(refused).await.unwrap().rows_affected(), 1);

        let all = json(folder, &["list"]);
        let keys: Vec<&str> = all.as_array().unwrap().iter().map(|it| it["routing_key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["event.bounce.user_unknown.acme.weekly", "suppression.added.hard.acme"]);
        assert_eq!((&all[0]["attempts"], &all[0]["last_error"], &all[0]["next_attempt_at"]), (&0.into(), &Value::Null, &Value::Null));
        assert_eq!(all[1]["next_attempt_at"], "2099-01-01T00:00:00Z");
        assert!(all[0]["age_seconds"].as_i64().unwrap() < 3600);
        let page = said(folder, &["outbox", "list", "--refused", "3"]);
        assert!(page.contains("returned: 312 NO_ROUTE") && page.contains("2099-01-01") && page.ends_with("\n1 of 1\n"), "{page}");
        assert_eq!(said(folder, &["outbox", "list", "--refused", "4"]), "nothing waits\n");
        assert!(said(folder, &["outbox", "list", "--limit", "1"]).ends_with("\n1 of 2\n"));
        assert_eq!(json(folder, &[]).as_array().map(Vec::len), Some(2), "whoever says nothing else wants to see it");

        // Whom it is about is told only to those who ask.
        assert!(!all.to_string().contains(GONE) && !said(folder, &["outbox", "list"]).contains(GONE));
        assert!(said(folder, &["outbox", "list", "--payload"]).contains(GONE));
        assert_eq!(json(folder, &["list", "--payload"])[0]["payload"]["data"]["recipient"], GONE);

        let nothing = run(folder, &["outbox", "retry"]);
        assert!(nothing.status.code() == Some(1) && String::from_utf8_lossy(&nothing.stderr).contains("--refused or --all"), "{nothing:?}");
        assert_eq!(json(folder, &["retry", "--all"]), serde_json::json!({"matched": 2, "changed": 1, "applied": true}));
        let all = json(folder, &["list"]);
        assert_eq!((&all[1]["attempts"], &all[1]["next_attempt_at"]), (&3.into(), &Value::Null));
        assert!(said(folder, &["outbox", "retry", "--refused"]).starts_with("0 of 1 "));

        let change = all[1]["message_id"].as_str().unwrap();
        assert!(said(folder, &["outbox", "discard", change]).starts_with("1 would be given up"));
        assert_eq!(json(folder, &["list"]).as_array().unwrap().len(), 2);
        let done = run(folder, &["outbox", "discard", change, "--apply", "--by", "ann"]);
        let log = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success() && log.contains("message given up") && log.contains(change) && log.contains("ann"), "{log}");
        assert!(!log.contains(GONE), "{log}");
        assert_eq!(json(folder, &["list"]).as_array().unwrap().len(), 1);
        let again = run(folder, &["outbox", "discard", change, "--apply"]);
        assert!(
            again.status.code() == Some(1) && String::from_utf8_lossy(&again.stderr).contains("what is published is gone"),
            "{again:?}"
        );

        assert_eq!(json(folder, &["discard", "--all", "--apply"]), serde_json::json!({"matched": 1, "changed": 1, "applied": true}));
        assert_eq!(said(folder, &["outbox", "list"]), "nothing waits\n");
        // What lists say is as it was.
        assert!(said(folder, &["check", "acme.weekly", GONE]).contains("suppressed"));
    }
}
