//! What one event of our own format says.

use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, list_id, tag_hints, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};
use crate::status::SmtpReply;

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let word = event.word("type");
    let (kind, bounce_type) = match word.as_str() {
        "hard_bounce" | "hard" => (Kind::Bounce, Some(BounceType::Hard)),
        "soft_bounce" | "soft" => (Kind::Bounce, Some(BounceType::Soft)),
        // Where neither hard nor soft is said, the words decide.
        "bounce" => (Kind::Bounce, keyword(event, "bounce_type", notes)),
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
    let reason = keyword(event, "reason", notes);
    let reply = event.text("smtp_code");
    if reply.as_deref().is_some_and(|it| it.parse::<SmtpReply>().is_err()) {
        notes.add("an event has an smtp_code that is no reply code (RFC 5321), which was left out");
    }
    let report = Report {
        occurred_at: moment(event, notes),
        message_id: event.text("message_id").as_deref().and_then(bare_message_id),
        envelope_id: event.text("envelope_id"),
        provider_message_id: event.text("provider_message_id"),
        provider_event_id: event.text("event_id"),
        reporting_mta: event.text("source"),
        remote_mta: event.text("remote_mta"),
        feedback_type: keyword(event, "feedback_type", notes).filter(|_| kind == Kind::Complaint),
        claim: (bounce_type.is_some() || reason.is_some()).then_some(Claim { bounce_type, reason }),
        hints: hints(event),
        ..Report::new(kind, Some(recipient))
    };
    let words = Words { status: event.text("enhanced_status"), reply, text: event.text("diagnostic") };
    with_words(report, &words, notes).into()
}

/// One of the words that this service knows for that field; another is told, and left out.
fn keyword<T: std::str::FromStr>(event: Json<'_>, name: &str, notes: &mut Notes) -> Option<T> {
    let word = event.word(name);
    let known = word.parse().ok();
    if known.is_none() && event.at(name).is_some() {
        notes.add(format!("an event has a {name} that is not known here, which was left out"));
    }
    known
}

fn moment(event: Json<'_>, notes: &mut Notes) -> Option<time::OffsetDateTime> {
    let name = ["timestamp", "created_at"].into_iter().find(|it| event.at(it).is_some())?;
    let at = event.moment(name);
    if at.is_none() {
        notes.add("an event has a time that cannot be read; the time when it came counts");
    }
    at
}

/// `list` is the name of a list of this service and found as the tag `list`; `list_id` is the identifier of a List-Id header.
fn hints(event: Json<'_>) -> Hints {
    let mut tags = tag_hints(&[event.at("tags"), event.at("metadata"), event.at("meta")]);
    for name in ["campaign_uuid", "subscriber_uuid", "list"] {
        tags.extend(event.text(name).map(|it| (name.to_owned(), hint(&it))));
    }
    let list_id = event.text("list_id").or_else(|| event.text("list")).as_deref().and_then(list_id);
    Hints { list_id, tags, ..Hints::default() }
}
