//! `rebound evaluate`: figures over labels of our own, and the comparison of two runs.

use std::path::Path;
use std::process::Output;

use harness::rebound;
use serde_json::Value;
use tempfile::TempDir;

/// A bounce of two recipients, a complaint, and a mail of which nothing may be claimed.
const LABELS: &str = r#"
{"id": "two", "path": "postfix/alias-expanded.eml", "source": "bounces", "expected": [{"recipient": "anna@corp.example", "disposition": "hard", "status": "5.1.1", "reason": "user_unknown", "reasons_accept": [], "cat": "user"}, {"recipient": "karl@corp.example", "disposition": "soft", "status": "5.2.2", "cat": "full"}]}
{"id": "none/human.eml", "source": "other", "expected": []}
{"id": "arf/abuse.eml", "source": "other", "expected": [{"recipient": "jane@corp.example", "disposition": "complaint", "status": null, "cat": "complaint"}]}
"#;

/// A rule that takes a full mailbox for an address that is gone.
const RULE: &str = "[[rule]]\nid = \"own.quota\"\nreason = \"user_unknown\"\nany = [\"quota exceeded\"]\n\
    sample = \"552 5.2.2 quota exceeded\"\nsource = \"a mistake\"\nseen = \"2026-11-22\"\n";

fn folder(labels: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("labels.jsonl"), labels).unwrap();
    std::fs::write(folder.path().join("own.toml"), RULE).unwrap();
    folder
}

fn evaluate(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = output(folder, arguments);
    (status.code(), [stdout, stderr].map(|it| String::from_utf8(it).unwrap()).concat())
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mails = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut program = rebound();
    program.current_dir(folder).args(["evaluate", "labels.jsonl", "--messages", mails]).args(arguments);
    program.output().unwrap()
}

#[test]
fn whoever_takes_the_run_as_json_is_told_beside_it_why_it_failed() {
    let missing = r#"{"id": "a", "path": "missing.eml", "expected": []}"#;
    let folder = folder(&format!("{LABELS}{missing}\n"));
    assert_eq!(evaluate(folder.path(), &["--json", "first.json"]).0, Some(1));
    let output = output(folder.path(), &["--rules", "own.toml", "--baseline", "first.json", "--format", "json"]);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &run["total"]["messages"]), (Some(1), &3.into()), "{told}");
    assert!(told.contains("worse: two") && told.contains("1 messages could not be read"), "{told}");
}

#[test]
fn a_set_is_measured_and_two_runs_are_compared() {
    let folder = folder(LABELS);
    let (code, text) = evaluate(folder.path(), &["--json", "first.json", "--failing"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 messages, 3 recipients") && text.contains("0 of 3 messages are not right"), "{text}");
    let run: Value = serde_json::from_str(&std::fs::read_to_string(folder.path().join("first.json")).unwrap()).unwrap();
    assert_eq!((&run["total"]["found"], &run["sources"]["other"]["negatives_right"]), (&3.into(), &1.into()));

    let (code, text) = evaluate(folder.path(), &["--rules", "own.toml", "--json", "second.json", "--baseline", "first.json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("1 worse, 0 better") && text.contains("worse: two\n  karl@corp.example: hard, expected soft\n"), "{text}");
    assert!(text.contains("wrongly suppressed  0.00 %    →  33.33 %"), "{text}");

    let (code, text) = evaluate(folder.path(), &["--baseline", "second.json"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 worse, 1 better") && text.contains("better: two\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where nobody looks: {text}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let missing = r#"{"id": "a", "path": "missing.eml", "expected": []}"#;
    let (code, text) = evaluate(folder(missing).path(), &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("1 messages could not be read") && text.contains("No such file"), "{text}");
    let (code, text) = evaluate(folder("{\"id\": \"none/human.eml\"}\nnonsense\n").path(), &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("labels.jsonl: line 2: "), "{text}");
    let (code, text) = evaluate(folder(LABELS).path(), &["--baseline", "own.toml"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("own.toml is not a run written by --json"), "{text}");
}
