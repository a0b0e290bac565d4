//! What the types and subtypes of SES say. Resend sends by way of SES and passes them on.

use crate::classify::reason::Reason;
use crate::esp::json::Notes;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Claim;

/// What bounceType and bounceSubType mean, and of whose wish a suppression speaks.
pub(in crate::esp) fn bounce_meaning(bounce_type: &str, sub_type: &str, notes: &mut Notes) -> (Kind, Claim, Option<FeedbackType>) {
    let soft = |reason| (Kind::Bounce, Claim { bounce_type: Some(BounceType::Soft), reason }, None);
    let hard = |reason| (Kind::Bounce, Claim { bounce_type: Some(BounceType::Hard), reason }, None);
    let suppressed =
        |feedback| (Kind::Suppressed, Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::Suppressed) }, feedback);
    match (bounce_type, sub_type) {
        ("permanent", "general" | "") => hard(None),
        ("permanent", "noemail") => hard(Some(Reason::UserUnknown)),
        ("permanent", "unsubscribedrecipient") => suppressed(Some(FeedbackType::OptOut)),
        ("permanent", other) if is_suppression(other) => suppressed(None),
        ("permanent", _) => {
            notes.add("the bounce's subtype is not known here; taken as hard, as its type says");
            hard(None)
        }
        ("transient", "mailboxfull") => soft(Some(Reason::MailboxFull)),
        ("transient", "messagetoolarge") => soft(Some(Reason::MessageTooLarge)),
        ("transient", "contentrejected" | "attachmentrejected") => soft(Some(Reason::ContentRejected)),
        ("transient", "customtimeoutexceeded") => soft(Some(Reason::Expired)),
        ("transient", "general" | "") => soft(None),
        ("transient", _) => {
            notes.add("the bounce's subtype is not known here; taken as soft, as its type says");
            soft(None)
        }
        ("undetermined", _) => soft(None),
        _ => {
            notes.add("the bounce's type is not known here; taken as soft");
            soft(None)
        }
    }
}

/// Whether a subtype says that SES did not try: `Suppressed`, `OnAccountSuppressionList`, `EmailValidationSuppressed`.
pub(in crate::esp) fn is_suppression(sub_type: &str) -> bool {
    sub_type.ends_with("suppressed") || sub_type.ends_with("suppressionlist")
}
