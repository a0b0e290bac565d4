//! What an event of Postal says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, tag_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event; its payload alone will do.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let payload = Some(event.at("payload")).filter(|it| it.is_some()).unwrap_or(event);
    let message = Some(payload.at("message")).filter(|it| it.is_some()).unwrap_or(payload.at("original_message"));
    // Mail that Postal received for somebody, and did not send.
    if message.word("direction") == "incoming" {
        return Meaning::Nothing;
    }
    let (output, details) = (payload.text("output"), payload.text("details"));
    let says = |words: &str| details.as_deref().is_some_and(|it| it.to_ascii_lowercase().contains(words));
    let (kind, claim) = match name(event, payload).as_str() {
        "messagesent" => (Kind::Delivered, None),
        "messagedelayed" => (Kind::Delayed, None),
        // Postal calls every 5xx hard; a failure without an answer is not the address's.
        "messagedeliveryfailed" if output.as_deref().is_some_and(|it| it.starts_with('5')) => {
            (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Hard), reason: None }))
        }
        "messagedeliveryfailed" if output.is_some() => (Kind::Bounce, None),
        "messagedeliveryfailed" if says("maximum number of delivery attempts") => (Kind::Bounce, Some(soft(Some(Reason::Expired)))),
        "messagedeliveryfailed" if says("likely spam") => (Kind::Bounce, Some(soft(Some(Reason::SpamContent)))),
        "messagedeliveryfailed" | "messagebounced" => (Kind::Bounce, Some(soft(None))),
        "messageheld" if says("suppression list") => {
            (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) }))
        }
        "messageheld" | "messagelinkclicked" | "messageloaded" | "domaindnserror" => return Meaning::Nothing,
        limit if limit.starts_with("sendlimit") => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has neither a name nor a status"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(message, &["to"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let bounce = payload.at("bounce");
    let report = Report {
        claim,
        remote_mta: details.as_deref().and_then(host),
        text: details.filter(|_| output.is_none()),
        occurred_at: payload.moment("timestamp").or_else(|| event.moment("timestamp")).or_else(|| bounce.moment("timestamp")),
        message_id: message.text("message_id").as_deref().and_then(bare_message_id),
        provider_message_id: message.text("id"),
        provider_event_id: event.text("uuid"),
        hints: Hints { tags: tag_hints(&[message.at("tag")]), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &Words { text: output, ..Words::default() }, notes)).into()
}

fn soft(reason: Option<Reason>) -> Claim {
    Claim { bounce_type: Some(BounceType::Soft), reason }
}

/// The name of the event; where the envelope is missing, as in Postal's own documentation, that of its status.
fn name(event: Json<'_>, payload: Json<'_>) -> String {
    let name = event.word("event");
    if !name.is_empty() {
        return name;
    }
    let of_status = match payload.word("status").as_str() {
        "sent" => "messagesent",
        "softfail" => "messagedelayed",
        "hardfail" => "messagedeliveryfailed",
        "held" => "messageheld",
        _ if payload.at("original_message").is_some() => "messagebounced",
        _ => "",
    };
    of_status.to_owned()
}

/// The host that answered: `Permanent SMTP delivery error when sending to mx.example.com (192.0.2.1)`.
fn host(details: &str) -> Option<String> {
    let (_, rest) = details.split_once("sending to ")?;
    rest.split_whitespace().next().map(|it| it.trim_end_matches('.').to_owned()).filter(|it| !it.is_empty())
}
