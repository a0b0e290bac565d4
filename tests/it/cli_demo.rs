//! `rebound demo`: the first command of the README. It needs nothing, leaves nothing behind and reads well.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use harness::{Visitor, rebound};
use tempfile::TempDir;

/// A folder with a configuration that would stop any other command, and one for temporary files.
fn folders() -> (TempDir, TempDir) {
    let (work, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(work.path().join("rebound.toml"), "nonsense = true\n").unwrap();
    (work, temporary)
}

fn demo(work: &TempDir, temporary: &TempDir) -> Command {
    let mut program = rebound();
    program.current_dir(work.path()).env("TMPDIR", temporary.path()).env("REBOUND__HTTP__LISTEN", "nonsense").arg("demo");
    program
}

fn leftovers(folder: &TempDir) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect()
}

#[test]
fn the_tour_comes_out_as_it_should_and_leaves_nothing_behind() {
    let (work, temporary) = folders();
    let output = demo(&work, &temporary).arg("--once").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("Every step came out as it should.\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where nobody looks: {text}");
    let long: Vec<&str> = text.lines().filter(|it| it.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:?}");
    assert_eq!(leftovers(&temporary), Vec::<std::ffi::OsString>::new());
    assert_eq!(leftovers(&work), ["rebound.toml"]);
}

#[tokio::test]
async fn it_stays_up_to_be_tried_until_it_is_told_to_stop() {
    let (work, temporary) = folders();
    let mut child = demo(&work, &temporary).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("URL=") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended before its time");
    }
    let (url, key) = line.trim().trim_start_matches("URL=").split_once(" KEY=").unwrap();
    let client = reqwest::Client::new();
    let said = "550 5.7.26 Unauthenticated email is not accepted";
    let mut answers = Vec::new();
    for request in [
        client.get(format!("{url}/v1/check?list=demo.news&address=grace@example.com")),
        client.get(format!("{url}/v1/addresses/grace@example.com")),
        client.delete(format!("{url}/v1/lists/demo/suppressions/grace@example.com")),
        client.get(format!("{url}/v1/check?list=demo.news&address=grace@example.com")),
        client.post(format!("{url}/v1/diagnose")).header("content-type", "text/plain").body(said),
    ] {
        let answer = request.bearer_auth(key).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answers.push(answer.text().await.unwrap());
    }
    let is_suppressed = |answer: &String| answer.contains("\"cause\":\"hard\"");
    assert!(is_suppressed(&answers[0]) && !is_suppressed(&answers[3]), "{answers:?}");
    assert!(answers[4].contains("auth_failure"), "{answers:?}");
    // The key opens all of the console, what takes the scope admin included.
    let visitor = Visitor::sign_in(url, key).await;
    let place = visitor.post("/console/address", &[("address", "anna.berger@example.com")]).await.location;
    visitor.get(&place).await.assert_says(&["suppressed hard", "Raw message", "Erase this address"]);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    output.read_to_string(&mut line).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(leftovers(&temporary), Vec::<std::ffi::OsString>::new());
}
