//! The policy: for each reason whether it counts, how many strikes in which time, for how long, and how far.

use std::collections::BTreeMap;

use time::Duration;

use crate::classify::reason::Reason;

crate::vocabulary! {
    /// How far a standing reaches.
    pub enum Reach, "reach" {
        /// The whole tree of lists.
        Boundary = "boundary",
        /// The one list, and those below it.
        List = "list",
    }
}

/// What one reason does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonPolicy {
    /// Whether a failure with this reason is a strike at all.
    pub counts: bool,
    /// Strikes that block. A hard failure blocks with the first, whatever stands here.
    pub strikes: u32,
    /// Strikes older than this are forgotten.
    pub window: Duration,
    /// The strikes must lie at least this far apart, first to last.
    pub least_span: Duration,
    /// How long the block lasts; `None` is for good.
    pub lifetime: Option<Duration>,
    /// How far it reaches.
    pub reach: Reach,
    /// Whether even a well attributed hard failure needs a second day.
    pub provisional: bool,
}

/// The whole policy of a boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    reasons: BTreeMap<Reason, ReasonPolicy>,
    /// How long a provisional block lasts unconfirmed.
    pub provisional_for: Duration,
}

/// Why a change to the policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A counting reason with no strike would block everybody.
    #[error("policy.{0}.strikes is 0; use at least 1, or counts = false")]
    NoStrikes(Reason),
    /// The strikes cannot lie that far apart within the window.
    #[error("policy.{0}.least_span is longer than its window; no number of strikes could ever block")]
    SpanOverWindow(Reason),
    /// The sender's own fault must never suppress an address.
    #[error("policy.{0}.counts is true, but this reason is the sender's fault and never suppresses an address; remove it")]
    SendersFault(Reason),
}

impl Policy {
    /// What a reason does.
    #[must_use]
    pub fn of(&self, reason: Reason) -> ReasonPolicy {
        self.reasons.get(&reason).copied().unwrap_or_else(|| default_of(reason))
    }

    /// Changes what a reason does.
    ///
    /// # Errors
    /// When the change makes no sense or would break a promise.
    pub fn set(&mut self, reason: Reason, policy: ReasonPolicy) -> Result<(), PolicyError> {
        if policy.counts && policy.strikes == 0 {
            return Err(PolicyError::NoStrikes(reason));
        }
        if policy.counts && policy.strikes > 1 && policy.least_span > policy.window {
            return Err(PolicyError::SpanOverWindow(reason));
        }
        if policy.counts && !default_of(reason).counts {
            return Err(PolicyError::SendersFault(reason));
        }
        self.reasons.insert(reason, policy);
        Ok(())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { reasons: BTreeMap::new(), provisional_for: Duration::days(7) }
    }
}

/// Defaults: hard means one strike; what may heal needs several over weeks; what is the sender's fault never counts.
fn default_of(reason: Reason) -> ReasonPolicy {
    let never = ReasonPolicy {
        counts: false,
        strikes: 1,
        window: Duration::days(30),
        least_span: Duration::ZERO,
        lifetime: None,
        reach: Reach::Boundary,
        provisional: false,
    };
    let soft = |strikes: u32, least_span: i64, window: i64, lifetime: i64| ReasonPolicy {
        counts: true,
        strikes,
        window: Duration::days(window),
        least_span: Duration::days(least_span),
        lifetime: Some(Duration::days(lifetime)),
        ..never
    };
    match reason {
        // One strike when permanent; the numbers hold for a final failure that stayed temporary.
        Reason::UserUnknown => ReasonPolicy { lifetime: None, ..soft(3, 0, 14, 0) },
        Reason::DomainUnknown => ReasonPolicy { provisional: true, lifetime: None, ..soft(3, 7, 30, 0) },
        Reason::DomainNoMail => ReasonPolicy { provisional: true, lifetime: Some(Duration::days(90)), ..soft(3, 7, 30, 0) },
        Reason::AddressSyntax | Reason::AddressMoved => ReasonPolicy { lifetime: None, ..soft(3, 7, 30, 0) },
        Reason::MailboxInactive => ReasonPolicy { lifetime: None, ..soft(3, 0, 30, 0) },
        Reason::Suppressed => ReasonPolicy { lifetime: None, ..soft(1, 0, 30, 0) },
        Reason::MailboxFull => soft(5, 21, 60, 90),
        Reason::MailboxUnavailable => soft(3, 10, 30, 90),
        Reason::RecipientRefused => ReasonPolicy { lifetime: None, reach: Reach::List, ..soft(2, 0, 30, 0) },
        Reason::DeliveryAgentError => soft(5, 21, 45, 90),
        Reason::RelayDenied => soft(3, 14, 30, 90),
        Reason::ServerError | Reason::NetworkError => soft(7, 14, 30, 30),
        Reason::DnsError | Reason::Undetermined => soft(5, 14, 30, 30),
        Reason::Expired => soft(4, 14, 30, 60),
        Reason::Greylisted | Reason::FeatureUnsupported => never,
        _ => never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_fault_never_counts_and_cannot_be_made_to() {
        for reason in Reason::ALL.iter().copied().filter(|it| it.fault().is_senders()) {
            let mut policy = Policy::default();
            assert!(!policy.of(reason).counts, "{reason}");
            let counting = ReasonPolicy { counts: true, ..policy.of(reason) };
            assert_eq!(policy.set(reason, counting), Err(PolicyError::SendersFault(reason)));
        }
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused() {
        let mut policy = Policy::default();
        let full = policy.of(Reason::MailboxFull);
        assert_eq!(policy.set(Reason::MailboxFull, ReasonPolicy { strikes: 0, ..full }), Err(PolicyError::NoStrikes(Reason::MailboxFull)));
        assert_eq!(
            policy.set(Reason::MailboxFull, ReasonPolicy { least_span: Duration::days(90), ..full }),
            Err(PolicyError::SpanOverWindow(Reason::MailboxFull))
        );
        assert_eq!(policy.set(Reason::MailboxFull, ReasonPolicy { strikes: 2, ..full }), Ok(()));
        assert_eq!(policy.of(Reason::MailboxFull).strikes, 2);
    }
}
