//! Reads every mail of `tests/corpus` and compares what was understood with the expectation beside it. Each is read with
//! LF, CRLF and bare CR as line end. `UPDATE=1` rewrites the expectations; look at the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

use bounce::address::Address;
use bounce::kind::Kind;
use bounce::mail::Mail;
use bounce::report::{self, Reading, Report};
use serde_json::{Map, Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");

#[test]
fn every_mail_reads_as_expected_with_any_line_end() {
    #[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
    let update = std::env::vars_os().any(|(name, _)| name == "UPDATE");
    let mut wrong = Vec::new();
    for path in mails() {
        let lf = fs::read(&path).unwrap();
        assert!(!lf.contains(&b'\r'), "{} is stored with LF", path.display());
        let crlf = with_line_ends(&lf, b"\r\n");
        let cr = with_line_ends(&lf, b"\r");
        let expectation = path.with_extension("json");
        if update {
            let read = shown(&report::read(&Mail::parse(&lf)));
            fs::write(&expectation, format!("{}\n", serde_json::to_string_pretty(&read).unwrap())).unwrap();
        }
        let expected: Value = fs::read(&expectation).map_or(Value::Null, |it| serde_json::from_slice(&it).unwrap());
        for (name, raw) in [("LF", &lf), ("CRLF", &crlf), ("CR", &cr)] {
            let read = shown(&report::read(&Mail::parse(raw)));
            if read != expected {
                wrong.push(format!("{} ({name})\n--- expected {expected:#}\n--- read {read:#}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} readings differ; UPDATE=1 accepts them\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn mail_that_is_no_report_claims_nothing() {
    let claims = [Kind::Bounce, Kind::Delayed, Kind::Delivered, Kind::Complaint, Kind::Unsubscribe, Kind::Suppressed, Kind::Rejected];
    let none = Path::new(ROOT).join("none");
    for path in mails().into_iter().filter(|it| it.starts_with(&none)) {
        let raw = fs::read(&path).unwrap();
        let reading = report::read(&Mail::parse(&raw));
        assert!(reading.reports.iter().all(|it| !claims.contains(&it.kind)), "{}: {:?}", path.display(), reading.kind);
    }
}

#[test]
fn no_folder_is_empty_and_no_expectation_stands_alone() {
    for folder in folders() {
        let files: Vec<PathBuf> = files(&folder);
        assert!(files.iter().any(|it| it.extension().is_some_and(|it| it == "eml")), "{} holds no mail", folder.display());
        for file in files {
            assert!(file.with_extension("eml").exists(), "{} stands alone", file.display());
        }
    }
}

fn folders() -> Vec<PathBuf> {
    files(Path::new(ROOT)).into_iter().filter(|it| it.is_dir()).collect()
}

fn mails() -> Vec<PathBuf> {
    folders().iter().flat_map(|it| files(it.as_path())).filter(|it| it.extension().is_some_and(|it| it == "eml")).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = read.filter_map(Result::ok).map(|it| it.path()).collect();
    files.sort();
    files
}

fn with_line_ends(raw: &[u8], end: &[u8]) -> Vec<u8> {
    raw.split(|it| *it == b'\n').collect::<Vec<_>>().join(end)
}

/// What was understood, without what is absent.
fn shown(reading: &Reading) -> Value {
    let notes: Vec<&str> = reading.notes.iter().map(|it| it.0.as_str()).collect();
    let recipients: Vec<Value> = reading.reports.iter().map(recipient).collect();
    let mut shown = json!({ "kind": reading.kind, "dialect": reading.dialect, "recipients": recipients });
    if !notes.is_empty() {
        shown["notes"] = json!(notes);
    }
    shown
}

fn recipient(report: &Report) -> Value {
    let all = json!({
        "kind": report.kind,
        "recipient": report.recipient.as_ref().map(Address::expose),
        "original_recipient": report.original_recipient,
        "final_recipient": report.final_recipient,
        "action": report.action,
        "status": report.status.map(|it| it.to_string()),
        "reply": report.reply.map(bounce::status::SmtpReply::code),
        "stage": report.stage,
        "diagnostic_type": report.diagnostic_type,
        "diagnostic": report.diagnostic,
        "text": report.text,
        "reporting_mta": report.reporting_mta,
        "remote_mta": report.remote_mta,
        "occurred_at": report.occurred_at.map(|it| it.to_string()),
        "retry_until": report.retry_until.map(|it| it.to_string()),
        "feedback_type": report.feedback_type,
        "message_id": report.message_id,
        "envelope_id": report.envelope_id,
        "provider_message_id": report.provider_message_id,
        "provider_event_id": report.provider_event_id,
        "list_id": report.hints.list_id,
    });
    let Value::Object(all) = all else { unreachable!("json! of braces is an object") };
    Value::Object(all.into_iter().filter(|it| !it.1.is_null()).collect::<Map<_, _>>())
}

/// A field that names somebody unreadable must not be read as whomever a piece of it names.
#[test]
fn a_broken_recipient_never_becomes_somebody_else() {
    let mail = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bounce.eml")).unwrap();
    let mail = String::from_utf8(mail).unwrap();
    for broken in ["nu\0ll@corp.example", "nu\u{1}ll@corp.example", "a b@corp.example", "a,b@corp.example", "a;b@corp.example"]
        .into_iter()
        .chain(["a@b@corp.example", "jane@corp.exam\0ple", "jane@corp.example\0.evil", "nu\u{7f}ll@corp.example"])
    {
        let mail = mail.replace("jane@corp.example", broken);
        let reading = report::read(&Mail::parse(mail.as_bytes()));
        assert_eq!((reading.kind, reading.reports.len()), (Kind::Other, 0), "{broken:?}: {:?}", reading.reports);
        assert!(!reading.notes.is_empty(), "{broken:?}");
    }
}
