//! What one event of `SendGrid` says.

use std::collections::BTreeMap;

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, is_open, tag_hints, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};

/// Fields that are `SendGrid`'s own and say nothing of the list; whatever else is there is a tag or a custom argument.
const OWN_FIELDS: [&str; 26] = [
    "attempt",
    "bounce_classification",
    "category",
    "cert_err",
    "content_type",
    "email",
    "event",
    "ip",
    "pool",
    "reason",
    "response",
    "send_at",
    "sg_content_type",
    "sg_event_id",
    "sg_machine_open",
    "sg_message_id",
    "sg_template_id",
    "sg_template_name",
    "smtp-id",
    "status",
    "timestamp",
    "tls",
    "type",
    "url",
    "url_offset",
    "useragent",
];

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let (kind, claim, feedback_type) = match event.word("event").as_str() {
        "bounce" => (Kind::Bounce, Some(bounce(event)), None),
        "blocked" => (Kind::Bounce, Some(blocked(event)), None),
        "deferred" => (Kind::Delayed, None, None),
        "dropped" => dropped(event),
        "delivered" => (Kind::Delivered, None, None),
        "spamreport" => (Kind::Complaint, None, None),
        "unsubscribe" | "group_unsubscribe" => (Kind::Unsubscribe, None, None),
        "group_resubscribe" | "processed" | "open" | "click" | "account_status_change" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event does not say what happened"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let Some(Ok(recipient)) = event.at("email").verbatim().map(mailbox) else {
        return Meaning::Unknown("an event names no recipient that can be read");
    };
    let report = Report {
        occurred_at: event.moment("timestamp"),
        message_id: event.text("smtp-id").as_deref().and_then(bare_message_id),
        // django-anymail gives each message an id of its own, and that is the one its senders know.
        provider_message_id: event.text("anymail_id").or_else(|| event.text("sg_message_id")),
        provider_event_id: event.text("sg_event_id"),
        claim,
        feedback_type,
        hints: Hints { tags: tags(event), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    with_words(report, &words(event), notes).into()
}

/// What the receiver said, or why `SendGrid` did not try. A custom argument may stand in the place of the status.
fn words(event: Json<'_>) -> Words {
    let status = event.text("status").filter(|it| it.bytes().all(|it| it.is_ascii_digit() || it == b'.'));
    Words { status, reply: None, text: event.text("response").or_else(|| event.text("reason")) }
}

/// A bounce puts the address on `SendGrid`'s own list, unless it is a block. What the receiver said decides, then the
/// classification; where neither tells, it is what `SendGrid` means by a bounce: a bad address.
fn bounce(event: Json<'_>) -> Claim {
    // A custom argument may stand in the place of the type, so another word is no other type.
    if matches!(event.word("type").as_str(), "blocked" | "expired") {
        return blocked(event);
    }
    let reason = match classification(event) {
        Some(Reason::UserUnknown) | None => is_open(&words(event)).then_some(Reason::UserUnknown),
        Some(Reason::Undetermined) => None,
        other => other,
    };
    Claim { bounce_type: None, reason }
}

/// The message or the sender was refused; `SendGrid` tries the address again with the next message.
fn blocked(event: Json<'_>) -> Claim {
    let reason = classification(event).filter(|it| !matches!(it, Reason::UserUnknown | Reason::Undetermined));
    Claim { bounce_type: Some(BounceType::Soft), reason }
}

/// What `bounce_classification` means; `Undetermined` where it says that it is not the address, and no more.
fn classification(event: Json<'_>) -> Option<Reason> {
    const MEANINGS: [(&str, Reason); 6] = [
        ("invalid", Reason::UserUnknown),
        ("technical", Reason::Undetermined),
        ("content", Reason::SpamContent),
        ("reputation", Reason::ReputationBlock),
        ("frequency", Reason::RateLimited),
        ("mailbox", Reason::MailboxUnavailable),
    ];
    let word = event.word("bounce_classification");
    MEANINGS.into_iter().find(|(name, _)| word.starts_with(name)).map(|(_, reason)| reason)
}

/// Not tried: the address stands on one of `SendGrid`'s lists, or the message was refused.
fn dropped(event: Json<'_>) -> (Kind, Option<Claim>, Option<FeedbackType>) {
    let claim = |reason| Some(Claim { bounce_type: None, reason: Some(reason) });
    let suppressed = |feedback| (Kind::Suppressed, claim(Reason::Suppressed), feedback);
    let why = event.word("reason");
    match why.as_str() {
        it if it.starts_with("bounced") => suppressed(None),
        it if it.starts_with("unsubscribed") || it.starts_with("group unsubscribe") => suppressed(Some(FeedbackType::OptOut)),
        it if it.starts_with("spam reporting") => suppressed(Some(FeedbackType::Abuse)),
        it if it.starts_with("invalid") && !it.contains("smtpapi") => suppressed(None),
        it if it.starts_with("spam content") => (Kind::Rejected, claim(Reason::SpamContent), None),
        it if it.contains("quota") => (Kind::Rejected, claim(Reason::RateLimited), None),
        _ => (Kind::Rejected, None, None),
    }
}

/// Categories, the group of an unsubscription, and whatever the sender gave along.
fn tags(event: Json<'_>) -> BTreeMap<String, String> {
    let custom = event.entries().filter(|(name, _)| !OWN_FIELDS.contains(&name.to_ascii_lowercase().as_str()));
    let custom = custom.filter_map(|(name, value)| Some((hint(name), hint(&value.own_text()?)))).take(limits::POST_HINTS);
    let mut tags: BTreeMap<String, String> = custom.collect();
    tags.extend(tag_hints(&[event.at("category")]));
    tags
}
