//! What an event of Event Grid says about a mail.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hard_unless_passing, status_in, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Report};
use crate::status::Class;

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
    let (kind, claim) = match data.word("status").as_str() {
        "delivered" => (Kind::Delivered, None),
        "bounced" => (Kind::Bounce, hard_unless_passing(text.as_deref())),
        "failed" => (Kind::Bounce, failed(text.as_deref())),
        "suppressed" => (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) })),
        "quarantined" | "filteredspam" => {
            (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason: Some(Reason::SpamContent) }))
        }
        // Of a distribution list, whose members are told of one by one; and what has not ended yet.
        "expanded" | "outfordelivery" => return Meaning::Nothing,
        "" => return Meaning::Unknown("a delivery report has no status"),
        _ => return Meaning::Unknown("a delivery report has a status that is not known here"),
    };
    let Some(recipient) = data.at("recipient").verbatim() else {
        return Meaning::Unknown("a delivery report names no recipient");
    };
    let Ok(recipient) = mailbox(recipient) else {
        return Meaning::Unknown("a delivery report names a recipient that cannot be read");
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
    with_words(report, &Words { text, ..Words::default() }, notes).into()
}

/// `Failed` means hard only where the receiver's code blames the address or the way to it; else its words decide.
fn failed(text: Option<&str>) -> Option<Claim> {
    let status = status_in(text).filter(|it| it.class == Class::Permanent)?;
    let blames = status.subject == 1 || (status.subject == 4 && matches!(status.detail, 1 | 4 | 310));
    blames.then_some(Claim { bounce_type: Some(BounceType::Hard), reason: None })
}
