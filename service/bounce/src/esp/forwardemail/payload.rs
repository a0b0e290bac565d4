//! What a bounce of Forward Email says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, list_id, tag_hints, weighed, with_words};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of a bounce.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let bounce = event.at("bounce");
    let (response, message) = (event.text("response"), event.text("message"));
    if response.is_none() && message.is_none() && !bounce.is_some() {
        return Meaning::Unknown("an event is no bounce");
    }
    let recipient = match recipient(event, &["recipient"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let kind = if bounce.word("action") == "defer" { Kind::Delayed } else { Kind::Bounce };
    // Where no server answered, the code and the class are Forward Email's own and say nothing of the address.
    let answered = response.is_some();
    let gave_up = !answered && message.as_deref().is_some_and(|it| it.contains("maximum period"));
    let claim = if gave_up { Claim { bounce_type: Some(BounceType::Soft), reason: Some(Reason::Expired) } } else { label(bounce) };
    let words = Words {
        status: bounce.text("status").filter(|_| answered),
        reply: event.text("response_code").or_else(|| bounce.text("code")).filter(|_| answered),
        text: response.or_else(|| message.clone()),
    };
    let headers = Headers(event.at("headers"));
    let report = Report {
        claim: Some(claim),
        text: message.filter(|_| answered).or_else(|| bounce.text("message")),
        // The domain of a large provider, where it is sure that its server answered.
        remote_mta: event.text("truth_source"),
        occurred_at: event.moment("bounced_at"),
        message_id: headers.message_id(),
        provider_message_id: event.text("email_id"),
        hints: Hints {
            list_id: event.text("list_id").as_deref().and_then(list_id).or_else(|| headers.list_id()),
            headers: headers.hints(),
            tags: tag_hints(&[event.at("feedback_id")]).into_values().map(|it| ("feedback_id".to_owned(), it)).collect(),
            ..Hints::default()
        },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &words, notes)).into()
}

/// What the category says. Those that say nothing leave it to the words.
fn label(bounce: Json<'_>) -> Claim {
    let soft = |reason| Claim { bounce_type: Some(BounceType::Soft), reason: Some(reason) };
    match bounce.word("category").as_str() {
        "recipient" => Claim { bounce_type: Some(BounceType::Hard), reason: None },
        "block" | "blocklist" | "blacklist" | "denylist" => soft(Reason::ReputationBlock),
        "spam" => soft(Reason::SpamContent),
        "virus" => soft(Reason::VirusDetected),
        "capacity" => soft(Reason::MailboxFull),
        "policy" => soft(Reason::PolicyRejected),
        "network" => soft(Reason::NetworkError),
        "dmarc" => soft(Reason::AuthFailure),
        "greylist" => soft(Reason::Greylisted),
        "protocol" => soft(Reason::ProtocolError),
        _ => Claim { bounce_type: None, reason: None },
    }
}
