//! What an event of Mailgun says.

use std::collections::BTreeMap;

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, is_open, list_id, tag_hints, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(post: Json<'_>, notes: &mut Notes) -> Meaning {
    let event = post.at("event-data");
    let (kind, claim, feedback_type) = match event.word("event").as_str() {
        "failed" => failed(event),
        "rejected" => (Kind::Rejected, None, None),
        "complained" => (Kind::Complaint, None, None),
        "unsubscribed" => (Kind::Unsubscribe, None, None),
        "delivered" => (Kind::Delivered, None, None),
        "accepted" | "opened" | "clicked" | "stored" => return Meaning::Nothing,
        it if it.starts_with("list_") => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event does not say what happened"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let common = common(post, event, Report { feedback_type, claim, ..Report::new(kind, None) });
    let common = with_words(common, &words(event), notes);
    let headers = event.at("message").at("headers");
    let named = event.at("recipient").verbatim();
    // What Mailgun refused has no recipient of its own, only those that the message names.
    let addressed = headers.at("to").verbatim().filter(|_| kind == Kind::Rejected && named.is_none());
    let texts = named.into_iter().chain(addressed.into_iter().flat_map(|it| it.split(',')));
    let recipients = texts.filter_map(|it| mailbox(it).ok()).take(limits::EVENT_RECIPIENTS);
    let reports: Vec<_> = recipients.map(|it| Report { recipient: Some(it), ..common.clone() }).collect();
    if reports.is_empty() { Meaning::Unknown("an event names no recipient that can be read") } else { Meaning::Reports(reports) }
}

fn common(post: Json<'_>, event: Json<'_>, report: Report) -> Report {
    let token = ["signature", "parent-signature"].into_iter().find_map(|it| post.at(it).text("token"));
    let occurred_at = event.moment("timestamp");
    // The id of an event is its own for a day only.
    let of_day = || Some(format!("{}@{}", event.text("id")?, occurred_at?.date()));
    let headers = event.at("message").at("headers");
    let variables = event.at("user-variables");
    let header = |name: &str| Some((name.to_owned(), hint(&headers.text(name)?)));
    Report {
        occurred_at,
        message_id: headers.text("message-id").as_deref().and_then(bare_message_id),
        provider_event_id: token.or_else(of_day),
        remote_mta: event.at("delivery-status").text("mx-host"),
        hints: Hints {
            list_id: event.at("mailing-list").text("list-id").as_deref().and_then(list_id),
            headers: ["from", "subject"].into_iter().filter_map(header).collect::<BTreeMap<_, _>>(),
            // A text in the place of the variables says that they could not be had.
            tags: tag_hints(&[event.at("tags"), if variables.verbatim().is_some() { Json::default() } else { variables }]),
            ..Hints::default()
        },
        ..report
    }
}

/// Mailgun's own codes are no replies: 498 and 499 (no connection came about), 600 and above (it did not try).
fn code(event: Json<'_>) -> Option<u16> {
    event.at("delivery-status").text("code")?.parse().ok()
}

fn words(event: Json<'_>) -> Words {
    let status = event.at("delivery-status");
    let reject = event.at("reject");
    Words {
        status: status.text("enhanced-code").or_else(|| status.text("bounce-code")),
        reply: code(event).filter(|it| !matches!(it, 498 | 499 | 600..)).map(|it| it.to_string()),
        text: status
            .text("message")
            .or_else(|| status.text("description"))
            .or_else(|| reject.text("reason"))
            .or_else(|| reject.text("description")),
    }
}

/// A failure. Mailgun says which is final; of a final one the receiver's words say whether the address is bad, and where they do not,
/// it is what Mailgun means by it.
fn failed(event: Json<'_>) -> (Kind, Option<Claim>, Option<FeedbackType>) {
    let (reason, code, words) = (event.word("reason"), code(event), words(event));
    let bounce = |bounce_type, reason| (Kind::Bounce, Some(Claim { bounce_type, reason }), None);
    let soft = Some(BounceType::Soft);
    let claim = |reason| Some(Claim { bounce_type: None, reason: Some(reason) });
    if event.word("severity") == "temporary" {
        let greylisted = if reason == "greylisted" { claim(Reason::Greylisted) } else { None };
        return (Kind::Delayed, greylisted, None);
    }
    match (reason.as_str(), code) {
        ("suppress-unsubscribe", _) | (_, Some(606)) => (Kind::Suppressed, claim(Reason::Suppressed), Some(FeedbackType::OptOut)),
        ("suppress-complaint", _) | (_, Some(607)) => (Kind::Suppressed, claim(Reason::Suppressed), Some(FeedbackType::Abuse)),
        (it, _) if it.starts_with("suppress") => (Kind::Suppressed, claim(Reason::Suppressed), None),
        (_, Some(605)) => (Kind::Suppressed, claim(Reason::Suppressed), None),
        // The quality of the whole list was too poor to send to it.
        (_, Some(625)) => (Kind::Rejected, claim(Reason::ReputationBlock), None),
        ("espblock" | "blacklisted", _) => bounce(soft, Some(Reason::ReputationBlock)),
        ("greylisted", _) => bounce(soft, Some(Reason::Greylisted)),
        ("old", _) => bounce(soft, words.status.is_none().then_some(Reason::Expired)),
        (_, Some(400..500)) => bounce(soft, None),
        (_, Some(600..)) => bounce(None, None),
        _ => bounce(None, is_open(&words).then_some(Reason::UserUnknown)),
    }
}
