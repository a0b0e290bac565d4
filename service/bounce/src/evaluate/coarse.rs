//! The coarse reasons that labelled sets of others use: ten words for our thirty-four.

use crate::classify::reason::Reason;
use crate::evaluate::label::Outcome;

/// Whether an answer is what the coarse word says. Relaying and policy, and a queue that gave up and a system in trouble,
/// are told apart by nobody alike.
pub(super) fn fits(expected: &str, outcome: Outcome, reason: Option<Reason>) -> bool {
    let found = match outcome {
        Outcome::Complaint => "complaint",
        Outcome::Delivered => "delivered",
        _ => reason.and_then(coarse).unwrap_or_default(),
    };
    let alike = matches!((expected, found), ("relay", "policy") | ("policy", "relay") | ("expired", "system") | ("system", "expired"));
    expected == found || alike
}

const fn coarse(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::UserUnknown | Reason::AddressMoved | Reason::AddressSyntax => "user",
        Reason::DomainUnknown | Reason::DomainNoMail => "domain",
        Reason::MailboxFull => "full",
        Reason::MailboxInactive | Reason::Suppressed => "disabled",
        Reason::MessageTooLarge => "size",
        Reason::ServerError
        | Reason::DeliveryAgentError
        | Reason::NetworkError
        | Reason::DnsError
        | Reason::ProtocolError
        | Reason::FeatureUnsupported
        | Reason::SubmissionAuth => "system",
        Reason::RelayDenied => "relay",
        Reason::Expired => "expired",
        Reason::RecipientRefused
        | Reason::Greylisted
        | Reason::RateLimited
        | Reason::ReputationBlock
        | Reason::DnsblListed
        | Reason::SpamContent
        | Reason::VirusDetected
        | Reason::ContentRejected
        | Reason::MessageMalformed
        | Reason::PolicyRejected
        | Reason::AuthFailure
        | Reason::ReverseDns
        | Reason::SenderRejected
        | Reason::TlsRequired => "policy",
        Reason::MailboxUnavailable | Reason::Undetermined => return None,
    })
}
