//! What a rule asks of the codes and of the place of a refusal, and how that is written: `550`, `55x`, `x.7.1`,
//! `5.7.606..649`. Small closed languages, each with its parser.

use crate::status::{Class, EnhancedStatus, SmtpReply, Stage};

/// What is known of a refusal besides its words.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    /// Index of the receiver, where recognised.
    pub(crate) receiver: Option<u16>,
    pub(crate) stage: Option<Stage>,
    pub(crate) reply: Option<SmtpReply>,
    /// The status in the words, and that of the report.
    pub(crate) statuses: [Option<EnhancedStatus>; 2],
    pub(crate) diagnostic_type: Option<&'a str>,
    /// Whether the host that reports is in charge of the recipient's domain itself.
    pub(crate) local: bool,
}

/// What a rule asks besides words. Everything given must hold; within one key any value will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Commands the refusal may answer.
    pub stage: Vec<Stage>,
    /// Reply codes.
    pub reply: Vec<ReplyPattern>,
    /// Enhanced statuses, in the words or in the report.
    pub status: Vec<StatusPattern>,
    /// Types of the diagnostic, such as `x-unix`.
    pub diagnostic: Vec<String>,
    /// Only if the host that reports is in charge of the recipient's domain itself.
    pub local: bool,
}

impl Conditions {
    pub(super) fn hold(&self, facts: &Facts<'_>) -> bool {
        let any_status = |it: &StatusPattern| facts.statuses.iter().flatten().any(|status| it.fits(*status));
        (self.stage.is_empty() || facts.stage.is_some_and(|it| self.stage.contains(&it)))
            && (self.reply.is_empty() || facts.reply.is_some_and(|reply| self.reply.iter().any(|it| it.fits(reply))))
            && (self.status.is_empty() || self.status.iter().any(any_status))
            && (!self.local || facts.local)
            && (self.diagnostic.is_empty() || facts.diagnostic_type.is_some_and(|it| self.diagnostic.iter().any(|own| own == it)))
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Facts that fulfil the conditions, for running a rule on its own sample.
    pub(super) fn example(&self) -> (Option<Stage>, Option<&str>) {
        (self.stage.first().copied(), self.diagnostic.first().map(String::as_str))
    }
}

/// A reply code, or several with `x` for any digit: `550`, `55x`, `4xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyPattern {
    first: u16,
    last: u16,
}

impl ReplyPattern {
    fn fits(self, reply: SmtpReply) -> bool {
        (self.first..=self.last).contains(&reply.code())
    }

    /// Reads `550`, `55x` or `5xx`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches('x');
        let tail = u32::try_from(text.len().checked_sub(digits.len())?).ok()?;
        if text.len() != 3 || digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let first = digits.parse::<u16>().ok()? * 10_u16.pow(tail);
        (200..600).contains(&first).then_some(Self { first, last: first + 10_u16.pow(tail) - 1 })
    }
}

/// An enhanced status, or several: `5.1.1`, `x.7.1`, `4.x.x`, `5.7.606..649`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusPattern {
    class: Option<Class>,
    subject: Option<u16>,
    detail: Option<(u16, u16)>,
}

impl StatusPattern {
    fn fits(self, status: EnhancedStatus) -> bool {
        self.class.is_none_or(|it| it == status.class)
            && self.subject.is_none_or(|it| it == status.subject)
            && self.detail.is_none_or(|(first, last)| (first..=last).contains(&status.detail))
    }

    /// Reads `5.1.1`, `x.7.1`, `4.x.x` or `5.7.606..649`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let class = match parts.next()? {
            "x" => None,
            digit => Some(Class::from_digit(digit.parse().ok()?)?),
        };
        let subject = match parts.next()? {
            "x" => None,
            subject => Some(subject.parse().ok()?),
        };
        let detail = match parts.next()? {
            "x" => None,
            detail => {
                let (first, last) = detail.split_once("..").unwrap_or((detail, detail));
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        Some(Self { class, subject, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_patterns_cover_a_code_or_a_class() {
        let fits = |pattern, code| ReplyPattern::parse(pattern).is_some_and(|it| SmtpReply::new(code).is_some_and(|code| it.fits(code)));
        assert!(fits("550", 550) && !fits("550", 551));
        assert!(fits("55x", 559) && !fits("55x", 560));
        assert!(fits("4xx", 400) && fits("4xx", 499) && !fits("4xx", 500));
        for wrong in ["", "xxx", "x50", "5x0", "55", "5555", "6xx", "1xx", "abc"] {
            assert_eq!(ReplyPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn status_patterns_cover_classes_subjects_and_ranges() {
        let fits =
            |pattern, status: &str| StatusPattern::parse(pattern).is_some_and(|it| status.parse().is_ok_and(|status| it.fits(status)));
        assert!(fits("5.1.1", "5.1.1") && !fits("5.1.1", "4.1.1"));
        assert!(fits("x.1.1", "4.1.1") && fits("5.x.x", "5.9.9") && !fits("5.x.x", "4.9.9"));
        assert!(fits("5.7.606..649", "5.7.649") && !fits("5.7.606..649", "5.7.650"));
        for wrong in ["", "5", "5.1", "3.1.1", "5.1.a", "5.1.1..b"] {
            assert_eq!(StatusPattern::parse(wrong), None, "{wrong}");
        }
    }
}
