//! What an event of Mailjet says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, hint, packed_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let (kind, claim) = match event.word("event").as_str() {
        "sent" => (Kind::Delivered, None),
        "bounce" => bounce(event),
        "blocked" => blocked(event),
        "spam" => (Kind::Complaint, None),
        "unsub" => (Kind::Unsubscribe, None),
        "open" | "click" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(event, &["email"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let mut tags = packed_hints("Payload", event.at("Payload"));
    for name in ["CustomID", "customcampaign", "mj_list_id"] {
        tags.extend(event.text(name).map(|it| (name.to_owned(), hint(&it))));
    }
    let words = Words { text: event.text("comment").or_else(|| event.text("smtp_reply")), ..Words::default() };
    let report = Report {
        occurred_at: event.moment("time"),
        provider_message_id: ["MessageID", "mj_message_id", "Message_GUID"].iter().find_map(|it| event.text(it)),
        reporting_mta: event.text("source").filter(|_| kind == Kind::Complaint),
        claim,
        feedback_type: (kind == Kind::Suppressed && event.word("error") == "spam reporter").then_some(FeedbackType::Abuse),
        hints: Hints { tags, ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &words, notes)).into()
}

fn bounce(event: Json<'_>) -> (Kind, Option<Claim>) {
    let reason = reason(&event.word("error"));
    let bounce_type = match (event.flag("hard_bounce"), reason) {
        (Some(false), Some(Reason::Greylisted)) => return (Kind::Delayed, Some(Claim { bounce_type: None, reason })),
        (Some(false), _) => Some(BounceType::Soft),
        // A full mailbox may be emptied and a grey list comes to an end, whatever the flag says.
        (Some(true), Some(Reason::MailboxFull | Reason::Greylisted)) | (None, _) => None,
        (Some(true), _) => Some(BounceType::Hard),
    };
    (Kind::Bounce, (bounce_type.is_some() || reason.is_some()).then_some(Claim { bounce_type, reason }))
}

/// Mailjet did not try: because it knows the address for a bad one, or for a fault of the message or of the account.
fn blocked(event: Json<'_>) -> (Kind, Option<Claim>) {
    let (error, of) = (event.word("error"), event.word("error_related_to"));
    let of_address = error == "preblocked" || (matches!(of.as_str(), "recipient" | "domain") && error != "duplicate in campaign");
    if of_address {
        (Kind::Suppressed, Some(Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::Suppressed) }))
    } else {
        (Kind::Rejected, reason(&error).map(|it| Claim { bounce_type: None, reason: Some(it) }))
    }
}

/// The reason that an error names, of those that name one.
fn reason(error: &str) -> Option<Reason> {
    Some(match error {
        "user unknown" => Reason::UserUnknown,
        "mailbox inactive" => Reason::MailboxInactive,
        "quota exceeded" => Reason::MailboxFull,
        "blacklisted" | "spam reporter" => Reason::RecipientRefused,
        "invalid domain" | "typofix" => Reason::DomainUnknown,
        "no mail host" => Reason::DomainNoMail,
        "relay/access denied" => Reason::RelayDenied,
        "greylisted" => Reason::Greylisted,
        "bad or empty template" | "error in template language" => Reason::MessageMalformed,
        "sender blocked" => Reason::SenderRejected,
        "content blocked" => Reason::SpamContent,
        "policy issue" => Reason::PolicyRejected,
        "system issue" => Reason::ServerError,
        "protocol issue" => Reason::ProtocolError,
        "connection issue" => Reason::NetworkError,
        _ => return None,
    })
}
