//! Whether a report is final. The action says so (RFC 3464 section 2.3.3), but some servers call the end of the queue
//! lifetime `delayed`, and free text says it in words.

use super::Report;
use crate::kind::{Action, Kind};

/// Words of a queue that gave up, in lower case.
const GAVE_UP: &[&str] = &[
    "envelope expired",
    "message expired",
    "message timed out",
    "delivery time expired",
    "delivery timed out",
    "queue.expired",
    "giving up",
    "given up",
    "gave up",
    "gives up",
    "retry timeout exceeded",
    "retry time not reached for any host after a long failure period",
    "all hosts have been failing for a long time",
    "in the queue too long",
    "in queue too long",
    "not going to try again",
    "exceeded maximum delivery attempts",
    "maximum retries exceeded",
    "will not be retried",
    "no further delivery attempts",
    "permanent failure",
    "no further attempts",
    "queue lifetime exceeded",
    "permanent error",
    "permanent fatal error",
];

/// Words of a queue that goes on, in lower case.
const GOES_ON: &[&str] = &[
    "will be retried",
    "will be attempted",
    "will continue",
    "will keep trying",
    "will try again",
    "try again for",
    "still trying",
    "still being",
    "still queued",
    "continue to try",
    "continue trying",
    "continues to try",
    "continuing to try",
    "attempts will",
    "you do not need to re",
    "you don't need to re",
    "do not need to resend",
    "warning message only",
    "this is a warning",
    "has been frozen",
    "will retry",
    "has not yet been delivered",
    "not yet been delivered",
    "has been delayed",
    "delivery delayed",
    "message delayed",
    "delivery is delayed",
    "temporarily delayed",
    "could not send message for past",
    "could not be delivered yet",
    "no action is required",
    "keep trying",
    "have not yet been",
    "delivery incomplete",
    "unable to deliver your message yet",
    "wird weiterhin versucht",
    "noch nicht zugestellt",
    "pas encore été",
    "aún no se ha",
    "не удалось пока",
];

/// Whether a text says that no more attempts follow.
pub(crate) fn gave_up(text: &str) -> bool {
    let text = text.to_lowercase();
    GAVE_UP.iter().any(|it| text.contains(it))
}

/// Whether a text says that more attempts follow.
pub(crate) fn goes_on(text: &str) -> bool {
    let text = text.to_lowercase();
    GOES_ON.iter().any(|it| text.contains(it))
}

/// Sets the kind of a report that calls itself delayed, or says nothing, by what its text says.
pub(super) fn settle(report: &mut Report, dialect: &str, human: &str, subject: &str) {
    match (report.action, report.kind) {
        (Some(Action::Delayed), Kind::Delayed) => {
            // nullmailer reports only when it has given up, whatever word it uses.
            let own_words = [&report.diagnostic, &report.text].into_iter().flatten().any(|it| gave_up(it));
            let expired = report.status.is_some_and(|it| (it.subject, it.detail) == (4, 7)) && report.retry_until.is_none();
            if dialect == "nullmailer" || own_words && !report.text.as_deref().is_some_and(goes_on) || expired && gave_up(human) {
                report.kind = Kind::Bounce;
            }
        }
        (None, Kind::Bounce) if report.status.is_none_or(|it| it.class != crate::status::Class::Permanent) => {
            let text = report.text.as_deref().unwrap_or(human);
            if goes_on(subject) || (goes_on(text) || goes_on(human)) && !gave_up(text) && !gave_up(human) {
                report.kind = Kind::Delayed;
            }
        }
        _ => {}
    }
}
