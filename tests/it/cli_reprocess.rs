//! `rebound reprocess`: shows what other rules would change, changes it when told to, and no release is undone by it.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use serde_json::Value;
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";
/// The receiver's words mean something else to this operator.
const RULE: &str = "[[rule]]\nid = \"own.block\"\nreason = \"spam_content\"\nany = [\"user unknown\"]\n\
    sample = \"550 5.1.1 user unknown\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";

fn configured(database: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bounce.eml"), BOUNCE).unwrap();
    std::fs::write(folder.path().join("own.toml"), RULE).unwrap();
    for (name, rules) in [("rebound.toml", ""), ("other.toml", "[rules]\nfiles = [\"own.toml\"]\n")] {
        let config = format!(
            "{rules}[database]\nurl = \"{database}\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n\
             [[list]]\nname = \"acme.weekly\"\n[[source]]\nname = \"bounces\"\nprovider = \"mime\"\nbearer = [\"x\"]\nlist = \"acme.weekly\"\n"
        );
        std::fs::write(folder.path().join(name), config).unwrap();
    }
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rebound().current_dir(folder).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn what_it_shows_is_what_it_does() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(database.url());
        let is_blocked = || run(folder.path(), &["check", "acme.weekly", GONE, "--exit-code"]).status.code() == Some(1);
        let again = |arguments: &[&str]| json(&run(folder.path(), &[&["reprocess", "--format", "json"], arguments].concat()));
        assert!(run(folder.path(), &["ingest", "--source", "bounces", "bounce.eml"]).status.success());
        assert!(is_blocked());

        let same = again(&[]);
        assert_eq!(
            (&same["receipts_read"], &same["events_changed"], &same["suppressions"]),
            (&1.into(), &0.into(), &Value::Array(vec![])),
            "{same}"
        );

        let shown = again(&["--config", "other.toml"]);
        assert_eq!((&shown["applied"], &shown["events_changed"]), (&false.into(), &1.into()), "{shown}");
        let one = &shown["suppressions"][0];
        assert_eq!(
            (&one["difference"], &one["address"], &one["before"]["reason"]),
            (&"vanishes".into(), &GONE.into(), &"user_unknown".into())
        );
        assert!(is_blocked(), "a look changes nothing");
        let text = run(folder.path(), &["reprocess", "--config", "other.toml"]);
        assert!(String::from_utf8_lossy(&text.stdout).contains("0 suppressions appear, 1 vanish, 0 change."), "{text:?}");

        let nobodys = again(&["--config", "other.toml", "--apply", "--source", "another"]);
        assert_eq!((&nobodys["receipts_read"], is_blocked()), (&0.into(), true));
        let mut done = again(&["--config", "other.toml", "--apply", "--rule", "none.such"]);
        assert_eq!((&done["receipts_read"], is_blocked()), (&0.into(), true));
        done = again(&["--config", "other.toml", "--apply", "--since", "1d", "--state", "processed"]);
        assert_eq!((&done["applied"], &done["suppressions"]), (&true.into(), &shown["suppressions"]));
        assert!(!is_blocked());

        let back = again(&["--apply", "--rule", "own.block"]);
        assert_eq!(back["suppressions"][0]["difference"], "appears", "{back}");
        assert!(is_blocked());
    }
}
