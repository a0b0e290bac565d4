//! Refusals as servers word them, in a dozen languages: what each means, and whether it speaks against the address. A
//! wording that was once misread comes here.

use bounce::address::Address;
use bounce::classify::classify;
use bounce::classify::reason::Reason;
use bounce::classify::rules::Rules;
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;

const ROWS: &str = include_str!("data/wordings.csv");
const REFUSALS: &str = include_str!("data/refusals.csv");

#[test]
fn every_wording_is_understood() {
    let mut wrong = Vec::new();
    for record in csv::Reader::from_reader(ROWS.as_bytes()).into_deserialize() {
        let (diagnostic, reason, bounce_type): (String, String, String) = record.unwrap();
        let mut report = Report::new(Kind::Bounce, Address::parse("jane@example.com").ok());
        report.diagnostic = Some(diagnostic.clone());
        let verdict = classify(&report, Rules::builtin());
        let found = (verdict.reason.map_or("", Reason::as_str), verdict.bounce_type.map_or("", BounceType::as_str));
        if found != (reason.as_str(), bounce_type.as_str()) {
            wrong.push(format!("{diagnostic:?} is {found:?} by {}, expected ({reason}, {bounce_type})", verdict.rule.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same of receivers and programs that are known by their host or their words.
#[test]
fn every_refusal_is_understood() {
    let mut wrong = Vec::new();
    for record in csv::Reader::from_reader(REFUSALS.as_bytes()).into_deserialize() {
        let (remote, diagnostic, reason, bounce_type): (String, String, String, String) = record.unwrap();
        let mut report = Report::new(Kind::Bounce, Address::parse("jane@example.com").ok());
        report.remote_mta = Some(remote).filter(|it| !it.is_empty());
        report.diagnostic = Some(diagnostic.clone());
        let verdict = classify(&report, Rules::builtin());
        let found = (verdict.reason.map_or("", Reason::as_str), verdict.bounce_type.map_or("", BounceType::as_str));
        if found != (reason.as_str(), bounce_type.as_str()) {
            wrong.push(format!("{diagnostic:?} is {found:?} by {}, expected ({reason}, {bounce_type})", verdict.rule.0));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}
