//! What an event of Transactional Email says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, hint, weighed, with_words};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let reply = event.text("email_response_code");
    let text = event.text("email_response_message").or_else(|| event.text("email_error"));
    let (kind, claim) = match event.word("type").as_str() {
        "email_delivered" => (Kind::Delivered, None),
        "email_deferred" => (Kind::Delayed, None),
        // The receiver refused it for good; unless its code says that it might have come again.
        "email_dropped" => (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Hard), reason: None })),
        "email_mailbox_not_found" => (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::UserUnknown) })),
        // Judged to be spam, by Scaleway or by the receiver. No person complained.
        "email_spam" => (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason: Some(Reason::SpamContent) })),
        "email_blocklisted" => (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) })),
        // An entry of Scaleway's own list, of which the event that caused it has told.
        "email_queued" | "blocklist_created" | "unknown_type" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(event, &["email_to"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let headers = Headers(event.at("email_headers"));
    let tags = event.text("domain_name").map(|it| ("domain_name".to_owned(), hint(&it)));
    let report = Report {
        occurred_at: event.moment("created_at"),
        message_id: headers.message_id(),
        provider_message_id: event.text("email_id"),
        provider_event_id: event.text("id"),
        claim,
        hints: Hints { list_id: headers.list_id(), headers: headers.hints(), tags: tags.into_iter().collect(), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &Words { status: None, reply, text }, notes)).into()
}
