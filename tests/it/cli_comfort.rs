//! What the command line owes to people in a hurry and to programs: JSON of everything, exit codes that mean something, and no
//! answer from a database that nobody chose.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use serde_json::Value;
use tempfile::TempDir;

const GONE: &str = "jane@corp.example";

fn configured(url: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{url}\"\nacquire_timeout = \"1s\"\nconnect_timeout = \"1s\"\n\
         [identity]\npepper = \"a pepper that only this test knows about\"\n[[list]]\nname = \"acme.weekly\"\n"
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    std::fs::write(folder.path().join("list.csv"), "address,cause\njoe@corp.example,hard\n").unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rebound().current_dir(folder).args(arguments).output().unwrap()
}

/// What a command prints for programs, each line of it if there are several.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    result(arguments, &output)
}

/// The same of one that tells people something besides.
fn json_and_more(folder: &Path, arguments: &[&str]) -> Value {
    result(arguments, &run(folder, arguments))
}

fn result(arguments: &[&str], output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
}

#[tokio::test]
async fn what_changes_something_tells_programs_what_it_did() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    let folder = folder.path();
    assert_eq!(json(folder, &["config", "check", "--format", "json"])["list"][0]["name"], "acme.weekly");
    assert!(json(folder, &["migrate", "--format", "json"])["applied"].as_u64().unwrap() > 0);
    assert_eq!(json(folder, &["migrate", "--format", "json"])["applied"], 0);

    let list = json(folder, &["lists", "create", "acme.daily", "--honours", "hard,soft", "--format", "json"]);
    assert_eq!((&list["name"], &list["honours"][0], &list["created"]), (&"acme.daily".into(), &"hard".into(), &true.into()));
    assert_eq!(json(folder, &["lists", "create", "acme.daily", "--format", "json"])["created"], false);

    let key = json(folder, &["keys", "create", "ann", "--scope", "read,write", "--list", "acme", "--rate-limit", "60", "--format", "json"]);
    assert!(key["secret"].as_str().unwrap().starts_with(key["prefix"].as_str().unwrap()), "{key}");
    assert_eq!((&key["scopes"][1], &key["list"], &key["rate_limit"]), (&"write".into(), &"acme".into(), &60.into()));
    let listed = &json(folder, &["keys", "list", "--format", "json"])[0];
    assert_eq!((&listed["prefix"], &listed["secret"], &listed["rate_limit"]), (&key["prefix"], &Value::Null, &60.into()));
    assert_eq!(json(folder, &["keys", "revoke", "ann", "--format", "json"])["state"], "revoked");

    let blocked = json(folder, &["suppress", GONE, "--list", "acme", "--by", "ann", "--format", "json"]);
    assert_eq!((&blocked["address"], &blocked["cause"], &blocked["expires_at"]), (&GONE.into(), &"manual_block".into(), &Value::Null));
    let allowed = json(folder, &["allow", GONE, "--list", "acme.weekly", "--expires", "3d", "--format", "json"]);
    assert_eq!((&allowed["cause"], allowed["expires_at"].is_string()), (&"manual_allow".into(), true));

    let unknown = json_and_more(folder, &["erase", "nobody@corp.example", "--format", "json"]);
    assert_eq!((&unknown["known"], &unknown["receipts"]), (&false.into(), &0.into()), "nobody needs to be asked: {unknown}");

    let import = json(folder, &["import", "list.csv", "--list", "acme.weekly", "--output", "json"]);
    let id = import["import_id"].as_str().unwrap();
    let undone = json(folder, &["imports", "undo", id, "--format", "json"]);
    assert_eq!((&undone["import_id"], &undone["changed"]), (&id.into(), &1.into()));
    assert_eq!(json(folder, &["imports", "undo", id, "--format", "json"])["changed"], 0);
}

#[test]
fn what_only_looks_tells_programs_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("bounce.eml"), include_str!("../../docs/bounce.eml")).unwrap();
    let label = format!("{{\"id\": \"bounce.eml\", \"expected\": [{{\"recipient\": \"{GONE}\", \"disposition\": \"hard\"}}]}}\n");
    std::fs::write(folder.join("labels.jsonl"), label).unwrap();
    let rule = "[[rule]]\nid = \"own.unknown\"\nreason = \"mailbox_inactive\"\nany = [\"user unknown\"]\n\
        sample = \"550 5.1.1 user unknown\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";
    std::fs::write(folder.join("own.toml"), rule).unwrap();
    std::fs::write(folder.join("rebound.toml"), "[rules]\nfiles = [\"own.toml\"]\n").unwrap();

    let found = json(folder, &["rules", "check", "--format", "json"]);
    assert_eq!((&found["rules"], &found["wrong"]), (&1.into(), &Value::Array(Vec::new())), "{found}");
    let why = json(folder, &["rules", "explain", "--format", "json", "550 5.1.1 User unknown"]);
    assert_eq!((&why["rule"], &why["reason"]), (&"own.unknown".into(), &"mailbox_inactive".into()), "the rules of this folder: {why}");
    assert_eq!(json(folder, &["classify", "--format", "json", "bounce.eml"])["recipients"][0]["recipient"], GONE);
    assert_eq!(json(folder, &["evaluate", "labels.jsonl", "--format", "json"])["total"]["messages"], 1);
    let unreached = run(folder, &["sources", "test", "nobody", "--format", "json"]);
    assert_eq!((unreached.status.code(), unreached.stdout.len()), (Some(1), 0), "an error is no result: {unreached:?}");
}

#[test]
fn in_the_wrong_folder_nobody_is_told_that_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for arguments in [&["why", GONE][..], &["erase", GONE, "--yes"], &["check", "acme", GONE], &["keys", "list"], &["outbox"]] {
        let output = run(folder, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(78) && told.contains("rebound.db is not there") && told.contains("--config"), "{output:?}");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "{arguments:?} makes nothing");
    }
    let doctor = run(folder, &["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("there is no rebound.toml here"), "{told}");
    let named = tempfile::tempdir().unwrap();
    std::fs::write(named.path().join("rebound.toml"), "[database]\nurl = \"sqlite://rebound.db?mode=rwc\"\n").unwrap();
    assert_eq!(run(named.path(), &["why", GONE]).status.code(), Some(0), "it is named, if by its default");
    assert_eq!(run(folder, &["migrate"]).status.code(), Some(0), "whoever means it says so");
    let output = run(folder, &["why", GONE]);
    assert_eq!((output.status.code(), output.stdout.starts_with(GONE.as_bytes())), (Some(0), true), "{output:?}");
}

#[test]
fn without_the_database_every_command_says_come_again() {
    let folder = configured("postgres://rebound@127.0.0.1:1/rebound");
    for arguments in [&["why", GONE][..], &["check", "acme.weekly", GONE, "--exit-code"], &["keys", "list"], &["migrate"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(75), "{arguments:?}: neither a yes nor a no: {output:?}");
    }
}

#[tokio::test]
async fn whoever_mistypes_a_list_is_told_where_they_stand() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    let output = run(folder.path(), &["check", "acme.weekl", GONE]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("\"acme.weekl\"") && told.contains("`rebound lists list`"), "{told}");
}

#[test]
fn whoever_mistypes_a_word_is_told_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["keys", "create", "ann", "--scope", "reed"][..], "read, write, ingest, admin"),
        (&["export", "--list", "acme", "--format", "xml"], "csv, ndjson, ses, sendgrid"),
        (&["import", "list.csv", "--list", "acme", "--cause", "bounced"], "hard, soft, complaint"),
    ] {
        let output = run(folder.path(), arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(words), "{told}");
    }
}
