//! What an event of Elastic Email says. It has no words of the receiver, only a status and, of an error, a category.

use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::address::Address;
use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::hint;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::esp::moment::moment;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let (kind, claim) = match event.word("status").as_str() {
        // `Sent` is told when the receiver has taken it.
        "sent" | "delivered" => (Kind::Delivered, None),
        "error" | "bounced" | "bounce" => match failure(&event.word("category"), notes) {
            Some(failure) => failure,
            None => return Meaning::Nothing,
        },
        "abusereport" | "complaint" => (Kind::Complaint, None),
        "unsubscribed" => (Kind::Unsubscribe, None),
        "waitingtoretry" => (Kind::Delayed, None),
        "opened" | "clicked" | "readytosend" | "sending" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no status"),
        _ => return Meaning::Unknown("an event has a status that is not known here"),
    };
    let Some(to) = event.at("to").verbatim() else {
        return Meaning::Unknown("an event names no recipient");
    };
    let Some(recipient) = recipient(to) else {
        return Meaning::Unknown("an event names a recipient that cannot be read");
    };
    let tags = ["channel", "postback", "transaction"].into_iter().filter_map(|it| Some((it.to_owned(), hint(&event.text(it)?))));
    let report = Report {
        occurred_at: event.text("date").as_deref().and_then(date),
        provider_message_id: event.text("messageid"),
        claim,
        hints: Hints { tags: tags.collect(), ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    report.into()
}

/// What the category of an error means; `None` where it is to be ignored.
fn failure(category: &str, notes: &mut Notes) -> Option<(Kind, Option<Claim>)> {
    let soft = |reason| Some((Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason })));
    match category {
        "nomailbox" => Some((Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::UserUnknown) }))),
        "greylisted" => soft(Some(Reason::Greylisted)),
        "throttled" => soft(Some(Reason::RateLimited)),
        "timeout" | "connectionproblem" | "connectionterminated" => soft(Some(Reason::NetworkError)),
        "dnsproblem" => soft(Some(Reason::DnsError)),
        "whitelistingproblem" => soft(Some(Reason::PolicyRejected)),
        "blacklisted" => soft(Some(Reason::ReputationBlock)),
        "spam" => soft(Some(Reason::SpamContent)),
        "contentfilter" => soft(Some(Reason::ContentRejected)),
        "spfproblem" => soft(Some(Reason::AuthFailure)),
        // Disabled or full, which of the two is not said.
        "accountproblem" => soft(Some(Reason::MailboxUnavailable)),
        "codeerror" | "notdelivered" | "unknown" | "" => soft(None),
        "manualcancel" => Some((Kind::Rejected, None)),
        "ignore" => None,
        _ => {
            notes.add("the category of an error is not known here; taken as soft");
            soft(None)
        }
    }
}

/// The recipient; a `+` that was not encoded became a blank, which no address has.
fn recipient(text: &str) -> Option<Address> {
    mailbox(text).or_else(|_| mailbox(&text.trim().replace(' ', "+"))).ok()
}

/// `3/1/2024 12:00:00 PM` or `3/1/2024 12:00:00`, month first and UTC; or any of the usual spellings.
fn date(text: &str) -> Option<OffsetDateTime> {
    const HALVES: &[time::format_description::BorrowedFormatItem<'_>] = format_description!(
        "[month padding:none]/[day padding:none]/[year] [hour repr:12 padding:none]:[minute]:[second] [period case:upper]"
    );
    const WHOLE: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[month padding:none]/[day padding:none]/[year] [hour padding:none]:[minute]:[second]");
    let upper = text.trim().to_ascii_uppercase();
    let american = || [HALVES, WHOLE].into_iter().find_map(|it| PrimitiveDateTime::parse(&upper, it).ok());
    moment(text).or_else(|| american().map(PrimitiveDateTime::assume_utc))
}
