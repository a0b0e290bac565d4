//! What one event of Mandrill says. Bounces are sorted by `BoogieTools`: `bounce_description` and `bgtools_code` are its words.

use std::collections::BTreeMap;

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, hint, is_open, tag_hints, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let message = event.at("msg");
    let (kind, claim, feedback_type) = match event.word("event").as_str() {
        "hard_bounce" => (Kind::Bounce, Some(hard(message)), None),
        "soft_bounce" => soft(message),
        "deferral" => (Kind::Delayed, None, None),
        "delivered" => (Kind::Delivered, None, None),
        "spam" => (Kind::Complaint, None, None),
        "unsub" => (Kind::Unsubscribe, None, None),
        "reject" => rejected(event),
        "send" | "open" | "click" | "inbound" => return Meaning::Nothing,
        "" if matches!(event.word("type").as_str(), "whitelist" | "blacklist" | "allowlist" | "denylist") => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event does not say what happened"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let Some(Ok(recipient)) = message.at("email").verbatim().map(mailbox) else {
        return Meaning::Unknown("an event names no recipient that can be read");
    };
    let report = Report {
        occurred_at: event.moment("ts").or_else(|| message.moment("ts")),
        provider_message_id: message.text("_id").or_else(|| event.text("_id")),
        remote_mta: last_attempt(message).text("destination_ip"),
        claim,
        feedback_type,
        hints: Hints { tags: tags(message), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    with_words(report, &words(message), notes).into()
}

/// The last conversation with the receiver.
fn last_attempt(message: Json<'_>) -> Json<'_> {
    message.at("smtp_events").items().filter(|it| it.text("diag").is_some()).last().unwrap_or_default()
}

fn words(message: Json<'_>) -> Words {
    Words { status: None, reply: None, text: message.text("diag").or_else(|| last_attempt(message).text("diag")) }
}

/// What `BoogieTools` makes of it, where it tells.
fn sorted_as(message: Json<'_>) -> Option<Reason> {
    match (message.word("bounce_description").as_str(), message.word("bgtools_code").as_str()) {
        ("bad_mailbox", _) => Some(Reason::UserUnknown),
        ("invalid_domain", _) => Some(Reason::DomainUnknown),
        ("mailbox_full", _) => Some(Reason::MailboxFull),
        (_, "10") => Some(Reason::UserUnknown),
        (_, "21") => Some(Reason::DnsError),
        (_, "22") => Some(Reason::MailboxFull),
        (_, "23") => Some(Reason::MessageTooLarge),
        (_, "50" | "51") => Some(Reason::ReputationBlock),
        (_, "52") => Some(Reason::SpamContent),
        (_, "53") => Some(Reason::ContentRejected),
        (_, "54") => Some(Reason::RelayDenied),
        _ => None,
    }
}

/// Mandrill puts the address on its own list. The receiver's words decide, then what they were sorted as; where neither
/// tells, it is what Mandrill means by it.
fn hard(message: Json<'_>) -> Claim {
    let reason = sorted_as(message).or_else(|| is_open(&words(message)).then_some(Reason::UserUnknown));
    Claim { bounce_type: None, reason }
}

/// Automatic answers are sorted as soft bounces too, and are none.
fn soft(message: Json<'_>) -> (Kind, Option<Claim>, Option<FeedbackType>) {
    match message.word("bgtools_code").as_str() {
        "60" => (Kind::AutoReply, None, None),
        "100" => (Kind::ChallengeResponse, None, None),
        _ => (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason: sorted_as(message) }), None),
    }
}

/// Not tried: the address stands on the list of Mandrill, which is what this event was made for and what it means where
/// it gives no reason, or the message was refused.
fn rejected(event: Json<'_>) -> (Kind, Option<Claim>, Option<FeedbackType>) {
    let message = event.at("msg");
    let named = [message.at("reject").at("reason"), message.at("reject"), message.at("reject_reason"), event.at("reject").at("reason")];
    let why = named.into_iter().find_map(Json::own_text).unwrap_or_default().to_ascii_lowercase().replace('_', "-");
    let suppressed = |feedback| (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) }), feedback);
    match why.as_str() {
        "" | "hard-bounce" | "soft-bounce" | "custom" => suppressed(None),
        "spam" => suppressed(Some(FeedbackType::Abuse)),
        "unsub" => suppressed(Some(FeedbackType::OptOut)),
        _ => (Kind::Rejected, None, None),
    }
}

/// Tags and metadata, and what else a message was sent under.
fn tags(message: Json<'_>) -> BTreeMap<String, String> {
    let named = ["subaccount", "template"].into_iter().filter_map(|it| Some((it.to_owned(), hint(&message.text(it)?))));
    let metadata = message.at("metadata");
    let mut tags: BTreeMap<_, _> = named.collect();
    tags.extend(tag_hints(&[if metadata.entries().next().is_some() { metadata } else { Json::default() }, message.at("tags")]));
    tags
}
