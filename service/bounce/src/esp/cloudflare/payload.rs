//! What an event of Email Sending says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::{Claim, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    // As it came, or still in the message of the queue.
    let event = if event.at("type").is_some() { event } else { event.at("body") };
    let payload = event.at("payload");
    let word = event.word("type");
    let Some(happening) = word.strip_prefix("cf.email.sending.message.") else {
        return Meaning::Unknown(if word.is_empty() { "an event has no type" } else { "an event is none of Email Sending" });
    };
    let delivery = payload.at("delivery");
    let reply = delivery.text("smtpResponse");
    let mut feedback_type = None;
    let (kind, claim, text) = match happening {
        "delivered" => (Kind::Delivered, None, reply),
        "deferred" => (Kind::Delayed, None, reply),
        "bounced" => {
            let bounce = payload.at("bounce");
            (Kind::Bounce, bounce_type(&bounce.word("type")), reply.or_else(|| bounce.text("reason")))
        }
        "rejected" => {
            let rejection = payload.at("rejection");
            let text = rejection.text("detail").or_else(|| rejection.text("reason"));
            if rejection.word("reason") == "suppressed" {
                (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) }), text)
            } else {
                (Kind::Rejected, None, text)
            }
        }
        "failed" => (Kind::Rejected, None, reply.or_else(|| payload.at("failure").text("reason"))),
        "complained" => {
            feedback_type = payload.at("complaint").word("type").parse().ok();
            if feedback_type == Some(FeedbackType::NotSpam) {
                return Meaning::Nothing;
            }
            (Kind::Complaint, None, None)
        }
        "accepted" | "queued" | "sent" | "opened" | "clicked" => return Meaning::Nothing,
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(payload, &["recipient"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let report = Report {
        occurred_at: event.at("metadata").moment("eventTimestamp"),
        provider_message_id: payload.text("messageId"),
        provider_event_id: payload.text("eventId"),
        feedback_type,
        claim,
        ..Report::new(kind, Some(recipient))
    };
    let words = Words { status: delivery.text("smtpEnhancedStatusCode"), reply: delivery.text("smtpStatusCode"), text };
    weighed(with_words(report, &words, notes)).into()
}

/// A soft bounce is one whose retries were used up.
fn bounce_type(word: &str) -> Option<Claim> {
    let bounce_type = match word {
        "hard" => BounceType::Hard,
        "soft" => BounceType::Soft,
        _ => return None,
    };
    Some(Claim { bounce_type: Some(bounce_type), reason: None })
}
