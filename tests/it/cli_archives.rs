//! `rebound ingest` on archives: all of it, however often it is interrupted, and nothing of it where it is only to be looked at.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use harness::{TestDatabase, eventually, rebound};
use serde_json::Value;
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const FROM: &str = "From MAILER-DAEMON Mon Jan  5 10:00:00 2026\n";
const MESSAGES: usize = 400;

fn configured(database: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{database}\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n\
         [[list]]\nname = \"acme.weekly\"\n[[source]]\nname = \"bounces\"\nprovider = \"mime\"\nlist = \"acme.weekly\"\n"
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    folder
}

fn bounce(number: usize) -> String {
    BOUNCE.replace("jane@corp.example", &format!("person{number}@example.org"))
}

fn mbox(folder: &Path, messages: usize) {
    let text = (0..messages).fold(String::new(), |text, it| text + FROM + &bounce(it) + "\n");
    std::fs::write(folder.join("archive.mbox"), text).unwrap();
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut program = rebound();
    program.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn suppressed(folder: &Path, messages: usize) -> usize {
    let people: Vec<String> = (0..messages).map(|it| format!("person{it}@example.org")).collect();
    let mut asked = vec!["check", "--list", "acme.weekly", "--format", "json"];
    asked.extend(people.iter().map(String::as_str));
    let answer = run(folder, &asked);
    String::from_utf8_lossy(&answer.stdout).lines().filter(|it| it.contains("\"suppressed\":true")).count()
}

#[tokio::test]
async fn what_is_killed_goes_on_where_it_was() {
    let database = TestDatabase::postgres().await;
    let folder = configured(database.url());
    mbox(folder.path(), MESSAGES);
    let arguments = ["ingest", "--source", "bounces", "--resume", "journal", "--format", "json", "archive.mbox"];
    let noted = || std::fs::read_to_string(folder.path().join("journal")).unwrap_or_default().lines().count();
    let mut child = command(folder.path(), &arguments).spawn().unwrap();
    eventually("some of it is noted", || async { noted() > 20 }).await;
    child.kill().unwrap();
    child.wait().unwrap();

    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let second = summary(&output);
    let count = |it: &Value, key: &str| usize::try_from(it[key].as_u64().unwrap()).unwrap();
    assert!(count(&second, "done_before") >= 20, "{second}");
    assert_eq!(count(&second, "messages") + count(&second, "done_before"), MESSAGES, "{second}");
    assert_eq!(suppressed(folder.path(), MESSAGES), MESSAGES);

    let third = summary(&run(folder.path(), &arguments));
    assert_eq!((count(&third, "messages"), count(&third, "done_before")), (0, MESSAGES), "{third}");
    // Without the journal each is a copy, and counts as one.
    let again = summary(&run(folder.path(), &["ingest", "--source", "bounces", "--format", "json", "archive.mbox"]));
    assert_eq!((again["status"]["duplicate"].as_u64(), again["added"].as_u64()), (Some(MESSAGES as u64), Some(0)), "{again}");
}

#[test]
fn a_look_writes_nothing_and_foretells_what_happens() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    mbox(folder.path(), 5);
    std::fs::write(folder.path().join("person0.eml"), bounce(0)).unwrap();
    std::fs::write(folder.path().join("lunch.eml"), "Subject: lunch\n\nAt noon?\n").unwrap();
    assert_eq!(run(folder.path(), &["ingest", "--source", "bounces", "person0.eml"]).status.code(), Some(0));
    let look = ["ingest", "--source", "bounces", "--dry-run", "archive.mbox", "lunch.eml"];

    let output = run(folder.path(), &[&look[..], &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let foretold = summary(&output);
    assert_eq!((foretold["dry_run"].as_bool(), foretold["messages"].as_u64()), (Some(true), Some(6)), "{foretold}");
    assert_eq!((foretold["status"]["recorded"].as_u64(), foretold["status"]["unrecognised"].as_u64()), (Some(5), Some(1)), "{foretold}");
    assert_eq!(foretold["facts"]["user_unknown"].as_u64(), Some(5), "{foretold}");
    assert_eq!(foretold["lists"]["acme"]["newly_suppressed"]["hard"].as_u64(), Some(4), "{foretold}");
    assert_eq!(foretold["lists"]["acme"]["already_suppressed"].as_u64(), Some(1), "{foretold}");
    assert_eq!(suppressed(folder.path(), 5), 1);

    let words = String::from_utf8(run(folder.path(), &look).stdout).unwrap();
    assert!(words.contains("6 messages: 5 recorded, 1 unrecognised") && words.contains("on acme: 4 hard; 1 are already"), "{words}");

    let output = run(folder.path(), &["ingest", "--source", "bounces", "--format", "text", "archive.mbox", "lunch.eml"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.contains("6 messages: 5 recorded, 1 unrecognised") && words.contains("changes of lists: 4 added"), "{words}");
    assert_eq!(suppressed(folder.path(), 5), 5);
}

#[test]
fn a_look_makes_no_database() {
    let folder = configured("sqlite://new.db?mode=rwc");
    mbox(folder.path(), 2);
    let output = run(folder.path(), &["ingest", "--source", "bounces", "--dry-run", "--format", "json", "archive.mbox"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(summary(&output)["lists"]["acme"]["newly_suppressed"]["hard"].as_u64(), Some(2));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn whoever_stops_listening_does_not_stop_it() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    mbox(folder.path(), 40);
    let mut child = command(folder.path(), &["ingest", "--source", "bounces", "archive.mbox"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
    assert_eq!(suppressed(folder.path(), 40), 40);
}

#[test]
fn a_file_that_is_no_list_is_data_that_is_wrong() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    std::fs::write(folder.path().join("empty.csv"), "").unwrap();
    std::fs::write(folder.path().join("photo.csv"), "\u{1}\u{2}no header,no address\n").unwrap();
    for file in ["empty.csv", "photo.csv"] {
        let output = run(folder.path(), &["import", file, "--list", "acme.weekly"]);
        assert_eq!(output.status.code(), Some(65), "{file}: {output:?}");
    }
    let output = run(folder.path(), &["import", "missing.csv", "--list", "acme.weekly"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_check_names_its_list_in_either_way() {
    let database = TestDatabase::sqlite();
    let folder = configured(database.url());
    for arguments in [&["check", "acme.weekly", "a@example.org"][..], &["check", "--list", "acme.weekly", "a@example.org"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a@example.org  clear\n", "{output:?}");
    }
    assert_eq!(run(folder.path(), &["check", "acme.weekly"]).status.code(), Some(2));
}
