//! How well mail is read: answers against a labelled set. Recipients found, hard or soft, status, reason, and above all
//! who would be suppressed wrongly; so that a change of rules can be measured on an archive of one's own. Pure counting:
//! reading the messages is the caller's.

mod coarse;
mod label;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::evaluate::label::{Expected, Label, LabelError, Outcome, labels};
pub use crate::evaluate::tally::Tally;

use crate::classify::Verdict;
use crate::classify::reason::Reason;
use crate::kind::{BounceType, Kind};
use crate::report::Report;

/// What was read of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The address, lower case.
    pub recipient: String,
    /// What happened.
    pub outcome: Outcome,
    /// The enhanced status.
    pub status: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
}

impl Answer {
    /// The answer that a report and its verdict give; `None` if they claim nothing of anybody.
    #[must_use]
    pub fn of(report: &Report, verdict: &Verdict) -> Option<Self> {
        let outcome = match (verdict.kind, verdict.bounce_type) {
            (Kind::Bounce, Some(BounceType::Hard)) | (Kind::Suppressed, _) => Outcome::Hard,
            (Kind::Bounce | Kind::Rejected, _) => Outcome::Soft,
            (Kind::Delayed, _) => Outcome::Delayed,
            (Kind::Delivered, _) => Outcome::Delivered,
            (Kind::Complaint | Kind::Unsubscribe, _) => Outcome::Complaint,
            (Kind::AutoReply | Kind::ChallengeResponse | Kind::Mdn | Kind::Other, _) => return None,
        };
        Some(Self {
            recipient: name(report.recipient.as_ref()?.expose()),
            outcome,
            status: verdict.status.map(|it| it.to_string()),
            reason: verdict.reason,
        })
    }
}

/// What an evaluation found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Over all messages.
    pub total: Tally,
    /// For each part of the set.
    pub sources: BTreeMap<String, Tally>,
    /// How often an expected outcome was answered by which: `hard → soft`. `missing` where it was not found, `none → hard`
    /// where nothing may be claimed.
    pub confusion: BTreeMap<String, u32>,
    /// What is wrong, for each message that is not right.
    pub failures: BTreeMap<String, Vec<String>>,
}

/// How an evaluation differs from an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Messages of which less is wrong, or nothing any more.
    pub better: Vec<String>,
    /// Messages of which something is wrong that was not before, whatever else was put right.
    pub worse: Vec<String>,
}

impl Evaluation {
    /// Counts the answers of one message.
    pub fn add(&mut self, label: &Label, answers: &[Answer]) {
        let mut tally = Tally { messages: 1, ..Tally::default() };
        let mut wrong = Vec::new();
        let matches = matches(&label.expected, answers);
        for extra in count_extra(label, answers, &matches, &mut tally, &mut wrong) {
            *self.confusion.entry(format!("{} → {extra}", Outcome::None)).or_default() += 1;
        }
        for (expected, answer) in label.expected.iter().zip(&matches).filter(|it| it.0.is_due()) {
            let answer = answer.and_then(|at| answers.get(at));
            count_due(expected, answer, &mut tally, &mut wrong);
            let found = answer.map_or("missing", |it| it.outcome.as_str());
            *self.confusion.entry(format!("{} → {found}", expected.disposition)).or_default() += 1;
        }
        self.total.add(&tally);
        self.sources.entry(label.source.clone()).or_default().add(&tally);
        if !wrong.is_empty() {
            self.failures.insert(label.id.clone(), wrong);
        }
    }

    /// What got better and what got worse since an earlier evaluation.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Comparison {
        let (better, worse) = (earlier.not_wrong_in(self), self.not_wrong_in(earlier));
        Comparison { better: better.difference(&worse).cloned().collect(), worse: worse.into_iter().collect() }
    }

    /// The messages of which something is wrong that is not wrong in the other.
    fn not_wrong_in(&self, other: &Self) -> BTreeSet<String> {
        let in_other = |id: &String, wrong: &String| other.failures.get(id).is_some_and(|it| it.contains(wrong));
        self.failures.iter().filter(|(id, wrong)| wrong.iter().any(|it| !in_other(id, it))).map(|it| it.0.clone()).collect()
    }
}

/// For each expected recipient the answer about it: first by its own name, then by another spelling.
fn matches(expected: &[Expected], answers: &[Answer]) -> Vec<Option<usize>> {
    let mut taken = BTreeSet::new();
    let mut found = vec![None; expected.len()];
    for by_other_name in [false, true] {
        for (expected, found) in expected.iter().zip(&mut found).filter(|it| it.1.is_none()) {
            let own = std::slice::from_ref(&expected.recipient);
            let names: Vec<String> = if by_other_name { &expected.also } else { own }.iter().map(|it| name(it)).collect();
            *found = (0..answers.len()).find(|at| !taken.contains(at) && names.contains(&answers[*at].recipient));
            taken.extend(*found);
        }
    }
    found
}

/// Counts what should not have been claimed, and says as what it was.
fn count_extra(label: &Label, answers: &[Answer], matches: &[Option<usize>], tally: &mut Tally, wrong: &mut Vec<String>) -> Vec<Outcome> {
    let known: BTreeSet<String> = label.expected.iter().flat_map(|it| it.also.iter().chain([&it.recipient])).map(|it| name(it)).collect();
    let unmatched = (0..answers.len()).filter(|at| !matches.contains(&Some(*at)) && !known.contains(&answers[*at].recipient));
    let forbidden = label.expected.iter().zip(matches).filter(|it| it.0.disposition == Outcome::None).filter_map(|it| *it.1);
    let extra: Vec<&Answer> = unmatched.chain(forbidden).map(|at| &answers[at]).collect();
    for answer in &extra {
        tally.extra += 1;
        tally.wrongly_suppressed += u32::from(suppresses(answer));
        wrong.push(format!("{}: {}, and nothing may be claimed", answer.recipient, answer.outcome));
    }
    if label.expected.iter().all(|it| it.disposition == Outcome::None) {
        tally.negatives += 1;
        tally.negatives_right += u32::from(extra.is_empty());
    }
    extra.iter().map(|it| it.outcome).collect()
}

fn count_due(expected: &Expected, answer: Option<&Answer>, tally: &mut Tally, wrong: &mut Vec<String>) {
    tally.due += 1;
    tally.status_due += u32::from(expected.status.is_some());
    let contested = expected.is_contested();
    tally.suppression_due += u32::from(!contested);
    let Some(answer) = answer else {
        tally.missed += u32::from(!contested && expected.suppresses());
        wrong.push(format!("{}: missing", expected.recipient));
        return;
    };
    tally.found += 1;
    if outcome_fits(expected, answer.outcome) {
        tally.outcome_right += 1;
    } else {
        wrong.push(format!("{}: {}, expected {}", expected.recipient, answer.outcome, expected.disposition));
    }
    if !contested {
        match (expected.suppresses(), suppresses(answer)) {
            (true, false) => tally.missed += 1,
            (false, true) => tally.wrongly_suppressed += 1,
            _ => tally.suppression_right += 1,
        }
    }
    if let Some(status) = &expected.status {
        if answer.status.as_ref().is_some_and(|it| it == status || expected.status_accept.contains(it)) {
            tally.status_right += 1;
        } else {
            wrong.push(format!("{}: status {}, expected {status}", expected.recipient, answer.status.as_deref().unwrap_or("none")));
        }
    }
    count_reason(expected, answer, tally, wrong);
}

fn count_reason(expected: &Expected, answer: &Answer, tally: &mut Tally, wrong: &mut Vec<String>) {
    let found = answer.reason.map_or("none", Reason::as_str);
    if let (Some(reason), Some(accepted)) = (&expected.reason, &expected.reasons_accept) {
        tally.reason_due += 1;
        let right = found == reason || accepted.iter().any(|it| it == found);
        tally.reason_right += u32::from(right);
        if !right {
            wrong.push(format!("{}: reason {found}, expected {reason}", expected.recipient));
        }
    }
    if let Some(coarse) = expected.cat.as_deref().filter(|it| !matches!(*it, "unknown" | "none")) {
        tally.coarse_due += 1;
        let right = coarse::fits(coarse, answer.outcome, answer.reason);
        tally.coarse_right += u32::from(right);
        if !right {
            wrong.push(format!("{}: reason {found}, expected one of {coarse:?}", expected.recipient));
        }
    }
}

fn outcome_fits(expected: &Expected, found: Outcome) -> bool {
    let failure = matches!(found, Outcome::Hard | Outcome::Soft | Outcome::Expired | Outcome::Delayed | Outcome::Unknown);
    match expected.disposition {
        Outcome::Unknown => failure,
        own if own == found || expected.accept.contains(&found) => true,
        Outcome::Soft => found == Outcome::Expired,
        Outcome::Expired => found == Outcome::Soft,
        _ => false,
    }
}

fn suppresses(answer: &Answer) -> bool {
    matches!(answer.outcome, Outcome::Hard | Outcome::Complaint)
}

fn name(address: &str) -> String {
    address.trim().trim_matches(['<', '>']).trim().to_lowercase()
}

#[cfg(test)]
mod tests;
