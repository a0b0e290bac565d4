//! What an event of Resend says.

use crate::address::Address;
use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, tag_hints, weighed, with_words};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::esp::ses::labels::bounce_meaning;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};

/// The meaning of an event with that id.
pub(super) fn meaning(event: Json<'_>, id: Option<&str>, notes: &mut Notes) -> Meaning {
    let data = event.at("data");
    let word = event.word("type");
    let (kind, claim, feedback_type) = match word.as_str() {
        "email.bounced" => bounced(data.at("bounce"), notes),
        "email.suppressed" => (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) }), None),
        "email.delivery_delayed" => (Kind::Delayed, None, None),
        "email.complained" => (Kind::Complaint, None, None),
        "email.delivered" => (Kind::Delivered, None, None),
        "email.failed" => (Kind::Rejected, None, None),
        // The list of Resend itself is told by `email.suppressed` as soon as it matters.
        "email.sent" | "email.scheduled" | "email.opened" | "email.clicked" | "email.received" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        other if ["domain.", "contact.", "suppression."].iter().any(|it| other.starts_with(it)) => return Meaning::Nothing,
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let detail = ["bounce", "suppressed", "failed", "complaint", "delay"].map(|it| data.at(it)).into_iter().find(|it| it.is_some());
    let text = detail.and_then(|it| it.text("message").or_else(|| it.text("reason")));
    let words = Words { text: detail.and_then(diagnostic), ..Words::default() };
    let recipient = match recipient(data, [&words.text, &text]) {
        Ok(recipient) => recipient,
        // It would be kept for nothing: most messages are delivered.
        Err(Unclear::Several) if matches!(kind, Kind::Delivered | Kind::Delayed) => return Meaning::Nothing,
        Err(Unclear::Several) => {
            return Meaning::Unknown("the message went to several recipients, and the event does not say which failed");
        }
        Err(Unclear::Nobody) => return Meaning::Unknown("an event names no recipient that can be read"),
    };
    let headers = Headers(data.at("headers"));
    let mut tags = tag_hints(&[data.at("tags")]);
    for name in ["broadcast_id", "template_id"] {
        tags.extend(data.text(name).map(|it| (name.to_owned(), hint(&it))));
    }
    let report = Report {
        claim,
        feedback_type,
        text,
        occurred_at: event.moment("created_at").or_else(|| data.moment("created_at")),
        message_id: data.text("message_id").as_deref().and_then(bare_message_id).or_else(|| headers.message_id()),
        provider_message_id: data.text("email_id"),
        provider_event_id: id.map(str::to_owned),
        hints: Hints { list_id: headers.list_id(), headers: headers.hints(), tags, ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &words, notes)).into()
}

/// The receiver's words, where Resend passes them on: a list with one entry for each recipient that failed.
fn diagnostic(detail: Json<'_>) -> Option<String> {
    ["diagnosticCode", "diagnostic_code"].iter().find_map(|it| detail.at(it).items().find_map(Json::own_text))
}

fn bounced(bounce: Json<'_>, notes: &mut Notes) -> (Kind, Option<Claim>, Option<FeedbackType>) {
    if bounce.at("type").is_some() {
        let (kind, claim, feedback) = bounce_meaning(&bounce.word("type"), &bounce.word("subType"), notes);
        return (kind, Some(claim), feedback);
    }
    // Until 2024 there was prose alone: that of SES.
    let message = bounce.word("message");
    let says = |words: &str| message.contains(words);
    let (kind, bounce_type, reason) = if says("suppressed sending") || says("suppression list") {
        (Kind::Suppressed, BounceType::Hard, Some(Reason::Suppressed))
    } else if says("inbox was full") {
        (Kind::Bounce, BounceType::Soft, Some(Reason::MailboxFull))
    } else if says("hard bounce") {
        (Kind::Bounce, BounceType::Hard, None)
    } else {
        (Kind::Bounce, BounceType::Soft, None)
    };
    (kind, Some(Claim { bounce_type: Some(bounce_type), reason }), None)
}

/// Why nobody can be told to have failed.
enum Unclear {
    Nobody,
    Several,
}

/// The only recipient of the message, or of several the only one that the words name.
fn recipient(data: Json<'_>, words: [&Option<String>; 2]) -> Result<Address, Unclear> {
    let texts = ["to", "cc", "bcc"].iter().flat_map(|it| data.at(it).items()).filter_map(Json::verbatim);
    let texts: Vec<&str> = texts.take(limits::EVENT_RECIPIENTS).collect();
    let mut addresses: Vec<Address> = texts.iter().filter_map(|it| mailbox(it).ok()).collect();
    let unreadable = addresses.len() < texts.len();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Unclear::Nobody);
    }
    if addresses.len() > 1 || unreadable {
        let words = words.map(|it| it.as_deref().unwrap_or_default().to_ascii_lowercase());
        addresses.retain(|address| words.iter().any(|it| names(it, &address.expose().to_ascii_lowercase())));
    }
    let mut found = addresses.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Unclear::Several),
    }
}

/// Whether the text names the address, and not one that it is a part of.
fn names(text: &str, address: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(it);
    text.match_indices(address).any(|(at, _)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let mut after = text.get(at + address.len()..).unwrap_or_default().chars();
        // A dot may end a sentence; it goes on with the domain only before another letter.
        let goes_on = match after.next() {
            Some('.') => after.next().is_some_and(char::is_alphanumeric),
            Some(it) => it.is_alphanumeric() || it == '-',
            None => false,
        };
        !before.is_some_and(is_part) && !goes_on
    })
}
