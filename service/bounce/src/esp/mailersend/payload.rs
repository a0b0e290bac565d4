//! What an event of `MailerSend` says.

use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, tag_hints, weighed, with_words};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::esp::mailersend::TEST_EVENT;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let data = event.at("data");
    let whole = event.word("type");
    let activity = match whole.strip_prefix("activity.") {
        Some(activity) => activity.to_owned(),
        None if whole.is_empty() => data.word("type"),
        // Whatever its data say: the test call is proved by nothing.
        None if whole == TEST_EVENT || is_of_account(&whole) => return Meaning::Nothing,
        None => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let (kind, bounce_type) = match activity.as_str() {
        "hard_bounced" => (Kind::Bounce, Some(BounceType::Hard)),
        "soft_bounced" => (Kind::Bounce, Some(BounceType::Soft)),
        "deferred" => (Kind::Delayed, None),
        "delivered" => (Kind::Delivered, None),
        "spam_complaint" => (Kind::Complaint, None),
        "unsubscribed" => (Kind::Unsubscribe, None),
        "queued" | "sent" | "opened" | "opened_unique" | "clicked" | "clicked_unique" => return Meaning::Nothing,
        survey if survey.starts_with("survey_") => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let email = data.at("email");
    let recipient = match recipient(email.at("recipient"), &["email"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let (reason, readable) = (data.at("morph").text("reason"), data.at("morph").text("readable_reason"));
    let text = readable.clone().filter(|_| reason.is_some());
    let headers = Headers(email.at("headers"));
    let report = Report {
        claim: bounce_type.map(|it| Claim { bounce_type: Some(it), reason: None }),
        text,
        // The outer time is that of the post, and changes with every attempt.
        occurred_at: data.moment("created_at").or_else(|| event.moment("created_at")),
        message_id: headers.message_id(),
        provider_message_id: email.at("message").text("id"),
        provider_event_id: data.text("id"),
        hints: Hints { list_id: headers.list_id(), headers: headers.hints(), tags: tag_hints(&[email.at("tags")]), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &Words { text: reason.or(readable), ..Words::default() }, notes)).into()
}

/// Whether the event is about the account and no message.
fn is_of_account(word: &str) -> bool {
    const ACCOUNT: [&str; 9] = [
        "sender_identity.",
        "maintenance.",
        "inbound_forward.",
        "email_single.",
        "email_list.",
        "bulk_email.",
        "sms.",
        "domain.",
        "recipient.",
    ];
    ACCOUNT.iter().any(|it| word.starts_with(it))
}
