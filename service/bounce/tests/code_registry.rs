//! The registry of codes as a whole: every row is found, and a report that has nothing but the code is judged as the row
//! says.

use bounce::classify::classify;
use bounce::classify::codes::{Code, Disposition, codes};
use bounce::classify::reason::{Fault, Reason};
use bounce::classify::rules::Rules;
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;

/// A code that the row stands for, where the row is a range or a wildcard.
fn example(code: &str) -> String {
    if let Some((first, _)) = code.split_once("..") {
        return first.to_owned();
    }
    match code {
        "2.x.x" | "4.x.x" | "5.x.x" => code.replace('x', "9"),
        // A detail number that no row and no range of the table has.
        _ if code.contains('.') => code.replace('x', "444"),
        "50x" => "507".to_owned(),
        _ => code.replace("xx", "69"),
    }
}

fn report(code: &Code) -> Report {
    let mut report = Report::new(Kind::Bounce, None);
    let example = example(&code.code);
    report.status = example.parse().ok();
    report.reply = example.parse().ok();
    report
}

#[test]
fn a_bare_code_is_judged_as_its_row_says() {
    let mut judged = 0;
    for code in codes().all() {
        let report = report(code);
        assert_eq!(codes().find(&example(&code.code)).map(|it| &it.code), Some(&code.code));
        // What is no failure has no verdict; numbers below 200 and above 599 are no replies, and only looked up.
        let (Some(reason), true) = (code.reason, report.status.is_some() || report.reply.is_some()) else { continue };
        let verdict = classify(&report, Rules::builtin());
        let bounce_type = if code.disposition == Disposition::Hard { BounceType::Hard } else { BounceType::Soft };
        assert_eq!((verdict.reason, verdict.bounce_type), (Some(reason), Some(bounce_type)), "{} by {}", code.code, verdict.rule.0);
        judged += 1;
    }
    assert_eq!(judged, 305);
}

#[test]
fn a_block_of_the_table_is_the_fault_of_the_sender_or_no_strike() {
    let blocked = codes().all().iter().filter(|it| it.disposition == Disposition::Block);
    for code in blocked {
        let fault = code.reason.map(Reason::fault);
        let blames = matches!(fault.map(Fault::as_str), Some("recipient" | "mailbox"));
        assert!(!blames, "{} blames the address", code.code);
    }
}

#[test]
fn every_row_has_words_for_people() {
    for code in codes().all() {
        let empty = [&code.name, &code.source, &code.explanation, &code.advice].iter().any(|it| it.is_empty());
        assert!(!empty, "{}", code.code);
    }
}
