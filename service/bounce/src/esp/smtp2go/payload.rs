//! What an event of SMTP2GO says.

use std::collections::BTreeMap;

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, list_id, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::{mailbox, recipient};
use crate::kind::{BounceType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};
use crate::status::Stage;

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let word = event.word("event");
    let (kind, claim) = match word.as_str() {
        "bounce" | "bounced" => bounce(&event.word("bounce")),
        "hard_bounce" | "hard_bounced" => bounce("hard"),
        "soft_bounce" | "soft_bounced" => bounce("soft"),
        "spam" | "spam_complaint" => (Kind::Complaint, None),
        "unsubscribe" | "unsubscribed" => (Kind::Unsubscribe, None),
        "reject" | "rejected" => (Kind::Suppressed, Some(Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::Suppressed) })),
        "delivered" => (Kind::Delivered, None),
        "processed" | "open" | "opened" | "click" | "clicked" | "resubscribe" | "resubscribed" | "test" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        sms if sms.starts_with("sms-") || sms.starts_with("sms_") => return Meaning::Nothing,
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    // All recipients of the message are named as well; only where there is but one does that tell whom this is about.
    let named = match event.at("recipients").items().take(2).collect::<Vec<_>>().as_slice() {
        [only] if event.text("rcpt").is_none() => mailbox(only.verbatim().unwrap_or_default()).map_err(|_| "an event names no recipient"),
        _ => recipient(event, &["rcpt"]),
    };
    match named {
        Ok(recipient) => report(event, Report { claim, ..Report::new(kind, Some(recipient)) }, notes).into(),
        Err(why) => Meaning::Unknown(why),
    }
}

fn bounce(word: &str) -> (Kind, Option<Claim>) {
    let bounce_type = match word {
        "hard" => Some(BounceType::Hard),
        "soft" => Some(BounceType::Soft),
        _ => None,
    };
    (Kind::Bounce, bounce_type.map(|it| Claim { bounce_type: Some(it), reason: None }))
}

fn report(event: Json<'_>, report: Report, notes: &mut Notes) -> Report {
    let context = event.text("context").unwrap_or_default();
    let stage = stage(&context);
    // Some bounces have the receiver's words there, and no message.
    let said = Some(context).filter(|it| stage.is_none() && !it.is_empty() && !it.eq_ignore_ascii_case("unavailable"));
    let words = Words { text: event.text("message").or(said), ..Words::default() };
    let headers = headers(event);
    let report = Report {
        occurred_at: event.moment("time").or_else(|| event.moment("sendtime")),
        stage: stage.filter(|_| report.kind == Kind::Bounce),
        remote_mta: event.text("host"),
        message_id: headers.get("message-id").and_then(|it| bare_message_id(it)),
        provider_message_id: event.text("email_id"),
        provider_event_id: event.text("id"),
        hints: Hints {
            list_id: headers.get("list-id").and_then(|it| list_id(it)),
            tags: event.text("auth").map(|it| ("auth".to_owned(), hint(&it))).into_iter().collect(),
            headers,
            ..Hints::default()
        },
        ..report
    };
    weighed(with_words(report, &words, notes))
}

/// The command that a context names.
fn stage(context: &str) -> Option<Stage> {
    const COMMANDS: [(&str, Stage); 8] = [
        ("rcpt to", Stage::RcptTo),
        ("mail from", Stage::MailFrom),
        ("ehlo", Stage::Ehlo),
        ("helo", Stage::Ehlo),
        ("starttls", Stage::StartTls),
        ("auth ", Stage::Auth),
        ("data", Stage::Data),
        ("end of data", Stage::EndOfData),
    ];
    let context = context.to_ascii_lowercase();
    COMMANDS.iter().find(|(command, _)| context.starts_with(command)).map(|it| it.1)
}

/// Headers of the message that the webhook was told to send along, name in lower case. Their spelling varies.
fn headers(event: Json<'_>) -> BTreeMap<String, String> {
    let named = event.entries().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let kept = named.filter(|(name, _)| name.starts_with("x-") || matches!(name.as_str(), "message-id" | "list-id" | "list-unsubscribe"));
    kept.filter_map(|(name, value)| Some((hint(&name), hint(&value.own_text()?)))).take(limits::POST_HINTS).collect()
}
