//! The 137 rows of the seed coverage table: every code, condition and piece of advice found in the material the project
//! began with, ticked off. A row is held by a verdict, by the registry, by an advice, by another part of the program
//! (`elsewhere`), or it is noise; each says which.

use std::collections::BTreeSet;

use bounce::address::Address;
use bounce::classify::codes::codes;
use bounce::classify::meaning::{self, Meaning};
use bounce::classify::reason::Reason;
use bounce::classify::rules::Rules;
use bounce::classify::{Verdict, classify};
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;
use bounce::status::Stage;

const ROWS: &str = include_str!("data/seed_rows.csv");

type Row = (u16, String, String, String);

fn rows() -> csv::Result<Vec<Row>> {
    csv::Reader::from_reader(ROWS.as_bytes()).into_deserialize().collect()
}

fn verdict(kind: Kind, stage: Option<Stage>, diagnostic: &str) -> Verdict {
    let mut report = Report::new(kind, Address::parse("jane@customer.example").ok());
    report.stage = stage;
    report.diagnostic = Some(diagnostic.to_owned());
    classify(&report, Rules::builtin())
}

fn words(verdict: &Verdict) -> String {
    let words = [verdict.reason.map(Reason::as_str), verdict.bounce_type.map(BounceType::as_str)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What the program says of the input of a row.
fn answer(check: &str, input: &str) -> String {
    let meaning =
        |text: fn(&Meaning) -> &String| input.parse::<Reason>().map_or_else(|err| err.to_string(), |it| text(meaning::of(it)).clone());
    match check {
        "verdict" => words(&verdict(Kind::Bounce, None, input)),
        "delayed" => words(&verdict(Kind::Delayed, None, input)),
        "rcpt_to" => words(&verdict(Kind::Bounce, Some(Stage::RcptTo), input)),
        "mail_from" => words(&verdict(Kind::Bounce, Some(Stage::MailFrom), input)),
        "code" => codes().find(input).map_or_else(String::new, |it| format!("{} {}", it.category, it.disposition)),
        "advice" => meaning(|it| &it.advice),
        "retry" => meaning(|it| &it.retry),
        _ => format!("{check} is no check"),
    }
}

#[test]
fn every_seed_row_holds() {
    let mut wrong = Vec::new();
    for (row, check, input, expected) in rows().unwrap() {
        let holds = match check.as_str() {
            "noise" | "elsewhere" => !input.is_empty() && expected.is_empty(),
            "advice" | "retry" => answer(&check, &input).contains(&expected),
            _ => answer(&check, &input) == expected,
        };
        if !holds {
            wrong.push(format!("row {row}: {check} {input:?} is {:?}, expected {expected:?}", answer(&check, &input)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_seed_row_is_ticked_off() {
    let covered: BTreeSet<u16> = rows().unwrap().iter().map(|it| it.0).collect();
    assert_eq!(covered, (1..=137).collect());
}
