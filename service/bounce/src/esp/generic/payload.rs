//! What one event of our own format says.

use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, tag_hints, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let word = event.word("type");
    let (kind, bounce_type) = match word.as_str() {
        "hard_bounce" | "hard" => (Kind::Bounce, Some(BounceType::Hard)),
        "soft_bounce" | "soft" => (Kind::Bounce, Some(BounceType::Soft)),
        // Neither hard nor soft is said, so the words decide.
        "bounce" => (Kind::Bounce, None),
        "delayed" => (Kind::Delayed, None),
        "complaint" => (Kind::Complaint, None),
        "unsubscribe" => (Kind::Unsubscribe, None),
        "delivered" => (Kind::Delivered, None),
        "suppressed" => (Kind::Suppressed, None),
        "rejected" => (Kind::Rejected, None),
        "test" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(event, &["recipient", "email"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let reason = event.text("reason").and_then(|it| it.parse().ok());
    let words = Words { status: event.text("enhanced_status"), reply: event.text("smtp_code"), text: event.text("diagnostic") };
    let list_id = event.text("list");
    let report = Report {
        occurred_at: event.moment("timestamp"),
        message_id: event.text("message_id").as_deref().and_then(bare_message_id),
        provider_message_id: event.text("provider_message_id"),
        provider_event_id: event.text("event_id"),
        reporting_mta: event.text("source"),
        claim: (bounce_type.is_some() || reason.is_some()).then_some(Claim { bounce_type, reason }),
        hints: Hints { list_id, tags: tag_hints(&[event.at("tags"), event.at("metadata"), event.at("meta")]), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    with_words(report, &words, notes).into()
}
