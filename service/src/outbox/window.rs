//! Messages in flight: a window of them is handed over, then all their confirms are awaited, each with its own time limit.
//!
//! A confirm says that the broker has a message, not that a queue does: one that no queue takes is returned first and
//! confirmed all the same. lapin hands a returned message out with the next confirm that comes, which under load is often
//! another message's. Taken at its word it would let a lost message pass for published. So returns are matched by message
//! id, and nothing is decided before the whole window is heard: each return comes before its own confirm and each confirm
//! hands out one return, so then all of them are known.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use lapin::message::BasicReturnMessage;
use lapin::{Confirmation, PublisherConfirm};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::AmqpConfig;
use crate::outbox::link::{Link, LinkError, message_id};
use crate::store::Pending;
use crate::telemetry::{Published, Stage, Telemetry};

/// What became of the messages of a window. Those not named were not published, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Confirmed and routed.
    pub(super) done: Vec<i64>,
    /// Returned or nacked.
    pub(super) refused: Vec<Refused>,
    /// Why the connection cannot be used any more.
    pub(super) broken: Option<LinkError>,
}

/// A message that the broker does not want, now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) sequence: i64,
    /// Refusals before this one.
    pub(super) attempts: i32,
    pub(super) why: String,
}

/// What a window is published with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publisher<'a> {
    pub(super) link: &'a Link,
    pub(super) config: &'a AmqpConfig,
    pub(super) telemetry: &'a Telemetry,
    pub(super) stop: &'a CancellationToken,
}

/// A message that was handed over.
struct Handed<'a> {
    message: &'a Pending,
    at: Instant,
    confirm: PublisherConfirm,
}

impl Publisher<'_> {
    /// Publishes these messages, in their order. Told to stop, it hands no more over and waits for what is in flight.
    pub(super) async fn publish(self, messages: &[Pending]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut handed = Vec::with_capacity(messages.len());
        for message in messages {
            if self.stop.is_cancelled() {
                break;
            }
            let at = Instant::now();
            match self.patiently(at, self.config.publish_timeout, self.link.publish(message)).await {
                Some(Some(Ok(confirm))) => handed.push(Handed { message, at, confirm }),
                Some(None) => outcome.refused.push(refused(message, "its routing key or type has more than 255 octets")),
                Some(Some(Err(error))) => {
                    outcome.broken = Some(LinkError::Broken(error));
                    break;
                }
                None => {
                    outcome.broken = Some(LinkError::NotTaken(self.config.publish_timeout));
                    break;
                }
            }
        }
        let heard = self.hear(handed, &mut outcome.broken).await;
        for (it, verdict) in heard.iter().zip(judge(&heard, outcome.broken.is_none())) {
            let what = match verdict {
                Verdict::Published => {
                    outcome.done.push(it.message.sequence);
                    Published::Confirmed
                }
                Verdict::Returned(why) => {
                    outcome.refused.push(refused(it.message, why));
                    Published::Returned
                }
                Verdict::Nacked => {
                    outcome.refused.push(refused(it.message, "the broker could not take it (nack)"));
                    Published::Nacked
                }
                Verdict::Undecided => Published::Failed,
            };
            self.telemetry.relay_published(what, it.took);
        }
        outcome
    }

    /// Awaits the confirms. Once the connection is broken only those count that have come already.
    async fn hear<'a>(self, handed: Vec<Handed<'a>>, broken: &mut Option<LinkError>) -> Vec<Heard<'a>> {
        let limit = self.config.confirm_timeout;
        let mut heard = Vec::with_capacity(handed.len());
        for Handed { message, at, confirm } in handed {
            let came = if broken.is_some() { confirm.now_or_never() } else { self.patiently(at, limit, confirm).await };
            let outcome = match came {
                Some(Ok(confirmation)) => {
                    heard.push(Heard::new(message, at.elapsed(), confirmation));
                    continue;
                }
                Some(Err(error)) => {
                    broken.get_or_insert(LinkError::Broken(error));
                    Published::Failed
                }
                None if broken.is_some() => Published::Failed,
                None => {
                    *broken = Some(LinkError::Unconfirmed(limit));
                    Published::TimedOut
                }
            };
            self.telemetry.relay_published(outcome, at.elapsed());
        }
        heard
    }

    /// Awaits an answer of the broker for so long. A broker that has told us to wait is not late.
    async fn patiently<T>(self, since: Instant, limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        let mut until = since + limit;
        loop {
            if let Ok(answer) = timeout_at(until, &mut answer).await {
                return Some(answer);
            }
            if !self.link.is_blocked() || self.stop.is_cancelled() {
                return None;
            }
            self.telemetry.failed(Stage::Relay, "publishing", &LinkError::Blocked);
            until = Instant::now() + limit;
        }
    }
}

/// What the broker said of a message, and the returned message, of this or another one, that came with it.
#[derive(Debug)]
struct Heard<'a> {
    message: &'a Pending,
    took: Duration,
    answer: Answer,
    returned: Option<Returned>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ack,
    Nack,
}

#[derive(Debug)]
struct Returned {
    message_id: String,
    why: String,
}

impl<'a> Heard<'a> {
    fn new(message: &'a Pending, took: Duration, confirmation: Confirmation) -> Self {
        let answer = if confirmation.is_ack() { Answer::Ack } else { Answer::Nack };
        Self { message, took, answer, returned: confirmation.take_message().as_ref().map(Returned::new) }
    }
}

impl Returned {
    fn new(it: &BasicReturnMessage) -> Self {
        let message_id = it.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
        Self { message_id, why: format!("returned: {} {}", it.reply_code, it.reply_text) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    Published,
    Returned(&'a str),
    Nacked,
    Undecided,
}

/// Decides what is published. `all` says that every confirm of the window is here; without it the return of a message whose
/// confirm handed out another's may still have been on its way, and the message is left undecided.
fn judge<'a>(heard: &'a [Heard<'_>], all: bool) -> Vec<Verdict<'a>> {
    let returned: HashMap<&str, &str> =
        heard.iter().filter_map(|it| it.returned.as_ref()).map(|it| (it.message_id.as_str(), it.why.as_str())).collect();
    let judge_one = |it: &Heard<'_>| match (returned.get(message_id(it.message).as_str()), it.answer) {
        (Some(why), _) => Verdict::Returned(why),
        (None, Answer::Nack) => Verdict::Nacked,
        (None, Answer::Ack) if all || it.returned.is_none() => Verdict::Published,
        (None, Answer::Ack) => Verdict::Undecided,
    };
    heard.iter().map(judge_one).collect()
}

fn refused(message: &Pending, why: &str) -> Refused {
    Refused { sequence: message.sequence, attempts: message.attempts, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn message(sequence: i64) -> Pending {
        Pending {
            sequence,
            message_id: Uuid::from_u128(u128::from(sequence.unsigned_abs())),
            message_type: String::new(),
            routing_key: String::new(),
            payload: String::new(),
            attempts: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn heard<'a>(message: &'a Pending, answer: Answer, returned: Option<&Pending>) -> Heard<'a> {
        let returned = returned.map(|it| Returned { message_id: message_id(it), why: "returned".to_owned() });
        Heard { message, took: Duration::ZERO, answer, returned }
    }

    #[test]
    fn a_return_counts_for_the_message_it_names_and_not_for_the_confirm_it_came_with() {
        let (routed, lost) = (message(1), message(2));
        let heard = [heard(&routed, Answer::Ack, Some(&lost)), heard(&lost, Answer::Ack, None)];
        assert_eq!(judge(&heard, true), [Verdict::Published, Verdict::Returned("returned")]);
    }

    #[test]
    fn a_return_that_came_with_a_later_confirm_counts_too() {
        let (lost, routed) = (message(1), message(2));
        let heard = [heard(&lost, Answer::Ack, None), heard(&routed, Answer::Ack, Some(&lost))];
        assert_eq!(judge(&heard, true), [Verdict::Returned("returned"), Verdict::Published]);
    }

    #[test]
    fn in_a_window_cut_short_a_confirm_with_the_return_of_another_proves_nothing() {
        let (one, other, third) = (message(1), message(2), message(3));
        let heard = [heard(&one, Answer::Ack, Some(&other)), heard(&third, Answer::Ack, None)];
        assert_eq!(judge(&heard, false), [Verdict::Undecided, Verdict::Published]);
        assert_eq!(judge(&heard, true), [Verdict::Published, Verdict::Published]);
    }

    #[test]
    fn a_nack_is_a_refusal() {
        let (one, other) = (message(1), message(2));
        let heard = [heard(&one, Answer::Nack, None), heard(&other, Answer::Nack, Some(&other))];
        assert_eq!(judge(&heard, true), [Verdict::Nacked, Verdict::Returned("returned")]);
    }
}
