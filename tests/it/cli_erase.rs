//! `rebound erase`: says what it would do, and does nothing unless somebody agrees.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

fn configured(database: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{database}\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n\
         [[list]]\nname = \"acme.weekly\"\n[[source]]\nname = \"bounces\"\nprovider = \"mime\"\nbearer = [\"x\"]\nlist = \"acme.weekly\"\n"
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    std::fs::write(folder.path().join("bounce.eml"), BOUNCE).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rebound().current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn nothing_is_erased_until_somebody_agrees() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(database.url());
        let is_blocked = || run(folder.path(), &["check", "acme.weekly", GONE, "--exit-code"]).status.code() == Some(1);
        assert!(run(folder.path(), &["ingest", "--source", "bounces", "bounce.eml"]).status.success());
        let asked = run(folder.path(), &["erase", GONE]);
        assert_eq!(asked.status.code(), Some(1), "{asked:?}");
        let said = text(&asked.stderr);
        assert!(said.contains("1 receipts would lose their raw bytes.") && said.contains("give --yes"), "{said}");

        let done = run(folder.path(), &["erase", GONE, "--yes", "--format", "json"]);
        let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(
            (done.status.code(), &said["receipts"], &said["standing"][0]["cause"]),
            (Some(0), &1.into(), &"hard".into()),
            "{done:?}"
        );
        assert!(is_blocked());
        let forgotten = run(folder.path(), &["erase", GONE, "--yes", "--forget-block"]);
        assert!(text(&forgotten.stdout).contains("is gone"), "{forgotten:?}");
        assert!(!is_blocked());
        assert_eq!(run(folder.path(), &["erase", "no address"]).status.code(), Some(65));
    }
}
