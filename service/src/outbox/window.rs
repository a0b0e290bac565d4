//! Messages in flight: as many as may be are handed over, and while their confirms are awaited, in their order and each with
//! its own time limit, the next ones go out.
//!
//! A confirm says that the broker has a message, not that a queue does: one that no queue takes is returned first and
//! confirmed all the same. lapin puts returned messages in a row and hands the first of it out with the next confirm that
//! comes, which under load is often another message's. Taken at its word it would let a lost message pass for published. So
//! returns are matched by message id, and a message is decided only when its return cannot be on its way any more:
//!
//! * Whatever was returned before it stands before it in the row and was handed over before its confirm was heard. Once all
//!   that was handed over by then is heard, as many confirms have come as there are returns up to its own: it is out.
//! * It came out with a confirm of something handed over by that moment. Once all of this is heard too, it is known.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use lapin::message::BasicReturnMessage;
use lapin::{Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::AmqpConfig;
use crate::outbox::link::{Link, LinkError, message_id};
use crate::store::{Pending, Place};
use crate::telemetry::{Published, Stage, Telemetry};

/// Messages that are decided together, at most.
const GROUP: usize = 100;

/// What became of some messages. Those not named were not published, as far as is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Confirmed and routed.
    pub(super) done: Vec<Place>,
    /// Returned or nacked.
    pub(super) refused: Vec<Refused>,
}

/// A message that the broker does not want, now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) place: Place,
    /// Refusals before this one.
    pub(super) attempts: i32,
    pub(super) why: String,
}

/// What messages are published with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publisher<'a> {
    pub(super) link: &'a Link,
    pub(super) config: &'a AmqpConfig,
    pub(super) telemetry: &'a Telemetry,
    /// Told to stop, it hands no more over and waits for what is in flight.
    pub(super) stop: &'a CancellationToken,
}

/// A message that was handed over.
struct Handed {
    message: Pending,
    at: Instant,
    /// Until when its confirm is waited for.
    until: Instant,
    confirm: PublisherConfirm,
}

impl Publisher<'_> {
    /// Publishes what comes, in its order, until nothing comes any more or it is told to stop, and tells what became of
    /// it. When the connection breaks, it tells what is known by then, and why.
    pub(super) async fn publish(self, mut rows: mpsc::Receiver<Vec<Pending>>, told: &mpsc::Sender<Outcome>) -> Result<(), LinkError> {
        let mut flight = Flight::default();
        let ended = self.fly(&mut flight, &mut rows, told).await;
        if ended.is_err() {
            self.hear_what_came(&mut flight);
        }
        // Whoever does not listen any more has said why.
        let _ = told.send(self.count(flight.books.close())).await;
        ended
    }

    async fn fly(
        self,
        flight: &mut Flight,
        rows: &mut mpsc::Receiver<Vec<Pending>>,
        told: &mpsc::Sender<Outcome>,
    ) -> Result<(), LinkError> {
        let mut next: VecDeque<Pending> = VecDeque::new();
        loop {
            if self.stop.is_cancelled() {
                rows.close();
                next.clear();
            }
            while flight.handed.len() < self.config.in_flight
                && let Some(message) = next.pop_front()
            {
                self.hand_over(flight, message).await?;
            }
            // Before anything is waited for: what cannot be published at all is known already.
            let decided = flight.books.decided();
            if decided.len() > 0 && told.send(self.count(decided)).await.is_err() {
                return Ok(());
            }
            match flight.handed.front_mut() {
                Some(first) if next.is_empty() && !rows.is_closed() => tokio::select! {
                    heard = self.hear(first) => flight.note(heard)?,
                    more = rows.recv() => next.extend(more.into_iter().flatten()),
                    // Looks again whether it is to stop.
                    () = self.stop.cancelled() => {}
                },
                Some(first) => {
                    let heard = self.hear(first).await;
                    flight.note(heard)?;
                }
                None => match rows.recv().await {
                    Some(more) => next.extend(more),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn hand_over(self, flight: &mut Flight, message: Pending) -> Result<(), LinkError> {
        let at = Instant::now();
        let mut until = at + self.config.publish_timeout;
        match self.patiently(&mut until, self.config.publish_timeout, self.link.publish(&message)).await {
            Some(Some(Ok(confirm))) => {
                flight.books.handed += 1;
                flight.handed.push_back(Handed { message, at, until: at + self.config.confirm_timeout, confirm });
                Ok(())
            }
            Some(None) => {
                flight.books.refuse(&message, "its routing key or type has more than 255 octets");
                Ok(())
            }
            Some(Some(Err(error))) => Err(LinkError::Broken(error)),
            None => Err(LinkError::NotTaken(self.config.publish_timeout)),
        }
    }

    /// Awaits a confirm.
    async fn hear(self, handed: &mut Handed) -> Result<Confirmation, LinkError> {
        let limit = self.config.confirm_timeout;
        let (outcome, error) = match self.patiently(&mut handed.until, limit, &mut handed.confirm).await {
            Some(Ok(confirmation)) => return Ok(confirmation),
            Some(Err(error)) => (Published::Failed, LinkError::Broken(error)),
            None => (Published::TimedOut, LinkError::Unconfirmed(limit)),
        };
        self.telemetry.relay_published(outcome, handed.at.elapsed());
        Err(error)
    }

    /// Takes in the confirms that came before the connection broke.
    fn hear_what_came(self, flight: &mut Flight) {
        for Handed { message, at, confirm, .. } in flight.handed.drain(..) {
            match confirm.now_or_never() {
                Some(Ok(confirmation)) => flight.books.hear(message, at.elapsed(), confirmation),
                _ => self.telemetry.relay_published(Published::Failed, at.elapsed()),
            }
        }
    }

    /// Counts what became of messages.
    fn count(self, decided: Decided) -> Outcome {
        for (what, took) in decided.told {
            self.telemetry.relay_published(what, took);
        }
        decided.outcome
    }

    /// Awaits an answer of the broker until then. A broker that has told us to wait is not late.
    async fn patiently<T>(self, until: &mut Instant, limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        loop {
            if let Ok(answer) = timeout_at(*until, &mut answer).await {
                return Some(answer);
            }
            if !self.link.is_blocked() || self.stop.is_cancelled() {
                return None;
            }
            self.telemetry.failed(Stage::Relay, "publishing", &LinkError::Blocked);
            *until = Instant::now() + limit;
        }
    }
}

/// What is on its way to the broker and back.
#[derive(Default)]
struct Flight {
    handed: VecDeque<Handed>,
    books: Books,
}

impl Flight {
    /// Writes down what the broker said of the message that was handed over first.
    fn note(&mut self, heard: Result<Confirmation, LinkError>) -> Result<(), LinkError> {
        if let Some(Handed { message, at, .. }) = self.handed.pop_front() {
            self.books.hear(message, at.elapsed(), heard?);
        }
        Ok(())
    }
}

/// What the broker said of a message.
#[derive(Debug)]
struct Heard {
    message: Pending,
    took: Duration,
    answer: Answer,
    carried: Carried,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ack,
    Nack,
}

/// Whether a returned message came with a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    Nothing,
    AReturn,
}

/// A message that no queue took.
#[derive(Debug)]
struct Returned {
    message_id: String,
    why: String,
}

impl Returned {
    fn new(it: &BasicReturnMessage) -> Self {
        let message_id = it.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
        Self { message_id, why: format!("returned: {} {}", it.reply_code, it.reply_text) }
    }
}

/// Messages of which the fate is known.
#[derive(Debug, Default)]
struct Decided {
    outcome: Outcome,
    told: Vec<(Published, Duration)>,
}

impl Decided {
    fn len(&self) -> usize {
        self.outcome.done.len() + self.outcome.refused.len()
    }
}

/// What was heard and is not decided yet.
#[derive(Debug, Default)]
struct Books {
    /// Messages handed over so far.
    handed: u64,
    /// Confirms heard so far, in the order in which the messages were handed over.
    heard: u64,
    /// Messages heard since the last group was closed.
    open: Vec<Heard>,
    groups: VecDeque<Group>,
    /// Why messages were returned, by message id.
    returned: HashMap<String, String>,
    /// Refused before they were handed over.
    unfit: Vec<Refused>,
}

/// Messages that are decided together.
#[derive(Debug)]
struct Group {
    messages: Vec<Heard>,
    /// How many confirms must be heard.
    wait: u64,
    stage: Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Until every return is handed out.
    ForReturns,
    /// Until what they were handed out with is heard.
    ForTheirConfirms,
}

/// How much was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    /// Every confirm that matters.
    Whole,
    /// Those that came before the connection broke.
    CutShort,
}

impl Books {
    fn refuse(&mut self, message: &Pending, why: &str) {
        self.unfit.push(refused(message, why));
    }

    fn hear(&mut self, message: Pending, took: Duration, confirmation: Confirmation) {
        let answer = if confirmation.is_ack() { Answer::Ack } else { Answer::Nack };
        self.write(message, took, answer, confirmation.take_message().as_ref().map(Returned::new));
    }

    fn write(&mut self, message: Pending, took: Duration, answer: Answer, returned: Option<Returned>) {
        self.heard += 1;
        let carried = if returned.is_some() { Carried::AReturn } else { Carried::Nothing };
        self.returned.extend(returned.map(|it| (it.message_id, it.why)));
        self.open.push(Heard { message, took, answer, carried });
        if self.open.len() >= GROUP || self.heard == self.handed {
            let messages = std::mem::take(&mut self.open);
            self.groups.push_back(Group { messages, wait: self.handed, stage: Wait::ForReturns });
        }
    }

    /// What can be decided now.
    fn decided(&mut self) -> Decided {
        let mut decided = Decided::default();
        decided.outcome.refused.append(&mut self.unfit);
        while let Some(first) = self.groups.front_mut().filter(|it| it.wait <= self.heard) {
            if first.stage == Wait::ForReturns {
                (first.wait, first.stage) = (self.handed, Wait::ForTheirConfirms);
            } else if let Some(group) = self.groups.pop_front() {
                self.judge(group.messages, Window::Whole, &mut decided);
            }
        }
        decided
    }

    /// What can be decided when nothing more is heard.
    fn close(mut self) -> Decided {
        let mut decided = self.decided();
        let groups = std::mem::take(&mut self.groups);
        let rest = groups.into_iter().flat_map(|it| it.messages).chain(std::mem::take(&mut self.open)).collect();
        let window = if self.heard == self.handed { Window::Whole } else { Window::CutShort };
        self.judge(rest, window, &mut decided);
        decided
    }

    /// Decides what is published. In a window cut short, the return of a message whose confirm handed out another's may
    /// have been on its way; such a message is left undecided.
    fn judge(&mut self, messages: Vec<Heard>, window: Window, decided: &mut Decided) {
        for Heard { message, took, answer, carried } in messages {
            let why = if self.returned.is_empty() { None } else { self.returned.remove(&message_id(&message)) };
            let what = match (why, answer) {
                (Some(why), _) => {
                    decided.outcome.refused.push(refused(&message, &why));
                    Published::Returned
                }
                (None, Answer::Nack) => {
                    decided.outcome.refused.push(refused(&message, "the broker could not take it (nack)"));
                    Published::Nacked
                }
                (None, Answer::Ack) if window == Window::Whole || carried == Carried::Nothing => {
                    decided.outcome.done.push(message.place());
                    Published::Confirmed
                }
                (None, Answer::Ack) => Published::Failed,
            };
            decided.told.push((what, took));
        }
    }
}

fn refused(message: &Pending, why: &str) -> Refused {
    Refused { place: message.place(), attempts: message.attempts, why: why.to_owned() }
}

#[cfg(test)]
mod tests;
