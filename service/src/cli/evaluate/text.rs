//! What `rebound evaluate` prints: the figures, together and for each part of the set, what was taken for what, what is
//! wrong with which message, and what has changed since an earlier run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use bounce::evaluate::{Comparison, Evaluation, Outcome, Tally};

use crate::cli::page::{BAD, BOLD, GOOD, HEAD, plain, styled};
use crate::cli::table::table;

/// What the counts call a recipient that was not found.
const MISSING: &str = "missing";

/// A rate and what it was made of.
struct Figure {
    name: &'static str,
    /// Head of its column, where there is little room.
    short: &'static str,
    rate: Option<f64>,
    part: u32,
    whole: u32,
}

/// The figures of a tally.
fn figures(it: &Tally) -> [Figure; 7] {
    let reported = it.found + it.extra;
    let figure = |name, short, rate, part, whole| Figure { name, short, rate, part, whole };
    [
        figure("precision", "PRECISION", it.precision(), it.found, reported),
        figure("recall", "RECALL", it.recall(), it.found, it.due),
        figure("hard or soft", "HARD/SOFT", it.outcome(), it.outcome_right, it.due),
        figure("status", "STATUS", it.status(), it.status_right, it.status_due),
        figure("reason", "REASON", it.reason(), it.reason_right, it.reason_due),
        figure("coarse reason", "COARSE", it.coarse_reason(), it.coarse_right, it.coarse_due),
        figure("wrongly suppressed", "WRONGLY", it.wrong_suppression(), it.wrongly_suppressed, reported),
    ]
}

/// All figures.
pub(super) fn evaluation(it: &Evaluation) -> String {
    let total = &it.total;
    let mut out = format!("{} messages, {} recipients\n\n", total.messages, total.due);
    let mut rows: Vec<Vec<String>> =
        figures(total).iter().map(|it| vec![it.name.to_owned(), percent(it.rate), format!("{} of {}", it.part, it.whole)]).collect();
    rows.push(vec!["missed suppressions".to_owned(), total.missed.to_string()]);
    rows.push(vec!["rightly left alone".to_owned(), String::new(), format!("{} of {}", total.negatives_right, total.negatives)]);
    out.push_str(&table(&rows));
    if it.sources.len() > 1 {
        let _ = write!(out, "\n{}\n{}", styled(HEAD, "By part of the set"), parts(it));
    }
    let _ = write!(out, "\n{}\n{}", styled(HEAD, "What was expected (down) and what was found (across)"), confusion(it));
    let _ = writeln!(out, "\n{} of {} messages are not right in everything", it.failures.len(), total.messages);
    out
}

/// The figures of each part of the set.
fn parts(it: &Evaluation) -> String {
    let columns = figures(&it.total).map(|it| it.short);
    let head = ["PART", "MESSAGES", "RECIPIENTS"].into_iter().chain(columns).chain(["MISSED", "LEFT ALONE"]);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for (name, tally) in &it.sources {
        let mut row = vec![name.clone(), tally.messages.to_string(), tally.due.to_string()];
        row.extend(figures(tally).iter().map(|it| percent(it.rate)));
        row.extend([tally.missed.to_string(), format!("{}/{}", tally.negatives_right, tally.negatives)]);
        rows.push(row);
    }
    table(&rows)
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |it| format!("{:.2} %", 100.0 * it))
}

/// A line for each outcome that was expected, a column for each that was found, as far as they occur.
fn confusion(it: &Evaluation) -> String {
    let words: Vec<&str> = Outcome::ALL.iter().map(|it| it.as_str()).chain([MISSING]).collect();
    let cells: BTreeMap<(&str, &str), u32> =
        it.confusion.iter().filter_map(|(pair, count)| Some((pair.split_once(" → ")?, *count))).collect();
    let found: Vec<&str> = words.iter().copied().filter(|word| cells.keys().any(|it| it.1 == *word)).collect();
    let mut rows = vec![[""].iter().chain(&found).map(|it| (*it).to_owned()).collect::<Vec<_>>()];
    for row in words.iter().copied().filter(|word| cells.keys().any(|it| it.0 == *word)) {
        let count = |column: &&str| cells.get(&(row, *column)).map_or_else(|| "·".to_owned(), u32::to_string);
        rows.push(std::iter::once(row.to_owned()).chain(found.iter().map(count)).collect());
    }
    table(&rows)
}

/// What is wrong with each message that is not right.
pub(super) fn failing(it: &Evaluation) -> String {
    let mut out = String::new();
    for (id, wrong) in &it.failures {
        message(&mut out, id, wrong);
    }
    out
}

fn message(out: &mut String, id: &str, wrong: &[String]) {
    let _ = writeln!(out, "\n{}", styled(BOLD, &plain(id)));
    for line in wrong {
        let _ = writeln!(out, "  {}", plain(line));
    }
}

/// What got better and what got worse since an earlier run: the figures that changed, and the messages.
pub(super) fn comparison(now: &Evaluation, earlier: &Evaluation, it: &Comparison) -> String {
    let mut out = format!("\n{}\n", styled(HEAD, "Since the earlier run"));
    let (was, is) = (earlier.total.messages, now.total.messages);
    if was != is {
        let _ = writeln!(out, "It had {was} messages, this one has {is}: what stands in one alone counts as right in the other.");
    }
    let figures = figures(&earlier.total).into_iter().zip(figures(&now.total));
    let rows = figures.map(|(was, is)| vec![is.name.to_owned(), percent(was.rate), "→".to_owned(), percent(is.rate)]);
    let changed: Vec<Vec<String>> = rows.filter(|row| row.get(1) != row.get(3)).collect();
    out.push_str(&table(&changed));
    let worse = format!("{} worse", it.worse.len());
    let better = format!("{} better", it.better.len());
    let _ = writeln!(out, "{}, {}", styled(if it.worse.is_empty() { GOOD } else { BAD }, &worse), styled(GOOD, &better));
    for id in &it.worse {
        message(&mut out, &format!("worse: {id}"), &news(now, earlier, id));
    }
    for id in &it.better {
        message(&mut out, &format!("better: {id}"), &news(earlier, now, id));
    }
    out
}

/// What is wrong with a message in the one evaluation and not in the other.
fn news(one: &Evaluation, other: &Evaluation, id: &str) -> Vec<String> {
    let wrong = |it: &Evaluation| it.failures.get(id).cloned().unwrap_or_default();
    let known = wrong(other);
    wrong(one).into_iter().filter(|it| !known.contains(it)).collect()
}

/// The messages that could not be read.
pub(super) fn unread(unread: &[(String, io::Error)]) -> String {
    let mut out = String::new();
    if !unread.is_empty() {
        let _ = writeln!(out, "\n{}", styled(BAD, &format!("{} messages could not be read, and are left out", unread.len())));
    }
    for (id, error) in unread {
        message(&mut out, id, &[error.to_string()]);
    }
    out
}

#[cfg(test)]
mod tests {
    use bounce::evaluate::{Answer, labels};

    use super::*;

    const LABELS: &str = r#"{"id": "a.eml", "source": "one", "expected": [
        {"recipient": "jane@a.example", "disposition": "hard", "status": "5.1.1"},
        {"recipient": "joe@a.example", "disposition": "soft", "status": null}]}"#;

    fn evaluated(answers: &[(&str, Outcome)]) -> Evaluation {
        let answer = |&(name, outcome): &(&str, Outcome)| Answer {
            recipient: format!("{name}@a.example"),
            outcome,
            status: Some("5.1.1".to_owned()),
            reason: None,
        };
        let answers: Vec<Answer> = answers.iter().map(answer).collect();
        let mut evaluation = Evaluation::default();
        for label in labels(&LABELS.replace('\n', "")).unwrap() {
            evaluation.add(&label, &answers);
        }
        evaluation
    }

    #[test]
    fn the_page_has_every_figure_and_the_confusion() {
        let text = anstream::adapter::strip_str(&evaluation(&evaluated(&[("joe", Outcome::Hard), ("ann", Outcome::Soft)]))).to_string();
        insta::assert_snapshot!(text, @"
1 messages, 2 recipients

precision            50.00 %  1 of 2
recall               50.00 %  1 of 2
hard or soft         0.00 %   0 of 2
status               0.00 %   0 of 1
reason               -        0 of 0
coarse reason        -        0 of 0
wrongly suppressed   50.00 %  1 of 2
missed suppressions  1
rightly left alone            0 of 0

What was expected (down) and what was found (across)
      hard  soft  missing
hard  ·     ·     1
soft  1     ·     ·
none  ·     1     ·

1 of 1 messages are not right in everything
");
    }

    #[test]
    fn parts_are_shown_where_there_are_several() {
        let mut one = evaluated(&[("jane", Outcome::Hard), ("joe", Outcome::Soft)]);
        assert!(!evaluation(&one).contains("By part"));
        one.sources.insert("two".to_owned(), Tally { messages: 7, ..Tally::default() });
        let text = evaluation(&one);
        let line = text.lines().find(|it| it.starts_with("two ")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["two", "7", "0", "-", "-", "-", "-", "-", "-", "-", "0", "0/0"]);
    }

    #[test]
    fn a_comparison_says_what_is_new() {
        let (right, wrong) = (evaluated(&[("jane", Outcome::Hard), ("joe", Outcome::Soft)]), evaluated(&[("jane", Outcome::Soft)]));
        let told = |now: &Evaluation, earlier: &Evaluation| {
            anstream::adapter::strip_str(&comparison(now, earlier, &now.since(earlier))).to_string()
        };
        insta::assert_snapshot!(told(&wrong, &right), @"
Since the earlier run
recall        100.00 %  →  50.00 %
hard or soft  100.00 %  →  0.00 %
1 worse, 0 better

worse: a.eml
  jane@a.example: soft, expected hard
  joe@a.example: missing
");
        assert!(told(&right, &wrong).contains("0 worse, 1 better\n\nbetter: a.eml\n"));
        assert_eq!(told(&right, &right), "\nSince the earlier run\n0 worse, 0 better\n");
        assert!(told(&right, &Evaluation::default()).contains("It had 0 messages, this one has 1"));
    }

    #[test]
    fn a_label_cannot_write_to_the_terminal() {
        let mut out = String::new();
        message(&mut out, "a\u{1b}[2J", &["b\nc".to_owned()]);
        assert_eq!(anstream::adapter::strip_str(&out).to_string(), "\na [2J\n  b c\n");
    }
}
