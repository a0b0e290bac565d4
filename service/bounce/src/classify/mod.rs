//! From what a report says to what it means: reason, fault, hard or soft. Evidence is weighed in a fixed order
//! (receiver's words, general words, enhanced status, reply code with stage); codes and wording are data.

pub mod reason;

use time::Duration;

use crate::classify::reason::{Fault, Reason};
use crate::kind::{BounceType, Kind};
use crate::report::Report;
use crate::status::{EnhancedStatus, SmtpReply, Stage};

/// What a report means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened, after all evidence: a final failure that calls itself delayed is a bounce.
    pub kind: Kind,
    /// Hard or soft; only for bounces and `suppressed`.
    pub bounce_type: Option<BounceType>,
    /// Why; only for bounces, delays, `suppressed` and `rejected`.
    pub reason: Option<Reason>,
    /// Who has to act.
    pub fault: Option<Fault>,
    /// The most telling enhanced status.
    pub status: Option<EnhancedStatus>,
    /// The reply code.
    pub reply: Option<SmtpReply>,
    /// The SMTP command that was refused.
    pub stage: Option<Stage>,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
    /// The block list that the text names.
    pub block_list: Option<String>,
    /// The rule that decided.
    pub rule: RuleId,
}

/// Name of the rule that decided: `gmail.no_such_user`, `code.5.1.1`, `claim.ses`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

/// Codes and wording, loaded and checked.
#[derive(Debug)]
pub struct Rules {}

/// Decides what a report means.
#[must_use]
pub fn classify(report: &Report, rules: &Rules) -> Verdict {
    let _ = rules;
    Verdict {
        kind: report.kind,
        bounce_type: None,
        reason: Some(Reason::Undetermined),
        fault: Some(Reason::Undetermined.fault()),
        status: report.status,
        reply: report.reply,
        stage: report.stage,
        retry_after: None,
        block_list: None,
        rule: RuleId("none".to_owned()),
    }
}
