use super::*;

fn label(expected: &str) -> Label {
    let line = format!(r#"{{"id": "own/1.eml", "source": "own", "kind": "dsn", "expected": [{expected}]}}"#);
    labels(&line).unwrap().remove(0)
}

fn answer(recipient: &str, outcome: Outcome, status: &str, reason: Option<Reason>) -> Answer {
    Answer { recipient: recipient.to_owned(), outcome, status: Some(status.to_owned()), reason }
}

fn evaluate(expected: &str, answers: &[Answer]) -> Evaluation {
    let mut evaluation = Evaluation::default();
    evaluation.add(&label(expected), answers);
    evaluation
}

const JANE: &str = r#"{"recipient": "jane@a.example", "disposition": "hard", "status": "5.1.1", "reason": "user_unknown", "reasons_accept": [], "cat": "user", "also": ["j@a.example"]}"#;

#[test]
fn a_right_answer_counts_everywhere_and_fails_nowhere() {
    let evaluation = evaluate(JANE, &[answer("jane@a.example", Outcome::Hard, "5.1.1", Some(Reason::UserUnknown))]);
    let total = evaluation.total;
    for rate in [total.precision(), total.recall(), total.outcome(), total.status(), total.reason(), total.coarse_reason()] {
        assert_eq!(rate, Some(1.0));
    }
    assert_eq!((total.wrong_suppression(), total.missed, evaluation.failures.len()), (Some(0.0), 0, 0));
    assert_eq!(evaluation.confusion.get("hard → hard"), Some(&1));
    assert_eq!(evaluation.sources.get("own"), Some(&total));
}

#[test]
fn a_recipient_may_go_by_another_name_and_counts_once() {
    let twice = [
        answer("j@a.example", Outcome::Hard, "5.1.1", Some(Reason::UserUnknown)),
        answer("jane@a.example", Outcome::Hard, "5.1.1", Some(Reason::UserUnknown)),
    ];
    assert_eq!((evaluate(JANE, &twice).total.found, evaluate(JANE, &twice).total.extra), (1, 0));
    assert_eq!(evaluate(JANE, &twice[..1]).total.found, 1);
}

#[test]
fn what_is_wrong_is_counted_and_named() {
    let missing = evaluate(JANE, &[]);
    assert_eq!((missing.total.recall(), missing.total.missed), (Some(0.0), 1));
    assert_eq!(missing.confusion.get("hard → missing"), Some(&1));
    let soft = evaluate(JANE, &[answer("jane@a.example", Outcome::Soft, "5.0.0", Some(Reason::SpamContent))]);
    assert_eq!(
        (soft.total.outcome(), soft.total.status(), soft.total.coarse_reason(), soft.total.missed),
        (Some(0.0), Some(0.0), Some(0.0), 1)
    );
    assert_eq!(soft.failures["own/1.eml"].len(), 4);
    let other = evaluate(JANE, &[answer("joe@a.example", Outcome::Hard, "5.1.1", None)]);
    assert_eq!((other.total.extra, other.total.wrongly_suppressed, other.total.precision()), (1, 1, Some(0.0)));
}

#[test]
fn a_block_taken_for_a_dead_address_is_a_wrong_suppression() {
    let block = r#"{"recipient": "jane@a.example", "disposition": "soft", "status": null, "cat": "policy"}"#;
    let total = evaluate(block, &[answer("jane@a.example", Outcome::Hard, "5.7.1", Some(Reason::UserUnknown))]).total;
    assert_eq!((total.wrongly_suppressed, total.wrong_suppression()), (1, Some(1.0)));
    assert_eq!(total.status(), None);
}

#[test]
fn contested_labels_accept_both_and_say_nothing_of_suppression() {
    let contested = r#"{"recipient": "jane@a.example", "disposition": "soft", "accept": ["hard"], "status": "5.2.1", "status_accept": ["5.0.0"], "cat": "disabled"}"#;
    for outcome in [Outcome::Hard, Outcome::Soft, Outcome::Expired] {
        let total = evaluate(contested, &[answer("jane@a.example", outcome, "5.0.0", Some(Reason::MailboxInactive))]).total;
        assert_eq!((total.outcome(), total.status(), total.suppression_due, total.wrongly_suppressed), (Some(1.0), Some(1.0), 0, 0));
    }
    let unknown = r#"{"recipient": "jane@a.example", "disposition": "unknown", "status": null, "cat": "unknown"}"#;
    let total = evaluate(unknown, &[answer("jane@a.example", Outcome::Delayed, "4.0.0", None)]).total;
    assert_eq!((total.outcome(), total.coarse_reason()), (Some(1.0), None));
}

#[test]
fn negatives_are_left_alone_or_not() {
    assert_eq!(evaluate("", &[]).total.negatives_right, 1);
    let claimed = evaluate("", &[answer("jane@a.example", Outcome::Soft, "5.0.0", None)]).total;
    assert_eq!((claimed.negatives, claimed.negatives_right, claimed.extra), (1, 0, 1));
    assert_eq!(evaluate("", &[answer("jane@a.example", Outcome::Soft, "", None)]).confusion.get("none → soft"), Some(&1));
    let none = r#"{"recipient": "jane@a.example", "disposition": "none", "status": null}"#;
    assert_eq!(evaluate(none, &[answer("jane@a.example", Outcome::Complaint, "", None)]).total.wrongly_suppressed, 1);
    let optional = r#"{"recipient": "jane@a.example", "disposition": "soft", "status": null, "optional": true}"#;
    let total = evaluate(optional, &[answer("jane@a.example", Outcome::Soft, "", None)]).total;
    assert_eq!((total.due, total.extra, total.negatives), (0, 0, 0));
}

#[test]
fn two_evaluations_compare_by_message() {
    let right = evaluate(JANE, &[answer("jane@a.example", Outcome::Hard, "5.1.1", Some(Reason::UserUnknown))]);
    let wrong = evaluate(JANE, &[]);
    assert_eq!(right.since(&wrong), Comparison { better: vec!["own/1.eml".to_owned()], worse: vec![] });
    assert_eq!(wrong.since(&right), Comparison { better: vec![], worse: vec!["own/1.eml".to_owned()] });
    assert_eq!(wrong.since(&wrong), Comparison::default());
    let soft = evaluate(JANE, &[answer("jane@a.example", Outcome::Soft, "5.0.0", Some(Reason::UserUnknown))]);
    let less = evaluate(JANE, &[answer("jane@a.example", Outcome::Soft, "5.1.1", Some(Reason::UserUnknown))]);
    let id = || vec!["own/1.eml".to_owned()];
    assert_eq!(less.since(&soft), Comparison { better: id(), worse: vec![] }, "one thing less is wrong");
    assert_eq!(soft.since(&less), Comparison { better: vec![], worse: id() });
    assert_eq!(soft.since(&wrong), Comparison { better: vec![], worse: id() }, "wrong in another way");
    let kept: Evaluation = serde_json::from_str(&serde_json::to_string(&wrong).unwrap()).unwrap();
    assert_eq!(kept, wrong);
}

#[test]
fn a_label_that_cannot_be_read_is_named_by_its_line() {
    let err = labels("\n{\"id\": \"a\"}\n{\"id\": 1}\n").unwrap_err();
    assert_eq!(err.line, 3);
}
