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
    reason: Option<Reason>,
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
        reason: verdict.reason,
        fault: verdict.fault,
        status: verdict.status.map(|it| it.to_string()),
        reply: verdict.reply.map(SmtpReply::code),
        stage: verdict.stage,
        diagnostic: report.diagnostic.as_deref(),
        message_id: report.message_id.as_deref(),
        rule: &verdict.rule.0,
    }
}

fn line(view: &impl Serialize) -> String {
    // Structs of text and numbers can always be written.
    let mut line = serde_json::to_string(view).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use bounce::classify::RuleId;
    use bounce::classify::Rules;
    use bounce::report::Reading;

    use super::*;
    use crate::cli::classify::judge;

    const BOUNCE: &str = "From: MAILER-DAEMON@mx.example.com (Mail Delivery System)\nTo: news@example.org\nSubject: Undelivered Mail\n\
        MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nIt failed.\n\n--b\n\
        Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n\
        Original-Recipient: rfc822;Jane@Example.com\nFinal-Recipient: rfc822; jane@mail.example.com\nAction: failed\nStatus: 5.1.1\n\
        Diagnostic-Code: smtp; 550 5.1.1 <jane@mail.example.com>: Recipient address rejected: User unknown\n\n--b\n\
        Content-Type: text/rfc822-headers\n\nMessage-ID: <1@example.org>\nFrom: news@example.org\n\n--b--\n";

    #[test]
    fn a_line_has_the_keys_of_the_contract_in_their_order() {
        let judged = judge(BOUNCE.as_bytes(), Rules::builtin());
        insta::assert_snapshot!(message("in/x.eml", &judged), @r#"{"path":"in/x.eml","kind":"bounce","dialect":"rfc3464","recipients":[{"recipient":"jane@example.com","original_recipient":"Jane@Example.com","kind":"bounce","bounce_type":"hard","reason":"user_unknown","fault":"recipient","status":"5.1.1","reply":550,"stage":null,"diagnostic":"550 5.1.1 <jane@mail.example.com>: Recipient address rejected: User unknown","message_id":"1@example.org","rule":"user.unknown"}],"notes":[]}"#);
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
        let verdict = |kind| Verdict {
            kind,
            bounce_type: None,
            reason: None,
            fault: None,
            status: None,
            reply: None,
            stage: None,
            retry_after: None,
            block_list: None,
            rule: RuleId("none".to_owned()),
        };
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
