//! What an event of Brevo says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, bare_message_id, hint, packed_hints, tag_hints, weighed, with_words};
use crate::esp::json::{self, Json, Notes};
use crate::esp::mailbox::recipient;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let claimed = |kind, bounce_type, reason| (kind, Some(Claim { bounce_type: Some(bounce_type), reason }));
    // Posts write `hard_bounce`, the API that makes a webhook `hardBounce`.
    let word: String = event.word("event").chars().filter(char::is_ascii_alphanumeric).collect();
    let (kind, claim) = match word.as_str() {
        "hardbounce" => claimed(Kind::Bounce, BounceType::Hard, None),
        "softbounce" => claimed(Kind::Bounce, BounceType::Soft, None),
        "invalidemail" | "invalid" => claimed(Kind::Bounce, BounceType::Hard, Some(Reason::AddressSyntax)),
        "blocked" => claimed(Kind::Suppressed, BounceType::Hard, Some(Reason::Suppressed)),
        "deferred" => (Kind::Delayed, None),
        "delivered" => (Kind::Delivered, None),
        "error" => (Kind::Rejected, None),
        "spam" | "complaint" => (Kind::Complaint, None),
        "unsubscribe" | "unsubscribed" => (Kind::Unsubscribe, None),
        "request" | "sent" | "opened" | "open" | "uniqueopened" | "proxyopen" | "uniqueproxyopen" | "loadedbyproxy" | "click"
        | "clicked" | "listaddition" | "contactupdated" | "contactdeleted" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    let recipient = match recipient(event, &["email"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let words = Words { text: event.text("reason"), ..Words::default() };
    let report = Report {
        // `ts` and `date` follow the time zone of the account, and are better than nothing.
        occurred_at: ["ts_epoch", "ts_event", "ts", "date"].iter().find_map(|it| event.moment(it)),
        message_id: event.text("message-id").as_deref().and_then(bare_message_id),
        claim,
        hints: hints(event),
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_words(report, &words, notes)).into()
}

fn hints(event: Json<'_>) -> Hints {
    // `tag` is one tag, or all of them as a list that is written as text.
    let packed = event.text("tag").and_then(|it| json::parse(it.as_bytes()).ok()).filter(serde_json::Value::is_array);
    let mut tags = tag_hints(&[packed.as_ref().map_or_else(|| event.at("tag"), Json::new), event.at("tags")]);
    tags.extend(packed_hints("X-Mailin-custom", event.at("X-Mailin-custom")));
    for name in ["template_id", "camp_id", "list_id"] {
        let value = event.at(name).items().find_map(Json::own_text);
        tags.extend(value.map(|it| (name.to_owned(), hint(&it))));
    }
    Hints { tags, ..Hints::default() }
}
