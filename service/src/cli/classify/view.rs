//! The line of `--format jsonl`: a contract, as design section 7 gives it.

use bounce::classify::Verdict;
use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{BounceType, Kind};
use bounce::report::{Note, Report};
use bounce::status::{SmtpReply, Stage};
use serde::Serialize;

use super::Judged;

/// Kinds by what they cost, gravest first; what is not named goes by what the reader said of the whole.
const GRAVEST: [Kind; 7] =
    [Kind::Bounce, Kind::Suppressed, Kind::Rejected, Kind::Complaint, Kind::Unsubscribe, Kind::Delayed, Kind::Delivered];

#[derive(Serialize)]
struct MessageView<'a> {
    path: &'a str,
    kind: Kind,
    dialect: &'a str,
    recipients: Vec<RecipientView<'a>>,
    notes: &'a [Note],
}

#[derive(Serialize)]
struct RecipientView<'a> {
    recipient: Option<&'a str>,
    original_recipient: Option<&'a str>,
    kind: Kind,
    bounce_type: Option<BounceType>,
    reason: Option<&'static str>,
    fault: Option<Fault>,
    status: Option<String>,
    reply: Option<u16>,
    stage: Option<Stage>,
    diagnostic: Option<&'a str>,
    message_id: Option<&'a str>,
    rule: &'a str,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    path: &'a str,
    error: &'a str,
}

/// What was understood of a message, on one line.
pub(super) fn message(path: &str, judged: &Judged) -> String {
    let recipients = judged.reading.reports.iter().zip(&judged.verdicts).map(|(report, verdict)| recipient(report, verdict)).collect();
    let view = MessageView { path, kind: kind(judged), dialect: judged.reading.dialect, recipients, notes: &judged.reading.notes };
    line(&view)
}

/// A message of which nothing could be understood, on one line.
pub(super) fn error(path: &str, error: &str) -> String {
    line(&ErrorView { path, error })
}

/// What the whole is: the gravest of what was judged of each recipient.
pub(super) fn kind(judged: &Judged) -> Kind {
    GRAVEST.into_iter().find(|kind| judged.verdicts.iter().any(|it| it.kind == *kind)).unwrap_or(judged.reading.kind)
}

fn recipient<'a>(report: &'a Report, verdict: &'a Verdict) -> RecipientView<'a> {
    RecipientView {
        recipient: report.recipient.as_ref().map(bounce::address::Address::expose),
        original_recipient: report.original_recipient.as_deref(),
        kind: verdict.kind,
        bounce_type: verdict.bounce_type,
        reason: reason(verdict),
        fault: verdict.fault,
        status: verdict.status.map(|it| it.to_string()),
        reply: verdict.reply.map(SmtpReply::code),
        stage: verdict.stage,
        diagnostic: report.diagnostic.as_deref(),
        message_id: report.message_id.as_deref(),
        rule: &verdict.rule.0,
    }
}

/// The reason of a failure. Where none failed a word stands in its place, so that a table over reasons has a row for
/// everything that was judged: `feedback` for what a person said (RFC 5965 counts complaints and opt-outs among it; the
/// kind tells them apart), `delivered` for a delivery.
fn reason(verdict: &Verdict) -> Option<&'static str> {
    let of_kind = match verdict.kind {
        Kind::Complaint | Kind::Unsubscribe => Some("feedback"),
        Kind::Delivered => Some(verdict.kind.as_str()),
        _ => None,
    };
    verdict.reason.map(Reason::as_str).or(of_kind)
}

fn line(view: &impl Serialize) -> String {
    // Structs of text and numbers can always be written.
    let mut line = serde_json::to_string(view).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use bounce::address::Address;
    use bounce::classify::{RuleId, Rules};
    use bounce::report::Reading;
    use bounce::status::{Class, EnhancedStatus};

    use super::*;
    use crate::cli::classify::judge;

    fn verdict(kind: Kind) -> Verdict {
        Verdict {
            kind,
            bounce_type: Some(BounceType::Hard),
            reason: Some(Reason::UserUnknown),
            fault: Some(Fault::Recipient),
            status: Some(EnhancedStatus::new(Class::Permanent, 1, 1)),
            reply: SmtpReply::new(550),
            stage: Some(Stage::RcptTo),
            retry_after: None,
            block_list: None,
            rule: RuleId("some.rule".to_owned()),
        }
    }

    #[test]
    fn a_line_has_the_keys_of_the_contract_in_their_order() {
        let full = Report {
            original_recipient: Some("Jane@Example.com".to_owned()),
            diagnostic: Some("550 5.1.1 \"gone\"\nfor good".to_owned()),
            message_id: Some("1@example.org".to_owned()),
            ..Report::new(Kind::Bounce, Address::parse("Jane@Example.net").ok())
        };
        let nothing =
            Verdict { bounce_type: None, reason: None, fault: None, status: None, reply: None, stage: None, ..verdict(Kind::Delayed) };
        let reading = Reading {
            kind: Kind::Bounce,
            dialect: "postfix",
            reports: vec![full, Report::new(Kind::Delayed, None)],
            notes: vec![Note("odd".to_owned())],
        };
        let judged = Judged { reading, verdicts: vec![verdict(Kind::Bounce), nothing] };
        let expected = [
            r#"{"path":"in/x.eml","kind":"bounce","dialect":"postfix","recipients":["#,
            r#"{"recipient":"jane@example.net","original_recipient":"Jane@Example.com","kind":"bounce","bounce_type":"hard","#,
            r#""reason":"user_unknown","fault":"recipient","status":"5.1.1","reply":550,"stage":"rcpt_to","#,
            r#""diagnostic":"550 5.1.1 \"gone\"\nfor good","message_id":"1@example.org","rule":"some.rule"},"#,
            r#"{"recipient":null,"original_recipient":null,"kind":"delayed","bounce_type":null,"reason":null,"fault":null,"#,
            r#""status":null,"reply":null,"stage":null,"diagnostic":null,"message_id":null,"rule":"some.rule"}"#,
            r#"],"notes":["odd"]}"#,
            "\n",
        ];
        assert_eq!(message("in/x.eml", &judged), expected.concat());
    }

    #[test]
    fn where_nothing_failed_another_word_stands_for_the_reason() {
        for (kind, expected) in [
            (Kind::Complaint, Some("feedback")),
            (Kind::Unsubscribe, Some("feedback")),
            (Kind::Delivered, Some("delivered")),
            (Kind::Mdn, None),
        ] {
            assert_eq!(reason(&Verdict { reason: None, ..verdict(kind) }), expected);
        }
        assert_eq!(reason(&verdict(Kind::Bounce)), Some("user_unknown"));
    }

    #[test]
    fn a_message_that_says_nothing_has_no_recipients() {
        let judged = judge(b"Subject: hello\n\nHow are you?\n", Rules::builtin());
        assert_eq!(message("x", &judged), "{\"path\":\"x\",\"kind\":\"other\",\"dialect\":\"none\",\"recipients\":[],\"notes\":[]}\n");
    }

    #[test]
    fn an_error_is_a_line_too() {
        assert_eq!(error("a \"b\"", "no such file"), "{\"path\":\"a \\\"b\\\"\",\"error\":\"no such file\"}\n");
    }

    #[test]
    fn the_whole_goes_by_its_gravest_recipient() {
        for (of_whole, of_each, expected) in [
            (Kind::Delayed, &[Kind::Delayed, Kind::Bounce][..], Kind::Bounce),
            (Kind::Bounce, &[Kind::Delayed, Kind::Delivered], Kind::Delayed),
            (Kind::AutoReply, &[Kind::AutoReply], Kind::AutoReply),
            (Kind::Other, &[], Kind::Other),
        ] {
            let reading = Reading { kind: of_whole, dialect: "none", reports: Vec::new(), notes: Vec::new() };
            let judged = Judged { reading, verdicts: of_each.iter().copied().map(verdict).collect() };
            assert_eq!(kind(&judged), expected, "{of_each:?}");
        }
    }
}
