//! The committer: takes what waits, up to a batch, and commits it in one transaction. A collision is tried again; a value the
//! database refuses sends the batch one by one and quarantines the culprit; anything else is an outage, and whoever waits is
//! told to come again.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Committer, IntakeError, Waiting};
use crate::clock::Clock;
use crate::store::{Accepted, Incoming, Keep, ReceiptId, ReceiptState, StoreError};
use crate::telemetry::{Stage, Stored};

/// How often a batch that collided is tried again.
const TRIES: u32 = 8;
/// Octets of raw bytes from which a batch is full; one statement to the database may have a gigabyte at most.
const BATCH_BYTES: usize = 32 << 20;
/// First wait after a collision; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(5);

impl Committer {
    /// Commits until told to stop, and then what still waits.
    pub async fn run(mut self, clock: Clock, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                first = self.queue.recv() => first,
                () = stop.cancelled() => {
                    // No more comes in; what was promised a place is still committed.
                    self.queue.close();
                    self.queue.recv().await
                }
            };
            let Some(first) = first else { return };
            let batch = self.gather(first).await;
            self.commit(batch, clock.now()).await;
        }
    }

    async fn gather(&mut self, first: Waiting) -> Vec<Waiting> {
        let mut batch = vec![first];
        let end = Instant::now() + self.config.batch_delay;
        let mut bytes = batch.iter().map(Waiting::bytes).sum::<usize>();
        while batch.len() < self.config.batch && bytes < BATCH_BYTES {
            match self.queue.try_recv() {
                Ok(next) => {
                    bytes += next.bytes();
                    batch.push(next);
                }
                Err(_) if self.config.batch_delay.is_zero() => break,
                Err(_) => match tokio::time::timeout_at(end, self.queue.recv()).await {
                    Ok(Some(next)) => {
                        bytes += next.bytes();
                        batch.push(next);
                    }
                    Ok(None) | Err(_) => break,
                },
            }
        }
        self.telemetry.intake_queue(self.queue.len(), self.config.queue);
        batch
    }

    async fn commit(&self, batch: Vec<Waiting>, now: OffsetDateTime) {
        let (incoming, batch): (Vec<Incoming>, Vec<Promise>) = batch.into_iter().filter(Waiting::is_awaited).map(Waiting::split).unzip();
        if batch.is_empty() {
            return;
        }
        let begun = Instant::now();
        match self.attempt(&incoming, now).await {
            Ok(accepted) => {
                self.telemetry.batch_committed(batch.len(), begun.elapsed());
                for ((promise, incoming), accepted) in batch.into_iter().zip(incoming).zip(accepted) {
                    self.keep(promise, &incoming, accepted).await;
                }
                self.nudge.notify_one();
            }
            Err(failure) if failure.is_of_one() && batch.len() > 1 => {
                for (promise, incoming) in batch.into_iter().zip(incoming) {
                    Box::pin(self.commit(vec![promise.with(incoming)], now)).await;
                }
            }
            Err(Failure::Data(error)) => {
                for (promise, incoming) in batch.into_iter().zip(incoming) {
                    self.quarantine(promise, incoming, &error, now).await;
                }
            }
            Err(failure) => {
                let failure = failure.into_error();
                self.telemetry.failed(Stage::Intake, "committing a batch", &failure);
                for promise in batch {
                    // Whoever waited may have gone; the receipt is theirs to bring again either way.
                    let _ = promise.done.send(Err(failure.again()));
                }
            }
        }
    }

    /// Commits, again while it only collides, within the time a batch has.
    async fn attempt(&self, incoming: &[Incoming], now: OffsetDateTime) -> Result<Vec<Accepted>, Failure> {
        let tries = async {
            let mut wait = FIRST_WAIT;
            for _ in 1..TRIES {
                match self.store.commit(incoming, now).await {
                    Err(error @ StoreError::Collision(_)) => self.telemetry.batch_retried(&error),
                    other => return other,
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            self.store.commit(incoming, now).await
        };
        match tokio::time::timeout(self.config.commit_timeout, tries).await {
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(error @ StoreError::Data(_))) => Err(Failure::Data(error)),
            Ok(Err(error)) => Err(Failure::Away(Arc::new(error))),
            Err(_) => Err(Failure::TooSlow(self.config.commit_timeout)),
        }
    }

    /// Keeps a receipt that the database will not take with its facts, without them.
    async fn quarantine(&self, promise: Promise, incoming: Incoming, error: &StoreError, now: OffsetDateTime) {
        self.telemetry.failed(Stage::Intake, "recording a receipt", error);
        let bare = Incoming {
            state: ReceiptState::Quarantined,
            error: Some("the database refused a value in it; the receipt is kept and can be read again".to_owned()),
            facts: Vec::new(),
            deliveries: Vec::new(),
            set_aside: Vec::new(),
            keep: Keep::Receipt,
            ..incoming
        };
        match self.attempt(std::slice::from_ref(&bare), now).await {
            Ok(mut accepted) => {
                if let Some(accepted) = accepted.pop() {
                    self.keep(promise, &bare, accepted).await;
                }
            }
            Err(failure) => {
                let failure = failure.into_error();
                self.telemetry.failed(Stage::Intake, "quarantining a receipt", &failure);
                let _ = promise.done.send(Err(failure));
            }
        }
    }

    /// Counts what was committed and tells whoever waits for it.
    async fn keep(&self, promise: Promise, incoming: &Incoming, accepted: Accepted) {
        let Promise { since, done, room } = promise;
        if let Some((receipt, stored)) = self.count(incoming, &accepted).await {
            self.telemetry.receipt_stored(&incoming.source, stored, receipt.0, incoming.size, since.elapsed());
            for aside in incoming.set_aside.iter().filter(|_| stored == Stored::New) {
                self.telemetry.receipt_stored(&aside.source, Stored::Unrecognised, aside.id.0, aside.size, since.elapsed());
            }
        }
        drop(room);
        let _ = done.send(Ok((accepted, incoming.state)));
    }

    /// Counts what one receipt led to, and says what became of it. One that was not taken is counted where it is refused.
    async fn count(&self, incoming: &Incoming, accepted: &Accepted) -> Option<(ReceiptId, Stored)> {
        let (receipt, events, merged, changes) = match accepted {
            Accepted::Replayed => return None,
            Accepted::Duplicate { receipt } => return Some((*receipt, Stored::Duplicate)),
            Accepted::New { receipt, events, merged, changes } => (*receipt, events, merged, changes),
        };
        for event in events {
            let said = &event.testimony;
            if merged.contains(&event.id) {
                self.telemetry.event_merged(&incoming.source, said.kind);
            } else {
                self.telemetry.event_recorded(&incoming.source, said.kind, said.bounce_type, said.reason);
            }
        }
        for change in changes {
            if let (Some(cause), Ok(list)) = (change.cause, self.store.list_by_id(change.list).await) {
                self.telemetry.suppression_changed(&list.name, cause.as_str(), change.change.as_str());
            }
        }
        let stored = match incoming.state {
            ReceiptState::Processed => Stored::New,
            ReceiptState::Unrecognised => Stored::Unrecognised,
            ReceiptState::Quarantined => Stored::Quarantined,
        };
        Some((receipt, stored))
    }
}

/// Whoever waits for a receipt.
struct Promise {
    since: Instant,
    done: oneshot::Sender<Result<(Accepted, ReceiptState), IntakeError>>,
    room: OwnedSemaphorePermit,
}

impl Promise {
    fn with(self, incoming: Incoming) -> Waiting {
        Waiting { incoming, since: self.since, done: self.done, room: self.room }
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.incoming.body.len()
    }

    /// The receipt, and whoever waits for it.
    fn split(self) -> (Incoming, Promise) {
        (self.incoming, Promise { since: self.since, done: self.done, room: self.room })
    }
}

/// Why a batch was not committed.
enum Failure {
    Data(StoreError),
    Away(Arc<StoreError>),
    TooSlow(Duration),
}

impl Failure {
    /// Whether one receipt of the batch may be to blame, and its neighbours may not.
    fn is_of_one(&self) -> bool {
        match self {
            Self::Data(_) => true,
            Self::Away(error) => matches!(**error, StoreError::BadRow { .. }),
            Self::TooSlow(_) => false,
        }
    }

    fn into_error(self) -> IntakeError {
        match self {
            Self::Data(error) => IntakeError::Unavailable(Arc::new(error)),
            Self::Away(error) => IntakeError::Unavailable(error),
            Self::TooSlow(limit) => IntakeError::TooSlow(limit),
        }
    }
}

impl IntakeError {
    /// The same error for one more who waits.
    fn again(&self) -> Self {
        match self {
            Self::Full(limit) => Self::Full(*limit),
            Self::Unavailable(error) => Self::Unavailable(error.clone()),
            Self::TooSlow(limit) => Self::TooSlow(*limit),
            Self::Away => Self::Away,
            Self::Stopping => Self::Stopping,
        }
    }
}
