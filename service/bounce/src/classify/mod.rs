//! From what a report says to what it means: reason, fault, hard or soft. Evidence is weighed in a fixed order
//! (receiver's words, general words, enhanced status, reply code with stage); codes and wording are data.

pub mod codes;
mod evidence;
mod judge;
pub mod meaning;
pub mod reason;
pub mod rules;
mod said;
mod text;

use time::Duration;

use crate::classify::codes::{Code, codes};
use crate::classify::meaning::Meaning;
use crate::classify::reason::{Fault, Reason};
pub use crate::classify::rules::Rules;
use crate::kind::{BounceType, Kind};
use crate::report::Report;
use crate::status::{Class, EnhancedStatus, SmtpReply, Stage};

/// What a report means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened, after all evidence: a final failure that calls itself delayed is a bounce.
    pub kind: Kind,
    /// Hard or soft; only for bounces.
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

impl Verdict {
    /// What the reason means and what to do about it.
    #[must_use]
    pub fn meaning(&self) -> Option<&'static Meaning> {
        self.reason.map(meaning::of)
    }

    /// The registry's row for the enhanced status or, failing that, for the reply.
    #[must_use]
    pub fn code(&self) -> Option<&'static Code> {
        let status = self.status.filter(|it| !it.is_bare()).map(|it| codes().status(it));
        status.or_else(|| self.reply.and_then(|it| codes().reply(it))).or_else(|| self.status.map(|it| codes().status(it)))
    }
}

/// Name of the rule that decided: `gmail.no_such_user`, `code.5.1.1`, `reply.550`, `stage.rcpt_to`, `claim`, `none`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

/// Decides what a report means.
///
/// ```
/// use bounce::classify::{classify, rules::Rules};
/// use bounce::{kind::Kind, report::Report};
///
/// let mut report = Report::new(Kind::Bounce, None);
/// report.diagnostic = Some("550 5.1.1 <jane@example.com>: User unknown".to_owned());
/// let verdict = classify(&report, Rules::builtin());
/// assert_eq!(verdict.reason.map(|it| it.as_str()), Some("user_unknown"));
/// ```
#[must_use]
pub fn classify(report: &Report, rules: &Rules) -> Verdict {
    match report.kind {
        Kind::Bounce | Kind::Delayed => judge::judge(report, rules),
        // The recipient never had the chance to fail.
        Kind::Rejected => Verdict { bounce_type: None, ..judge::judge(report, rules) },
        Kind::Suppressed => Verdict {
            reason: Some(Reason::Suppressed),
            fault: Some(Reason::Suppressed.fault()),
            rule: RuleId("kind.suppressed".to_owned()),
            ..plain(report)
        },
        Kind::Delivered => delivered(report),
        _ => plain(report),
    }
}

/// A verdict on a delivery: the codes it was accepted with.
fn delivered(report: &Report) -> Verdict {
    let text = report.diagnostic.as_deref().or(report.text.as_deref()).unwrap_or_default();
    let said = said::codes_in(&text::normalise(text));
    let accepted: Vec<_> = said.iter().filter(|it| it.class() == Some(Class::Success)).collect();
    Verdict {
        status: report.status.or_else(|| accepted.iter().find_map(|it| it.status)),
        reply: report.reply.or_else(|| accepted.iter().find_map(|it| it.reply)),
        ..plain(report)
    }
}

/// A verdict that judges nothing.
fn plain(report: &Report) -> Verdict {
    Verdict {
        kind: report.kind,
        bounce_type: None,
        reason: None,
        fault: None,
        status: report.status,
        reply: report.reply,
        stage: report.stage,
        retry_after: None,
        block_list: None,
        rule: RuleId("none".to_owned()),
    }
}
