//! What an event of Event Grid says about a mail.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Report};
use crate::status::{Class, EnhancedStatus};

/// The claim of a label that means hard.
const HARD: Claim = Claim { bounce_type: Some(BounceType::Hard), reason: None };

/// The meaning of an event. What a validation event wants back is put into `code`.
pub(super) fn meaning(event: Json<'_>, code: &mut Option<String>, notes: &mut Notes) -> Meaning {
    // `eventType` in Event Grid's schema, `type` in that of CloudEvents.
    let name = if event.at("eventType").is_some() { "eventType" } else { "type" };
    match event.word(name).as_str() {
        "microsoft.communication.emaildeliveryreportreceived" => report(event, notes),
        "microsoft.eventgrid.subscriptionvalidationevent" => match event.at("data").text("validationCode") {
            Some(found) => {
                *code = Some(found);
                Meaning::Nothing
            }
            None => Meaning::Unknown("a validation event has no code"),
        },
        "microsoft.eventgrid.subscriptiondeletedevent" => {
            notes.add("the event subscription was deleted; nothing more will come until there is another");
            Meaning::Nothing
        }
        "microsoft.communication.emailengagementtrackingreportreceived" => Meaning::Nothing,
        // Text messages, calls, chats: a topic carries what its resource does.
        other if other.starts_with("microsoft.communication.") && !other.starts_with("microsoft.communication.email") => Meaning::Nothing,
        "" => Meaning::Unknown("an event has no type"),
        _ => Meaning::Unknown("an event is of a type that is not known here"),
    }
}

fn report(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let data = event.at("data");
    let text = data.at("deliveryStatusDetails").text("statusMessage");
    let blames = blames(text.as_deref());
    let (kind, claim) = match data.word("status").as_str() {
        "delivered" => (Kind::Delivered, None),
        "bounced" => (Kind::Bounce, Some(HARD)),
        // Hard only where the code says so; else the receiver's words decide.
        "failed" => (Kind::Bounce, blames.then_some(HARD)),
        "suppressed" => (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) })),
        "quarantined" | "filteredspam" => {
            (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason: Some(Reason::SpamContent) }))
        }
        // Of a distribution list, whose members are told of one by one; and what has not ended yet.
        "expanded" | "outfordelivery" => return Meaning::Nothing,
        "" => return Meaning::Unknown("a delivery report has no status"),
        _ => return Meaning::Unknown("a delivery report has a status that is not known here"),
    };
    let recipient = match recipient(data, &["recipient"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let attempted = data.moment("deliveryAttemptTimeStamp").or_else(|| data.moment("deliveryAttemptTimestamp"));
    let report = Report {
        occurred_at: attempted.or_else(|| event.moment("eventTime")).or_else(|| event.moment("time")),
        message_id: data.text("internetMessageId").as_deref().and_then(bare_message_id),
        provider_message_id: data.text("messageId"),
        provider_event_id: event.text("id"),
        remote_mta: data.at("deliveryStatusDetails").text("recipientMailServerHostName"),
        claim,
        ..Report::new(kind, Some(recipient))
    };
    let report = with_words(report, &Words { text, ..Words::default() }, notes);
    if blames { report.into() } else { weighed(report).into() }
}

/// Whether the receiver's code blames the address or the way to it.
fn blames(text: Option<&str>) -> bool {
    let mut codes = text.unwrap_or_default().split(|it: char| !it.is_ascii_digit() && it != '.');
    let status = codes.find_map(|it| it.trim_matches('.').parse::<EnhancedStatus>().ok());
    status.is_some_and(|it| it.class == Class::Permanent && (it.subject == 1 || (it.subject == 4 && matches!(it.detail, 1 | 4 | 310))))
}
