//! The committer: takes what waits, up to a batch, and commits it in one transaction. Nothing is waited for to make a batch
//! larger: while one is being committed the next one gathers by itself, and a good part of a batch is committed beside it. A
//! collision is tried again; a value the database refuses sends the batch one by one and quarantines the culprit; anything
//! else is an outage, and whoever waits is told to come again.

use std::sync::Arc;
use std::time::Duration;

use bounce::classify::rules::receivers;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Committer, Desk, IntakeError, Waiting};
use crate::clock::Clock;
use crate::config::IntakeConfig;
use crate::store::{Accepted, Incoming, Keep, ReceiptId, ReceiptState, StoreError, Testimony};
use crate::telemetry::{Stage, Stored};

/// How often a batch that collided is tried again.
const TRIES: u32 = 8;
/// Octets of raw bytes from which a batch is full; one statement to the database may have a gigabyte at most.
const BATCH_BYTES: usize = 32 << 20;
/// Facts and deliveries from which a batch is full: a post may bring ten thousand, and a batch has its time to commit.
const BATCH_FACTS: usize = 2_000;
/// Facts and deliveries that are worth a transaction beside another.
const WORTH_FACTS: usize = 400;
/// First wait after a collision; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(5);

impl Committer {
    /// Commits until told to stop, and then what still waits.
    pub async fn run(self, clock: Clock, stop: CancellationToken) {
        let Self { mut queue, desk } = self;
        let desk = Arc::new(desk);
        let at_once = desk.at_once();
        let mut under_way = JoinSet::new();
        let mut next = Batch::default();
        let mut is_drained = false;
        while !(is_drained && next.receipts.is_empty() && under_way.is_empty()) {
            tokio::select! {
                biased;
                Some(ended) = under_way.join_next() => passed_on(ended),
                // No more comes in; what was promised a place is still committed.
                () = stop.cancelled(), if !queue.is_closed() => queue.close(),
                first = queue.recv(), if !is_drained && next.has_room(&desk.config) => match first {
                    Some(first) => next.add(first),
                    None => is_drained = true,
                },
            }
            while next.has_room(&desk.config)
                && let Ok(more) = queue.try_recv()
            {
                next.add(more);
            }
            let may_begin = under_way.is_empty() || under_way.len() < at_once && (is_drained || next.is_worth_its_own(&desk.config));
            if may_begin && !next.receipts.is_empty() {
                desk.telemetry.intake_queue(queue.len(), desk.config.queue);
                under_way.spawn(desk.clone().commit_all(std::mem::take(&mut next).receipts, clock.now()));
            }
        }
    }
}

/// What is to be committed next.
#[derive(Debug, Default)]
struct Batch {
    receipts: Vec<Waiting>,
    bytes: usize,
    facts: usize,
}

impl Batch {
    fn add(&mut self, one: Waiting) {
        self.bytes += one.bytes();
        self.facts += one.facts();
        self.receipts.push(one);
    }

    fn has_room(&self, config: &IntakeConfig) -> bool {
        self.receipts.len() < config.batch && self.bytes < BATCH_BYTES && self.facts < BATCH_FACTS
    }

    /// Whether it is large enough to be committed beside another. A small one would cost the database nearly as much as it
    /// would if it were larger, and it grows while it waits for the one under way.
    fn is_worth_its_own(&self, config: &IntakeConfig) -> bool {
        self.receipts.len() >= config.batch.div_ceil(2) || self.facts >= WORTH_FACTS || !self.has_room(config)
    }
}

/// A fault of ours in one batch ends the committer, and so the service, as it would without a task of its own.
fn passed_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

impl Desk {
    /// Batches that may be under way at once. SQLite has one writer at a time, for which the others would only wait.
    fn at_once(&self) -> usize {
        if self.store.has_one_writer() { 1 } else { self.config.batches_at_once }
    }

    async fn commit_all(self: Arc<Self>, batch: Vec<Waiting>, now: OffsetDateTime) {
        self.commit(batch, now).await;
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
            Err(failure) => self.break_off(batch, &failure.into_error()),
        }
    }

    /// What becomes of those whose batch could not be committed: the one place for it.
    fn break_off(&self, batch: Vec<Promise>, failure: &IntakeError) {
        self.telemetry.failed(Stage::Intake, "committing a batch", failure);
        for promise in batch {
            // Whoever waited may have gone; the receipt is theirs to bring again either way.
            let _ = promise.done.send(Err(failure.again()));
        }
    }

    /// Commits, again while it only collides or meets connections that were cut, within the time a batch has.
    async fn attempt(&self, incoming: &[Incoming], now: OffsetDateTime) -> Result<Vec<Accepted>, Failure> {
        let tries = async {
            let mut wait = FIRST_WAIT;
            for _ in 1..TRIES {
                match self.store.commit(incoming, now).await {
                    // What was committed before the connection broke is found as a copy.
                    Err(error) if error.is_passing() => self.telemetry.batch_retried(&error),
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
                let receiver = receiver_of(incoming, said);
                self.telemetry.event_recorded(&incoming.source, said.kind, said.bounce_type, said.reason, receiver);
            }
        }
        for fact in &incoming.facts {
            self.telemetry.fact_taken(&incoming.source, fact.attribution);
        }
        for delivery in &incoming.deliveries {
            self.telemetry.delivery_recorded(&incoming.source, receivers::name_of(None, delivery.address.domain()));
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

/// Who runs the mailbox that a recorded event is about: an event holds no address, so the fact that says the same is asked. Of an
/// address that was erased none does.
fn receiver_of(incoming: &Incoming, said: &Testimony) -> Option<&'static str> {
    let fact = incoming.facts.iter().find(|it| it.testimony == *said);
    receivers::name_of(said.remote_mta.as_deref(), fact.map_or("", |it| it.address.domain()))
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
    /// What it takes in memory, and on its way to the database: what it says may be as long as its raw bytes.
    fn bytes(&self) -> usize {
        self.incoming.size.max(self.incoming.body.len())
    }

    fn facts(&self) -> usize {
        self.incoming.facts.len() + self.incoming.deliveries.len()
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
