//! What single receivers mean by their words: every row of the reference's table of receiver patterns, as a reply that
//! such a receiver gives, with the reason and the type that a final report of it must have.

use std::collections::BTreeSet;

use bounce::address::Address;
use bounce::classify::classify;
use bounce::classify::reason::Reason;
use bounce::classify::rules::Rules;
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;

const ROWS: &str = include_str!("data/receiver_patterns.csv");

/// Says where the reply stands in a report of another mail server, and classifies nothing itself.
const NOT_A_REFUSAL: [u16; 1] = [36];

fn report(remote_mta: &str, diagnostic: &str) -> Report {
    let mut report = Report::new(Kind::Bounce, Address::parse("jane@customer.example").ok());
    report.remote_mta = Some(remote_mta.to_owned());
    report.diagnostic_type = Some("smtp".to_owned());
    report.diagnostic = Some(diagnostic.to_owned());
    report
}

#[test]
fn every_receiver_is_understood_in_its_own_words() {
    let mut wrong = Vec::new();
    for record in csv::Reader::from_reader(ROWS.as_bytes()).into_deserialize() {
        let (row, remote_mta, diagnostic, reason, bounce_type): (u16, String, String, String, String) = record.unwrap();
        let verdict = classify(&report(&remote_mta, &diagnostic), Rules::builtin());
        let found = (verdict.reason.map_or("", Reason::as_str), verdict.bounce_type.map_or("", BounceType::as_str));
        if found != (reason.as_str(), bounce_type.as_str()) {
            wrong.push(format!("row {row}: {diagnostic:?} is {found:?} by {}, expected ({reason}, {bounce_type})", verdict.rule.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_is_covered() {
    let rows = csv::Reader::from_reader(ROWS.as_bytes()).into_deserialize::<(u16, String, String, String, String)>();
    let mut covered: BTreeSet<u16> = rows.map(|it| it.unwrap().0).collect();
    covered.extend(NOT_A_REFUSAL);
    assert_eq!(covered, (1..=218).collect());
}
