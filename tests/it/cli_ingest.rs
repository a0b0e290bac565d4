//! `rebound ingest`: the exit code is the answer to a mail server, so 0 means committed and 75 means come again.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use harness::{Proxy, TestDatabase, rebound};
use serde_json::Value;
use tempfile::TempDir;

/// Has no date, so what it says happened when it came in.
const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

/// A folder with a configuration for that database.
fn configured(database: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{database}\"\nacquire_timeout = \"2s\"\n\
         [identity]\npepper = \"a pepper that only this test knows about\"\n\
         [[list]]\nname = \"acme.weekly\"\n[[list]]\nname = \"acme.daily\"\n\
         [[source]]\nname = \"bounces\"\nprovider = \"mime\"\nbearer = [\"x\"]\nlist = \"acme.weekly\"\n\
         [[source]]\nname = \"ses\"\nprovider = \"ses\"\ntopic_arns = [\"arn:aws:sns:eu-west-1:111122223333:x\"]\nlist = \"acme.weekly\"\n"
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    std::fs::write(folder.path().join("bounce.eml"), BOUNCE).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut program = rebound();
    program.current_dir(folder).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let lines = String::from_utf8_lossy(&output.stdout);
    let lines = lines.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    lines.map(|it| (text(&it["path"]), text(&it["status"]))).collect()
}

fn pair(path: &str, status: &str) -> (String, String) {
    (path.to_owned(), status.to_owned())
}

#[tokio::test]
async fn a_piped_message_is_committed_before_the_program_ends_well() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(database.url());
        let check = |list: &str| run(folder.path(), &["check", list, GONE, "--exit-code"], "").status.code();
        assert_eq!(check("acme.weekly"), Some(0));

        let output = run(folder.path(), &["ingest", "--source", "bounces", "-"], BOUNCE);
        assert_eq!((output.status.code(), told(&output)), (Some(0), vec![pair("-", "recorded")]), "{output:?}");
        assert_eq!(check("acme.weekly"), Some(1));

        let output = run(folder.path(), &["ingest", "--source", "bounces", "bounce.eml"], "");
        assert_eq!((output.status.code(), told(&output)), (Some(0), vec![pair("bounce.eml", "duplicate")]), "{output:?}");
        let quiet = run(folder.path(), &["ingest", "--source", "bounces", "-q"], BOUNCE);
        assert_eq!((quiet.status.code(), quiet.stdout.len(), quiet.stderr.len()), (Some(0), 0, 0), "{quiet:?}");
    }
}

// Several threads: the wire has to work while the program is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_asks_the_mail_server_to_come_again() {
    let database = TestDatabase::postgres().await;
    let wire = Proxy::refusing(database.url());
    let folder = configured(wire.url());
    for arguments in [["ingest", "--source", "bounces", "-"], ["ingest", "--source", "bounces", "bounce.eml"]] {
        let output = run(folder.path(), &arguments, BOUNCE);
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with("rebound: ") && !error.contains('@'), "{error}");
    }
    wire.resume();
    let output = run(folder.path(), &["ingest", "--source", "bounces", "-"], BOUNCE);
    assert_eq!((output.status.code(), told(&output)), (Some(0), vec![pair("-", "recorded")]), "{output:?}");
}

#[test]
fn a_mistake_of_ours_keeps_the_mail_in_the_queue() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    for source in ["nobody", "ses"] {
        assert_eq!(run(folder.path(), &["ingest", "--source", source, "-"], BOUNCE).status.code(), Some(75));
        assert_eq!(run(folder.path(), &["ingest", "--source", source, "bounce.eml"], "").status.code(), Some(1));
    }
    std::fs::write(folder.path().join("rebound.toml"), "[http]\nlisten = 1\n").unwrap();
    assert_eq!(run(folder.path(), &["ingest", "--source", "bounces", "-"], BOUNCE).status.code(), Some(75));
    assert_eq!(run(folder.path(), &["ingest", "--source", "bounces", "bounce.eml"], "").status.code(), Some(78));
    assert_eq!(run(folder.path(), &["ingest"], BOUNCE).status.code(), Some(2));
}

#[test]
fn what_is_no_message_is_told_and_costs_the_others_nothing() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    std::fs::write(folder.path().join("empty.eml"), " \n").unwrap();
    let output = run(folder.path(), &["ingest", "--source", "bounces", "empty.eml", "bounce.eml"], "");
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert_eq!(told(&output), [pair("empty.eml", "failed"), pair("bounce.eml", "recorded")]);
    let output = run(folder.path(), &["ingest", "--source", "bounces", "missing.eml", "bounce.eml"], "");
    assert_eq!((output.status.code(), told(&output)), (Some(66), vec![pair("missing.eml", "failed"), pair("bounce.eml", "duplicate")]));
}

#[test]
fn a_list_that_is_named_takes_the_place_of_the_sources() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    let output = run(folder.path(), &["ingest", "--source", "bounces", "--list", "acme.daily", "-"], BOUNCE);
    assert_eq!((output.status.code(), told(&output)), (Some(0), vec![pair("-", "recorded")]), "{output:?}");
    let output = run(folder.path(), &["ingest", "--source", "bounces", "--list", "nobody", "bounce.eml"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
