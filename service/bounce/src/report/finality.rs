//! Whether a report is final. The action says so (RFC 3464 section 2.3.3), but some servers call the end of the queue
//! lifetime `delayed`, and free text says it in words.

use std::cell::OnceCell;

use super::Report;
use super::phrases::Phrases;
use crate::kind::{Action, Kind};
use crate::status::Class;

/// Words of a queue that gave up, in lower case.
static GAVE_UP: Phrases = Phrases::new(&[
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
]);

/// Words of a queue that goes on, in lower case.
static GOES_ON: Phrases = Phrases::new(&[
    "will be retried",
    "will be attempted",
    "will continue",
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
]);

/// Words of success, in lower case.
static DELIVERED: Phrases = Phrases::new(&[
    "successful mail delivery",
    "was successfully delivered",
    "were successfully delivered",
    "has been successfully delivered",
    "successfully relayed",
    "was delivered to the following",
    "delivery status notification (success)",
    "delivery status notification (relay)",
]);

/// What the whole of a mail says of further attempts; looked up when a recipient needs it, and once for all of them.
#[derive(Debug)]
pub(super) struct Whole<'m> {
    text: &'m str,
    subject: &'m str,
    arrived: OnceCell<bool>,
    gave_up: OnceCell<bool>,
    goes_on: OnceCell<bool>,
    subject_goes_on: OnceCell<bool>,
}

impl<'m> Whole<'m> {
    pub(super) fn new(text: &'m str, subject: &'m str) -> Self {
        let unknown = OnceCell::new;
        Self { text, subject, arrived: unknown(), gave_up: unknown(), goes_on: unknown(), subject_goes_on: unknown() }
    }

    /// Whether the message arrived.
    fn arrived(&self) -> bool {
        *self.arrived.get_or_init(|| DELIVERED.found_in(self.text) || DELIVERED.found_in(self.subject))
    }

    /// Whether no more attempts follow.
    fn gave_up(&self) -> bool {
        *self.gave_up.get_or_init(|| GAVE_UP.found_in(self.text))
    }

    /// Whether more attempts follow.
    fn goes_on(&self) -> bool {
        *self.goes_on.get_or_init(|| GOES_ON.found_in(self.text))
    }

    /// Whether the subject says that more attempts follow.
    fn subject_goes_on(&self) -> bool {
        *self.subject_goes_on.get_or_init(|| GOES_ON.found_in(self.subject))
    }
}

/// Sets the kind of a report that calls itself delayed, or says nothing, by what its text says.
pub(super) fn settle(report: &mut Report, dialect: &str, whole: &Whole<'_>) {
    if report.action.is_none() && report.diagnostic.is_none() && report.kind == Kind::Bounce && whole.arrived() {
        report.kind = Kind::Delivered;
    }
    let says = |phrases: &Phrases, text: &Option<String>| text.as_deref().is_some_and(|it| phrases.found_in(it));
    match (report.action, report.kind) {
        (Some(Action::Delayed), Kind::Delayed) => {
            let gave_up = says(&GAVE_UP, &report.text) || says(&GAVE_UP, &report.diagnostic);
            let expired = report.status.is_some_and(|it| (it.subject, it.detail) == (4, 7)) && report.retry_until.is_none();
            // nullmailer reports only when it has given up, whatever word it uses.
            if dialect == "nullmailer" || gave_up && !says(&GOES_ON, &report.text) || expired && whole.gave_up() {
                report.kind = Kind::Bounce;
            }
        }
        // The text about the recipient is a piece of the whole.
        (None, Kind::Bounce)
            if report.status.is_none_or(|it| it.class != Class::Permanent)
                && (whole.subject_goes_on() || whole.goes_on() && !whole.gave_up()) =>
        {
            report.kind = Kind::Delayed;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_has_its_sample() {
        assert_eq!(GAVE_UP.flaws("gave_up"), Vec::<String>::new());
        assert_eq!(GOES_ON.flaws("goes_on"), Vec::<String>::new());
        assert_eq!(DELIVERED.flaws("delivered"), Vec::<String>::new());
    }

    fn settled(action: Option<Action>, text: &str, human: &str, subject: &str) -> Kind {
        let mut report = Report::new(if action.is_some() { Kind::Delayed } else { Kind::Bounce }, None);
        report.action = action;
        report.text = Some(text.to_owned());
        settle(&mut report, "generic", &Whole::new(human, subject));
        report.kind
    }

    #[test]
    fn a_queue_that_gave_up_is_final_whatever_it_calls_itself() {
        for (text, kind) in [
            ("jane@corp.example: Envelope expired", Kind::Bounce),
            ("Giving up.", Kind::Bounce),
            ("Deferred: connection timed out", Kind::Delayed),
            ("If it fails we are giving up in 3 days; it will be retried", Kind::Delayed),
        ] {
            assert_eq!(settled(Some(Action::Delayed), text, "", ""), kind, "{text}");
        }
    }

    #[test]
    fn a_warning_in_prose_is_not_final() {
        assert_eq!(settled(None, "busy", "Message will be retried for 2 more days", ""), Kind::Delayed);
        assert_eq!(settled(None, "busy", "", "Warning: could not send message for past 4 hours"), Kind::Delayed);
        assert_eq!(settled(None, "busy", "It will be retried no more: we have given up", ""), Kind::Bounce);
        assert_eq!(settled(None, "no such user", "This is a permanent error", ""), Kind::Bounce);
    }
}
