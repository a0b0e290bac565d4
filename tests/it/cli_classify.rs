//! `rebound classify` and `rebound interpret`: one line for each message or post, whatever becomes of the others.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use harness::rebound;
use serde_json::{Value, json};
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const HELLO: &str = "From: jane@example.org\nSubject: hello\n\nHow are you?\n";

/// A folder with a bounce, a mail that is none, and an mbox file with both.
fn mails() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("in/b/bounce.eml", BOUNCE);
    write("in/a.eml", HELLO);
    write("in/c.mbox", &format!("From x Sun Nov 22 10:00:00 2026\n{BOUNCE}\n\nFrom x Sun Nov 22 10:01:00 2026\n{HELLO}\n"));
    folder
}

fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut program = rebound();
    program.current_dir(folder).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    // A program that needs no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

fn paths(output: &Output) -> Vec<String> {
    lines(output).iter().map(|it| format!("{} {}", it["path"].as_str().unwrap(), it["kind"].as_str().unwrap_or("error"))).collect()
}

#[test]
fn every_message_has_its_line_in_the_order_of_names() {
    let folder = mails();
    let output = run(folder.path(), &["classify", "--format", "jsonl", "in", "-"], BOUNCE.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let expected = ["in/a.eml other", "in/b/bounce.eml bounce", "in/c.mbox#1 bounce", "in/c.mbox#2 other", "- bounce"];
    assert_eq!(paths(&output), expected);
    let (file, in_mbox) = (&lines(&output)[1], &lines(&output)[2]);
    assert_eq!(file["recipients"], in_mbox["recipients"]);
    assert_eq!(file["recipients"][0]["reason"], "user_unknown");
    let many = run(folder.path(), &["classify", "--format", "jsonl", "--jobs", "3", "in", "-"], BOUNCE.as_bytes());
    assert_eq!(many.stdout, output.stdout);
}

#[test]
fn what_cannot_be_read_is_a_line_and_a_failure_in_the_end() {
    let folder = mails();
    let output = run(folder.path(), &["classify", "--format", "jsonl", "missing.eml", "in/a.eml"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(paths(&output), ["missing.eml error", "in/a.eml other"]);
    assert!(lines(&output)[0]["error"].as_str().unwrap().contains("No such file"));
}

#[test]
fn text_for_people_says_what_to_do() {
    let output = run(mails().path(), &["classify", "in/b/bounce.eml"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("hard bounce, user_unknown") && text.contains("Stop mailing the address."), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where nobody looks: {text}");
}

#[test]
fn rules_of_an_operator_come_first() {
    let folder = mails();
    let rule = "[[rule]]\nid = \"own.unknown\"\nreason = \"mailbox_inactive\"\nany = [\"user unknown\"]\n\
        sample = \"550 5.1.1 user unknown\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";
    std::fs::write(folder.path().join("own.toml"), rule).unwrap();
    std::fs::write(folder.path().join("rebound.toml"), "[rules]\nfiles = [\"own.toml\"]\n").unwrap();
    let rule_of = |arguments: &[&str]| {
        let output = run(folder.path(), arguments, b"");
        lines(&output)[0]["recipients"][0]["rule"].as_str().unwrap().to_owned()
    };
    let plain = ["classify", "--format", "jsonl", "in/b/bounce.eml"];
    assert_ne!(rule_of(&plain), "own.unknown", "only a configuration that is named counts");
    assert_eq!(rule_of(&[&plain[..], &["--rules", "own.toml"]].concat()), "own.unknown");
    assert_eq!(rule_of(&[&plain[..], &["--config", "rebound.toml"]].concat()), "own.unknown");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = mails();
    // More than a pipe holds.
    for number in 0..600 {
        std::fs::write(folder.path().join(format!("in/{number}.eml")), BOUNCE).unwrap();
    }
    let mut program = rebound();
    program.current_dir(folder.path()).args(["classify", "--format", "jsonl", "in"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn wrong_arguments_and_wrong_configuration_have_codes_of_their_own() {
    let folder = mails();
    std::fs::write(folder.path().join("bad.toml"), "[http]\nlisten = 1\n").unwrap();
    assert_eq!(run(folder.path(), &["classify"], b"").status.code(), Some(2));
    assert_eq!(run(folder.path(), &["classify", "--config", "bad.toml", "in"], b"").status.code(), Some(78));
    let output = run(folder.path(), &["config", "check", "--config", "bad.toml"], b"");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("http.listen"), "{output:?}");
    assert_eq!(run(folder.path(), &["classify", "--rules", "bad.toml", "in"], b"").status.code(), Some(1));
}

#[test]
fn posts_are_interpreted_line_by_line() {
    let bounce = "From: MAILER-DAEMON@example.net\n\nhello\n";
    let post = |id: &str, bearer: &str| {
        json!({
            "id": id, "source": { "provider": "mime", "bearer": ["secret"] }, "method": "POST", "url": "https://hooks.example/x",
            "headers": { "Authorization": format!("Bearer {bearer}"), "Content-Type": "text/plain" },
            "body_b64": data_encoded(bounce), "at": 1_767_225_600,
        })
    };
    let cases = format!("{}\n\n{}\n", post("1", "secret"), post("2", "wrong"));
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["interpret", "-"], cases.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answers: Vec<Value> = lines(&output).iter().map(|it| json!([it["id"], it["status"], it["events"]])).collect();
    assert_eq!(answers, [json!(["1", 200, []]), json!(["2", 401, []])]);
    let output = run(folder.path(), &["interpret", "-"], format!("nonsense\n{}\n", post("3", "secret")).as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(lines(&output)[0]["error"].is_string() && lines(&output)[1]["status"] == 200, "{output:?}");
}

/// Base64 (RFC 4648 section 4) of an ASCII text.
fn data_encoded(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |it: &[u8]| {
        let bits = it.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, it| bits << 8 | usize::from(*it));
        (0..4).map(move |at| if at <= it.len() { char::from(LETTERS[bits >> (18 - 6 * at) & 63]) } else { '=' }).collect::<String>()
    };
    text.as_bytes().chunks(3).map(three).collect()
}
