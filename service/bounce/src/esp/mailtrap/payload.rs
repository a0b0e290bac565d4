//! What an event of Mailtrap says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, tag_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let reason = event.text("reason");
    let says_suppressed = reason.as_deref().is_some_and(|it| it.to_ascii_lowercase().contains("suppress"));
    let (kind, claim) = match event.word("event").replace('_', " ").as_str() {
        "bounce" => (Kind::Bounce, Some(bounce(event))),
        "soft bounce" => (Kind::Delayed, category(event).map(|it| Claim { bounce_type: None, reason: Some(it) })),
        "delivery" => (Kind::Delivered, None),
        "spam" | "spam complaint" => (Kind::Complaint, None),
        "unsubscribe" => (Kind::Unsubscribe, None),
        "reject" if says_suppressed => (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) })),
        "reject" | "suspension" => (Kind::Rejected, None),
        "open" | "click" => return Meaning::Nothing,
        other if ["activity log.", "audit log."].iter().any(|it| other.starts_with(it)) => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(event, &["email"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let mut tags = tag_hints(&[event.at("custom_variables")]);
    for name in ["category", "sending_stream", "sending_domain_name"] {
        tags.extend(tag_hints(&[event.at(name)]).into_values().map(|it| (name.to_owned(), it)));
    }
    tags.extend(tag_hints(&[event.at("category")]));
    let report = Report {
        claim,
        text: reason,
        occurred_at: event.moment("timestamp"),
        provider_message_id: event.text("message_id"),
        provider_event_id: event.text("event_id"),
        hints: Hints { tags, ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    let words = Words { reply: event.text("response_code"), text: event.text("response"), ..Words::default() };
    weighed(with_words(report, &words, notes)).into()
}

/// Final, says Mailtrap, and hard, unless its category or the receiver's words say that the address is not to blame.
fn bounce(event: Json<'_>) -> Claim {
    let reason = category(event);
    Claim { bounce_type: Some(reason.map_or(BounceType::Hard, Reason::permanent_type)), reason }
}

/// Bounce categories are those of `PowerMTA`, with or without their hyphens.
fn category(event: Json<'_>) -> Option<Reason> {
    Some(match event.word("bounce_category").replace(['-', '_', ' '], "").as_str() {
        "badmailbox" => Reason::UserUnknown,
        "inactivemailbox" => Reason::MailboxInactive,
        "baddomain" => Reason::DomainUnknown,
        "quotaissues" | "quota" | "mailboxfull" => Reason::MailboxFull,
        "spam" | "spamrelated" | "spamcontent" => Reason::SpamContent,
        "spamblock" => Reason::ReputationBlock,
        "policy" | "policyrelated" => Reason::PolicyRejected,
        "content" | "contentrelated" => Reason::ContentRejected,
        "virus" | "virusrelated" => Reason::VirusDetected,
        "routingerrors" => Reason::DnsError,
        "noanswerfromhost" | "badconnection" => Reason::NetworkError,
        "relayingissues" => Reason::RelayDenied,
        "protocolerrors" => Reason::ProtocolError,
        "invalidsender" => Reason::SenderRejected,
        "messageexpired" => Reason::Expired,
        _ => return None,
    })
}
