//! What a person does to lists on the command line: suppress, allow, ask why, release; on both databases.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use serde_json::Value;
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

fn configured(database: &TestDatabase) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{}\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n\
         [[list]]\nname = \"acme.weekly\"\n[[list]]\nname = \"acme\"\n[list.policy.expired]\nstrikes = 2\n\
         [policy.mailbox_full]\nstrikes = 4\n\
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
    serde_json::from_str(&said(folder, &[arguments, &["--format", "json"]].concat())).unwrap()
}

#[tokio::test]
async fn a_person_asks_why_and_sets_it_right() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(&database);
        let folder = folder.path();
        said(folder, &["ingest", "--source", "bounces", "bounce.eml"]);
        let why = said(folder, &["why", GONE]);
        assert!(why.contains("bounce, hard, user_unknown") && why.contains("puts hard on acme, provisionally, until"), "{why}");
        let story = json(folder, &["why", GONE, "--list", "acme.weekly"]);
        let mut receipts = story["story"].as_array().unwrap().iter().filter_map(|it| it["receipt"]["receipt_id"].as_str());
        let receipt = receipts.next_back().unwrap().to_owned();
        assert_eq!(said(folder, &["why", "--raw", &receipt]), BOUNCE);
        assert!(said(folder, &["why", "never@corp.example"]).contains("never heard of"));
        assert_eq!(run(folder, &["why", "nobody"]).status.code(), Some(65));

        assert!(said(folder, &["release", GONE, "--list", "acme"]).contains("would release on acme: hard"));
        assert!(said(folder, &["check", "acme.weekly", GONE]).contains("suppressed"));
        let inherited = run(folder, &["release", GONE, "--list", "acme.weekly", "--apply"]);
        assert!(String::from_utf8_lossy(&inherited.stderr).contains("it stands on acme"), "{inherited:?}");
        let look = said(folder, &["release", GONE, "--list", "acme.weekly"]);
        assert!(look.contains("nothing") && look.contains("hard stands on acme, above"), "{look}");
        said(folder, &["release", GONE, "--list", "acme", "--apply", "--note", "a typing error", "--by", "ann"]);
        assert!(said(folder, &["check", "acme.weekly", GONE]).contains("clear"));
        let why = said(folder, &["why", GONE]);
        assert!(why.contains("ann released it: a typing error") && why.contains("lifts hard on acme"), "{why}");
        assert!(said(folder, &["ingest", "--source", "bounces", "bounce.eml"]).contains("duplicate"));
        assert!(said(folder, &["check", "acme.weekly", GONE]).contains("clear"), "a copy that comes late");
    }
}

#[tokio::test]
async fn many_are_released_after_a_look() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(&database);
        let folder = folder.path();
        std::fs::create_dir(folder.join("mails")).unwrap();
        // More than two steps.
        for number in 1..450 {
            let message = BOUNCE.replace("jane@", &format!("jane{number}@")).replace("Message-ID: <", &format!("Message-ID: <{number}."));
            std::fs::write(folder.join(format!("mails/{number}.eml")), message).unwrap();
        }
        said(folder, &["ingest", "--source", "bounces", "mails"]);
        let look = json(folder, &["release", "--list", "acme", "--domain", "corp.example", "--since", "2020-01-01"]);
        assert_eq!((&look["matched"], &look["released"], &look["applied"]), (&449.into(), &0.into(), &false.into()));
        let done = json(folder, &["release", "--list", "acme", "--reason", "user_unknown", "--apply"]);
        assert_eq!((&done["matched"], &done["released"]), (&449.into(), &449.into()));
        assert!(said(folder, &["check", "acme.weekly", "jane7@corp.example"]).contains("clear"));
        let bulk = done["bulk_id"].as_str().unwrap().to_owned();
        let story = json(folder, &["why", "jane449@corp.example"]);
        let acts: Vec<&Value> = story["story"].as_array().unwrap().iter().filter(|it| it["what"] == "act").collect();
        assert!(acts.len() == 1 && acts[0]["change"]["import_id"] == bulk.as_str(), "{acts:?}");
        assert_eq!(run(folder, &["release", "--list", "acme"]).status.code(), Some(1), "everything is nobody's wish");
    }
}

#[test]
fn a_word_of_a_person_is_put_and_seen() {
    let database = TestDatabase::sqlite();
    let folder = configured(&database);
    let folder = folder.path();
    said(folder, &["suppress", "Joe@corp.example", "@evil.example", "--list", "acme", "--note", "asked", "--expires", "30d"]);
    let blocked = said(folder, &["check", "acme.weekly", "joe@corp.example", "any@evil.example", "ann@corp.example"]);
    assert!(blocked.contains("joe@corp.example  suppressed: manual_block on acme, until"), "{blocked}");
    assert!(blocked.contains("the whole domain") && blocked.contains("ann@corp.example  clear"), "{blocked}");
    said(folder, &["allow", "joe@corp.example", "--list", "acme"]);
    assert!(said(folder, &["check", "acme.weekly", "joe@corp.example"]).contains("clear"), "the last word counts");
    let wrong = run(folder, &["suppress", "nobody", "ann@corp.example", "--list", "acme"]);
    assert_eq!(wrong.status.code(), Some(65));
    assert!(said(folder, &["check", "acme", "ann@corp.example"]).contains("suppressed"), "a bad one costs the others nothing");

    said(folder, &["lists", "create", "acme.receipts", "--honours", "hard,unsubscribe"]);
    let list = json(folder, &["lists", "show", "acme.receipts"]);
    assert_eq!((&list["above"][0], &list["honours"][0]), (&"acme".into(), &"hard".into()));
    assert_eq!(json(folder, &["lists", "show", "acme"])["standing"].as_array().map(Vec::len), Some(2));
    let policy = said(folder, &["lists", "policy", "acme.weekly"]);
    assert!(policy.contains("strikes: [policy]") && policy.contains("strikes: [[list]] acme"), "{policy}");
    let row = json(folder, &["lists", "policy", "acme"])["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["reason"] == "expired")
        .unwrap()
        .clone();
    assert_eq!((&row["strikes"]["value"], &row["window"]["from"]), (&"2".into(), &"default".into()));
}
