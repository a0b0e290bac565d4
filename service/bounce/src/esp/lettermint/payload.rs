//! What an event of Lettermint says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, tag_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let data = event.at("data");
    let response = data.at("response");
    let claim = |bounce_type, reason| Some(Claim { bounce_type, reason });
    let (kind, claim) = match event.word("event").as_str() {
        "message.hard_bounced" => (Kind::Bounce, claim(Some(BounceType::Hard), None)),
        "message.soft_bounced" => (Kind::Bounce, claim(Some(BounceType::Soft), None)),
        "message.spam_complaint" => (Kind::Complaint, None),
        "message.suppressed" => (Kind::Suppressed, claim(None, Some(Reason::Suppressed))),
        "message.unsubscribed" => (Kind::Unsubscribe, None),
        "message.delivered" => (Kind::Delivered, None),
        // A server refused it, or Lettermint itself could not send it.
        "message.failed" if response.at("status_code").is_some() => (Kind::Bounce, None),
        "message.failed" => (Kind::Rejected, None),
        // Its filter refused the message as a whole. It names no recipient, and none is at fault.
        "message.policy_rejected" => return Meaning::Nothing,
        "message.created"
        | "message.sent"
        | "message.opened"
        | "message.clicked"
        | "message.inbound"
        | "message.auto_replied"
        | "message.scheduled"
        | "message.rescheduled"
        | "message.canceled"
        | "message.released"
        | "webhook.test" => return Meaning::Nothing,
        // What its own list says comes as `message.suppressed` as soon as it matters.
        "suppression.added" | "suppression.removed" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(data, &["recipient"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let mut tags = tag_hints(&[data.at("metadata")]);
    tags.extend(tag_hints(&[data.at("tag")]));
    let report = Report {
        claim,
        text: data.text("reason"),
        occurred_at: event.moment("timestamp").or_else(|| data.moment("unsubscribed_at")),
        provider_message_id: data.text("message_id"),
        provider_event_id: event.text("id"),
        hints: Hints { tags, ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    let words =
        Words { status: response.text("enhanced_status_code"), reply: response.text("status_code"), text: response.text("content") };
    weighed(with_words(report, &words, notes)).into()
}
